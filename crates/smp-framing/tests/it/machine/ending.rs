//! What still counts, and what no longer does, while a connection ends.

use crate::table::{Table, error_number, frame, plain, quiet, with_limits};
use bytes::Bytes;
use smp_framing::machine::{CloseReason, Command, Event, UsageError};
use smp_framing::{Arguments, Code, Limit, UserCode};
use std::time::Duration;

/// Closing, but held back by a PAUSE of the peer.
fn held_while_closing() -> Table {
    let mut table = Table::new(with_limits(|limits| limits.small_units_per_second_max = 2));
    table.receive_units(&[plain(Code::Pause, "p")]);
    table.send("waits");
    table.command(Command::Close(Arguments::new())).unwrap();
    assert!(table.transmit().is_empty(), "no STOP before what waits");
    table
}

#[test]
fn one_that_is_closing_takes_nothing_more_and_keeps_nobody_waiting_for_room() {
    let mut table = Table::new(with_limits(|limits| (limits.outgoing_len_max, limits.control_count_max) = (1, 8)));
    table.send("fills the queue");
    (0..8).for_each(|_| table.command(Command::Information("x".into())).unwrap());
    assert!(!table.machine.has_room() && !table.machine.has_control_room());
    table.command(Command::Close(Arguments::new())).unwrap();
    assert!(table.machine.has_room() && table.machine.has_control_room(), "who waits is to learn of the end");
    assert_eq!(table.machine.send("x".into()), Err(UsageError::Closing));
    assert_eq!(table.machine.open_body(1, 0), Err(UsageError::Closing));
    assert_eq!(table.command(Command::User(UserCode::User13, "x".into())), Err(UsageError::Closing));
}

#[test]
fn faults_and_floods_are_not_answered_while_closing() {
    //= SMPF-B-STOP
    let mut table = held_while_closing();
    let events = table.receive_units(&[frame(Code::ContinuingFrame, 1, 0, vec![0; 40])]);
    assert!(matches!(events[..], [Event::SequenceError(..)]), "what comes is still told: {events:?}");
    assert_eq!(table.receive(&[0x00; 10]).len(), 10);
    table.receive_units(&[plain(Code::Resume, "r")]);
    assert_eq!(table.transmit_codes(), [Code::Message, Code::Stop]);
    assert_eq!(table.end_of_stream(), [Event::Closed(CloseReason::Stopped)]);
}

#[test]
fn an_end_of_stream_while_closing_is_the_end_that_was_asked_for() {
    let mut table = held_while_closing();
    assert_eq!(table.end_of_stream(), [Event::Closed(CloseReason::Stopped)]);
    assert_eq!(table.machine.outgoing_len(), 0, "what never goes does not wait");
}

#[test]
fn a_body_without_end_is_given_up_before_the_stop_and_a_finished_one_goes() {
    //= SMPF-B-STOP
    let mut table = Table::new(quiet());
    let [unfinished, finished] = [(); 2].map(|()| table.machine.open_body(1, 0).unwrap());
    for body in [unfinished, finished] {
        table.machine.feed_body(body, 0, Bytes::from_static(b"part")).unwrap();
    }
    table.transmit();
    table.machine.finish_body(finished).unwrap();
    table.command(Command::Close(Arguments::new())).unwrap();
    let said = table.transmit();
    assert_eq!((error_number(&said[0]), said[0].arguments().get(2)), (501, Some(&b"0"[..])));
    assert_eq!(said[1..].iter().map(|unit| unit.code()).collect::<Vec<_>>(), [Code::LastFrame, Code::Stop]);
    assert!(table.machine.is_finished_sending());
}

#[test]
fn a_close_with_arguments_that_cannot_go_is_refused_and_nothing_closes() {
    let mut table = Table::new(quiet());
    let many = Arguments::from(vec![Bytes::new(); 16]);
    assert!(matches!(table.command(Command::Close(many)), Err(UsageError::Encode(_))));
    table.send("still open");
    assert_eq!(table.transmit_codes(), [Code::Message]);
}

#[test]
fn the_end_comes_once_and_leaves_nothing_behind() {
    let mut table = Table::new(quiet());
    table.send("waits");
    table.receive_units(&[frame(Code::NewFrame, 3, 0, "x")]);
    assert_eq!(table.end_of_stream().last(), Some(&Event::Closed(CloseReason::PeerClosed)));
    assert_eq!((table.machine.outgoing_len(), table.machine.open_ids().count()), (0, 0));
    table.command(Command::Abort).unwrap();
    assert!(table.events().is_empty(), "it was closed before");
}

#[test]
fn a_stop_drops_what_waits_and_this_end_has_nothing_more_to_say() {
    //= SMPF-R14 SMPF-CONV-6
    let mut table = Table::new(quiet());
    table.send("waits");
    table.receive_units(&[plain(Code::Stop, "s")]);
    assert_eq!(table.machine.outgoing_len(), 0);
    assert!(table.machine.is_finished_sending());
}

#[test]
fn nothing_is_looked_at_after_a_fatal_fault_even_before_it_was_said() {
    //= SMPF-L-UNIT-BYTES SMPF-L-BROKEN-IDS SMPF-L-SMALL-UNITS
    let message = || plain(Code::Message, "not looked at");
    let mut table = Table::new(with_limits(|limits| limits.unit_len_max = 100));
    table.send("waits");
    assert!(table.receive(&[0x01, 0x00, 98]).is_empty());
    assert_eq!(table.machine.outgoing_len(), 0, "it is no longer sent");
    assert!(table.receive_units(&[message()]).is_empty());

    let mut table = Table::new(with_limits(|limits| limits.broken_ids_max = 1));
    let broken = |id| frame(Code::ContinuingFrame, id, 0, vec![0; 40]);
    let events = table.receive_units(&[broken(1), broken(2), message()]);
    assert!(matches!(events[..], [Event::SequenceError(..)]), "{events:?}");

    let mut table = Table::new(with_limits(|limits| limits.small_units_per_second_max = 2));
    let empty = || plain(Code::Message, Arguments::new());
    let events = table.receive_units(&[empty(), empty(), empty(), empty(), empty(), message()]);
    assert_eq!(events, [(); 5].map(|()| Event::Message(Arguments::new())));
}

#[test]
fn more_idle_messages_than_broken_ids_are_remembered_end_the_connection() {
    //= SMPF-L-IDLE SMPF-L-BROKEN-IDS
    let mut table = Table::new(with_limits(|limits| limits.broken_ids_max = 1));
    table.receive_units(&[frame(Code::NewFrame, 1, 0, "x"), frame(Code::NewFrame, 2, 0, "x")]);
    table.pass(Duration::from_secs(60));
    assert_eq!(table.events().len(), 1, "the first is told");
    assert!(table.receive_units(&[plain(Code::Message, "not looked at")]).is_empty());
    let said = table.transmit();
    assert_eq!((error_number(&said[0]), error_number(&said[1]), said[2].code()), (408, 420, Code::Stop));
    let ended = table.end_of_stream();
    assert!(matches!(ended[..], [Event::Closed(CloseReason::Limit(e))] if e.limit == Limit::BrokenIds), "{ended:?}");
}
