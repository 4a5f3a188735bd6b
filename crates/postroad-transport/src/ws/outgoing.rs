//! Frames that wait for the socket: laid out once, masked in place, sent in order.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::config::Limits;
use super::frame::{HEADER_LEN_MAX, Header, copy_masked};

/// Whole frames in the order they are to be sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Never cut short, so that a frame is written into it in one go and room is filled with zeros only when it grows.
    bytes: Vec<u8>,
    /// What waits is `sent..filled`.
    sent: usize,
    filled: usize,
    len_max: usize,
    /// A spent buffer up to this size is kept for the next frames; a larger one goes back to the allocator.
    keep_len_max: usize,
    /// A control frame is among them and wants out without waiting for a flush.
    pub(super) urgent: bool,
    /// A control frame found no room and waits at tungstenite's.
    pub(super) refused: bool,
}

impl Outgoing {
    pub(super) fn new(limits: &Limits) -> Self {
        let keep_len_max =
            limits.write_buffer_len.saturating_add(limits.payload_len_max).saturating_add(HEADER_LEN_MAX);
        Self { len_max: limits.write_buffer_len_max, keep_len_max, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.filled - self.sent
    }

    /// Lays out one binary message of the first `len` bytes of `parts`. `mask` for clients.
    pub(super) fn push_message(&mut self, parts: &[IoSlice<'_>], len: usize, mask: Option<[u8; 4]>) {
        let header = Header::new(len, mask);
        let header = header.as_bytes();
        let (to_header, to_payload) = self.room(header.len() + len).split_at_mut(header.len());
        to_header.copy_from_slice(header);
        lay_out(to_payload, parts, 0, mask);
    }

    /// Lays out what the socket did not take of an unmasked message: `taken` bytes of header and payload are gone.
    pub(super) fn push_rest(&mut self, header: &[u8], parts: &[IoSlice<'_>], len: usize, taken: usize) {
        let header_rest = header.get(taken..).unwrap_or_default();
        let skip = taken.saturating_sub(header.len());
        let room = self.room(header_rest.len() + len.saturating_sub(skip));
        let (to_header, to_payload) = room.split_at_mut(header_rest.len());
        to_header.copy_from_slice(header_rest);
        lay_out(to_payload, parts, skip, None);
    }

    /// The next `len` bytes of the buffer, which from now on wait and must be written to.
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.filled + len > self.bytes.len() {
            // Moving what is left to the front is cheap when little is left, and keeps the buffer from growing for ever.
            self.bytes.copy_within(self.sent..self.filled, 0);
            self.filled -= self.sent;
            self.sent = 0;
        }
        let start = self.filled;
        self.filled += len;
        if self.filled > self.bytes.len() {
            if self.filled <= self.keep_len_max {
                // To the size that it will have in the end, at most: one that is larger is not kept.
                let doubled = (2 * self.filled).min(self.keep_len_max);
                self.bytes.reserve_exact(doubled - self.bytes.len());
            }
            self.bytes.resize(self.filled, 0);
        }
        self.bytes.get_mut(start..self.filled).unwrap_or_default()
    }

    /// Gives all bytes to the socket. Pending when it takes no more.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..self.filled).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        (self.sent, self.filled) = (0, 0);
        self.urgent = false;
        if self.bytes.capacity() > self.keep_len_max {
            self.bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// For tungstenite's control frames.
impl Write for Outgoing {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        self.refused = self.len() + frame.len() > self.len_max;
        if self.refused {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room(frame.len()).copy_from_slice(frame);
        self.urgent = true;
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fills `to` with the bytes of `parts` from `skip` on, masked where there is a mask, which begins with the first.
fn lay_out(mut to: &mut [u8], parts: &[IoSlice<'_>], mut skip: usize, mut mask: Option<[u8; 4]>) {
    for part in parts {
        let rest = part.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(part.len());
        let len = rest.len().min(to.len());
        let (piece, place);
        (piece, _) = rest.split_at(len);
        (place, to) = to.split_at_mut(len);
        match &mut mask {
            Some(mask) => {
                copy_masked(place, piece, *mask);
                mask.rotate_left(len % 4);
            }
            None => place.copy_from_slice(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(out: &Outgoing) -> &[u8] {
        &out.bytes[out.sent..out.filled]
    }

    #[test]
    fn the_rest_of_a_message_is_what_was_not_taken() {
        let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defgh")];
        let header = Header::new(7, None);
        let whole = [header.as_bytes(), b"abcdefg"].concat();
        for taken in 0..=whole.len() {
            let mut out = Outgoing::new(&Limits::default());
            out.push_rest(header.as_bytes(), &parts, 7, taken);
            assert_eq!(waiting(&out), &whole[taken..], "taken {taken}");
        }
    }

    #[test]
    fn a_mask_goes_on_over_parts_of_any_length() {
        let plain: Vec<u8> = (0..=250).cycle().take(500).collect();
        let mask = [0x12, 0x34, 0x56, 0x78];
        for first in [0, 1, 2, 3, 4, 7, 63, 64, 65, 450] {
            let (one, two) = plain.split_at(first);
            let (len, header) = (plain.len() - 2, Header::new(plain.len() - 2, Some(mask)));
            let mut out = Outgoing::new(&Limits::default());
            out.push_message(&[IoSlice::new(one), IoSlice::new(two)], len, Some(mask));
            let expected = plain[..len].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
            let expected: Vec<u8> = header.as_bytes().iter().copied().chain(expected).collect();
            assert_eq!(waiting(&out), expected, "{first}");
        }
    }

    #[test]
    fn frames_keep_their_order_while_the_buffer_is_used_again() {
        let mut out = Outgoing::new(&Limits::default());
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for round in 0..200_u8 {
            let payload = vec![round; usize::from(round) * 37 % 500];
            out.push_message(&[IoSlice::new(&payload)], payload.len(), None);
            expected.extend_from_slice(Header::new(payload.len(), None).as_bytes());
            expected.extend_from_slice(&payload);
            let taken = out.len() * usize::from(round % 3) / 2;
            got.extend_from_slice(&waiting(&out)[..taken]);
            out.sent += taken;
        }
        got.extend_from_slice(waiting(&out));
        assert_eq!(got, expected);
        assert!(out.bytes.len() < expected.len() / 4, "{} bytes for {}", out.bytes.len(), expected.len());
    }

    #[test]
    fn control_frames_stop_at_the_limit() {
        let mut out = Outgoing { len_max: 10, ..Outgoing::default() };
        assert_eq!(out.write(&[0; 10]).unwrap(), 10);
        assert_eq!(out.write(&[0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
