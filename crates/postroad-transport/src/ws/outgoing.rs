//! Frames that wait for the socket: laid out once, masked in place, sent in order.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Spent buffers up to this size are kept for the next frames; larger ones go back to the allocator.
const KEEP_LEN_MAX: usize = 160 * 1024;
/// Two bytes, eight of length, four of mask.
const HEADER_LEN_MAX: usize = 14;

/// Whole frames in the order they are to be sent; the first `sent` bytes are gone already.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    len_max: usize,
    /// A control frame is among them and wants out without waiting for a flush.
    pub(super) urgent: bool,
}

impl Outgoing {
    pub(super) fn new(len_max: usize) -> Self {
        Self { len_max, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Lays out one binary message of the first `len` bytes of `parts`. `mask` for clients.
    pub(super) fn push_message(&mut self, parts: &[IoSlice<'_>], len: usize, mask: Option<[u8; 4]>) {
        self.make_room(len + HEADER_LEN_MAX);
        self.bytes.extend_from_slice(Header::new(len, mask).as_bytes());
        let start = self.bytes.len();
        push_parts(&mut self.bytes, parts, 0, len);
        if let Some(mask) = mask
            && let Some(payload) = self.bytes.get_mut(start..)
        {
            apply_mask(payload, mask);
        }
    }

    /// Lays out what the socket did not take of an unmasked message: `taken` bytes of header and payload are gone.
    pub(super) fn push_rest(&mut self, header: &[u8], parts: &[IoSlice<'_>], len: usize, taken: usize) {
        self.make_room(header.len() + len);
        self.bytes.extend_from_slice(header.get(taken..).unwrap_or_default());
        push_parts(&mut self.bytes, parts, taken.saturating_sub(header.len()), len);
    }

    fn make_room(&mut self, len: usize) {
        // Moving what is left to the front is cheap when little is left, and keeps the buffer from growing for ever.
        if self.sent > 0 && self.bytes.len() + len > self.bytes.capacity() {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.reserve(len);
    }

    /// Gives all bytes to the socket. Pending when it takes no more.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.sent = 0;
        self.urgent = false;
        self.bytes.clear();
        if self.bytes.capacity() > KEEP_LEN_MAX {
            self.bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// For tungstenite's control frames.
impl Write for Outgoing {
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        if self.len() + frame.len() > self.len_max {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.make_room(frame.len());
        self.bytes.extend_from_slice(frame);
        self.urgent = true;
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The header of a final binary frame, on the stack.
#[derive(Debug)]
pub(super) struct Header {
    bytes: [u8; HEADER_LEN_MAX],
    len: usize,
}

impl Header {
    pub(super) fn new(payload_len: usize, mask: Option<[u8; 4]>) -> Self {
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), mask, ..FrameHeader::default() };
        let mut bytes = [0; HEADER_LEN_MAX];
        let mut room = &mut bytes[..];
        // No header is longer than the room.
        let _ = header.format(payload_len as u64, &mut room);
        let len = HEADER_LEN_MAX - room.len();
        Self { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Appends the bytes `from..len` of `parts` taken together.
fn push_parts(to: &mut Vec<u8>, parts: &[IoSlice<'_>], from: usize, len: usize) {
    let (mut skip, mut left) = (from, len.saturating_sub(from));
    for part in parts {
        if skip >= part.len() {
            skip -= part.len();
            continue;
        }
        let rest = part.get(skip..).unwrap_or_default();
        let piece = rest.get(..left.min(rest.len())).unwrap_or_default();
        to.extend_from_slice(piece);
        skip = 0;
        left -= piece.len();
        if left == 0 {
            return;
        }
    }
}

/// RFC 6455, section 5.3: each byte with the mask byte of its place, here sixteen places at a time.
fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u128::from_ne_bytes([a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]);
    let (blocks, rest) = payload.as_chunks_mut::<16>();
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_is_byte_by_byte_whatever_the_length() {
        let mask = [0x12, 0x34, 0x56, 0x78];
        for len in 0..70_u8 {
            let plain: Vec<u8> = (0..len).collect();
            let mut masked = plain.clone();
            apply_mask(&mut masked, mask);
            let expected: Vec<u8> = plain.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
            assert_eq!(masked, expected, "length {len}");
        }
    }

    #[test]
    fn headers_have_the_lengths_of_the_rfc() {
        assert_eq!(Header::new(125, None).as_bytes(), [0x82, 125]);
        assert_eq!(Header::new(126, None).as_bytes(), [0x82, 126, 0, 126]);
        assert_eq!(Header::new(65_535, Some([1, 2, 3, 4])).as_bytes(), [0x82, 254, 255, 255, 1, 2, 3, 4]);
        assert_eq!(Header::new(65_536, Some([1; 4])).as_bytes().len(), HEADER_LEN_MAX);
    }

    #[test]
    fn the_rest_of_a_message_is_what_was_not_taken() {
        let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defgh")];
        let header = Header::new(7, None);
        let whole = [header.as_bytes(), b"abcdefg"].concat();
        for taken in 0..=whole.len() {
            let mut out = Outgoing::new(1000);
            out.push_rest(header.as_bytes(), &parts, 7, taken);
            assert_eq!(out.bytes, whole[taken..], "taken {taken}");
        }
    }

    #[test]
    fn control_frames_stop_at_the_limit() {
        let mut out = Outgoing::new(10);
        assert_eq!(out.write(&[0; 10]).unwrap(), 10);
        assert_eq!(out.write(&[0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
