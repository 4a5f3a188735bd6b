//! Octets on their way out.

use crate::{Arguments, Code, FrameIdent};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Payloads from this many octets on are sent from where they are; below it, a copy costs less than a slice more in the
/// system call.
const SPLICE_LEN_MIN: usize = 4096;

/// Encoded units waiting for the carrier: small things side by side in one reused buffer, large payloads by reference
/// between them. A [`Buf`], so `chunks_vectored` and `advance` are all a carrier needs.
#[derive(Debug, Default)]
pub struct TransmitBuffer {
    /// Headers and small payloads, up to `inline_end`; what lies behind is room that was written before, so that a unit
    /// costs one look at the length.
    inline: Vec<u8>,
    inline_end: usize,
    /// How much of `inline` is gone.
    inline_at: usize,
    /// Large payloads, each with the offset in `inline` that it comes before.
    splices: VecDeque<(usize, Bytes)>,
    /// Octets in `splices`.
    spliced_len: usize,
}

impl TransmitBuffer {
    /// An empty buffer that holds no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { inline: Vec::new(), inline_end: 0, inline_at: 0, splices: VecDeque::new(), spliced_len: 0 }
    }

    /// Gives the memory back where the buffer is empty.
    pub fn release(&mut self) {
        if !self.has_remaining() {
            *self = Self::new();
        }
    }

    /// Appends a unit that is known to fit the wire.
    #[inline]
    pub(crate) fn put_unit(&mut self, code: Code, ident: Option<FrameIdent>, arguments: &Arguments) {
        if let Some(only) = arguments.as_single()
            && ident.is_none()
            && only.len() < SPLICE_LEN_MIN
        {
            self.put_single(code, only);
            return;
        }
        #[allow(clippy::cast_possible_truncation, reason = "checked by the caller: at most 15 arguments")]
        let count = arguments.count() as u8;
        self.put_header(code, ident, count);
        match arguments.as_wire() {
            Some(encoded) => self.put_payload(encoded, || arguments.share_wire(encoded)),
            None => {
                for (index, payload) in arguments.iter().enumerate() {
                    self.put_length(payload.len());
                    self.put_payload(payload, || arguments.bytes(index).unwrap_or_default());
                }
            }
        }
    }

    /// The most frequent unit: one look at the room, two copies.
    #[inline(always)]
    fn put_single(&mut self, code: Code, only: &[u8]) {
        #[allow(clippy::cast_possible_truncation, reason = "less than SPLICE_LEN_MIN")]
        let [high, low] = (only.len() as u16).to_be_bytes();
        if let Some((head, payload)) = self.room(3 + only.len()).split_first_chunk_mut::<3>() {
            *head = [code.number() << 4 | 1, high, low];
            copy(payload, only);
        }
    }

    /// The next `len` octets of `inline`, to be written by the caller.
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        let start = self.inline_end;
        let end = start + len;
        if end > self.inline.len() {
            self.grow(end);
        }
        self.inline_end = end;
        self.inline.get_mut(start..end).unwrap_or_default()
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        self.inline.resize(len.max(2 * self.inline.len()), 0);
    }

    #[inline]
    fn append(&mut self, octets: &[u8]) {
        copy(self.room(octets.len()), octets);
    }

    /// Appends a frame of `count` arguments whose `pieces`, sorted by argument, are known to fit.
    pub(crate) fn put_frame(&mut self, code: Code, ident: FrameIdent, count: u8, pieces: &[(u8, Bytes)]) {
        self.put_header(code, Some(ident), count);
        let mut rest = pieces;
        for index in 0..count {
            let here = rest.iter().take_while(|(part, _)| *part == index).count();
            let (own, others) = rest.split_at_checked(here).unwrap_or((rest, &[]));
            let len: usize = own.iter().map(|(_, payload)| payload.len()).sum();
            self.put_length(len);
            for (_, payload) in own {
                self.put_payload(payload, || payload.clone());
            }
            rest = others;
        }
    }

    #[inline]
    fn put_header(&mut self, code: Code, ident: Option<FrameIdent>, count: u8) {
        let meta = code.number() << 4 | count;
        if let Some(FrameIdent { id, number }) = ident {
            let [i0, i1] = id.to_be_bytes();
            let [n0, n1, n2, n3] = number.to_be_bytes();
            self.append(&[meta, i0, i1, n0, n1, n2, n3]);
        } else {
            self.append(&[meta]);
        }
    }

    #[inline]
    fn put_length(&mut self, len: usize) {
        #[allow(clippy::cast_possible_truncation, reason = "checked by the caller: at most 65,535")]
        let length = len as u16;
        self.append(&length.to_be_bytes());
    }

    #[inline]
    fn put_payload(&mut self, payload: &[u8], shared: impl FnOnce() -> Bytes) {
        if payload.len() < SPLICE_LEN_MIN {
            self.append(payload);
        } else {
            self.spliced_len += payload.len();
            self.splices.push_back((self.inline_end, shared()));
        }
    }

    /// Drops what was sent from the front of `inline`, so that a buffer that never runs empty does not grow.
    fn compact(&mut self) {
        if self.inline_at >= self.inline_end && self.splices.is_empty() {
            self.inline_end = 0;
            self.inline_at = 0;
        } else if self.inline_at > self.inline_end / 2 && self.inline_at > 64 * 1024 {
            self.inline.copy_within(self.inline_at..self.inline_end, 0);
            self.inline_end -= self.inline_at;
            for (offset, _) in &mut self.splices {
                *offset -= self.inline_at;
            }
            self.inline_at = 0;
        }
    }
}

impl Buf for TransmitBuffer {
    #[inline]
    fn remaining(&self) -> usize {
        self.inline_end - self.inline_at + self.spliced_len
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        match self.splices.front() {
            None => self.inline.get(self.inline_at..self.inline_end).unwrap_or_default(),
            Some((offset, _)) if *offset > self.inline_at => {
                self.inline.get(self.inline_at..*offset).unwrap_or_default()
            }
            Some((_, payload)) => payload,
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut inline_at = self.inline_at;
        let mut splices = self.splices.iter();
        let mut next_splice = splices.next();
        let mut filled = 0;
        for slot in slices {
            let chunk = match next_splice {
                Some((offset, payload)) if *offset <= inline_at => {
                    next_splice = splices.next();
                    payload
                }
                _ => {
                    let end = next_splice.map_or(self.inline_end, |(offset, _)| *offset);
                    let chunk = self.inline.get(inline_at..end).unwrap_or_default();
                    inline_at = end;
                    chunk
                }
            };
            if chunk.is_empty() {
                break;
            }
            *slot = IoSlice::new(chunk);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut len: usize) {
        debug_assert!(len <= self.remaining(), "advance past the end");
        while len > 0 {
            match self.splices.front_mut() {
                Some((offset, payload)) if *offset <= self.inline_at => {
                    let step = len.min(payload.len());
                    payload.advance(step);
                    self.spliced_len -= step;
                    len -= step;
                    if payload.is_empty() {
                        self.splices.pop_front();
                    }
                }
                front => {
                    let end = front.map_or(self.inline_end, |(offset, _)| *offset);
                    let step = len.min(end - self.inline_at);
                    if step == 0 {
                        break;
                    }
                    self.inline_at += step;
                    len -= step;
                }
            }
        }
        self.compact();
    }
}

/// Copies `from` to `to`, which is as long. Short ones overlap two copies of a fixed length, which need no call.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        8..=16 => copy_ends::<8>(to, from),
        17..=32 => copy_ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(out: &mut TransmitBuffer, payload: &Bytes) {
        out.put_unit(Code::Message, None, &payload.clone().into());
    }

    #[test]
    fn large_payloads_are_shared_and_small_ones_lie_side_by_side() {
        let (large, small) = (Bytes::from(vec![1; SPLICE_LEN_MIN]), Bytes::from(vec![2; SPLICE_LEN_MIN - 1]));
        let mut out = TransmitBuffer::new();
        put(&mut out, &large);
        out.advance(3);
        assert_eq!(out.chunk().as_ptr(), large.as_ptr());
        out.advance(large.len());
        put(&mut out, &small);
        put(&mut out, &small);
        assert_eq!(out.chunk().len(), 2 * (3 + small.len()), "one slice for both");
    }

    #[test]
    fn a_buffer_that_never_runs_empty_does_not_grow() {
        let mut out = TransmitBuffer::new();
        let (small, large) = (Bytes::from(vec![2; 4000]), Bytes::from(vec![1; 5000]));
        put(&mut out, &small);
        for _ in 0..1000 {
            put(&mut out, &large);
            put(&mut out, &small);
            out.advance(3 + 4000);
            out.advance(3 + 5000);
            assert_eq!((out.remaining(), out.chunk().first()), (3 + 4000, Some(&0x01)));
        }
        assert!(out.inline.len() < 256 * 1024, "{}", out.inline.len());
    }

    #[test]
    fn payloads_of_any_length_are_copied_whole() {
        let mut out = TransmitBuffer::new();
        let content: Bytes = (0..=255).collect::<Vec<u8>>().into();
        for len in 0..100 {
            // Other octets than those of the one before, which may still lie there.
            let payload = content.slice(len..2 * len);
            put(&mut out, &payload);
            let mut got = vec![0; 3 + len];
            out.copy_to_slice(&mut got);
            assert_eq!(got.split_first_chunk::<3>().unwrap(), (&[1, 0, u8::try_from(len).unwrap()], &payload[..]));
        }
    }

    #[test]
    fn an_empty_buffer_gives_its_memory_back_and_another_does_not_lose_any() {
        let mut out = TransmitBuffer::new();
        put(&mut out, &Bytes::from_static(b"ab"));
        out.release();
        assert_eq!(out.chunk(), [0x01, 0, 2, b'a', b'b']);
        out.advance(5);
        out.release();
        assert_eq!(out.inline.capacity(), 0);
    }
}
