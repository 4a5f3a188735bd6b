//! A stream under any packets and any reading: it gives the octets of a slow model, keeps no more than its limits, and ends once.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::time::Duration;
use wirekit::{Instant, Machine};
use wrp::Message;
use wrp_ssp::codec::{Caps, Compressor, Decompressor};
use wrp_ssp::{Encoding, Fill, Level, Limits, PacketRef, Reassembler, Refused, StreamError, Timing};

#[derive(Arbitrary, Debug)]
enum Op {
    Packet { number: u8, is_last: bool, encoding: u8, octets: Vec<u8> },
    Headers(Vec<String>, Vec<u8>),
    Read { len: u8 },
    Wait { seconds: u8 },
    Close,
}

const LIMITS: Limits = Limits {
    gap_max: 20,
    window_len_max: 600,
    payload_len_max: 300,
    packet_len_max: 2000,
    ratio_max: 4,
    stream_len_max: 4000,
    missing_ranges_max: 4,
    validates: true,
};

struct Model {
    packets: BTreeMap<u64, (Vec<u8>, Encoding, bool)>,
    read: Vec<u8>,
}

impl Model {
    /// What a stream of these packets is, as far as it goes without a hole or a fault.
    fn whole(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for number in 0.. {
            let Some((payload, encoding, is_last)) = self.packets.get(&number) else { break };
            let caps = Caps { len_max: LIMITS.packet_len_max, ratio_max: LIMITS.ratio_max };
            let mut codec = Decompressor::default();
            let Ok(plain) = codec.decompress(*encoding, payload, caps) else { break };
            if octets.len() + plain.len() > LIMITS.stream_len_max as usize {
                break;
            }
            octets.extend_from_slice(plain);
            if *is_last {
                break;
            }
        }
        octets
    }
}

fn message(headers: Vec<String>, payload: Vec<u8>) -> Message {
    let mut message = wrp::Event::new("self:", "event:x").build().unwrap();
    message.headers = headers;
    message.payload = Some(payload.into());
    message
}

fn packet(number: u8, is_last: bool, encoding: u8, octets: &[u8]) -> Message {
    let mut headers = vec!["stream-id: s".to_owned(), format!("stream-packet-number: {number}")];
    if is_last {
        headers.push("stream-final-packet: eof".to_owned());
    }
    let (name, written) = match encoding % 4 {
        0 => (None, Encoding::Identity),
        1 => (Some("gzip"), Encoding::Gzip),
        2 => (Some("deflate"), Encoding::Deflate),
        // Not compressed at all.
        _ => (Some("gzip"), Encoding::Identity),
    };
    headers.extend(name.map(|name| format!("stream-encoding: {name}")));
    let mut payload = Vec::new();
    Compressor::new(written, Level::Fastest).compress(octets, &mut payload);
    message(headers, payload)
}

fn take(stream: &mut Reassembler, now: Instant, message: &Message, model: &mut Model) {
    let taken = stream.take_message(now, message);
    assert!(stream.kept_len() <= LIMITS.window_len_max.max(LIMITS.payload_len_max));
    match taken {
        Ok(()) => {
            let packet = PacketRef::from_message(message).unwrap().unwrap();
            let entry = (packet.payload.to_vec(), packet.encoding, packet.end.is_some());
            model.packets.entry(packet.number).or_insert(entry);
        }
        Err(refused) => assert!(!matches!(refused, Refused::Invalid(_)), "{refused}"),
    }
}

fuzz_target!(|ops: Vec<Op>| {
    let timing = Timing { idle_timeout: Duration::from_secs(60), total_timeout: Some(Duration::from_secs(300)) };
    let mut stream = Reassembler::new(LIMITS, timing);
    let mut model = Model { packets: BTreeMap::new(), read: Vec::new() };
    let mut now = Instant::from_epoch(Duration::from_secs(1));
    let mut ended: Option<Result<(), StreamError>> = None;
    for op in ops {
        match op {
            Op::Packet { number, is_last, encoding, octets } => {
                let octets = &octets[..octets.len().min(250)];
                take(&mut stream, now, &packet(number % 40, is_last, encoding, octets), &mut model);
            }
            Op::Headers(headers, payload) => take(&mut stream, now, &message(headers, payload), &mut model),
            Op::Read { len } => {
                let end = match stream.fill(now) {
                    Fill::Octets(octets) => {
                        let len = octets.len().min(usize::from(len) + 1);
                        model.read.extend_from_slice(&octets[..len]);
                        stream.consume(len);
                        None
                    }
                    Fill::Pending => None,
                    Fill::End => Some(Ok(())),
                    Fill::Failed(error) => Some(Err(error.clone())),
                };
                assert!(ended.is_none() || end == ended, "an end is for good");
                ended = end;
            }
            Op::Wait { seconds } => {
                now = now + Duration::from_secs(u64::from(seconds));
                stream.handle_timeout(now);
                assert!(stream.poll_timeout().is_none_or(|deadline| deadline.at > now));
            }
            Op::Close => stream.close(now),
        }
        while stream.poll_event().is_some() {}
    }
    stream.close(now);
    while let Fill::Octets(octets) = stream.fill(now) {
        model.read.extend_from_slice(octets);
        let len = octets.len();
        stream.consume(len);
    }
    // A stream that was ended by time or a fault gave a beginning of the model's.
    let whole = model.whole();
    assert!(whole.starts_with(&model.read), "{:?} is no beginning of {whole:?}", model.read);
    match stream.fill(now) {
        Fill::End => assert_eq!(model.read, whole),
        Fill::Failed(StreamError::Closed { missing }) => {
            assert!(!missing.0.is_empty());
            assert_eq!(model.read, whole);
        }
        Fill::Failed(_) => {}
        other => panic!("{other:?} behind the end"),
    }
    assert_eq!(stream.kept_len(), 0);
});
