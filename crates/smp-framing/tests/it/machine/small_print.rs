//! Rules that are easy to get nearly right.

use crate::table::{Table, frame, plain, quiet, with_limits};
use bytes::Bytes;
use smp_framing::machine::{CloseReason, Command, Event, UsageError};
use smp_framing::{Arguments, Code, Mode, NODE_UNIT_LEN_MAX, NodeGeneration};
use std::time::Duration;
use wirekit::Machine;

#[test]
fn no_octets_are_no_sign_of_life() {
    //= SMPF-R16
    let mut table = Table::new(quiet().with_peer_timeout(Some(Duration::from_secs(120))));
    table.pass(Duration::from_secs(119));
    table.receive(&[]);
    table.pass(Duration::from_secs(1));
    assert_eq!(table.events(), [Event::Closed(CloseReason::PeerLost)]);
}

#[test]
fn a_pause_that_holds_nothing_back_never_ends_the_connection_and_a_resume_stops_the_clock_at_once() {
    //= SMPF-L-PAUSED
    let mut table = Table::new(with_limits(|limits| limits.paused_timeout = Duration::from_secs(10)));
    table.receive_units(&[plain(Code::Pause, "p")]);
    assert!(table.transmit().is_empty());
    assert_eq!(table.machine.poll_timeout(), None);
    table.send("waits");
    assert!(table.transmit().is_empty());
    table.pass(Duration::from_millis(9999));
    table.receive_units(&[plain(Code::Resume, "r")]);
    table.pass(Duration::from_millis(1));
    assert!(table.events().is_empty());
    assert_eq!(table.transmit_codes(), [Code::Message]);
}

#[test]
fn the_number_of_an_error_is_digits_only_and_only_501_gives_a_message_up() {
    //= SMPF-R17
    let mut table = Table::new(quiet());
    let error = |number: &'static str, id: &'static str| {
        plain(Code::Error, Arguments::from([number.into(), "text".into(), id.into()]))
    };
    table.receive_units(&[frame(Code::NewFrame, 7, 0, "x")]);
    let events = table.receive_units(&[error("+501", "7"), error("413", "7"), error("501", "8"), error("501", "+7")]);
    let numbers: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Error(report) => report.number,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [None, Some(413), Some(501), Some(501)]);
    assert_eq!(table.machine.open_ids().collect::<Vec<_>>(), [7]);
    assert_eq!(table.receive_units(&[error("501", "7")]).len(), 2);
}

#[test]
fn units_with_nothing_but_empty_arguments_are_small() {
    //= SMPF-L-SMALL-UNITS
    let mut table = Table::new(with_limits(|limits| limits.small_units_per_second_max = 2));
    let hollow = || plain(Code::Information, Arguments::from(["".into(), "".into()]));
    table.receive_units(&[hollow(), plain(Code::Message, ""), hollow()]);
    assert_eq!(table.machine.counters().small_unit_pauses, 1);
}

#[test]
fn giving_memory_back_loses_nothing_that_waits() {
    for is_message in [true, false] {
        let mut table = Table::new(quiet());
        match is_message {
            true => table.send("waits"),
            false => table.command(Command::Information("waits".into())).unwrap(),
        }
        table.machine.release_memory();
        assert_eq!(table.transmit().len(), 1);
    }
    let mut table = Table::new(quiet());
    table.machine.open_body(1, 0).unwrap();
    table.machine.release_memory();
    assert_eq!(table.machine.body_count(), 1);
}

#[test]
fn a_body_is_fed_only_where_there_is_room() {
    //= SMPF-L-OUTGOING
    let mut table = Table::new(with_limits(|limits| limits.outgoing_len_max = 10));
    let body = table.machine.open_body(1, 0).unwrap();
    table.machine.feed_body(body, 0, Bytes::from(vec![0; 10])).unwrap();
    let fed = table.machine.feed_body(body, 0, Bytes::from_static(b"x"));
    assert_eq!((fed, table.machine.outgoing_len()), (Err(UsageError::QueueFull), 10));
}

#[test]
fn bodies_given_up_do_not_use_ids_up() {
    //= SMPF-R7 SMPF-L-OPEN-IDS
    let mut table = Table::new(with_limits(|limits| limits.open_ids_max = 1));
    for _ in 0..3 {
        let body = table.machine.open_body(1, 0).unwrap();
        table.machine.feed_body(body, 0, Bytes::from_static(b"x")).unwrap();
        let said = table.transmit();
        let ids: Vec<u16> = said.iter().filter_map(|unit| Some(unit.ident()?.id)).collect();
        assert_eq!(ids, [0]);
        table.machine.abandon_body(body).unwrap();
    }
}

#[test]
fn a_pause_too_long_says_how_long() {
    //= SMPF-L-PAUSED
    let mut table = Table::new(with_limits(|limits| limits.paused_timeout = Duration::from_secs(10)));
    table.receive_units(&[plain(Code::Pause, "p")]);
    table.send("waits");
    table.transmit();
    table.pass(Duration::from_secs(10));
    table.transmit();
    let ended = table.end_of_stream();
    let figures = |events: &[Event]| match events {
        [Event::Closed(CloseReason::Limit(exceeded))] => Some((exceeded.max, exceeded.got)),
        _ => None,
    };
    assert_eq!(figures(&ended), Some((10_000, 10_000)));
}

#[test]
fn a_heartbeat_is_not_needed_where_the_queue_of_control_units_is_full() {
    let limits = with_limits(|limits| limits.control_count_max = 8);
    let mut table = Table::new(limits.with_heartbeat_interval(Some(Duration::from_secs(1))));
    (0..8).for_each(|_| table.command(Command::Information("x".into())).unwrap());
    table.pass(Duration::from_secs(1));
    assert_eq!(table.transmit_codes(), [Code::Information; 8]);
}

#[test]
fn an_id_in_use_is_passed_over_when_the_others_were_all_used() {
    //= SMPF-R7
    let mut table = Table::new(quiet().with_max_message_size(31));
    let body = table.machine.open_body(1, 0).unwrap();
    table.machine.feed_body(body, 0, Bytes::from_static(b"x")).unwrap();
    assert_eq!(table.transmit()[0].ident().unwrap().id, 0);
    for round in 0..=u16::MAX {
        table.send(vec![0; 30]);
        let id = table.transmit()[0].ident().unwrap().id;
        assert_eq!(id, if round == u16::MAX { 1 } else { round + 1 });
    }
}

#[test]
fn control_units_to_an_npm_peer_are_as_long_as_it_takes_and_no_longer() {
    //= SMPF-N3
    let of = |len: usize| {
        let mut parts = vec![Bytes::from(vec![0; 65_000]); 14];
        parts.push(vec![0; len - 1 - 14 * 65_000 - 15 * 2].into());
        Arguments::from(parts)
    };
    let mut table = Table::new(quiet().with_mode(Mode::Node(NodeGeneration::V1_0)));
    table.command(Command::Information(of(NODE_UNIT_LEN_MAX))).unwrap();
    let refused = table.command(Command::Information(of(NODE_UNIT_LEN_MAX + 1)));
    assert!(matches!(refused, Err(UsageError::TooLargeForPeer { .. })), "{refused:?}");
}
