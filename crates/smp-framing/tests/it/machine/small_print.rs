//! Rules that are easy to get nearly right.

use crate::table::{Table, frame, plain, quiet, with_limits};
use bytes::Bytes;
use smp_framing::machine::{CloseReason, Command, Event, UsageError};
use smp_framing::{Arguments, Code};
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
