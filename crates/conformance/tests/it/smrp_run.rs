//! The cases of smrp as a whole, and that each kind of step can fail.

use crate::made_up;
use conformance::case::{Case, Settings, load};
use conformance::{cases_directory, repository, requirements, smrp_run};

fn all() -> Vec<Case> {
    load(&cases_directory("smrp")).unwrap()
}

#[test]
fn every_case_passes_and_names_requirements_that_there_are() {
    let known: Vec<String> =
        requirements::load(&repository(), "smrp").unwrap().into_iter().map(|entry| entry.id).collect();
    let cases = all();
    assert!(cases.len() >= 380, "{} cases", cases.len());
    for case in cases {
        assert_eq!(smrp_run::run(&case), Ok(()), "{}", case.id);
        assert!(!case.why.is_empty() && !case.requirements.is_empty(), "{}", case.id);
        assert!(case.requirements.iter().all(|id| known.contains(id)), "{}: {:?}", case.id, case.requirements);
    }
}

#[test]
fn every_case_expects_something() {
    let expecting = ["sent", "event", "closed", "read", "counted", "silent", "streams", "refused", "cannot-start"];
    for case in all() {
        let expects = |step: &String| expecting.iter().any(|verb| step.starts_with(verb));
        assert!(case.steps.iter().any(expects), "{}", case.id);
    }
}

fn case(steps: &[&str], session: smrp_run::Session) -> Case {
    Case { config: Settings { session, ..Settings::default() }, ..made_up(steps) }
}

fn run(steps: &[&str]) -> Result<(), conformance::run::Failure> {
    smrp_run::run(&case(steps, smrp_run::Session::default()))
}

const OPENED: [&str; 3] = ["begin", "receive OPEN stream=0 data='abc'", "event opened 0 octets"];

/// What is so passes, and what is not so fails at its step and with its word: one pair for each kind of step.
#[test]
fn each_kind_of_expectation_can_fail() {
    for (good, bad, word) in [
        (&["read 0 'abc'"][..], &["read 0 'abd'"][..], "expected `'abd'`, got `'abc'`"),
        (
            &["read 0 'abc'", "refused blocked read 0"],
            &["read 0 'abc'", "refused kind read 0"],
            "expected refusal Some(\"kind\")",
        ),
        (
            &["do write 0 'x'", "sent DATA stream=0 data='x'"],
            &["do write 0 'x'", "sent DATA stream=0 data='y'"],
            "got `DATA data='x'",
        ),
        (
            &["do write 0 'x'", "sent DATA stream=0 ..."],
            &["do write 0 'x'", "sent DATA stream=0"],
            "got `DATA data='x'",
        ),
        (
            &["do write 0 'x'", "sent DATA stream=0 data=*"],
            &["do write 0 'x'", "sent DATA stream=0 data='x' FIN"],
            "got `DATA data='x'",
        ),
        (&["do write 0 'x'", "whatever"], &["do write 0 'x'"], "nothing more was expected, but `DATA"),
        (&["do write 0 'x'", "lost DATA ..."], &["lost DATA ..."], "got nothing"),
        (&["silent"], &["do write 0 'x'", "silent"], "expected silence"),
        (&["silent"], &["receive OPEN stream=4", "silent"], "expected silence"),
        (
            &["receive OPEN stream=4", "event opened 4 octets"],
            &["receive OPEN stream=4", "event opened 4 messages"],
            "got `opened 4 octets`",
        ),
        (
            &["receive OPEN stream=4", "event opened ..."],
            &["receive OPEN stream=4"],
            "but the event `opened 4 octets` came",
        ),
        (
            &["receive DATA stream=4", "closed STREAM_STATE DATA"],
            &["receive DATA stream=4", "closed STREAM_STATE MSG"],
            "frame_type=DATA",
        ),
        (
            &["receive DATA stream=4", "closed STREAM_STATE"],
            &["receive DATA stream=4", "closed FLOW_CONTROL"],
            "code=STREAM_STATE",
        ),
        (
            &["do close NO_ERROR", "sent CLOSE ...", "event ended closed NO_ERROR"],
            &["do close NO_ERROR", "sent CLOSE ...", "event ended ... says='night'"],
            "closed by this end",
        ),
        (&["streams 1"], &["streams 2"], "streams: expected"),
        (&["counted untaken_len 3"], &["counted untaken_len 4"], "untaken_len: expected"),
        (&["reading"], &["not-reading"], "it is not not-reading"),
        (&["hidden 'abc'"], &["hidden 'opened'"], "is shown"),
        (&["wait 39s", "silent"], &["wait 41s", "silent"], "expected silence"),
        (
            &["hold", "do write 0 'x'", "silent", "go", "whatever"],
            &["hold", "do write 0 'x'", "go", "silent"],
            "expected silence",
        ),
        (&["end", "event ended link-lost"], &["end", "event ended idle"], "got `ended link-lost`"),
        (&["do finish 0", "whatever"], &["do finish 8"], "got Some(\"no-stream\")"),
        (&["do finish 0", "whatever", "refused finished write 0 'x'"], &["refused finished write 0 'x'"], "got None"),
        (
            &["receive DGRAM flow=1 data='x'", "event datagrams", "read datagram 1 'x'"],
            &["receive DGRAM flow=1 data='x'", "event datagrams", "read datagram none"],
            "got `1 'x'`",
        ),
    ] {
        let steps = [&OPENED[..], good].concat();
        assert_eq!(run(&steps), Ok(()), "{good:?}");
        let failure = run(&[&OPENED[..], bad].concat()).unwrap_err();
        assert!(failure.detail.contains(word), "{bad:?}: {failure}");
        assert!(failure.step >= OPENED.len(), "{failure}");
    }
}

#[test]
fn a_handshake_that_does_not_come_to_be_fails() {
    let token = || smrp_run::Session { demands_auth: true, ..Default::default() };
    assert!(run(&["begin idle_ms=1"]).unwrap_err().detail.contains("no session began"));
    assert!(run(&["greet", "event established", "whatever"]).is_ok());
    assert!(run(&["greet", "whatever"]).unwrap_err().detail.contains("established"));
    assert!(smrp_run::run(&case(&["begin", "silent"], token())).is_ok());
    let greeted = run(&["receive preface", "sent preface security=0 ..."]).unwrap_err();
    assert!(greeted.detail.contains("security=2"), "{greeted}");
    let hashed = ["receive preface nonce=01*16", "sent preface ...", "sent HELLO preface_hash=wrong ..."];
    assert!(run(&hashed).unwrap_err().detail.contains("preface_hash=right"));
}

#[test]
fn a_configuration_that_cannot_be_has_to_be_expected() {
    let inner = || smrp_run::Session { security: Some("inner".into()), ..Default::default() };
    assert!(smrp_run::run(&case(&["cannot-start inner-security"], inner())).is_ok());
    for steps in [&["cannot-start not-bound"][..], &["begin"], &[]] {
        assert!(smrp_run::run(&case(steps, inner())).is_err(), "{steps:?}");
    }
    assert!(run(&["cannot-start inner-security"]).is_err());
}

/// A position that is wrong by one octet is refused: the peer's count of session frames is one of its own.
#[test]
fn positions_are_counted_apart_from_the_session() {
    let steps = |position: &str, lost: &str| {
        let reattach = format!("receive REATTACH epoch=1 received={position} handle=ticket");
        let steps = [
            "begin resumable_ms=60000",
            "do open 1 octets",
            lost,
            "end",
            "event detached ...",
            "link",
            "greet reattaching resumable_ms=60000",
            reattach.as_str(),
            "sent REATTACH_RESULT code=NO_ERROR epoch=1 received=position",
            "event reattached",
            "event ticket ...",
            "sent PING ...",
            "sent OPEN stream=1 ...",
            "sent TICKET ...",
        ];
        run(&steps)
    };
    assert_eq!(steps("position", "lost OPEN ..."), Ok(()));
    assert!(steps("position+20", "lost OPEN ...").unwrap_err().detail.contains("RESUME_REFUSED"));
    assert!(steps("position", "sent OPEN ...").unwrap_err().detail.contains("expected `OPEN"));
}

/// Cases run under several ways of cutting: one that passes only when nothing is cut fails.
#[test]
fn what_depends_on_how_octets_are_cut_is_found() {
    let uncut = smrp_run::Session { uncut: true, ..Default::default() };
    let steps = ["begin", "flight*1429 BLOCKED scope=0 stream=0 at=5", "closed ABUSE"];
    assert_eq!(smrp_run::run(&case(&steps, uncut)), Ok(()));
    assert_eq!(run(&steps).unwrap_err().cutting, "in pieces of 1");
}

/// An engine that panics fails its case, and the next ones run.
#[test]
fn a_panic_is_a_failure_of_its_case_alone() {
    let panics = |_: &Case| panic!("as an engine might");
    let made_up = case(&["begin", "silent"], smrp_run::Session::default());
    let time = std::time::Duration::from_secs(20);
    assert!(conformance::run::bounded(panics, &made_up, time).unwrap_err().detail.contains("panicked"));
    assert_eq!(conformance::run_case("smrp", &made_up, time), Ok(()));
}

#[test]
fn lines_that_are_no_steps_are_refused() {
    for line in [
        "",
        "recieve PING data=1",
        "receive",
        "receive NOTHING",
        "receive PING",
        "receive PING data=x",
        "receive PING data=1 FIN",
        "receive PING number=1",
        "receive DATA data='x'",
        "receive RESET stream=0 code=WHAT final=0",
        "receive OPEN stream=0 kind=parcels",
        "receive TICKET lifetime_s=1 offline_ms=1 handle=ticket",
        "receive preface colour=red",
        "receive*x PING data=1",
        "receive hex 0",
        "wait 3",
        "do",
        "do nothing",
        "do open 1 parcels",
        "do write one 'x'",
        "counted everything 1",
        "sent",
        "sent RESET code=WHAT",
    ] {
        assert!(run(&["begin", line]).is_err(), "{line}");
    }
}
