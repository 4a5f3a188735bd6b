//! That cases of WRP and its streams can fail.

use crate::made_up;
use conformance::wrp;

const EVENT: &str = "decode 83a86d73675f7479706504a6736f75726365a573656c663aa464657374a76576656e743a78";
const PACKET: &str = "stream-id: s | stream-packet-number: 0 | 'a'";

/// What is not so has to fail, at its last step.
#[test]
fn a_case_that_is_not_so_fails() {
    let (packet, from) = (format!("packet {PACKET}"), format!("from dns:a {PACKET}"));
    for steps in [
        &["number 3 => SimpleRequestResponse ack"][..],
        &["named event => 3"],
        &["level 24 => Medium"],
        &["partners a,,b => a,,b"],
        &["device-of event:x => event:x"],
        &["again self: => self:/"],
        &[EVENT, "prints {}"],
        &[EVENT, "ack-for self:"],
        &[EVENT, "replies 200 {\"msg_type\":4}"],
        &["link device", "quiet"],
        &["link device", "pings x"],
        &["link quiet", "got"],
        &["link quiet", "arrives ff", "passed-over text"],
        &["link quiet", EVENT, "say", "unsendable invalid"],
        &["link quiet", EVENT, "say", "goes 00"],
        &["link device", "passes 59", "silent 60"],
        &["hello Authorization: Bearer a => mac:112233445566 a"],
        &["greets mac:112233445566 a => X-Webpa-Device-Name: mac:112233445566"],
        &["tries 0 0.5 => 2000"],
        &[&packet, "told", "told"],
        &[&packet, "conflicts 1"],
        &[&packet, "progress 1 -"],
        &["cut 4 identity 'ab'", "uncuttable stream-id"],
        &["cut 4 identity 'ab'", "packet-len 5"],
        &[&from, "routed late"],
        &[&from, "open 0"],
        &[&from, "kept 0"],
        &[&from, "stream dns:a s gives 'b'"],
        &[&from, "stream dns:a s ended"],
        &[&from, "forget dns:b s"],
    ] {
        let failure = wrp::run(&made_up(steps)).unwrap_err();
        assert_eq!(failure.step, steps.len() - 1, "{steps:?}: {failure}");
    }
}

#[test]
fn lines_that_are_no_steps_are_refused() {
    for line in [
        "",
        "nothing",
        "number 3",
        "number three => -",
        "again nobody => -",
        "base {",
        "link server",
        "arrives 0",
        "passes 1",
        "tries 0 0.7 => 1",
        "streams streams_max",
        "streams everything 1",
        "from dns:a",
        "stream dns:a s gives 'a'",
        "limit everything 1",
    ] {
        assert!(wrp::run(&made_up(&[line])).is_err(), "{line}");
    }
}
