//! What an identity may do: scopes of section 8.

use crate::machine::Grant;
use core::time::Duration;
use wirekit::Instant;

/// Scopes of one identity; AUTH_RESULT names no more.
pub(crate) const SCOPES_MAX: usize = 64;
/// The most that a rate can say.
const RATE_MAX: u32 = 1_000_000;

/// What a stream or datagram asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Open,
    Request,
    Datagram,
}

impl Verb {
    fn of(name: &str) -> Option<Self> {
        match name {
            "open" => Some(Self::Open),
            "request" => Some(Self::Request),
            "datagram" => Some(Self::Datagram),
            _ => None,
        }
    }
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Granted,
    /// No scope covers it.
    Forbidden,
    /// Scopes cover it, and none of them has room now.
    Exhausted,
}

/// A scope as it is acted upon.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    /// `None` for every verb.
    verb: Option<Verb>,
    /// A name, or the beginning of names.
    pattern: String,
    is_prefix: bool,
    bucket: Option<Bucket>,
}

/// A bucket that fills evenly. Its level is kept as the time when it is full again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bucket {
    /// Between two tokens.
    interval: Duration,
    /// What it holds but for one token, as time.
    tolerance: Duration,
    full_at: Instant,
}

impl Bucket {
    /// Of `100/s`, `30/m`, `5/h`: holds what comes in a second, one token at least.
    //= SMRP-A15, SMRP-A16
    fn of(rate: &str) -> Option<Self> {
        let (count, unit) = rate.split_once('/')?;
        let unit = Duration::from_secs(match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        });
        if !count.bytes().all(|octet| octet.is_ascii_digit()) || count.starts_with('0') {
            return None;
        }
        let count = count.parse::<u32>().ok().filter(|count| (1..=RATE_MAX).contains(count))?;
        // Rounded up: never faster than was said.
        let interval = Duration::from_nanos(u64::try_from(unit.as_nanos().div_ceil(u128::from(count))).ok()?);
        let held = u128::from(count) * 1_000_000_000 / unit.as_nanos();
        let tolerance = interval.saturating_mul(u32::try_from(held).ok()?.saturating_sub(1));
        Some(Self { interval, tolerance, full_at: Instant::EPOCH })
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.full_at.saturating_since(now) > self.tolerance {
            return false;
        }
        self.full_at = self.full_at.max(now) + self.interval;
        true
    }
}

impl Scope {
    /// `None` for what is no scope: it covers nothing.
    //= SMRP-A9, SMRP-A15
    fn of(text: &str) -> Option<Self> {
        let (text, bucket) = match text.rsplit_once('@') {
            Some((text, rate)) => (text, Some(Bucket::of(rate)?)),
            None => (text, None),
        };
        let (verb, pattern) = text.split_once(':').unwrap_or((text, "*"));
        let verb = if verb == "*" { None } else { Some(Verb::of(verb)?) };
        let (pattern, is_prefix) = pattern.strip_suffix('*').map_or((pattern, false), |beginning| (beginning, true));
        if pattern.contains('@') {
            return None;
        }
        Some(Self { verb, pattern: pattern.to_owned(), is_prefix, bucket })
    }

    fn covers(&self, verb: Verb, name: &str) -> bool {
        let is_named = if self.is_prefix { name.starts_with(&self.pattern) } else { name == self.pattern };
        is_named && self.verb.is_none_or(|granted| granted == verb)
    }

    /// What the same verb and pattern have given before is missing in this bucket too.
    fn go_on(&mut self, before: &Access, now: Instant) {
        let Some(bucket) = &mut self.bucket else { return };
        let is_same =
            |other: &&Self| (other.verb, other.is_prefix, &other.pattern) == (self.verb, self.is_prefix, &self.pattern);
        let others = before.scopes.iter().flatten().filter(is_same).filter_map(|other| other.bucket.as_ref());
        let full_at = others.map(|other| other.full_at).max().unwrap_or(Instant::EPOCH);
        // No emptier than empty, whatever the rate was before.
        bucket.full_at = full_at.min(now + bucket.tolerance + bucket.interval);
    }
}

/// Who the peer is, and what it may do. By default nobody, who may do anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Somebody decided about it.
    pub(crate) was_granted: bool,
    subject: Option<String>,
    scopes: Option<Vec<Scope>>,
}

impl Access {
    /// Of a grant, in place of `before`: what a bucket of it has given stays given.
    //= SMRP-A17
    pub(crate) fn of(grant: &Grant, before: &Self, now: Instant) -> Self {
        let scopes = grant.scopes.as_ref();
        let scopes = scopes.map(|scopes| scopes.iter().take(SCOPES_MAX).filter_map(|text| Scope::of(text)).collect());
        let mut access = Self { was_granted: true, subject: grant.subject.clone(), scopes };
        access.go_on(before, now);
        access
    }

    /// In place of `before`. Its own buckets are as new: whoever granted this may have had another clock.
    pub(crate) fn go_on(&mut self, before: &Self, now: Instant) {
        self.scopes.iter_mut().flatten().for_each(|scope| scope.go_on(before, now));
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether a scope covers this and has room for it; then it has less.
    //= SMRP-A9, SMRP-A16
    pub(crate) fn take(&mut self, now: Instant, verb: Verb, name: &str) -> Verdict {
        let Some(scopes) = &mut self.scopes else { return Verdict::Granted };
        let mut verdict = Verdict::Forbidden;
        for scope in scopes.iter_mut().filter(|scope| scope.covers(verb, name)) {
            if scope.bucket.as_mut().is_none_or(|bucket| bucket.take(now)) {
                return Verdict::Granted;
            }
            verdict = Verdict::Exhausted;
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Instant = Instant::from_epoch(Duration::from_secs(1));

    fn access(scopes: &[&str]) -> Access {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Access::of(&Grant::default().with_scopes(scopes), &Access::default(), SECOND)
    }

    fn allows(access: &mut Access, verb: Verb, name: &str) -> bool {
        access.take(SECOND, verb, name) == Verdict::Granted
    }

    /// How many of so many attempts at `now` are let through.
    fn burst(access: &mut Access, now: Instant) -> usize {
        (0..1_000).filter(|_| access.take(now, Verb::Request, "/clock") == Verdict::Granted).count()
    }

    #[test]
    fn a_scope_covers_its_verb_and_its_names_alone() {
        //= SMRP-A9
        let mut some = access(&["open:/camera/*", "request:/clock", "datagram"]);
        assert!(allows(&mut some, Verb::Open, "/camera/1"));
        assert!(!allows(&mut some, Verb::Open, "/camera"));
        assert!(!allows(&mut some, Verb::Request, "/camera/1"));
        assert!(allows(&mut some, Verb::Request, "/clock"));
        assert!(!allows(&mut some, Verb::Request, "/clock/2"));
        assert!(allows(&mut some, Verb::Datagram, "anything"));
        assert!(!allows(&mut access(&[]), Verb::Open, ""));
        assert!(allows(&mut access(&["*"]), Verb::Open, "/x"));
        assert!(allows(&mut Access::default(), Verb::Request, "/y"));
    }

    #[test]
    fn what_is_no_scope_covers_nothing() {
        //= SMRP-A9, SMRP-A15
        let malformed = [
            "",
            "all",
            "Open:*",
            "open :*",
            "open,request:*",
            "request:*@",
            "request:*@100",
            "request:*@100/d",
            "request:*@0/s",
            "request:*@01/s",
            "request:*@+1/s",
            "request:*@-1/s",
            "request:*@1000001/s",
            "request:*@99999999999999999999/s",
            "request:*@ 1/s",
            "request:*@1/s ",
            "request:*@1/s@1/s",
            "*@",
            "request:*@1 /s",
            "request:/a@b/*",
            "@1/s",
        ];
        for text in malformed {
            for verb in [Verb::Open, Verb::Request, Verb::Datagram] {
                for name in ["", "/clock", "*", "/a@b", "/a@b/c"] {
                    assert_eq!(access(&[text]).take(SECOND, verb, name), Verdict::Forbidden, "{text}: {name}");
                }
            }
        }
        // Nor does it spoil what stands beside it.
        assert!(allows(&mut access(&["request:*@x", "request:/clock"]), Verb::Request, "/clock"));
        assert!(allows(&mut access(&["*@1000000/s"]), Verb::Request, "/clock"));
    }

    #[test]
    fn of_a_long_list_the_first_sixty_four_count() {
        //= SMRP-A15
        let mut list = vec!["open:/x"; SCOPES_MAX - 1];
        list.extend(["request:/clock", "datagram"]);
        let mut some = access(&list);
        assert!(allows(&mut some, Verb::Request, "/clock"));
        assert!(!allows(&mut some, Verb::Datagram, ""));
    }

    #[test]
    fn a_rate_lets_a_second_through_at_once_and_then_no_faster_than_it_says() {
        //= SMRP-A16
        for (scope, held, interval) in [
            ("request:/clock@100/s", 100, Duration::from_millis(10)),
            ("request:/clock@1/s", 1, Duration::from_secs(1)),
            ("*@120/m", 2, Duration::from_millis(500)),
            ("request@5/m", 1, Duration::from_secs(12)),
            ("request:/c*@2/h", 1, Duration::from_secs(1_800)),
        ] {
            let mut some = access(&[scope]);
            assert_eq!(burst(&mut some, SECOND), held, "{scope}");
            assert_eq!(some.take(SECOND, Verb::Request, "/clock"), Verdict::Exhausted);
            assert_eq!(burst(&mut some, SECOND + (interval - Duration::from_nanos(1))), 0, "{scope}");
            assert_eq!(burst(&mut some, SECOND + interval), 1, "{scope}");
            assert_eq!(
                burst(&mut some, SECOND + Duration::from_secs(86_400)),
                held,
                "{scope}: idleness saves nothing up"
            );
        }
        // Over a hundred thousand attempts in ten seconds: the rate and one second of it.
        let mut some = access(&["request:/clock@3/s"]);
        let step = Duration::from_micros(100);
        let mut now = SECOND;
        let granted = (0..100_000).filter(|_| {
            now = now + step;
            some.take(now, Verb::Request, "/clock") == Verdict::Granted
        });
        assert!((30..=33).contains(&granted.count()));
    }

    #[test]
    fn any_scope_with_room_will_do() {
        //= SMRP-A16
        let mut some = access(&["request:/clock@1/s", "request:*@2/s"]);
        assert_eq!(burst(&mut some, SECOND), 3);
        assert_eq!(burst(&mut access(&["request:/clock@1/s", "request:/clock"]), SECOND), 1_000);
    }

    #[test]
    fn a_renewal_does_not_fill_a_bucket() {
        //= SMRP-A17
        let mut before = access(&["request:/clock@100/s", "request:/c*@1/h"]);
        assert_eq!(burst(&mut before, SECOND), 101);
        let again = |scopes: &[&str]| {
            let grant = Grant::default().with_scopes(scopes.iter().map(|scope| (*scope).to_owned()).collect());
            Access::of(&grant, &before, SECOND)
        };
        assert_eq!(burst(&mut again(&["request:/clock@100/s", "request:/c*@1/h"]), SECOND), 0);
        assert_eq!(burst(&mut again(&["request:/clock@50/s"]), SECOND), 0);
        assert_eq!(burst(&mut again(&["request:/*@5/s"]), SECOND), 5, "another scope is another bucket");
        let mut faster = again(&["request:/c*@100/s"]);
        assert_eq!(burst(&mut faster, SECOND), 0);
        assert_eq!(burst(&mut faster, SECOND + Duration::from_millis(10)), 1, "a slow rate before does not hold it up");
    }
}
