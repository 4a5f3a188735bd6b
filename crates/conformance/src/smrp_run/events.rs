//! What the application is told, in the words of cases.

use super::tables::tables;
use crate::notation::render;
use smrp::wire::Parameters;
use smrp::{Code, Direction, Event, Kind, Opened, SessionError};

/// An event: its words, and the text that goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) words: Vec<String>,
    /// What people read, for `says='...'`.
    pub(crate) says: String,
}

pub(crate) fn code_name(code: Code) -> String {
    tables().map_or_else(|error| error, |tables| tables.code_name(code.number()))
}

pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bytes => "octets",
        Kind::Messages => "messages",
        Kind::UnorderedMessages => "unordered",
        Kind::Request => "request",
        _ => "unknown",
    }
}

fn metadata(words: &mut Vec<String>, parameters: &Parameters) {
    for (id, value) in parameters.iter() {
        let name = match id {
            2 => "name".to_owned(),
            4 => "type".to_owned(),
            6 => "header".to_owned(),
            8 => "status".to_owned(),
            other => format!("#{other:x}"),
        };
        words.push(format!("{name}={}", render([&value[..]]).trim_start()));
    }
}

fn opened(opened: &Opened) -> Vec<String> {
    let mut words = vec!["opened".into(), opened.stream.to_string(), kind_name(opened.kind).into()];
    opened.metadata.iter().for_each(|list| metadata(&mut words, list));
    words.extend((opened.priority.urgency() != 3).then(|| format!("urgency={}", opened.priority.urgency())));
    words.extend(opened.ttl.map(|ttl| format!("ttl={}ms", ttl.as_millis())));
    words
}

/// Why a session ended.
pub(crate) fn ended(error: &SessionError) -> Vec<String> {
    let why = match error {
        SessionError::Closed { code } => format!("closed {}", code_name(*code)),
        SessionError::ClosedByPeer { code, .. } => format!("closed-by-peer {}", code_name(*code)),
        SessionError::Fault(fault) => format!("fault {}", code_name(fault.code())),
        SessionError::LinkLost => "link-lost".into(),
        SessionError::Idle(_) => "idle".into(),
        SessionError::HandshakeTimeout { what, .. } => format!("no {what}"),
        SessionError::NotReattached(_) => "not-reattached".into(),
        SessionError::NobodyListens(_) => "nobody-listens".into(),
        SessionError::ResumeRefused(code) => format!("not-taken-back {}", code_name(*code)),
        SessionError::OverBudget { .. } => "over-budget".into(),
        SessionError::Superseded => "superseded".into(),
        other => format!("{other:?}"),
    };
    why.split(' ').map(str::to_owned).collect()
}

/// An event in the words of cases.
pub(crate) fn told(event: &Event) -> Told {
    let mut says = String::new();
    let one = |word: &str| vec![word.to_owned()];
    let words = match event {
        Event::Established => one("established"),
        Event::Authenticate(claim) => {
            let mut words = vec!["authenticate".to_owned(), format!("method={}", claim.method)];
            for (name, value) in [("token", &claim.token), ("key", &claim.key)] {
                words.extend(value.iter().map(|value| format!("{name}={}", render([&value[..]]).trim_start())));
            }
            words.extend(claim.channel.certificate().filter(|_| claim.method == 1).map(|_| "certificate".to_owned()));
            let about = if claim.method == 4 { &claim.token } else { &claim.key };
            let due = about.as_ref().map(|about| super::proof::octets(claim.method, about));
            words.extend(
                claim.proof().map(|proof| format!("proof={}", if Some(proof) == due { "right" } else { "wrong" })),
            );
            words
        }
        Event::Authenticated { subject, expires_after } => {
            let mut words = one("authenticated");
            words.extend(subject.iter().map(|subject| format!("subject='{subject}'")));
            words.extend(expires_after.map(|after| format!("expires={}ms", after.as_millis())));
            words
        }
        Event::AuthRefused(code) => vec!["auth-refused".into(), code_name(*code)],
        Event::Opened(stream) => opened(stream),
        Event::Readable(id) => vec!["readable".into(), id.to_string()],
        Event::Writable(id) => vec!["writable".into(), id.to_string()],
        Event::Metadata { stream, is_trailer, metadata: list } => {
            let place = if *is_trailer { "trailer" } else { "head" };
            let mut words = vec!["metadata".into(), stream.to_string(), place.into()];
            metadata(&mut words, list);
            words
        }
        Event::MayOpen(Direction::Bidi) => vec!["may-open".into(), "both-ways".into()],
        Event::MayOpen(Direction::Uni) => vec!["may-open".into(), "one-way".into()],
        Event::Datagrams => one("datagrams"),
        Event::GoingAway { is_final, drain, code, redirect } => {
            let mut words = one("going-away");
            words.extend(is_final.then(|| "final".to_owned()));
            words.extend([format!("drain={}ms", drain.as_millis()), code_name(*code)]);
            words.extend(redirect.iter().map(|redirect| format!("redirect='{redirect}'")));
            words
        }
        Event::Ticket(ticket) => {
            let (lifetime, offline) = (ticket.lifetime.as_secs(), ticket.offline.as_millis());
            vec!["ticket".into(), format!("lifetime={lifetime}s"), format!("offline={offline}ms")]
        }
        Event::Detached { keep } => vec!["detached".into(), format!("keep={}ms", keep.as_millis())],
        Event::Paused { pause } => vec!["paused".into(), format!("{}ms", pause.as_millis())],
        Event::Reattached => one("reattached"),
        Event::Ended(error) => {
            says = error.to_string();
            [one("ended"), ended(error)].concat()
        }
        other => vec![format!("{other:?}")],
    };
    Told { words, says }
}
