//! Cursors over bytes. Big endian, as all wires here are.

use core::fmt;

/// Fewer bytes were there than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// How many more bytes the read that failed needs.
    pub missing_len: usize,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more bytes needed", self.missing_len)
    }
}

impl core::error::Error for Short {}

/// Less room was there than a write needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// How many more bytes of room the write that failed needs.
    pub missing_len: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more bytes of room needed", self.missing_len)
    }
}

impl core::error::Error for Full {}

/// Reads from the front of a byte slice. A read that fails takes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn remaining_len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Short`] where fewer are left.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let short = Short { missing_len: len.saturating_sub(self.remaining_len()) };
        let end = self.at.checked_add(len).ok_or(short)?;
        let taken = self.bytes.get(self.at..end).ok_or(short)?;
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`Short`] where fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let short = Short { missing_len: N.saturating_sub(self.remaining_len()) };
        let array = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(short)?;
        self.at += N;
        Ok(*array)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`Short`] at the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next two bytes as a number.
    ///
    /// # Errors
    /// [`Short`] where fewer than two are left.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four bytes as a number.
    ///
    /// # Errors
    /// [`Short`] where fewer than four are left.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight bytes as a number.
    ///
    /// # Errors
    /// [`Short`] where fewer than eight are left.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Writes to the front of a byte slice. A write that fails writes nothing.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// A writer at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were written so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many bytes of room are left.
    #[must_use]
    pub const fn remaining_len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// [`Full`] where they do not fit.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let full = Full { missing_len: bytes.len().saturating_sub(self.remaining_len()) };
        let end = self.at.checked_add(bytes.len()).ok_or(full)?;
        self.bytes.get_mut(self.at..end).ok_or(full)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Writes one byte.
    ///
    /// # Errors
    /// [`Full`] at the end.
    #[inline]
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.put(&[value])
    }

    /// Writes a number as two bytes.
    ///
    /// # Errors
    /// [`Full`] where it does not fit.
    #[inline]
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    /// Writes a number as four bytes.
    ///
    /// # Errors
    /// [`Full`] where it does not fit.
    #[inline]
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }

    /// Writes a number as eight bytes.
    ///
    /// # Errors
    /// [`Full`] where it does not fit.
    #[inline]
    pub fn u64(&mut self, value: u64) -> Result<(), Full> {
        self.put(&value.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_read_passes_at_the_end_and_fails_one_past_it_without_moving() {
        let mut reader = Reader::new(&[0, 1, 2]);
        assert_eq!(reader.u16(), Ok(1));
        assert_eq!(reader.u32(), Err(Short { missing_len: 3 }));
        assert_eq!(reader.position(), 2);
        assert_eq!(reader.u8(), Ok(2));
        assert_eq!(reader.u8(), Err(Short { missing_len: 1 }));
        assert_eq!(reader.take(0), Ok(&[][..]));
        assert!(reader.take(usize::MAX).is_err());
    }

    #[test]
    fn a_write_passes_at_the_end_and_fails_one_past_it_without_writing() {
        let mut room = [9u8; 3];
        let mut writer = Writer::new(&mut room);
        writer.u16(0x0102).unwrap();
        assert_eq!(writer.u32(7), Err(Full { missing_len: 3 }));
        writer.u8(3).unwrap();
        assert_eq!(writer.u8(4), Err(Full { missing_len: 1 }));
        assert_eq!(room, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(a: u8, b: u16, c: u32, d: u64, tail: Vec<u8>) {
            let mut room = vec![0u8; 15 + tail.len()];
            let mut writer = Writer::new(&mut room);
            writer.u8(a).unwrap();
            writer.u16(b).unwrap();
            writer.u32(c).unwrap();
            writer.u64(d).unwrap();
            writer.put(&tail).unwrap();
            prop_assert_eq!(writer.remaining_len(), 0);
            let mut reader = Reader::new(&room);
            prop_assert_eq!(reader.u8(), Ok(a));
            prop_assert_eq!(reader.u16(), Ok(b));
            prop_assert_eq!(reader.u32(), Ok(c));
            prop_assert_eq!(reader.u64(), Ok(d));
            prop_assert_eq!(reader.take(tail.len()), Ok(&tail[..]));
            prop_assert_eq!(reader.remaining_len(), 0);
        }
    }
}
