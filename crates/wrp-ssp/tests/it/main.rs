//! The crate from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "tests and their helpers"
)]

mod codec;
mod demultiplexer;
mod driver;
mod faults;
mod headers;
mod laws;
mod limits;
mod memory;
mod properties;
mod segmenter;
mod vectors;

use wirekit::Instant;
use wrp::{Event, Message};
use wrp_ssp::{Encoding, Fill, Level, Limits, Options, Reassembler, Segmenter, StreamError, Timing};

fn base() -> Message {
    Event::new("mac:112233445566/log", "event:log").build().unwrap()
}

fn options() -> Options {
    Options::new("s1").with_packet_len(4).with_encoding(Encoding::Identity, Level::Default)
}

/// The messages of a stream that is known whole: its last packet is never empty.
fn cut(octets: &[u8], options: Options) -> Vec<Message> {
    let mut segmenter = Segmenter::new(base(), options).unwrap();
    let mut rest = octets;
    let mut messages = Vec::new();
    loop {
        let len = segmenter.push(rest);
        rest = &rest[len..];
        if rest.is_empty() {
            segmenter.finish(wrp_ssp::End::Clean);
        }
        messages.extend(std::iter::from_fn(|| segmenter.poll_message()));
        if segmenter.is_over() {
            return messages;
        }
    }
}

/// A packet with these headers behind `stream-id: s1`.
fn packet(number: u64, headers: &[&str], payload: &[u8]) -> Message {
    let mut message = base();
    message.headers = vec!["stream-id: s1".to_owned(), format!("stream-packet-number: {number}")];
    message.headers.extend(headers.iter().map(|header| (*header).to_owned()));
    message.payload = Some(payload.to_vec().into());
    message
}

fn stream() -> Reassembler {
    Reassembler::new(Limits::default(), Timing::default())
}

/// Everything that can be read, and how it ends: `None` where more may come.
fn drain(stream: &mut Reassembler, now: Instant) -> (Vec<u8>, Option<Result<(), StreamError>>) {
    let mut octets = Vec::new();
    loop {
        match stream.fill(now) {
            Fill::Octets(more) => {
                octets.extend_from_slice(more);
                let len = more.len();
                stream.consume(len);
            }
            Fill::Pending => return (octets, None),
            Fill::End => return (octets, Some(Ok(()))),
            Fill::Failed(error) => return (octets, Some(Err(error.clone()))),
        }
    }
}

/// Joins messages that come at once and are all there are.
fn join(messages: &[Message]) -> (Vec<u8>, Option<Result<(), StreamError>>) {
    let mut stream = stream();
    for message in messages {
        stream.take_message(Instant::EPOCH, message).unwrap();
    }
    drain(&mut stream, Instant::EPOCH)
}
