use super::*;
use proptest::prelude::*;

const ROOM: Room = Room { len: usize::MAX, gaps_max: 64, overhead_len: 128 };

fn at(offset: u32) -> Position {
    Position::At { offset }
}

const fn first(total: u32) -> Position {
    Position::First { total }
}

#[test]
fn parts_in_order_make_the_message() {
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(first(6), b"abc", &ROOM), Ok(Part::Next));
    assert_eq!(assembly.take(at(3), b"def", &ROOM), Ok(Part::Whole));
    assert_eq!(assembly.into_message(), "abcdef");
}

//= SMP121-I12
#[test]
fn parts_out_of_order_make_it_too_and_say_that_one_is_missing() {
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(at(4), b"ef", &ROOM), Ok(Part::OutOfOrder));
    assert_eq!(assembly.take(first(8), b"ab", &ROOM), Ok(Part::OutOfOrder));
    assert_eq!(assembly.contiguous_len(), 2);
    assert_eq!(assembly.take(at(6), b"gh", &ROOM), Ok(Part::OutOfOrder));
    assert_eq!(assembly.take(at(2), b"cd", &ROOM), Ok(Part::Whole));
    assert_eq!(assembly.into_message(), "abcdefgh");
}

#[test]
fn what_came_first_stays_where_parts_overlap_and_differ() {
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(at(2), b"CD", &ROOM), Ok(Part::OutOfOrder));
    assert_eq!(assembly.take(at(2), b"xy", &ROOM), Ok(Part::Duplicate));
    assert_eq!(assembly.conflict_count(), 1);
    assert_eq!(assembly.take(first(5), b"abzz", &ROOM), Ok(Part::Next));
    assert_eq!(assembly.conflict_count(), 2);
    assert_eq!(assembly.take(at(0), b"q", &ROOM), Ok(Part::Duplicate));
    assert_eq!(assembly.conflict_count(), 3);
    assert_eq!(assembly.take(at(4), b"e", &ROOM), Ok(Part::Whole));
    assert_eq!(assembly.into_message(), "abCDe");
}

//= SMP121-A4
#[test]
fn another_total_is_refused_and_so_is_one_below_what_is_here() {
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(first(9), b"abc", &ROOM), Ok(Part::Next));
    assert_eq!(assembly.take(first(8), b"abc", &ROOM), Err(Refused::OtherTotal));
    assert_eq!(assembly.take(at(8), b"xy", &ROOM), Err(Refused::BeyondTotal));
    let mut ahead = Assembly::default();
    assert_eq!(ahead.take(at(7), b"hi", &ROOM), Ok(Part::OutOfOrder));
    assert_eq!(ahead.take(first(8), b"a", &ROOM), Err(Refused::OtherTotal));
}

//= SMP121-L7
#[test]
fn as_many_gaps_as_the_limit_and_not_one_more() {
    let room = Room { gaps_max: 3, ..ROOM };
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(first(100), b"a", &room), Ok(Part::Next));
    for offset in [10, 20, 30] {
        assert_eq!(assembly.take(at(offset), b"x", &room), Ok(Part::OutOfOrder));
    }
    assert_eq!(assembly.take(at(40), b"x", &room), Err(Refused::Gaps));
    assert_eq!(assembly.take(at(31), b"x", &room), Ok(Part::OutOfOrder), "joins a run, no gap more");
    assert_eq!(assembly.charged_len(), 1 + 4 + 3 * 128);
}

//= SMP121-L5
#[test]
fn a_part_needs_room_for_itself_and_its_overhead() {
    let tight = Room { len: 130, ..ROOM };
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(first(100), b"ab", &tight), Ok(Part::Next));
    assert_eq!(assembly.take(at(2), b"cde", &tight), Err(Refused::Room));
}

#[test]
fn before_the_total_is_known_only_so_much_is_kept() {
    let mut assembly = Assembly::default();
    assert_eq!(assembly.take(at(AHEAD_LEN_MAX - 1), b"x", &ROOM), Ok(Part::OutOfOrder));
    assert_eq!(assembly.take(at(AHEAD_LEN_MAX), b"x", &ROOM), Err(Refused::Ahead));
    assert_eq!(assembly.take(at(u32::MAX), b"x", &ROOM), Err(Refused::BeyondTotal));
}

#[test]
fn an_empty_message_is_whole_at_once() {
    assert_eq!(Assembly::default().take(first(0), b"", &ROOM), Ok(Part::Whole));
}

proptest! {
    /// Whatever the cutting, order and repetition, once everything came the message is there, octet by octet.
    #[test]
    fn any_order_gives_the_message(
        message in proptest::collection::vec(any::<u8>(), 1..400),
        cuts in proptest::collection::vec((0usize..400, 1usize..60), 0..60),
    ) {
        let room = Room { gaps_max: 1000, ..ROOM };
        let total = u32::try_from(message.len()).unwrap();
        let mut assembly = Assembly::default();
        let mut seen = vec![false; message.len()];
        let mut whole = false;
        for (start, len) in cuts {
            let start = start % message.len();
            let end = (start + len).min(message.len());
            let position = if start == 0 { first(total) } else { at(u32::try_from(start).unwrap()) };
            let part = assembly.take(position, &message[start..end], &room).unwrap();
            seen[start..end].fill(true);
            let prefix = seen.iter().take_while(|seen| **seen).count();
            prop_assert!(assembly.contiguous_len() as usize <= prefix);
            whole |= part == Part::Whole;
            if part == Part::Whole { break; }
        }
        // In order, from what is acknowledged on, as a sender does.
        while !whole {
            let start = assembly.contiguous_len() as usize;
            let end = (start + 37).min(message.len());
            let position = if start == 0 { first(total) } else { at(u32::try_from(start).unwrap()) };
            whole = assembly.take(position, &message[start..end], &room).unwrap() == Part::Whole;
        }
        prop_assert_eq!(assembly.conflict_count(), 0);
        prop_assert_eq!(assembly.into_message(), message);
    }
}
