//! Streams of the standard library, cut and joined.

use crate::{End, Fill, Options, Reassembler, SegmentError, Segmenter, StreamError};
use std::io::{self, Read};
use wirekit::Instant;
use wrp::Message;

/// The messages of what a reader gives.
///
/// Where reading fails, the last message says so to the peer, and then the error comes. An end is noticed by a read that gives
/// nothing, so a stream that fills its last packet exactly ends with an empty one.
#[derive(Debug)]
pub struct Segments<R> {
    reader: R,
    segmenter: Segmenter,
    failure: Option<io::Error>,
}

impl<R: Read> Segments<R> {
    /// Packets of what `reader` gives, with the fields of `base`.
    ///
    /// # Errors
    /// [`SegmentError`]; nothing is read.
    pub fn new(reader: R, base: Message, options: Options) -> Result<Self, SegmentError> {
        Ok(Self { reader, segmenter: Segmenter::new(base, options)?, failure: None })
    }

    fn fill(&mut self) {
        while !self.segmenter.is_ready() {
            let len = self.segmenter.packet_len();
            match self.reader.read(self.segmenter.spare(len)) {
                Ok(0) => self.segmenter.finish(End::Clean),
                Ok(len) => self.segmenter.advance(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.segmenter.finish(End::Failed(error.to_string()));
                    self.failure = Some(error);
                }
            }
        }
    }
}

impl<R: Read> Iterator for Segments<R> {
    type Item = io::Result<Message>;

    fn next(&mut self) -> Option<io::Result<Message>> {
        if let Some(copy) = self.segmenter.copies_due() {
            return Some(Ok(copy));
        }
        if self.segmenter.is_over() {
            return self.failure.take().map(Err);
        }
        self.fill();
        self.segmenter.poll_message().map(Ok)
    }
}

/// A stream that is joined, as a reader: it asks `source` for messages until something can be read. For sources that wait; time
/// does not run.
#[derive(Debug)]
pub struct Joined<I> {
    source: I,
    stream: Reassembler,
}

impl<I: Iterator<Item = Message>> Joined<I> {
    /// Joins what `source` gives. Messages that are no packets of the stream are dropped and counted.
    pub const fn new(source: I, stream: Reassembler) -> Self {
        Self { source, stream }
    }

    /// The stream, for its counts.
    pub const fn stream(&self) -> &Reassembler {
        &self.stream
    }
}

impl<I: Iterator<Item = Message>> Read for Joined<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.fill(Instant::EPOCH) {
                Fill::Octets(octets) => {
                    let len = octets.len().min(out.len());
                    let (room, _) = out.split_at_mut(len);
                    room.copy_from_slice(octets.get(..len).unwrap_or_default());
                    self.stream.consume(len);
                    return Ok(len);
                }
                Fill::End => return Ok(0),
                Fill::Failed(error) => return Err(io_error(error)),
                Fill::Pending => match self.source.next() {
                    Some(message) => {
                        let _counted = self.stream.take_message(Instant::EPOCH, &message);
                    }
                    None => self.stream.close(Instant::EPOCH),
                },
            }
        }
    }
}

pub(crate) fn io_error(error: &StreamError) -> io::Error {
    let kind = match error {
        StreamError::Idle { .. } | StreamError::Total { .. } => io::ErrorKind::TimedOut,
        StreamError::Decode { .. } | StreamError::TooLong { .. } => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::UnexpectedEof,
    };
    io::Error::new(kind, error.clone())
}
