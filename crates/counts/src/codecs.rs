//! Octets to values and back.

use anyhow::{Context as _, ensure};
use bytes::{Bytes, BytesMut};
use smrp::StreamId;
use smrp::wire::{Frame, Header};
use std::hint::black_box;
use wirekit::Instant;
use wrp::{Message, MessageRef};
use wrp_ssp::{Encoding, Fill, Level, Options, Reassembler, Segmenter, Timing};

const PACKET_LEN: usize = 65_536;

fn data() -> Frame {
    let data = Bytes::from_static(&[7; 64]);
    Frame::Data { stream: StreamId::new(4), offset: None, fin: false, data }
}

pub(crate) fn smrp_encode(count: u64) -> anyhow::Result<()> {
    let (frame, mut out) = (data(), BytesMut::with_capacity(1 << 10));
    for _ in 0..count {
        out.clear();
        black_box(&frame).encode(&mut out);
        black_box(&out);
    }
    Ok(())
}

pub(crate) fn smrp_decode(count: u64) -> anyhow::Result<()> {
    let mut out = BytesMut::new();
    data().encode(&mut out);
    let octets = out.freeze();
    for _ in 0..count {
        let header = Header::decode(black_box(&octets))?.context("a header")?;
        black_box(Frame::decode(header, &octets, 0, true)?);
    }
    Ok(())
}

/// All fields that a request can have.
fn request() -> anyhow::Result<Message> {
    let builder = wrp::Request::new("dns:cloud.example.com/console", "mac:112233445566/config/device", "546514d4-9cb6");
    let builder = builder.content_type("application/json").accept("application/json").status(200).rdr(0);
    let builder =
        builder.header("X-Example: value").metadata("/boot-time", "1542834188").payload(r#"{"command":"GET"}"#);
    Ok(builder.partner_id("partner").session_id("session-42").qos(wrp::Qos(57)).build()?)
}

pub(crate) fn wrp_encode(count: u64) -> anyhow::Result<()> {
    let (request, mut out) = (request()?, Vec::new());
    for _ in 0..count {
        out.clear();
        black_box(&request).encode_into(&mut out);
        black_box(&out);
    }
    Ok(())
}

pub(crate) fn wrp_decode(count: u64) -> anyhow::Result<()> {
    let (octets, limits) = (request()?.encode(), wrp::Limits::default());
    for _ in 0..count {
        black_box(MessageRef::decode(black_box(&octets), &limits)?);
    }
    Ok(())
}

/// A stream cut into packets, as octets of messages, and joined again; not compressed.
pub(crate) fn ssp_packets(count: u64) -> anyhow::Result<()> {
    let base = wrp::Event::new("mac:112233445566/log", "event:log").build()?;
    let options = Options::new("s1").with_encoding(Encoding::Identity, Level::Default);
    let mut segmenter = Segmenter::new(base, options)?;
    let mut stream = Reassembler::new(wrp_ssp::Limits::default(), Timing::default());
    let (packet, limits, mut len) = (vec![7; PACKET_LEN], wrp::Limits::default(), 0);
    for _ in 0..count {
        segmenter.push(&packet);
        let message = segmenter.poll_message().context("a packet is full")?.encode();
        stream.take_encoded(Instant::EPOCH, &message, &limits)?;
        while let Fill::Octets(octets) = stream.fill(Instant::EPOCH) {
            let read_len = black_box(octets).len();
            len += read_len as u64;
            stream.consume(read_len);
        }
    }
    ensure!(len == count * PACKET_LEN as u64, "{len} octets came");
    Ok(())
}
