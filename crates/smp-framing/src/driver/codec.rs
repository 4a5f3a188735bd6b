//! The codec alone, for those who bring their own rules.

use crate::wire::{Decoder, TransmitBuffer, WholeUnits, encode};
use crate::{EncodeError, LimitExceeded, Unit};
use bytes::{Buf, BufMut, BytesMut};
use std::io;
use thiserror::Error;

/// Units for `tokio_util::codec::Framed`: no sequence checks, no heartbeats, no back-pressure. Encoding copies; a
/// [`Connection`](super::Connection) does not.
///
/// Takes whole units out of the read buffer many at a time and gives them one by one: while it has some, they are not in
/// what `Framed::into_parts` calls the read buffer.
#[derive(Debug)]
pub struct UnitCodec {
    decoder: Decoder,
    whole: WholeUnits,
}

impl UnitCodec {
    /// A codec that takes units of up to `unit_len_max` octets.
    #[must_use]
    pub fn new(unit_len_max: usize) -> Self {
        Self { decoder: Decoder::new(unit_len_max), whole: WholeUnits::default() }
    }
}

/// The longest unit that there can be.
impl Default for UnitCodec {
    fn default() -> Self {
        Self::new(Decoder::UNIT_LEN_MAX)
    }
}

/// What `Framed` reports.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The carrier failed, or ended inside a unit.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A unit longer than the codec takes.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A unit that the wire cannot carry.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl tokio_util::codec::Decoder for UnitCodec {
    type Item = Unit;
    type Error = CodecError;

    #[inline]
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Unit>, CodecError> {
        Ok(self.decoder.decode_from(buffer, &mut self.whole)?)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Unit>, CodecError> {
        let unit = self.decode(buffer)?;
        if unit.is_none() && !buffer.is_empty() {
            let missing_len = Decoder::missing_len(buffer);
            let text = format!("the stream ended inside a unit, at least {missing_len} octets before its end");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into());
        }
        Ok(unit)
    }
}

impl tokio_util::codec::Encoder<Unit> for UnitCodec {
    type Error = CodecError;

    fn encode(&mut self, unit: Unit, out: &mut BytesMut) -> Result<(), CodecError> {
        let mut octets = TransmitBuffer::new();
        encode(&unit, &mut octets)?;
        out.reserve(octets.remaining());
        out.put(&mut octets);
        Ok(())
    }
}
