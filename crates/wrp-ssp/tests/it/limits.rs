//! What a receiver keeps, how long it waits, and what it says.

use crate::{base, cut, drain, options, packet};
use std::time::Duration;
use wirekit::{Instant, Machine};
use wrp_ssp::{Event, Fill, Limits, Reassembler, Refused, StreamError, Timing};

fn with(change: impl FnOnce(&mut Limits)) -> Reassembler {
    let mut limits = Limits::default();
    change(&mut limits);
    Reassembler::new(limits, Timing::default())
}

const START: Instant = Instant::EPOCH;

//= SSP-L2
#[test]
fn a_packet_may_be_so_far_ahead_of_the_first_that_is_missing_and_no_farther() {
    let mut stream = with(|limits| limits.gap_max = 3);
    assert_eq!(stream.take_message(START, &packet(3, &[], b"d")), Ok(()));
    let refused = stream.take_message(START, &packet(4, &[], b"e")).unwrap_err();
    assert_eq!(refused, Refused::Gap { number: 4, first_missing: 0, max: 3 });
    assert_eq!(refused.to_string(), "packet 4 is more than 3 ahead of 0, which is missing; gap_max allows that much");
    stream.take_message(START, &packet(0, &[], b"a")).unwrap();
    assert_eq!(stream.take_message(START, &packet(4, &[], b"e")), Ok(()), "nothing was read, yet the window moved");
    assert!(stream.take_message(START, &packet(u64::MAX >> 1, &[], b"e")).is_err());
    assert_eq!(stream.stats().refused_count, 2);
}

//= SSP-L1, SSP-B1
#[test]
fn octets_that_are_kept_are_bounded_and_reading_makes_room() {
    let mut stream = with(|limits| limits.window_len_max = 10);
    stream.take_message(START, &packet(1, &[], &[1; 10])).unwrap();
    assert!(!stream.is_full(), "what is next would be taken");
    let refused = stream.take_message(START, &packet(2, &[], &[2; 1])).unwrap_err();
    assert_eq!(refused, Refused::Full { len: 11, max: 10 });
    stream.take_message(START, &packet(0, &[], &[0; 10])).unwrap();
    assert!(stream.is_full());
    assert!(matches!(stream.take_message(START, &packet(2, &[], &[2; 1])), Err(Refused::Full { .. })));
    assert_eq!(drain(&mut stream, START).0.len(), 20);
    assert_eq!((stream.kept_len(), stream.take_message(START, &packet(2, &[], &[2; 1]))), (0, Ok(())));
    let mut stream = with(|limits| limits.payload_len_max = 10);
    assert_eq!(stream.take_message(START, &packet(0, &[], &[0; 11])), Err(Refused::PayloadLen { len: 11, max: 10 }));
    assert_eq!(stream.take_message(START, &packet(0, &[], &[0; 10])), Ok(()));
}

//= SSP-L5
#[test]
fn a_stream_has_a_length_and_what_is_over_it_is_not_given_out() {
    let mut stream = with(|limits| limits.stream_len_max = 8);
    for message in cut(&[7; 12], options()) {
        stream.take_message(START, &message).unwrap();
    }
    let (octets, end) = drain(&mut stream, START);
    assert_eq!((octets.len(), end), (8, Some(Err(StreamError::TooLong { max: 8 }))));
}

//= SSP-T1, SSP-T2, SSP-R8
#[test]
fn silence_ends_a_stream_and_the_error_names_what_is_missing() {
    let seconds = |seconds| START + Duration::from_secs(seconds);
    let timing = Timing { idle_timeout: Duration::from_secs(60), total_timeout: Some(Duration::from_secs(100)) };
    let mut stream = Reassembler::new(Limits::default(), timing);
    assert_eq!(stream.poll_timeout(), None, "nothing came, nothing is waited for");
    for number in [0, 2, 3, 6] {
        stream.take_message(seconds(0), &packet(number, &[], b"x")).unwrap();
    }
    assert_eq!(stream.poll_timeout(), None, "the reader has something to do");
    assert_eq!(drain(&mut stream, seconds(50)).0, b"x");
    assert_eq!(stream.poll_timeout().unwrap().at, seconds(100), "of all, before the silence is too long");
    let mut idle = Reassembler::new(Limits::default(), Timing { total_timeout: None, ..timing });
    idle.take_message(seconds(0), &packet(1, &[], b"x")).unwrap();
    idle.take_message(seconds(30), &packet(1, &[], b"x")).unwrap();
    assert_eq!(idle.poll_timeout().unwrap().at, seconds(60), "a copy brings nothing forward");
    idle.handle_timeout(seconds(59));
    assert_eq!(idle.fill(seconds(59)), Fill::Pending);
    idle.handle_timeout(seconds(60));
    assert!(matches!(drain(&mut idle, seconds(60)).1, Some(Err(StreamError::Idle { .. }))));
    assert_eq!(idle.take_message(seconds(61), &packet(0, &[], b"x")), Err(Refused::Ended));
    stream.handle_timeout(seconds(100));
    let error = drain(&mut stream, seconds(100)).1.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the stream took too long; missing: packets 1, 4 to 5, 7");
    assert_eq!(drain(&mut stream, seconds(100)).1, Some(Err(error)), "again each time");
}

//= SSP-R8
#[test]
fn what_is_missing_is_listed_up_to_a_limit() {
    let mut stream = with(|limits| limits.missing_ranges_max = 2);
    for number in [1, 3, 5, 7] {
        stream.take_message(START, &packet(number, &[], b"x")).unwrap();
    }
    assert_eq!(stream.missing_packets().to_string(), "packets 0, 2");
    let mut stream = with(|_| {});
    stream.take_message(START, &packet(2, &["stream-final-packet: eof"], b"x")).unwrap();
    assert_eq!(stream.missing_packets().to_string(), "packets 0 to 1", "behind the last there is none");
}

//= SSP-X1
#[test]
fn progress_is_by_the_estimate_which_means_nothing_else() {
    let mut stream = with(|_| {});
    let estimate = "stream-estimated-total-length: 18446744073709551615";
    let info = testkit::allocations::measure(|| stream.take_message(START, &packet(0, &[estimate], b"abc")).unwrap());
    assert!(info.bytes_max < 10_000, "{}", info.bytes_max);
    assert_eq!(stream.progress(), (0, Some(u64::MAX)));
    drain(&mut stream, START);
    assert_eq!(stream.progress(), (3, Some(u64::MAX)));
}

//= SSP-R3, SSP-R4
#[test]
fn copies_are_counted_and_those_that_say_something_else_too() {
    let mut stream = with(|_| {});
    for payload in [b"aa", b"aa", b"bb"] {
        stream.take_message(START, &packet(0, &[], payload)).unwrap();
    }
    stream.take_message(START, &packet(0, &["stream-final-packet: eof"], b"aa")).unwrap();
    stream.take_message(START, &packet(2, &[], b"")).unwrap();
    let stats = stream.stats();
    assert_eq!(
        (stats.taken_count, stats.duplicate_count, stats.conflict_count, stats.out_of_order_count),
        (2, 3, 2, 1)
    );
    assert_eq!(drain(&mut stream, START).0, b"aa");
    stream.take_message(START, &packet(0, &[], b"cc")).unwrap();
    assert_eq!(stream.stats().duplicate_count, 4);
}

//= SSP-V1
#[test]
fn messages_that_make_no_sense_are_refused_unless_that_is_wanted() {
    let odd = wrp::Message { source: "talaria".into(), ..packet(0, &[], b"x") };
    assert!(matches!(with(|_| {}).take_message(START, &odd), Err(Refused::Invalid(_))));
    assert_eq!(with(|limits| limits.validates = false).take_message(START, &odd), Ok(()));
    assert_eq!(with(|_| {}).take_message(START, &base()), Err(Refused::NotSsp));
}

//= SSP-B2
#[test]
fn a_stream_says_once_when_it_can_be_read() {
    let mut stream = with(|_| {});
    stream.take_message(START, &packet(1, &[], b"b")).unwrap();
    assert_eq!(stream.poll_event(), None);
    stream.take_message(START, &packet(0, &[], b"a")).unwrap();
    stream.take_message(START, &packet(2, &[], b"c")).unwrap();
    assert_eq!((stream.poll_event(), stream.poll_event()), (Some(Event::Readable), None));
    assert_eq!(stream.take_chunk(START).as_deref(), Some(&b"a"[..]));
    assert_eq!(stream.take_chunk(START).as_deref(), Some(&b"b"[..]));
    assert_eq!(stream.take_chunk(START).as_deref(), Some(&b"c"[..]));
    assert_eq!(stream.take_chunk(START), None);
}
