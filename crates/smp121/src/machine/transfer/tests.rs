//! What a message on its way out sends, and what acknowledgements do to it.

use super::*;

const QUIET: Patience = Patience { quiet: Duration::from_secs(1), reordering: Duration::ZERO, segment_len: 10 };

fn at(ms: u64) -> Instant {
    Instant::from_epoch(Duration::from_millis(ms))
}

fn send(transfer: &mut Transfer, now: Instant) -> Range<usize> {
    let part = transfer.next_part(10);
    transfer.on_sent(&part, now);
    part.range
}

fn transfer(len: usize, sent_count: usize) -> Transfer {
    let mut transfer = Transfer::new(vec![7; len].into(), at(0));
    for _ in 0..sent_count {
        send(&mut transfer, at(0));
    }
    transfer
}

//= SMP121-W4
#[test]
fn the_first_part_says_the_total_and_the_others_their_offset() {
    let mut transfer = transfer(25, 0);
    let first = transfer.next_part(10);
    assert_eq!((first.position, first.is_last), (Position::First { total: 25 }, false));
    transfer.on_sent(&first, at(0));
    send(&mut transfer, at(0));
    let last = transfer.next_part(10);
    assert_eq!((last.position, last.range.clone(), last.is_last), (Position::At { offset: 20 }, 20..25, true));
    transfer.on_sent(&last, at(0));
    assert!(!transfer.wants_to_send() && transfer.is_sent());
}

//= SMP121-A25
#[test]
fn an_empty_message_is_sent_once_and_again_when_time_is_up() {
    let mut transfer = transfer(0, 0);
    assert!(transfer.wants_to_send());
    assert_eq!(send(&mut transfer, at(0)), 0..0);
    assert!(!transfer.wants_to_send());
    transfer.on_timeout();
    assert!(transfer.wants_to_send() && transfer.next_part(10).is_again);
}

//= SMP121-R-C
#[test]
fn the_third_duplicate_sends_the_lost_segment_and_a_partial_one_the_next_hole() {
    let mut transfer = transfer(50, 5);
    assert_eq!(transfer.on_ack(10, at(5), QUIET), Acked::Advanced { len: 10, rtt: Some(Duration::from_millis(5)) });
    assert_eq!(transfer.on_ack(10, at(5), QUIET), Acked::Again);
    assert_eq!(transfer.on_ack(10, at(5), QUIET), Acked::Again);
    assert_eq!(transfer.on_ack(10, at(5), QUIET), Acked::Lost);
    assert_eq!(send(&mut transfer, at(6)), 10..20);
    assert!(!transfer.wants_to_send());
    assert!(matches!(transfer.on_ack(30, at(7), QUIET), Acked::Advanced { len: 20, rtt: None }));
    assert_eq!(send(&mut transfer, at(7)), 30..40);
    assert!(matches!(transfer.on_ack(50, at(8), QUIET), Acked::Advanced { len: 20, .. }));
    assert!(transfer.flight_len() == 0 && !transfer.wants_to_send());
}

#[test]
fn one_duplicate_is_enough_after_a_quiet_time_even_where_a_loss_is_known() {
    let mut transfer = transfer(50, 5);
    assert_eq!(transfer.on_ack(0, at(999), QUIET), Acked::Again);
    assert_eq!(transfer.on_ack(0, at(1000), QUIET), Acked::Lost);
    send(&mut transfer, at(1000));
    assert_eq!(transfer.on_ack(0, at(1999), QUIET), Acked::Again);
    assert_eq!(transfer.on_ack(0, at(2000), QUIET), Acked::Lost);
}

#[test]
fn what_is_only_overtaken_gets_its_time() {
    let patience = Patience { reordering: Duration::from_millis(10), ..QUIET };
    let mut transfer = transfer(90, 5);
    for ms in [5, 6, 7, 14] {
        assert_eq!(transfer.on_ack(0, at(ms), patience), Acked::Again);
    }
    assert_eq!(transfer.fast_resent_at(), None);
    assert_eq!(transfer.on_ack(0, at(15), patience), Acked::Lost);
    assert_eq!(transfer.fast_resent_at(), Some(at(15)));
    transfer.on_ack(10, at(16), patience);
    assert_eq!(transfer.fast_resent_at(), None);
}

#[test]
fn what_arrived_behind_a_gap_is_not_in_flight() {
    let mut transfer = transfer(90, 5);
    for left_len in [40, 30, 20, 10, 10] {
        transfer.on_ack(0, at(5), QUIET);
        assert_eq!(transfer.flight_len(), left_len, "the one that is missing is");
    }
    send(&mut transfer, at(6));
    send(&mut transfer, at(6));
    assert_eq!(transfer.flight_len(), 20);
    transfer.on_ack(20, at(7), QUIET);
    assert_eq!(transfer.flight_len(), 60 - 20 - 20);
    transfer.on_ack(60, at(8), QUIET);
    assert_eq!(transfer.flight_len(), 0);
}

//= SMP121-R-C
#[test]
fn fewer_duplicates_will_do_where_fewer_segments_could_draw_them() {
    for (segment_count, duplicate_count) in [(2, 1), (3, 2), (4, 3), (9, 3)] {
        let mut transfer = transfer(90, segment_count);
        for _ in 1..duplicate_count {
            assert_eq!(transfer.on_ack(0, at(5), QUIET), Acked::Again, "{segment_count}");
        }
        assert_eq!(transfer.on_ack(0, at(5), QUIET), Acked::Lost, "{segment_count}");
    }
}

//= SMP121-R-C
#[test]
fn a_probe_sends_the_first_segment_without_acknowledgement_and_the_next_hole_is_known_then() {
    let mut transfer = transfer(50, 5);
    assert_eq!(transfer.probes_left(), Some(0));
    assert!(transfer.send_probe());
    assert_eq!(send(&mut transfer, at(9)), 0..10);
    assert_eq!((transfer.flight_len(), transfer.wants_to_send()), (50, false));
    assert!(matches!(transfer.on_ack(20, at(10), QUIET), Acked::Advanced { len: 20, rtt: None }));
    assert_eq!(send(&mut transfer, at(10)), 20..30);
    for _ in 0..3 {
        assert!(!transfer.send_probe());
    }
    assert_eq!(transfer.probes_left(), None);
}

//= SMP121-R-C
#[test]
fn a_timeout_goes_back_to_the_first_segment_without_acknowledgement() {
    let mut transfer = transfer(50, 5);
    transfer.on_ack(20, at(5), QUIET);
    assert_eq!(transfer.flight_len(), 30);
    transfer.on_timeout();
    assert_eq!(send(&mut transfer, at(9)), 20..30);
    assert!(!transfer.wants_to_send() && transfer.flight_len() == 0, "one segment a time-out");
    assert_eq!(transfer.on_ack(50, at(10), QUIET), Acked::Advanced { len: 30, rtt: None }, "Karn");
}

/// The acknowledgement of a new segment waits for those in front of it that are sent again.
//= SMP121-A21
#[test]
fn no_round_trip_is_measured_over_a_gap_that_is_being_filled() {
    let mut transfer = transfer(60, 5);
    for ms in 5..7 {
        assert_eq!(transfer.on_ack(0, at(ms), QUIET), Acked::Again);
    }
    assert_eq!(transfer.on_ack(0, at(7), QUIET), Acked::Lost);
    assert_eq!(send(&mut transfer, at(7)), 0..10);
    assert_eq!(send(&mut transfer, at(8)), 50..60, "new, and measured");
    assert!(matches!(transfer.on_ack(20, at(12), QUIET), Acked::Advanced { rtt: None, .. }));
    assert_eq!(send(&mut transfer, at(12)), 20..30, "lost as well");
    assert_eq!(transfer.on_ack(60, at(99), QUIET), Acked::Advanced { len: 40, rtt: None });
}

#[test]
fn what_was_never_sent_is_never_acknowledged() {
    let mut transfer = transfer(50, 2);
    assert_eq!(transfer.on_ack(21, at(5), QUIET), Acked::Stale);
    assert!(matches!(transfer.on_ack(20, at(5), QUIET), Acked::Advanced { .. }));
    assert_eq!(transfer.on_ack(19, at(5), QUIET), Acked::Stale);
}

#[test]
fn asking_again_sends_the_first_segment_whatever_was_acknowledged() {
    let mut transfer = transfer(25, 3);
    transfer.on_ack(25, at(5), QUIET);
    transfer.ask_again();
    assert_eq!(send(&mut transfer, at(9)), 0..10);
    assert!(!transfer.wants_to_send() && transfer.flight_len() == 0);
}

//= SMP121-O18
#[test]
fn questions_that_come_together_are_one() {
    let mut transfer = transfer(50, 5);
    for asked_count in 1..4 {
        let now = at(2000 * u64::from(asked_count));
        for _ in 0..3 {
            assert_eq!(transfer.on_ack(0, now, QUIET), Acked::Lost);
        }
        transfer.answer(now);
        assert_eq!(transfer.asked_count(), asked_count);
        assert_eq!(send(&mut transfer, now), 0..10);
    }
    assert!(matches!(transfer.on_ack(10, at(7000), QUIET), Acked::Advanced { .. }));
    assert_eq!(transfer.asked_count(), 0);
}
