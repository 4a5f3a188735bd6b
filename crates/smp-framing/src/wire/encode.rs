//! Units to octets.

use super::TransmitBuffer;
use crate::arguments::{ARGC_MAX, ARGUMENT_LEN_MAX};
use crate::{Arguments, EncodeError, Unit};
use bytes::Buf;

/// Appends the octets of `unit` to `out`.
///
/// # Errors
/// [`EncodeError`] where the wire cannot carry the unit; `out` is as it was then.
#[inline]
pub fn encode(unit: &Unit, out: &mut TransmitBuffer) -> Result<(), EncodeError> {
    if unit.code().is_reserved() {
        return Err(EncodeError::ReservedCode { code: unit.code().number() });
    }
    check(unit.arguments())?;
    out.put_unit(unit.code(), unit.ident(), unit.arguments());
    Ok(())
}

/// That a single unit can carry `arguments`.
//= SMPF-R1 SMPF-R3 SMPF-R19
#[inline]
pub(crate) fn check(arguments: &Arguments) -> Result<(), EncodeError> {
    let is_short = arguments.as_single().is_some_and(|only| only.len() <= ARGUMENT_LEN_MAX);
    if is_short || arguments.as_wire().is_some() {
        return Ok(());
    }
    check_each(arguments)
}

#[cold]
fn check_each(arguments: &Arguments) -> Result<(), EncodeError> {
    if arguments.count() > ARGC_MAX {
        return Err(EncodeError::ArgumentCount { count: arguments.count() });
    }
    match arguments.iter().position(|payload| payload.len() > ARGUMENT_LEN_MAX) {
        Some(index) => Err(EncodeError::ArgumentLength { index, len: arguments.get(index).map_or(0, <[u8]>::len) }),
        None => Ok(()),
    }
}

/// For tests and small tools: the octets of one unit.
impl Unit {
    /// The octets of this unit in one piece. Copies; a connection writes without.
    ///
    /// # Errors
    /// [`EncodeError`] where the wire cannot carry the unit.
    pub fn to_octets(&self) -> Result<Vec<u8>, EncodeError> {
        let mut out = TransmitBuffer::new();
        encode(self, &mut out)?;
        let mut octets = vec![0; out.remaining()];
        out.copy_to_slice(&mut octets);
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;
    use bytes::Bytes;

    #[test]
    fn what_the_wire_cannot_carry_is_refused_one_past_what_it_can() {
        //= SMPF-R1 SMPF-R3 SMPF-R18
        let encode = |code, arguments: Arguments| Unit::plain(code, arguments).unwrap().to_octets();
        let of = |count| Arguments::from(vec![Bytes::from_static(b"x"); count]);
        assert_eq!(encode(Code::Information, of(15)).unwrap().len(), 1 + 15 * 3);
        assert_eq!(encode(Code::Information, of(16)), Err(EncodeError::ArgumentCount { count: 16 }));
        let long = |len: usize| Arguments::from([Bytes::new(), vec![0; len].into()]);
        assert_eq!(encode(Code::Message, long(65_535)).unwrap().len(), 1 + 2 + 2 + 65_535);
        let refused = EncodeError::ArgumentLength { index: 1, len: 65_536 };
        assert_eq!(encode(Code::Message, long(65_536)), Err(refused));
        assert_eq!(encode(Code::Reserved10, of(1)), Err(EncodeError::ReservedCode { code: 10 }));
        assert!(encode(Code::User13, of(1)).is_ok());
    }
}
