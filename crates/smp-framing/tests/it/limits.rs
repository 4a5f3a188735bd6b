//! Each limit, at its value and one past it.

use crate::table::{Table, error_number, frame, plain, quiet, with_limits};
use smp_framing::machine::{AbandonReason, CloseReason, Command, Event, UsageError};
use smp_framing::{Arguments, Code, Limit};
use std::time::Duration;

fn abandoned_by(event: &Event) -> Option<(u16, Limit)> {
    match event {
        Event::Abandoned(id, AbandonReason::Limit(exceeded)) => Some((*id, exceeded.limit)),
        _ => None,
    }
}

fn closed_by(events: &[Event]) -> Option<Limit> {
    match events.last() {
        Some(Event::Closed(CloseReason::Limit(exceeded))) => Some(exceeded.limit),
        _ => None,
    }
}

#[test]
fn as_many_messages_as_allowed_may_be_open_and_one_more_is_refused() {
    //= SMPF-L-OPEN-IDS
    let mut table = Table::new(quiet());
    for id in 0..64 {
        assert!(table.receive_units(&[frame(Code::NewFrame, id, 0, "x")]).is_empty());
    }
    let events = table.receive_units(&[frame(Code::NewFrame, 64, 0, "x"), frame(Code::LastFrame, 64, 1, "x")]);
    assert_eq!(events.iter().map(abandoned_by).collect::<Vec<_>>(), [Some((64, Limit::OpenIds))]);
    assert_eq!(error_number(&table.transmit()[0]), 420);
    assert_eq!(table.machine.open_ids().count(), 64);
    let closing = frame(Code::LastFrame, 3, 1, "x");
    assert_eq!(table.receive_units(&[closing, frame(Code::NewFrame, 64, 0, "x")]).len(), 1, "there is room again");
}

#[test]
fn of_65536_messages_opened_only_the_allowed_are_kept() {
    //= SMPF-L-OPEN-IDS SMPF-L-BROKEN-IDS
    let mut table = Table::new(with_limits(|limits| limits.small_units_per_second_max = 1_000_000));
    let mut refused = 0;
    for id in 0..=u16::MAX {
        refused += table.receive_units(&[frame(Code::NewFrame, id, 0, "x")]).len();
        assert!(table.machine.open_ids().count() <= 64);
    }
    assert_eq!(refused, 1024, "then the connection ends");
    table.transmit();
    assert_eq!(closed_by(&table.end_of_stream()), Some(Limit::BrokenIds));
}

#[test]
fn a_message_may_be_as_long_as_allowed_with_its_overhead() {
    //= SMPF-L-MESSAGE-BYTES SMPF-L-OVERHEAD
    let limits = || with_limits(|limits| limits.message_len_max = 1000);
    let frames =
        |last_len: usize| [frame(Code::NewFrame, 1, 0, vec![0; 400]), frame(Code::LastFrame, 1, 1, vec![0; last_len])];
    let events = Table::new(limits()).receive_units(&frames(600 - 2 * 128));
    assert!(matches!(&events[..], [Event::Assembled(_)]), "{events:?}");
    let mut table = Table::new(limits());
    let events = table.receive_units(&frames(600 - 2 * 128 + 1));
    assert_eq!(abandoned_by(&events[0]), Some((1, Limit::MessageLen)));
    assert_eq!(error_number(&table.transmit()[0]), 413);
    let events = Table::new(limits()).receive_units(&[frame(Code::LastFrame, 1, 0, vec![0; 1000 - 128 + 1])]);
    assert_eq!(abandoned_by(&events[0]), Some((1, Limit::MessageLen)), "of one frame too");
}

#[test]
fn tiny_frames_are_charged_for_what_they_cost() {
    //= SMPF-L-OVERHEAD
    let mut table = Table::new(with_limits(|limits| limits.message_len_max = 129 * 10));
    let mut events = table.receive_units(&[frame(Code::NewFrame, 1, 0, "x")]);
    for number in 1..10 {
        events.extend(table.receive_units(&[frame(Code::ContinuingFrame, 1, number, "x")]));
    }
    assert!(events.is_empty(), "ten octets in ten frames fit just so");
    let events = table.receive_units(&[frame(Code::ContinuingFrame, 1, 10, "x")]);
    assert_eq!(abandoned_by(&events[0]), Some((1, Limit::MessageLen)));
}

#[test]
fn all_messages_together_may_be_as_long_as_allowed() {
    //= SMPF-L-TOTAL-BYTES
    let mut table = Table::new(with_limits(|limits| limits.assembly_len_max = 3 * (1000 + 128)));
    for id in 0..3 {
        assert!(table.receive_units(&[frame(Code::NewFrame, id, 0, vec![0; 1000])]).is_empty());
    }
    let events = table.receive_units(&[frame(Code::ContinuingFrame, 1, 1, "")]);
    assert_eq!(abandoned_by(&events[0]), Some((1, Limit::AssemblyLen)));
    assert!(table.receive_units(&[frame(Code::ContinuingFrame, 2, 1, vec![0; 1000])]).is_empty(), "1 gave room");
}

#[test]
fn a_message_that_stands_still_is_dropped_when_its_time_is_over() {
    //= SMPF-L-IDLE
    let second = Duration::from_secs(1);
    let mut table = Table::new(with_limits(|limits| limits.assembly_idle_timeout = 60 * second));
    table.receive_units(&[frame(Code::NewFrame, 1, 0, "x")]);
    table.pass(30 * second);
    table.receive_units(&[frame(Code::NewFrame, 2, 0, "x")]);
    table.pass(20 * second);
    table.receive_units(&[frame(Code::ContinuingFrame, 1, 1, "x")]);
    table.pass(Duration::from_millis(39_999));
    assert!(table.events().is_empty());
    table.pass(Duration::from_millis(1));
    assert_eq!(abandoned_by(&table.events()[0]), Some((2, Limit::AssemblyIdle)));
    table.pass(20 * second);
    assert_eq!(abandoned_by(&table.events()[0]), Some((1, Limit::AssemblyIdle)));
    assert_eq!(table.transmit().iter().map(error_number).collect::<Vec<_>>(), [408, 408]);
    assert!(table.receive_units(&[frame(Code::LastFrame, 1, 2, "x")]).is_empty(), "its tail is not a message");
}

#[test]
fn a_unit_longer_than_allowed_ends_the_connection_before_it_is_there() {
    //= SMPF-L-UNIT-BYTES
    let limits = || with_limits(|limits| limits.unit_len_max = 100);
    let mut table = Table::new(limits());
    assert_eq!(table.receive_units(&[plain(Code::Message, vec![0; 97])]).len(), 1);
    assert!(table.receive(&[0x01, 0x00, 98]).is_empty());
    let said = table.transmit();
    assert_eq!((error_number(&said[0]), said[1].code()), (416, Code::Stop));
    assert!(table.receive(&[0; 1000]).is_empty(), "nothing is looked at any more");
    assert_eq!(closed_by(&table.end_of_stream()), Some(Limit::UnitLen));
}

#[test]
fn a_flood_of_empty_units_is_paused_then_ended() {
    //= SMPF-L-SMALL-UNITS
    let mut table = Table::new(quiet());
    assert_eq!(table.receive(&[0x00; 10_000]).len(), 10_000);
    assert!(table.transmit().is_empty());
    assert_eq!(table.receive(&[0x60]).len(), 1);
    assert_eq!(table.transmit_codes(), [Code::Pause]);
    table.pass(Duration::from_secs(1));
    assert_eq!(table.transmit_codes(), [Code::Resume]);
    let taken = table.receive(&[0x00; 10_000_000]).len();
    assert_eq!(taken, 20_001, "of ten million");
    let said = table.transmit();
    assert_eq!((said[0].code(), error_number(&said[1]), said[2].code()), (Code::Pause, 529, Code::Stop));
    assert_eq!(closed_by(&table.end_of_stream()), Some(Limit::SmallUnits));
}

#[test]
fn frames_of_31_octets_count_as_small_and_others_and_last_ones_do_not() {
    //= SMPF-L-SMALL-UNITS
    let pauses = |len: usize| {
        let mut table = Table::new(with_limits(|limits| limits.small_units_per_second_max = 2));
        table.receive_units(&[frame(Code::NewFrame, 0, 0, vec![0; len])]);
        table.receive_units(&[frame(Code::ContinuingFrame, 0, 1, vec![0; len])]);
        table.receive_units(&[frame(Code::LastFrame, 0, 2, "x")]);
        assert_eq!(table.machine.counters().small_unit_pauses, 0);
        table.receive_units(&[frame(Code::NewFrame, 0, 0, vec![0; len])]);
        table.machine.counters().small_unit_pauses
    };
    assert_eq!((pauses(31), pauses(32)), (1, 0));
}

#[test]
fn events_are_bounded_and_octets_wait() {
    //= SMPF-L-EVENTS
    let mut table = Table::new(with_limits(|limits| limits.event_count_max = 8));
    let mut buffer = smp_framing::wire::ReceiveBuffer::from(&[0x00; 100][..]);
    wirekit::Machine::handle(&mut table.machine, table.now, smp_framing::machine::Input::Received(&mut buffer))
        .unwrap();
    assert!(table.machine.is_full());
    assert_eq!((table.events().len(), buffer.len()), (5, 95), "one unit makes up to three events more");
}

#[test]
fn the_queue_for_sending_is_bounded() {
    //= SMPF-L-OUTGOING
    let mut table = Table::new(with_limits(|limits| {
        limits.outgoing_len_max = 1000;
        limits.control_count_max = 8;
    }));
    table.send(vec![0; 5000]);
    assert!(!table.machine.has_room(), "one message may be longer than the queue");
    assert_eq!(table.machine.send("x".into()), Err(UsageError::QueueFull));
    for _ in 0..8 {
        table.command(Command::Information(Arguments::new())).unwrap();
    }
    assert_eq!(table.command(Command::Information(Arguments::new())), Err(UsageError::QueueFull));
    table.transmit();
    table.send("x");
    table.command(Command::Information(Arguments::new())).unwrap();
}

#[test]
fn an_empty_message_is_not_free_in_the_queue() {
    //= SMPF-L-OUTGOING
    let mut table = Table::new(with_limits(|limits| limits.outgoing_len_max = 100));
    (0..100).for_each(|_| table.send(Arguments::new()));
    assert_eq!(table.machine.send(Arguments::new()), Err(UsageError::QueueFull));
}

#[test]
fn reports_that_find_no_room_are_counted() {
    let mut table = Table::new(with_limits(|limits| limits.control_count_max = 8));
    for id in 0..10 {
        table.receive_units(&[frame(Code::ContinuingFrame, id, 0, vec![0; 40])]);
    }
    assert_eq!((table.transmit().len(), table.machine.counters().reports), (8, 2));
}

#[test]
fn as_many_bodies_may_be_open_as_a_peer_takes() {
    //= SMPF-L-OPEN-IDS
    let mut table = Table::new(with_limits(|limits| limits.open_ids_max = 2));
    table.machine.open_body(1, 0).unwrap();
    let second = table.machine.open_body(1, 0).unwrap();
    assert_eq!(table.machine.open_body(1, 0), Err(UsageError::TooManyBodies { max: 2 }));
    table.machine.finish_body(second).unwrap();
    table.transmit();
    table.machine.open_body(1, 0).unwrap();
}

#[test]
fn a_large_message_waits_while_every_id_is_held_by_a_body() {
    //= SMPF-L-OPEN-IDS SMPF-R7
    let mut table = Table::new(with_limits(|limits| limits.open_ids_max = 2));
    let bodies = [(); 2].map(|()| table.machine.open_body(1, 0).unwrap());
    for body in bodies {
        table.machine.feed_body(body, 0, bytes::Bytes::from_static(b"x")).unwrap();
    }
    assert_eq!(table.transmit_codes(), [Code::NewFrame; 2]);
    table.send(vec![0; 2000]);
    table.send("small");
    assert_eq!(table.transmit_codes(), [Code::Message]);
    table.machine.finish_body(bodies[0]).unwrap();
    assert_eq!(table.transmit_codes(), [Code::LastFrame, Code::NewFrame, Code::LastFrame]);
}
