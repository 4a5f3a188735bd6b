//! A peer that says what it likes, against a session.

use crate::pair::{End, config};
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use smrp::wire::*;
use smrp::{Config, Event, Role, SessionError};
use wirekit::{Instant, Machine};

pub(crate) struct Raw {
    pub(crate) end: End,
    pub(crate) now: Instant,
    pub(crate) prefaces: Vec<Bytes>,
    unread: BytesMut,
    has_preface: bool,
}

pub(crate) fn preface(versions: Vec<u32>, security: Security) -> Bytes {
    Preface { versions, security, nonce: [3; 16], parameters: ParametersBuilder::new().build() }.encode()
}

pub(crate) fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(&mut out));
    out.to_vec()
}

impl Raw {
    /// A raw initiator before its first octet.
    pub(crate) fn before(config: Config) -> Self {
        let now = Instant::from_epoch(Duration::from_secs(1));
        let end = End::new(Role::Acceptor, config, now, 9);
        Self { end, now, prefaces: Vec::new(), unread: BytesMut::new(), has_preface: false }
    }

    pub(crate) fn hello(&self, list: ParametersBuilder) -> Frame {
        let hash = preface_hash(&[&self.prefaces[0]]);
        let list = list.build();
        let mut all = ParametersBuilder::new().with(parameter::PREFACE_HASH, &hash);
        for (id, value) in list.iter() {
            all = all.with(id, &value);
        }
        Frame::Hello(all.build())
    }

    /// A raw initiator that has said hello.
    pub(crate) fn greeted(config: Config) -> Self {
        Self::greeted_with(config, ParametersBuilder::new())
    }

    pub(crate) fn greeted_with(config: Config, list: ParametersBuilder) -> Self {
        let mut raw = Self::before(config);
        raw.prefaces = vec![preface(vec![VERSION_1], Security::Plaintext)];
        let first = raw.prefaces[0].clone();
        raw.send_octets(&first);
        let hello = raw.hello(list);
        raw.send(&[hello]);
        raw
    }

    pub(crate) fn ready() -> Self {
        let mut raw = Self::greeted(config());
        raw.read();
        raw.end.events();
        raw
    }

    pub(crate) fn send(&mut self, frames: &[Frame]) {
        self.send_octets(&encode(frames));
    }

    pub(crate) fn send_octets(&mut self, octets: &[u8]) {
        self.end.receive(self.now, octets);
        self.end.collect();
    }

    /// What the session says, without pings.
    pub(crate) fn read(&mut self) -> Vec<Frame> {
        let out = self.end.transmit(self.now);
        self.unread.extend_from_slice(&out);
        if !self.has_preface {
            let Ok(Some((_, len))) = Preface::decode(&self.unread) else { return Vec::new() };
            let preface = self.unread.split_to(len).freeze();
            self.prefaces.push(preface);
            self.has_preface = true;
        }
        let mut frames = Vec::new();
        while let Ok(Some(header)) = Header::decode(&self.unread) {
            if self.unread.len() < header.len + header.body_len {
                break;
            }
            let octets = self.unread.split_to(header.len + header.body_len).freeze();
            frames.push(Frame::decode(header, &octets, 0, true).unwrap());
        }
        self.end.collect();
        frames.retain(|frame| !matches!(frame, Frame::Ping { ack: false, .. } | Frame::Unknown { .. }));
        frames
    }

    /// The code with which the session ended because of us, and that it said so once and nothing behind it.
    pub(crate) fn closed(&mut self) -> Code {
        let frames = self.read();
        let closes: Vec<usize> = frames
            .iter()
            .enumerate()
            .filter(|(_, frame)| matches!(frame, Frame::Close { .. }))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(closes, [frames.len() - 1], "{frames:?}");
        let Some(Frame::Close { code, .. }) = frames.last() else { panic!("{frames:?}") };
        let events = self.end.events();
        assert!(matches!(events.last(), Some(Event::Ended(SessionError::Fault(_)))), "{events:?}");
        assert_eq!(self.end.transmit(self.now), b"");
        assert_eq!(self.end.session.poll_timeout(), None);
        *code
    }

    /// [`read`](Self::read), where the end of the session is not to be taken with it.
    pub(crate) fn read_unless_over(&mut self) {
        if self.is_fine() {
            self.read();
        }
    }

    pub(crate) fn is_fine(&mut self) -> bool {
        self.end.session.ended().is_none()
    }
}
