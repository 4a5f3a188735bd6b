//! Content to frames, the same ones for all receivers.

use crate::arguments::{ARGC_MAX, ARGUMENT_LEN_MAX, LENGTH_LEN};
use crate::wire::FRAME_HEADER_LEN;
use crate::{Arguments, EncodeError};
use bytes::{Bytes, BytesMut};

/// The frame that is being filled: in argument order, as full as it goes. A frame is cut only when more comes than it
/// holds, so the last one has content where there is any.
#[derive(Debug)]
pub(super) struct Cutter {
    count: u8,
    /// Octets of payload that a frame holds.
    room: usize,
    /// Sorted by argument.
    pieces: Vec<(u8, Bytes)>,
    len: usize,
    part: u8,
    part_len: usize,
}

impl Cutter {
    pub(super) fn new(count: u8, max_message_size: usize) -> Result<Self, EncodeError> {
        if usize::from(count) > ARGC_MAX {
            return Err(EncodeError::ArgumentCount { count: usize::from(count) });
        }
        // The configuration leaves room beside 15 LENGTHs.
        let room = max_message_size.saturating_sub(usize::from(count) * LENGTH_LEN);
        Ok(Self { count, room, pieces: Vec::new(), len: 0, part: 0, part_len: 0 })
    }

    pub(super) const fn count(&self) -> u8 {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of the frame on the wire.
    pub(super) fn frame_len(&self) -> usize {
        FRAME_HEADER_LEN + usize::from(self.count) * LENGTH_LEN + self.len
    }

    /// Moves what fits from `payload` into the frame; `false` where something is left, which takes a frame of its own.
    pub(super) fn fill(&mut self, index: u8, payload: &mut Bytes) -> bool {
        if payload.is_empty() {
            return true;
        }
        if index < self.part {
            return false;
        }
        if index > self.part {
            self.part = index;
            self.part_len = 0;
        }
        let len = payload.len().min(self.room - self.len).min(ARGUMENT_LEN_MAX - self.part_len);
        if len > 0 {
            self.pieces.push((index, payload.split_to(len)));
            self.len += len;
            self.part_len += len;
        }
        payload.is_empty()
    }

    /// The frame's arguments; the next one begins empty. Pieces are joined by one copy for all receivers.
    pub(super) fn take(&mut self) -> Arguments {
        (self.len, self.part, self.part_len) = (0, 0, 0);
        let mut arguments = vec![Bytes::new(); usize::from(self.count)];
        let mut pieces = self.pieces.drain(..).peekable();
        while let Some((index, first)) = pieces.next() {
            let mut joined = first;
            if pieces.peek().is_some_and(|(next, _)| *next == index) {
                let mut buffer = BytesMut::from(joined);
                while let Some((_, piece)) = pieces.next_if(|(next, _)| *next == index) {
                    buffer.extend_from_slice(&piece);
                }
                joined = buffer.freeze();
            }
            if let Some(argument) = arguments.get_mut(usize::from(index)) {
                *argument = joined;
            }
        }
        match arguments.pop() {
            Some(only) if arguments.is_empty() => only.into(),
            last => {
                arguments.extend(last);
                Arguments::from(arguments).compact()
            }
        }
    }
}
