//! What a connection says and when.

mod ending;
mod sequence;
mod small_print;

use crate::table::{Table, error_number, frame, plain, quiet, with_limits};
use bytes::Bytes;
use smp_framing::machine::{AbandonReason, CloseReason, Command, ErrorReport, Event, Input, TimerReason, UsageError};
use smp_framing::reassembler::SequenceFault;
use smp_framing::{
    Arguments, Code, Config, FrameIdent, Limit, Mode, NODE_UNIT_LEN_MAX, NodeGeneration, Unit, UserCode,
};
use std::time::Duration;
use wirekit::Machine;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_heartbeat_goes_when_nothing_was_sent_for_the_interval() {
    //= SMPF-B-HEARTBEAT SMPF-CODE-6
    let mut table = Table::new(quiet().with_heartbeat_interval(Some(30 * SECOND)));
    table.pass(29 * SECOND);
    assert!(table.transmit().is_empty());
    table.pass(SECOND);
    assert_eq!(table.transmit_codes(), [Code::Heartbeat]);
    table.pass(20 * SECOND);
    table.send("x");
    assert_eq!(table.transmit_codes(), [Code::Message]);
    table.pass(29 * SECOND);
    assert!(table.transmit().is_empty(), "a message is as good a sign of life");
}

#[test]
fn a_peer_is_lost_when_nothing_comes_and_any_octet_keeps_it() {
    //= SMPF-B-HEARTBEAT SMPF-R16
    let mut table = Table::new(quiet().with_peer_timeout(Some(120 * SECOND)));
    table.pass(119 * SECOND);
    assert!(table.receive(&[0x01]).is_empty(), "not even a whole unit");
    table.pass(119 * SECOND);
    assert!(table.events().is_empty());
    assert_eq!(table.machine.poll_timeout().unwrap().reason, TimerReason::PeerLost);
    table.pass(SECOND);
    assert_eq!(table.events(), [Event::Closed(CloseReason::PeerLost)]);
    assert_eq!(table.machine.poll_timeout(), None);
}

#[test]
fn a_heartbeat_is_told_and_not_answered() {
    //= SMPF-R16 SMPF-CODE-6
    let mut table = Table::new(quiet());
    let events = table.receive_units(&[plain(Code::Heartbeat, "hint")]);
    assert_eq!(events, [Event::Heartbeat("hint".into())]);
    assert!(table.transmit().is_empty());
}

#[test]
fn a_pause_holds_messages_and_frames_back_and_nothing_else() {
    //= SMPF-R15 SMPF-CODE-8 SMPF-CODE-9 SMPF-B-BACKPRESSURE
    let mut table = Table::new(quiet());
    table.send(vec![0; 4000]);
    assert_eq!(table.transmit().len(), 3);
    let pause = plain(Code::Pause, "why");
    assert_eq!(table.receive_units(&[pause.clone(), pause]).len(), 2);
    assert!(table.machine.is_paused());
    table.send("later");
    table.send(vec![0; 4000]);
    table.command(Command::Information("now".into())).unwrap();
    table.command(Command::User(UserCode::User13, "now".into())).unwrap();
    assert_eq!(table.transmit_codes(), [Code::Information, Code::User13]);
    assert_eq!(table.receive_units(&[plain(Code::Resume, "go")]), [Event::Resume("go".into())]);
    use Code::{ContinuingFrame, LastFrame, Message, NewFrame};
    assert_eq!(table.transmit_codes(), [Message, NewFrame, ContinuingFrame, LastFrame]);
    table.receive_units(&[plain(Code::Resume, "again")]);
    table.send("still");
    assert_eq!(table.transmit_codes(), [Message], "a resume without a pause is nothing");
}

#[test]
fn what_comes_after_our_pause_is_still_taken() {
    //= SMPF-R15
    let mut table = Table::new(quiet());
    table.command(Command::PausePeer).unwrap();
    table.command(Command::PausePeer).unwrap();
    assert_eq!(table.transmit_codes(), [Code::Pause], "said once");
    assert_eq!(table.receive_units(&[plain(Code::Message, "under way")]), [Event::Message("under way".into())]);
    table.command(Command::ResumePeer).unwrap();
    assert_eq!(table.transmit_codes(), [Code::Resume]);
    table.command(Command::PausePeer).unwrap();
    table.command(Command::ResumePeer).unwrap();
    assert!(table.transmit().is_empty(), "a change of mind before it was said is not said");
}

#[test]
fn a_peer_that_pauses_for_ever_is_given_up_once_something_waits() {
    //= SMPF-L-PAUSED
    let mut table = Table::new(with_limits(|limits| limits.paused_timeout = 10 * SECOND));
    table.receive_units(&[plain(Code::Pause, "p")]);
    table.pass(60 * SECOND);
    assert!(table.events().is_empty(), "nothing waits");
    table.send("waits");
    assert!(table.transmit().is_empty());
    table.pass(Duration::from_millis(9999));
    assert!(table.transmit().is_empty());
    table.pass(Duration::from_millis(1));
    let said = table.transmit();
    assert_eq!(error_number(&said[0]), 408);
    assert_eq!(said[1].code(), Code::Stop);
    let ended = table.end_of_stream();
    assert!(matches!(ended[..], [Event::Closed(CloseReason::Limit(e))] if e.limit == Limit::Paused), "{ended:?}");
}

#[test]
fn closing_sends_what_is_queued_then_stop_then_nothing() {
    //= SMPF-B-STOP SMPF-CODE-7 SMPF-CONV-6
    let mut table = Table::new(quiet());
    table.send("one");
    table.send(vec![0; 2000]);
    table.command(Command::Close("bye".into())).unwrap();
    assert_eq!(table.machine.send("late".into()), Err(UsageError::Closing));
    let said = table.transmit();
    assert_eq!(said.last(), Some(&plain(Code::Stop, "bye")));
    assert_eq!(said.len(), 4);
    assert!(table.machine.is_finished_sending());
    assert!(table.receive_units(&[plain(Code::Message, "late")]).is_empty());
    assert_eq!(table.end_of_stream(), [Event::Closed(CloseReason::Stopped)]);
    assert!(table.transmit().is_empty());
}

#[test]
fn an_end_that_drains_still_lets_its_peer_go_on() {
    //= SMPF-R15 SMPF-B-STOP SMPF-B-BACKPRESSURE
    let mut table = Table::new(quiet());
    table.command(Command::PausePeer).unwrap();
    table.receive_units(&[plain(Code::Pause, "me too")]);
    table.send("waits");
    table.command(Command::Close(Arguments::new())).unwrap();
    assert_eq!(table.transmit_codes(), [Code::Pause]);
    table.command(Command::ResumePeer).unwrap();
    assert_eq!(table.transmit_codes(), [Code::Resume], "or both would wait for ever");
    table.receive_units(&[plain(Code::Resume, "go")]);
    assert_eq!(table.transmit_codes(), [Code::Message, Code::Stop]);
    table.command(Command::PausePeer).unwrap();
    assert!(table.transmit().is_empty(), "nothing after STOP");
}

#[test]
fn after_a_stop_nothing_is_looked_at_and_nothing_said() {
    //= SMPF-R14 SMPF-CONV-6 SMPF-B-STOP
    let mut table = Table::new(quiet().with_heartbeat_interval(Some(SECOND)));
    table.send("never sent");
    let events = table.receive_units(&[plain(Code::Stop, "bye"), plain(Code::Message, "late")]);
    assert_eq!(events, [Event::Stop("bye".into())]);
    assert_eq!(table.command(Command::Information("late".into())), Err(UsageError::Closing));
    table.pass(4 * SECOND);
    assert!(table.transmit().is_empty());
    assert!(table.receive(&[0xff; 100]).is_empty());
    assert_eq!(table.end_of_stream(), [Event::Closed(CloseReason::StoppedByPeer)]);
}

#[test]
fn a_peer_that_does_not_close_after_stop_is_not_waited_for_long() {
    //= SMPF-L-LINGER SMPF-R14
    for stops_itself in [true, false] {
        let mut table = Table::new(with_limits(|limits| limits.stop_linger = 5 * SECOND));
        if stops_itself {
            table.command(Command::Close(Arguments::new())).unwrap();
            table.transmit();
        } else {
            table.receive_units(&[plain(Code::Stop, Arguments::new())]);
        }
        table.pass(Duration::from_millis(4999));
        assert!(!table.machine.is_closed());
        table.pass(Duration::from_millis(1));
        assert!(table.machine.is_closed());
    }
}

#[test]
fn an_error_is_told_and_never_answered_whatever_is_in_it() {
    //= SMPF-B-ERROR SMPF-R17 SMPF-CODE-5
    let mut table = Table::new(quiet());
    let text = |number: &'static str, text: &'static [u8]| Arguments::from([number.into(), Bytes::from_static(text)]);
    let events = table.receive_units(&[
        plain(Code::Error, text("413", b"too big")),
        plain(Code::Error, text("-1", b"\xff")),
        plain(Code::Error, text("99999", b"")),
        plain(Code::Error, "413"),
        plain(Code::Error, Arguments::new()),
    ]);
    let numbers: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Error(report) => report.number.map(u32::from).unwrap_or(0),
            Event::SemanticError(Code::Error, _) => 1,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [413, 0, 0, 1, 1]);
    assert!(table.transmit().is_empty());
}

#[test]
fn an_error_goes_as_digits_and_text() {
    //= SMPF-R17 SMPF-CODE-5
    let mut table = Table::new(quiet());
    table.command(Command::Error(ErrorReport::new(529, "slow down"))).unwrap();
    assert_eq!(table.transmit(), [plain(Code::Error, Arguments::from(["529".into(), "slow down".into()]))]);
}

#[test]
fn frames_out_of_sequence_are_reported_to_both_sides_once() {
    //= SMPF-R12 SMPF-R13
    let mut table = Table::new(quiet());
    let payload = vec![1; 40];
    let events = table.receive_units(&[
        frame(Code::ContinuingFrame, 1, 0, payload.clone()),
        frame(Code::ContinuingFrame, 1, 1, payload.clone()),
        frame(Code::NewFrame, 2, 0, payload.clone()),
        frame(Code::ContinuingFrame, 2, 2, payload.clone()),
        frame(Code::LastFrame, 2, 3, payload.clone()),
        frame(Code::NewFrame, 3, 5, payload.clone()),
        frame(Code::LastFrame, 3, 5, payload),
    ]);
    let fault = |id, number, fault| Event::SequenceError(FrameIdent { id, number }, fault);
    assert_eq!(
        events,
        [fault(1, 0, SequenceFault::NoNewFrame), fault(2, 2, SequenceFault::Gap), fault(3, 5, SequenceFault::Repeat)]
    );
    assert_eq!(table.transmit().iter().map(error_number).collect::<Vec<_>>(), [420, 421, 421]);
    assert_eq!(table.machine.counters().broken_frames, 2);
}

#[test]
fn reports_can_be_turned_off() {
    let mut table = Table::new(quiet().with_report_errors(false));
    assert_eq!(table.receive_units(&[frame(Code::ContinuingFrame, 1, 0, "x")]).len(), 1);
    assert!(table.transmit().is_empty());
}

#[test]
fn a_message_of_frames_replaced_by_a_new_one_is_abandoned() {
    //= SMPF-R9 SMPF-CONV-4
    let mut table = Table::new(quiet());
    let events = table.receive_units(&[frame(Code::NewFrame, 7, 0, "old"), frame(Code::NewFrame, 7, 0, "new")]);
    assert_eq!(events, [Event::Abandoned(7, AbandonReason::Replaced)]);
    let events = table.receive_units(&[frame(Code::LastFrame, 7, 1, "er")]);
    assert!(matches!(&events[..], [Event::Assembled(whole)] if whole.arguments == "newer".into()));
}

#[test]
fn the_end_of_the_stream_abandons_what_is_open() {
    //= SMPF-R21
    let mut table = Table::new(quiet());
    table.receive_units(&[frame(Code::NewFrame, 9, 0, "a"), frame(Code::NewFrame, 4, 0, "b")]);
    let abandoned = |id| Event::Abandoned(id, AbandonReason::ConnectionEnded);
    assert_eq!(table.end_of_stream(), [abandoned(4), abandoned(9), Event::Closed(CloseReason::PeerClosed)]);
}

#[test]
fn small_messages_overtake_large_ones_and_neither_starves() {
    //= SMPF-B-FAIRNESS SMPF-R10
    let mut table = Table::new(quiet().with_max_message_size(10_000));
    table.send(vec![0; 900_000]);
    assert_eq!(table.transmit_once().len(), 14, "a buffer full of frames");
    table.send("small");
    assert_eq!(table.transmit_once()[0], plain(Code::Message, "small"), "goes before the frames that wait");
    for _ in 0..100 {
        table.send(vec![0; 1000]);
    }
    table.send(vec![0; 30_000]);
    let codes: Vec<Code> = table.transmit_once().iter().map(Unit::code).collect();
    let frames = codes.iter().filter(|code| code.is_frame()).count();
    assert!(frames >= 5, "frames go between the messages: {codes:?}");
    let whole = table.transmit();
    let ids: Vec<u16> = whole.iter().filter_map(Unit::ident).map(|ident| ident.id).take(6).collect();
    assert!(ids.contains(&0) && ids.contains(&1), "large messages take turns: {ids:?}");
}

#[test]
fn a_body_given_up_is_reported_and_its_id_taken_over() {
    let (mut table, mut peer) = (Table::new(quiet()), Table::new(quiet()));
    let body = table.machine.open_body(1, 0).unwrap();
    table.machine.feed_body(body, 0, Bytes::from_static(b"part")).unwrap();
    let said = table.transmit();
    assert!(peer.receive_units(&said).is_empty());
    table.machine.abandon_body(body).unwrap();
    assert_eq!(table.machine.abandon_body(body), Err(UsageError::NoSuchBody));
    table.send(vec![0; 2000]);
    let said = table.transmit();
    assert_eq!(said[0].arguments().get(2), Some(&b"0"[..]));
    assert_eq!(said[1].ident(), Some(FrameIdent { id: 0, number: 0 }));
    let events = peer.receive_units(&said);
    assert_eq!(events[0], Event::Abandoned(0, AbandonReason::BySender));
    assert!(matches!(&events[1..], [Event::Error(_), Event::Assembled(_)]), "{events:?}");
}

#[test]
fn an_id_that_was_given_up_is_opened_anew_even_by_a_message_of_one_frame() {
    //= SMPF-R9 SMPF-R8
    let (mut table, mut peer) = (Table::new(quiet()), Table::new(quiet()));
    let given_up = table.machine.open_body(1, 0).unwrap();
    table.machine.feed_body(given_up, 0, Bytes::from_static(b"part")).unwrap();
    peer.receive_units(&table.transmit());
    table.machine.abandon_body(given_up).unwrap();
    let empty = table.machine.open_body(1, 0).unwrap();
    table.machine.finish_body(empty).unwrap();
    let said = table.transmit();
    assert_eq!(said[1..].iter().map(Unit::code).collect::<Vec<_>>(), [Code::NewFrame, Code::LastFrame]);
    // A peer that does not know what ERROR 501 means.
    let events = peer.receive_units(&said[1..]);
    assert_eq!(events[0], Event::Abandoned(0, AbandonReason::Replaced));
    assert!(matches!(&events[1..], [Event::Assembled(whole)] if whole.arguments == "".into()), "{events:?}");
}

#[test]
fn commands_that_cannot_be_done_say_why_and_change_nothing() {
    let mut table = Table::new(quiet());
    let many = Arguments::from(vec![Bytes::new(); 16]);
    assert!(matches!(table.machine.send(many.clone()), Err(UsageError::Encode(_))));
    assert!(matches!(table.command(Command::Information(many)), Err(UsageError::Encode(_))));
    //= SMPF-R19
    let long = Arguments::from(vec![0; 65_536]);
    assert!(matches!(table.command(Command::User(UserCode::User15, long)), Err(UsageError::Encode(_))));
    let body = table.machine.open_body(2, 0).unwrap();
    let fed = table.machine.feed_body(body, 2, Bytes::from_static(b"x"));
    assert_eq!(fed, Err(UsageError::NoSuchArgument { index: 2, count: 2 }));
    assert!(table.transmit().is_empty());
}

#[test]
fn aborting_says_nothing_more() {
    let mut table = Table::new(quiet());
    table.send("x");
    table.command(Command::Abort).unwrap();
    assert!(table.transmit().is_empty());
    assert_eq!(table.events(), [Event::Closed(CloseReason::Aborted)]);
}

fn node(generation: NodeGeneration) -> Table {
    Table::new(quiet().with_mode(Mode::Node(generation)))
}

#[test]
fn nothing_without_arguments_goes_to_an_npm_peer_outside_frames() {
    //= SMPF-N1 SMPF-R20
    for generation in [NodeGeneration::V1_0, NodeGeneration::V1_1] {
        let mut table = node(generation);
        table.send(Arguments::new());
        table.command(Command::PausePeer).unwrap();
        table.command(Command::Heartbeat(Arguments::new())).unwrap();
        table.command(Command::Information(Arguments::new())).unwrap();
        table.transmit().iter().for_each(|unit| assert_eq!(unit.arguments(), &"".into(), "{unit:?}"));
        table.command(Command::ResumePeer).unwrap();
        table.command(Command::Close(Arguments::new())).unwrap();
        let said = table.transmit();
        assert_eq!(said.iter().map(Unit::code).collect::<Vec<_>>(), [Code::Resume, Code::Stop]);
        said.iter().for_each(|unit| assert_eq!(unit.arguments().count(), 1));
    }
}

#[test]
fn errors_to_an_npm_peer_have_number_and_text() {
    //= SMPF-N2
    let mut table = node(NodeGeneration::V1_1);
    let report = ErrorReport { number: None, text: String::new(), arguments: Arguments::new() };
    table.command(Command::Error(report)).unwrap();
    assert_eq!(table.transmit(), [plain(Code::Error, Arguments::from(["500".into(), "".into()]))]);
}

#[test]
fn an_npm_peer_of_1_1_gets_one_large_unit_or_a_refusal_and_one_of_1_0_frames() {
    //= SMPF-N3 SMPF-N4
    let fifteen = |len: usize| {
        let mut parts = vec![Bytes::from(vec![0; 65_000]); 14];
        parts.push(vec![0; len - 14 * 65_000 - 15 * 2].into());
        Arguments::from(parts)
    };
    let mut table = node(NodeGeneration::V1_1);
    table.send(fifteen(NODE_UNIT_LEN_MAX - 1));
    let said = table.transmit();
    assert_eq!((said.len(), said[0].to_octets().unwrap().len()), (1, 934_463));
    let refused = table.machine.send(fifteen(NODE_UNIT_LEN_MAX));
    assert_eq!(refused, Err(UsageError::TooLargeForPeer { len: 934_463, max: 934_462 }));
    assert!(table.machine.send(vec![0; 65_536].into()).is_err());
    assert!(table.machine.open_body(1, 0).is_err());
    let mut table = node(NodeGeneration::V1_0);
    table.send(fifteen(NODE_UNIT_LEN_MAX));
    assert!(table.transmit_codes().iter().all(|code| code.is_frame()));
}

#[test]
fn an_npm_peer_of_1_1_gets_code_14_with_three_arguments_only_and_code_15_not_at_all() {
    let three = || Arguments::from(["".into(), "".into(), "".into()]);
    let mut table = node(NodeGeneration::V1_1);
    assert!(table.command(Command::User(UserCode::User14, three())).is_ok());
    assert!(table.command(Command::User(UserCode::User14, "x".into())).is_err());
    assert!(table.command(Command::User(UserCode::User15, three())).is_err());
    assert!(node(NodeGeneration::V1_0).command(Command::User(UserCode::User15, three())).is_ok());
}

#[test]
fn what_npm_1_0_sends_is_taken() {
    //= SMPF-N5
    let mut table = node(NodeGeneration::V1_0);
    let events = table.receive_units(&[
        frame(Code::ContinuingFrame, 9, 2, "goes"),
        frame(Code::ContinuingFrame, 9, 3, " on"),
        frame(Code::LastFrame, 9, 4, ""),
    ]);
    assert!(matches!(&events[..], [Event::Assembled(whole)] if whole.arguments == "goes on".into()), "{events:?}");
}

#[test]
fn reserved_codes_are_skipped_and_user_codes_passed_on() {
    //= SMPF-R18 SMPF-CODE-10 SMPF-CODE-11 SMPF-CODE-12 SMPF-CODE-13 SMPF-CODE-14 SMPF-CODE-15
    let mut table = Table::new(quiet());
    let events = table.receive(&[0xa1, 0, 1, b'x', 0xb0, 0xc0, 0xd0, 0xe0, 0xf1, 0, 1, b'y']);
    assert_eq!(
        events,
        [
            Event::Reserved(Code::Reserved10, "x".into()),
            Event::Reserved(Code::Reserved11, Arguments::new()),
            Event::Reserved(Code::Reserved12, Arguments::new()),
            Event::User(UserCode::User13, Arguments::new()),
            Event::User(UserCode::User14, Arguments::new()),
            Event::User(UserCode::User15, "y".into()),
        ]
    );
}

#[test]
fn an_input_after_the_end_is_nothing() {
    let mut table = Table::new(Config::builder());
    table.command(Command::Abort).unwrap();
    table.events();
    assert!(table.receive(&[0x00, 0x70, 0x10]).is_empty());
    assert!(table.end_of_stream().is_empty());
    let after = table.machine.handle(table.now, Input::Command(Command::Send("x".into())));
    assert_eq!(after, Err(UsageError::Closing));
    assert_eq!(table.command(Command::Close(Arguments::new())), Ok(()));
    assert_eq!(table.machine.poll_timeout(), None);
}
