//! Lists of parameters: id, length, octets.

use super::varint::{put_varint, take_varint, varint_len};
use bytes::{BufMut, Bytes, BytesMut};
use core::fmt;
use thiserror::Error;
use wirekit::Reader;

/// A list of parameters as it is on the wire. It was checked when it was read, so looking into it cannot fail.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameters(Bytes);

/// Ids and lengths: a value may be a token.
//= SMRP-A8
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(id, value)| (id, value.len()))).finish()
    }
}

/// What a list may hold.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Ids that are understood.
    pub known: &'static [u64],
    /// Those of them that may occur more than once, and how often.
    pub repeatable: &'static [(u64, usize)],
    /// Those of them that are text.
    pub text: &'static [u64],
}

/// Why octets are no list of parameters.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParametersError {
    /// The list ends within a parameter.
    #[error("parameters end within one")]
    Cut,
    /// A parameter that must be understood and is not.
    #[error("parameter {0:#x} has to be understood and is not known")]
    NotUnderstood(u64),
    /// A parameter that is there more often than it may be.
    #[error("parameter {0:#x} occurs too often")]
    Repeated(u64),
    /// A parameter that has to be text and is not.
    #[error("parameter {0:#x} is no text")]
    Text(u64),
}

impl Parameters {
    /// Checks a list.
    ///
    /// # Errors
    /// [`ParametersError`] where the octets are no list by `rules`.
    //= SMRP-C4, SMRP-C5, SMRP-C6, SMRP-C9
    pub fn read(octets: Bytes, rules: Rules) -> Result<Self, ParametersError> {
        let mut reader = Reader::new(&octets);
        let mut seen = [0_usize; 16];
        while reader.remaining_len() > 0 {
            let id = take_varint(&mut reader).map_err(|_| ParametersError::Cut)?;
            let len = take_varint(&mut reader).map_err(|_| ParametersError::Cut)?;
            let len = usize::try_from(len).map_err(|_| ParametersError::Cut)?;
            let value = reader.take(len).map_err(|_| ParametersError::Cut)?;
            if rules.text.contains(&id) && core::str::from_utf8(value).is_err() {
                return Err(ParametersError::Text(id));
            }
            match rules.known.iter().position(|known| *known == id) {
                Some(at) => {
                    let max = rules.repeatable.iter().find(|(known, _)| *known == id).map_or(1, |(_, max)| *max);
                    let Some(count) = seen.get_mut(at) else { continue };
                    *count += 1;
                    if *count > max {
                        return Err(ParametersError::Repeated(id));
                    }
                }
                None if id % 2 == 1 => return Err(ParametersError::NotUnderstood(id)),
                None => {}
            }
        }
        Ok(Self(octets))
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The octets on the wire.
    #[must_use]
    pub fn octets(&self) -> &Bytes {
        &self.0
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        let mut reader = Reader::new(&self.0);
        core::iter::from_fn(move || {
            let id = take_varint(&mut reader).ok()?;
            let len = usize::try_from(take_varint(&mut reader).ok()?).ok()?;
            let from = reader.position();
            reader.take(len).ok()?;
            Some((id, self.0.slice(from..from + len)))
        })
    }

    /// The first one with this id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Bytes> {
        self.iter().find(|(found, _)| *found == id).map(|(_, value)| value)
    }

    /// The first one with this id as a varint that fills its octets.
    #[must_use]
    pub fn number(&self, id: u64) -> Option<Option<u64>> {
        self.get(id).map(|value| number_of(&value))
    }
}

/// A varint that fills its octets exactly.
pub(crate) fn number_of(value: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(value);
    let number = take_varint(&mut reader).ok()?;
    (reader.remaining_len() == 0).then_some(number)
}

/// Makes a list.
#[derive(Clone, Default)]
pub struct ParametersBuilder(BytesMut);

//= SMRP-A8
impl fmt::Debug for ParametersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParametersBuilder").field("len", &self.0.len()).finish()
    }
}

impl ParametersBuilder {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds octets.
    #[must_use]
    pub fn with(mut self, id: u64, value: &[u8]) -> Self {
        put_varint(&mut self.0, id);
        put_varint(&mut self.0, value.len() as u64);
        self.0.put_slice(value);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn with_number(mut self, id: u64, value: u64) -> Self {
        put_varint(&mut self.0, id);
        put_varint(&mut self.0, varint_len(value) as u64);
        put_varint(&mut self.0, value);
        self
    }

    /// The list.
    #[must_use]
    pub fn build(self) -> Parameters {
        Parameters(self.0.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { known: &[1, 2, 6], repeatable: &[(6, 2)], text: &[1] };

    fn read(octets: &[u8]) -> Result<Parameters, ParametersError> {
        Parameters::read(Bytes::copy_from_slice(octets), RULES)
    }

    #[test]
    fn a_list_fills_its_field_exactly() {
        //= SMRP-C4
        let list = ParametersBuilder::new().with(1, b"abc").with_number(2, 70_000).build();
        let octets = list.octets().clone();
        assert_eq!(read(&octets), Ok(list.clone()));
        assert_eq!(list.get(1).as_deref(), Some(&b"abc"[..]));
        assert_eq!(list.number(2), Some(Some(70_000)));
        assert_eq!(list.number(1), Some(None), "not a number of that length");
        assert_eq!(list.number(4), None);
        let boundaries = [0, 5, octets.len()];
        for cut in 0..=octets.len() {
            let expected = if boundaries.contains(&cut) { Ok(()) } else { Err(ParametersError::Cut) };
            assert_eq!(read(&octets[..cut]).map(drop), expected, "{cut}");
        }
        assert_eq!(read(&[2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), Err(ParametersError::Cut));
    }

    #[test]
    fn even_ids_can_be_passed_over_and_odd_ones_cannot() {
        //= SMRP-C5
        assert!(read(&[0x40, 0x44, 1, 9]).is_ok());
        assert_eq!(read(&[0x40, 0x45, 1, 9]), Err(ParametersError::NotUnderstood(0x45)));
    }

    #[test]
    fn text_is_text() {
        //= SMRP-C9
        assert!(read(&[1, 2, 0xC3, 0xA4, 6, 1, 0xFF]).is_ok());
        assert_eq!(read(&[1, 1, 0xFF]), Err(ParametersError::Text(1)));
    }

    #[test]
    fn an_id_occurs_once_unless_it_may_repeat() {
        //= SMRP-C6
        assert_eq!(read(&[2, 0, 2, 0]), Err(ParametersError::Repeated(2)));
        assert!(read(&[6, 0, 6, 0]).is_ok());
        assert_eq!(read(&[6, 0, 6, 0, 6, 0]), Err(ParametersError::Repeated(6)));
        assert!(read(&[8, 0, 8, 0]).is_ok(), "an unknown one is nobody's business");
    }
}
