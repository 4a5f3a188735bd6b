//! Many streams at once.

use crate::packet;
use std::time::Duration;
use wirekit::{Instant, Machine};
use wrp::Message;
use wrp_ssp::{Demultiplexer, DemuxEvent, DemuxLimits, Fill, Limits, Refused, Routed, StreamKey, Timing};

const START: Instant = Instant::EPOCH;
const OWN: &str = "mac:112233445566/log";

fn demux(change: impl FnOnce(&mut DemuxLimits)) -> Demultiplexer {
    let mut limits = DemuxLimits::default();
    change(&mut limits);
    Demultiplexer::new(Limits::default(), Timing::default(), limits, Some(OWN.to_owned()))
}

fn of(source: &str, id: &str, number: u64, headers: &[&str], payload: &[u8]) -> Message {
    let mut message = packet(number, headers, payload);
    message.source = source.into();
    message.headers[0] = format!("stream-id: {id}");
    message
}

fn key(source: &str, id: &str) -> StreamKey {
    StreamKey { source: source.into(), stream_id: id.into() }
}

fn read(demux: &mut Demultiplexer, key: &StreamKey) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some(Fill::Octets(more)) = demux.fill(START, key) {
        octets.extend_from_slice(more);
        let len = more.len();
        demux.consume(key, len);
    }
    octets
}

//= SSP-M1
#[test]
fn streams_are_told_apart_by_source_and_name() {
    let mut demux = demux(|_| {});
    let keys = [key("self:/a", "s"), key("self:/b", "s"), key("self:/a", "t")];
    for (at, key) in keys.iter().enumerate() {
        let message = of(&key.source, &key.stream_id, 0, &[], &[at as u8]);
        assert_eq!(demux.take_message(START, &message), Routed::Taken(key.clone()));
        assert_eq!(demux.poll_event(), Some(DemuxEvent::Opened(key.clone())));
        assert_eq!(demux.poll_event(), Some(DemuxEvent::Readable(key.clone())));
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(read(&mut demux, key), [at as u8]);
    }
    assert_eq!((demux.stream_count(), demux.kept_len()), (3, 0));
}

//= SSP-M2
#[test]
fn what_is_no_packet_is_handed_back_and_acknowledgements_are_dropped() {
    let mut demux = demux(|_| {});
    assert_eq!(demux.take_message(START, &crate::base()), Routed::Foreign);
    let ack = Message { rdr: Some(0), dest: OWN.into(), source: "talaria".into(), ..packet(0, &[], b"") };
    assert_eq!(demux.take_message(START, &ack), Routed::Ack);
    assert_eq!((demux.stream_count(), demux.stats().ack_count), (0, 1));
    let to_us = Message { dest: OWN.into(), ..packet(0, &[], b"") };
    assert!(matches!(demux.take_message(START, &to_us), Routed::Taken(_)), "without rdr it is a packet");
    let bad = packet(0, &["stream-encoding: br"], b"");
    assert!(matches!(demux.take_message(START, &bad), Routed::Refused(Refused::Header(_))));
}

//= SSP-M3
#[test]
fn streams_are_bounded_in_all_and_by_source() {
    let mut demux = demux(|limits| (limits.streams_max, limits.streams_per_source_max) = (3, 2));
    let open =
        |demux: &mut Demultiplexer, source: &str, id: &str| demux.take_message(START, &of(source, id, 0, &[], b"x"));
    assert!(matches!(open(&mut demux, "self:/a", "1"), Routed::Taken(_)));
    assert!(matches!(open(&mut demux, "self:/a", "2"), Routed::Taken(_)));
    assert_eq!(open(&mut demux, "self:/a", "3"), Routed::TooManyStreams("streams_per_source_max"));
    assert!(matches!(open(&mut demux, "self:/b", "1"), Routed::Taken(_)));
    assert_eq!(open(&mut demux, "self:/c", "1"), Routed::TooManyStreams("streams_max"));
    assert!(matches!(open(&mut demux, "self:/a", "1"), Routed::Taken(_)), "one that is open goes on");
    assert!(demux.remove(&key("self:/a", "2")).is_some());
    assert!(matches!(open(&mut demux, "self:/c", "1"), Routed::Taken(_)));
    assert_eq!(demux.stats().streams_refused_count, 2);
    // Sources are counted apart, whatever their order.
    let mut demux = self::demux(|limits| limits.streams_per_source_max = 1);
    for source in ["self:/c", "self:/a", "self:/b"] {
        assert!(matches!(open(&mut demux, source, "1"), Routed::Taken(_)), "{source}");
    }
}

//= SSP-M3
#[test]
fn octets_kept_for_all_streams_are_bounded() {
    let mut demux = demux(|limits| limits.window_len_max = 10);
    demux.take_message(START, &of("self:/a", "1", 0, &[], &[7; 10]));
    assert_eq!(demux.take_message(START, &of("self:/a", "2", 0, &[], b"x")), Routed::Full);
    assert_eq!(read(&mut demux, &key("self:/a", "1")).len(), 10);
    assert!(matches!(demux.take_message(START, &of("self:/a", "2", 0, &[], b"x")), Routed::Taken(_)));
}

//= SSP-M4
#[test]
fn late_packets_of_a_stream_that_has_ended_open_none_for_a_while() {
    let mut demux = demux(|limits| limits.ended_max = 2);
    let message = |id: &str| of("self:/a", id, 0, &["stream-final-packet: eof"], b"x");
    for id in ["1", "2", "3"] {
        demux.take_message(START, &message(id));
        demux.remove(&key("self:/a", id)).unwrap();
    }
    assert_eq!(demux.take_message(START, &message("3")), Routed::Late);
    assert!(matches!(demux.take_message(START, &message("1")), Routed::Taken(_)), "only so many are remembered");
    let later = START + Duration::from_secs(60);
    assert!(matches!(demux.take_message(later, &message("3")), Routed::Taken(_)), "and only so long");
}

//= SSP-T1, SSP-R7
#[test]
fn each_stream_has_its_own_time_and_all_end_with_the_connection() {
    let mut demux = demux(|_| {});
    let seconds = |seconds| START + Duration::from_secs(seconds);
    demux.take_message(seconds(0), &of("self:/a", "1", 1, &[], b"x"));
    demux.take_message(seconds(30), &of("self:/a", "2", 1, &[], b"x"));
    assert_eq!(demux.poll_timeout().unwrap().at, seconds(60));
    demux.handle_timeout(seconds(60));
    assert!(matches!(demux.fill(seconds(60), &key("self:/a", "1")), Some(Fill::Failed(_))));
    assert_eq!(demux.fill(seconds(60), &key("self:/a", "2")), Some(Fill::Pending));
    demux.close(seconds(61));
    assert!(matches!(demux.fill(seconds(61), &key("self:/a", "2")), Some(Fill::Failed(_))));
    assert_eq!(demux.kept_len(), 0);
    assert_eq!(demux.fill(seconds(61), &key("self:/a", "3")), None);
}
