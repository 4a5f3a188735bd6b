//! Payload that is there before a caller with room for it: read for one who asked for little, or with the handshake.

use tokio::io::ReadBuf;

/// Payload in a buffer that stays, once it is needed.
#[derive(Debug)]
pub(super) struct Held {
    /// Always the whole buffer, so that it is filled with zeros only once.
    pub(super) bytes: Vec<u8>,
    from: usize,
    to: usize,
    /// `bytes` came with the handshake: frames that nobody has looked into.
    pub(super) is_raw: bool,
}

impl Held {
    /// With what came behind the head of a handshake.
    pub(super) fn new(tail: Vec<u8>) -> Self {
        Self { is_raw: !tail.is_empty(), bytes: tail, from: 0, to: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// From now on the first `len` of `bytes` are what is held.
    pub(super) fn put(&mut self, bytes: Vec<u8>, len: usize) {
        *self = Self { bytes, from: 0, to: len, is_raw: false };
    }

    /// Moves to `buf` what it has room for.
    pub(super) fn move_to(&mut self, buf: &mut ReadBuf<'_>) {
        let len = buf.remaining().min(self.to - self.from);
        buf.put_slice(self.bytes.get(self.from..self.from + len).unwrap_or_default());
        self.from += len;
    }
}
