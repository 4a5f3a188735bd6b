//! Frames and what becomes of their messages.

use crate::table::{Table, frame, quiet, with_limits};
use smp_framing::machine::{AbandonReason, Event};
use smp_framing::reassembler::{Assembled, SequenceFault};
use smp_framing::{Arguments, Code, Delivery, FrameIdent, Limit};
use std::time::Duration;

fn is_whole(events: &[Event], arguments: impl Into<Arguments>) -> bool {
    let arguments = arguments.into();
    matches!(events, [Event::Assembled(whole)] if whole.arguments == arguments)
}

#[test]
fn a_broken_id_is_healed_by_a_new_frame_and_by_the_last_one_of_what_was_broken() {
    //= SMPF-R12 SMPF-R13 SMPF-R9
    let mut table = Table::new(quiet());
    let breaks = frame(Code::ContinuingFrame, 1, 5, "x");
    assert_eq!(table.receive_units(std::slice::from_ref(&breaks)).len(), 1);
    let events = table.receive_units(&[frame(Code::NewFrame, 1, 0, "new"), frame(Code::LastFrame, 1, 1, "er")]);
    assert!(is_whole(&events, "newer"), "{events:?}");
    assert_eq!(table.receive_units(&[breaks, frame(Code::LastFrame, 1, 6, "tail")]).len(), 1, "the tail is dropped");
    assert!(is_whole(&table.receive_units(&[frame(Code::LastFrame, 1, 0, "alone")]), "alone"));
}

#[test]
fn a_last_frame_out_of_sequence_breaks_nothing_as_it_is_the_end() {
    //= SMPF-R12
    let mut table = Table::new(quiet());
    let events = table.receive_units(&[frame(Code::NewFrame, 1, 0, "a"), frame(Code::LastFrame, 1, 5, "b")]);
    assert_eq!(events, [Event::SequenceError(FrameIdent { id: 1, number: 5 }, SequenceFault::Gap)]);
    assert!(is_whole(&table.receive_units(&[frame(Code::LastFrame, 1, 0, "alone")]), "alone"));
}

#[test]
fn numbers_wrap_and_half_of_them_are_ahead() {
    //= SMPF-R8
    let mut table = Table::new(quiet());
    let events = table.receive_units(&[frame(Code::NewFrame, 1, u32::MAX, "a"), frame(Code::LastFrame, 1, 0, "b")]);
    let whole = Assembled { id: 1, first_number: u32::MAX, frame_count: 2, arguments: "ab".into() };
    assert_eq!(events, [Event::Assembled(whole)]);
    let mut fault = |first: u32, number: u32| {
        let units = [frame(Code::NewFrame, 1, first, "a"), frame(Code::LastFrame, 1, number, "b")];
        match table.receive_units(&units)[..] {
            [Event::SequenceError(_, fault)] => fault,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault(0, 1 << 31), SequenceFault::Gap, "2^31 - 1 ahead");
    assert_eq!(fault(0, (1 << 31) + 1), SequenceFault::Repeat, "as far behind as ahead");
    assert_eq!(fault(u32::MAX, u32::MAX), SequenceFault::Repeat, "0 is next, and this was before it");
    assert_eq!(fault(u32::MAX - 1, 0), SequenceFault::Gap);
}

#[test]
fn arguments_that_only_later_frames_have_are_kept() {
    //= SMPF-R11
    let mut table = Table::new(quiet());
    let later = Arguments::from(["b".into(), "".into(), "c".into()]);
    let events = table.receive_units(&[frame(Code::NewFrame, 1, 0, "a"), frame(Code::LastFrame, 1, 1, later)]);
    assert!(is_whole(&events, ["ab".into(), "".into(), "c".into()]), "{events:?}");
}

#[test]
fn a_message_of_one_frame_needs_no_place_among_the_open_ones() {
    //= SMPF-R6 SMPF-L-OPEN-IDS
    let mut table = Table::new(with_limits(|limits| limits.open_ids_max = 1));
    table.receive_units(&[frame(Code::NewFrame, 1, 0, "x")]);
    assert!(is_whole(&table.receive_units(&[frame(Code::LastFrame, 2, 0, "alone")]), "alone"));
}

#[test]
fn frames_as_they_come_are_told_one_by_one_and_their_id_is_free_after_the_last() {
    let mut table = Table::new(quiet().with_delivery(Delivery::Frames));
    let units = [
        frame(Code::LastFrame, 2, 7, "alone"),
        frame(Code::NewFrame, 1, 0, "a"),
        frame(Code::ContinuingFrame, 1, 1, "b"),
        frame(Code::LastFrame, 1, 2, "c"),
    ];
    let events = table.receive_units(&units);
    let said: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Frame(told) => frame(told.code, told.ident.id, told.ident.number, told.arguments.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(said, units);
    assert_eq!(table.machine.open_ids().count(), 0);
}

#[test]
fn messages_may_fill_what_is_allowed_together_to_the_octet() {
    //= SMPF-L-TOTAL-BYTES SMPF-L-OVERHEAD
    let limits = || with_limits(|limits| limits.assembly_len_max = 2 * (1000 + 128));
    let events = |len: usize| {
        let mut table = Table::new(limits());
        table.receive_units(&[frame(Code::NewFrame, 1, 0, vec![0; 1000]), frame(Code::NewFrame, 2, 0, vec![0; len])])
    };
    assert!(events(1000).is_empty());
    let refused = events(1001);
    assert!(
        matches!(refused[..], [Event::Abandoned(2, AbandonReason::Limit(e))] if (e.limit, e.got) == (Limit::AssemblyLen, 2257)),
        "{refused:?}"
    );
}

#[test]
fn an_idle_message_says_for_how_long_it_stood_still() {
    //= SMPF-L-IDLE
    let mut table = Table::new(with_limits(|limits| limits.assembly_idle_timeout = Duration::from_secs(7)));
    table.receive_units(&[frame(Code::NewFrame, 1, 0, "x")]);
    table.pass(Duration::from_secs(7));
    let events = table.events();
    assert!(
        matches!(events[..], [Event::Abandoned(1, AbandonReason::Limit(e))] if (e.max, e.got) == (7000, 7000)),
        "{events:?}"
    );
}
