//! What an identity may do: scopes of section 8.

use crate::machine::Grant;

/// What a stream or datagram asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Open,
    Request,
    Datagram,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Request => "request",
            Self::Datagram => "datagram",
        }
    }
}

/// Who the peer is, and what it may do. By default nobody, who may do anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    subject: Option<String>,
    scopes: Option<Vec<String>>,
}

impl Access {
    pub(crate) fn of(grant: &Grant) -> Self {
        Self { subject: grant.subject.clone(), scopes: grant.scopes.clone() }
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether a scope covers this.
    //= SMRP-A9
    pub(crate) fn allows(&self, verb: Verb, name: &str) -> bool {
        let Some(scopes) = &self.scopes else { return true };
        scopes.iter().any(|scope| {
            let (granted, pattern) = scope.split_once(':').unwrap_or((scope, "*"));
            (granted == "*" || granted == verb.name()) && matches(pattern, name)
        })
    }
}

/// A pattern is a name, or the beginning of one and a star.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_its_verb_and_its_names_alone() {
        //= SMRP-A9
        let scopes = ["open:/camera/*", "request:/clock", "datagram"].map(str::to_owned).to_vec();
        let access = Access { subject: None, scopes: Some(scopes) };
        assert!(access.allows(Verb::Open, "/camera/1"));
        assert!(!access.allows(Verb::Open, "/camera"));
        assert!(!access.allows(Verb::Request, "/camera/1"));
        assert!(access.allows(Verb::Request, "/clock"));
        assert!(!access.allows(Verb::Request, "/clock/2"));
        assert!(access.allows(Verb::Datagram, "anything"));
        let nothing = Access { scopes: Some(Vec::new()), ..Access::default() };
        assert!(!nothing.allows(Verb::Open, ""));
        let all = Access { scopes: Some(vec!["*".to_owned()]), ..Access::default() };
        assert!(all.allows(Verb::Open, "/x") && Access::default().allows(Verb::Request, "/y"));
    }
}
