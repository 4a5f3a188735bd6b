//! MessagePack, value by value.

use crate::{DecodeErrorKind, Expected, Field, LimitExceeded, Limits};

/// The deepest nesting that [`Cursor::skip`] can keep count of.
const DEPTH_MAX: usize = 32;

/// Reads from the front of `octets`; knows where it is for the sake of errors.
pub(crate) struct Cursor<'a> {
    octets: &'a [u8],
    rest: &'a [u8],
    /// What was left where the value that is being read began.
    value_rest_len: usize,
    field: Option<Field>,
    limits: Limits,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(octets: &'a [u8], limits: Limits) -> Self {
        Self { octets, rest: octets, value_rest_len: octets.len(), field: None, limits }
    }

    /// Where the value begins that could not be read.
    pub(super) const fn fault_at(&self) -> usize {
        self.octets.len() - self.value_rest_len
    }

    pub(super) const fn field(&self) -> Option<Field> {
        self.field
    }

    pub(super) const fn set_field(&mut self, field: Option<Field>) {
        self.field = field;
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn limit(limit: &'static str, max: usize, got: usize) -> Result<(), DecodeErrorKind> {
        if got > max { Err(DecodeErrorKind::Limit(LimitExceeded { limit, max, got })) } else { Ok(()) }
    }

    //= WRP-L1
    pub(super) fn check_message_len(&self) -> Result<(), DecodeErrorKind> {
        Self::limit("message_len_max", self.limits.message_len_max, self.octets.len())
    }

    //= WRP-R8
    pub(super) const fn check_trailing(&mut self) -> Result<(), DecodeErrorKind> {
        self.value_rest_len = self.rest.len();
        let len = self.rest.len();
        if len > self.limits.trailing_len_max { Err(DecodeErrorKind::Trailing { len }) } else { Ok(()) }
    }

    /// The octet that says what comes.
    #[inline]
    fn tag(&mut self) -> Result<u8, DecodeErrorKind> {
        self.value_rest_len = self.rest.len();
        let (tag, rest) = self.rest.split_first().ok_or(DecodeErrorKind::Short { missing_len: 1 })?;
        self.rest = rest;
        Ok(*tag)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeErrorKind> {
        let missing = || DecodeErrorKind::Short { missing_len: len - self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(missing)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned number of `LEN` octets.
    #[inline]
    fn number<const LEN: usize>(&mut self) -> Result<u64, DecodeErrorKind> {
        let octets = self.take(LEN)?;
        Ok(octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    #[inline]
    fn len<const LEN: usize>(&mut self) -> Result<usize, DecodeErrorKind> {
        Ok(usize::try_from(self.number::<LEN>()?).unwrap_or(usize::MAX))
    }

    //= WRP-R2
    pub(crate) fn integer(&mut self) -> Result<i64, DecodeErrorKind> {
        let tag = self.tag()?;
        self.integer_behind(tag)
    }

    fn integer_behind(&mut self, tag: u8) -> Result<i64, DecodeErrorKind> {
        let range = |_| DecodeErrorKind::Range;
        Ok(match tag {
            0x00..=0x7f => i64::from(tag),
            0xe0..=0xff => i64::from(tag.cast_signed()),
            0xcc => i64::try_from(self.number::<1>()?).map_err(range)?,
            0xcd => i64::try_from(self.number::<2>()?).map_err(range)?,
            0xce => i64::try_from(self.number::<4>()?).map_err(range)?,
            0xcf => i64::try_from(self.number::<8>()?).map_err(range)?,
            // Sign-extended from the top.
            0xd0 => (self.number::<1>()? << 56).cast_signed() >> 56,
            0xd1 => (self.number::<2>()? << 48).cast_signed() >> 48,
            0xd2 => (self.number::<4>()? << 32).cast_signed() >> 32,
            0xd3 => self.number::<8>()?.cast_signed(),
            _ => return Err(DecodeErrorKind::Type { expected: Expected::Integer, tag }),
        })
    }

    /// An integer, or nil.
    //= WRP-R5
    pub(super) fn optional_integer(&mut self) -> Result<Option<i64>, DecodeErrorKind> {
        match self.tag()? {
            0xc0 => Ok(None),
            tag => self.integer_behind(tag).map(Some),
        }
    }

    #[inline]
    fn text_len(&mut self, tag: u8) -> Result<Option<usize>, DecodeErrorKind> {
        Ok(Some(match tag {
            0xa0..=0xbf => usize::from(tag & 0x1f),
            0xd9 => self.len::<1>()?,
            0xda => self.len::<2>()?,
            0xdb => self.len::<4>()?,
            _ => return Ok(None),
        }))
    }

    fn octets_len(&mut self, tag: u8) -> Result<Option<usize>, DecodeErrorKind> {
        Ok(Some(match tag {
            0xc4 => self.len::<1>()?,
            0xc5 => self.len::<2>()?,
            0xc6 => self.len::<4>()?,
            _ => return Ok(None),
        }))
    }

    //= WRP-R3, WRP-R4
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeErrorKind> {
        let tag = self.tag()?;
        let len = self.text_len(tag)?.ok_or(DecodeErrorKind::Type { expected: Expected::Text, tag })?;
        Self::limit("text_len_max", self.limits.text_len_max, len.min(self.rest.len()))?;
        str::from_utf8(self.take(len)?).map_err(|_| DecodeErrorKind::NotUtf8)
    }

    /// A key of the message: text, or octets as some write it.
    //= WRP-R6
    #[inline]
    pub(crate) fn key(&mut self) -> Result<&'a [u8], DecodeErrorKind> {
        let tag = self.tag()?;
        let len = match self.text_len(tag)? {
            Some(len) => Some(len),
            None => self.octets_len(tag)?,
        };
        let len = len.ok_or(DecodeErrorKind::Type { expected: Expected::Key, tag })?;
        Self::limit("text_len_max", self.limits.text_len_max, len.min(self.rest.len()))?;
        self.take(len)
    }

    //= WRP-R4
    pub(crate) fn payload(&mut self) -> Result<&'a [u8], DecodeErrorKind> {
        let tag = self.tag()?;
        let len = self.octets_len(tag)?.ok_or(DecodeErrorKind::Type { expected: Expected::Octets, tag })?;
        Self::limit("payload_len_max", self.limits.payload_len_max, len.min(self.rest.len()))?;
        self.take(len)
    }

    /// How many entries, each of which takes `entry_len` octets at least: more than there is room for are never believed.
    //= WRP-L2
    fn count(&self, count: usize, entry_len: usize) -> Result<usize, DecodeErrorKind> {
        let needed_len = count.saturating_mul(entry_len);
        if needed_len > self.rest.len() {
            return Err(DecodeErrorKind::Short { missing_len: needed_len - self.rest.len() });
        }
        Self::limit("entries_max", self.limits.entries_max, count)?;
        Ok(count)
    }

    pub(crate) fn map_header(&mut self, expected: Expected) -> Result<usize, DecodeErrorKind> {
        let count = match self.tag()? {
            tag @ 0x80..=0x8f => usize::from(tag & 0x0f),
            0xde => self.len::<2>()?,
            0xdf => self.len::<4>()?,
            tag => return Err(DecodeErrorKind::Type { expected, tag }),
        };
        self.count(count, 2)
    }

    pub(crate) fn array_header(&mut self) -> Result<usize, DecodeErrorKind> {
        let count = match self.tag()? {
            tag @ 0x90..=0x9f => usize::from(tag & 0x0f),
            0xdc => self.len::<2>()?,
            0xdd => self.len::<4>()?,
            tag => return Err(DecodeErrorKind::Type { expected: Expected::TextList, tag }),
        };
        self.count(count, 1)
    }

    /// Passes over one value of any kind, without recursion.
    //= WRP-R9, WRP-L3
    pub(crate) fn skip(&mut self) -> Result<(), DecodeErrorKind> {
        let depth_max = self.limits.depth_max.min(DEPTH_MAX);
        // Values that are left on each level.
        let mut left = [0_usize; DEPTH_MAX];
        let mut depth = 0;
        loop {
            let inside = self.skip_one()?;
            if inside > 0 {
                let slot = left.get_mut(depth).filter(|_| depth < depth_max);
                *slot.ok_or(DecodeErrorKind::Depth { max: depth_max })? = inside;
                depth += 1;
            } else {
                while let Some(slot) = depth.checked_sub(1).and_then(|at| left.get_mut(at)) {
                    *slot -= 1;
                    if *slot > 0 {
                        break;
                    }
                    depth -= 1;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Passes over a value, or over the header of one with others inside; how many those are.
    fn skip_one(&mut self) -> Result<usize, DecodeErrorKind> {
        let tag = self.tag()?;
        let len = match tag {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 0,
            0x80..=0x8f => return Ok(2 * self.count(usize::from(tag & 0x0f), 2)?),
            0xde => {
                let count = self.len::<2>()?;
                return Ok(2 * self.count(count, 2)?);
            }
            0xdf => {
                let count = self.len::<4>()?;
                return Ok(2 * self.count(count, 2)?);
            }
            0x90..=0x9f => return self.count(usize::from(tag & 0x0f), 1),
            0xdc => {
                let count = self.len::<2>()?;
                return self.count(count, 1);
            }
            0xdd => {
                let count = self.len::<4>()?;
                return self.count(count, 1);
            }
            0xa0..=0xbf => usize::from(tag & 0x1f),
            0xcc | 0xd0 => 1,
            0xcd | 0xd1 => 2,
            0xca | 0xce | 0xd2 => 4,
            0xcb | 0xcf | 0xd3 => 8,
            0xd4 => 2,
            0xd5 => 3,
            0xd6 => 5,
            0xd7 => 9,
            0xd8 => 17,
            0xc4 | 0xd9 => self.len::<1>()?,
            0xc5 | 0xda => self.len::<2>()?,
            0xc6 | 0xdb => self.len::<4>()?,
            // The octet of the extension's type is one more.
            0xc7 => self.len::<1>()? + 1,
            0xc8 => self.len::<2>()? + 1,
            0xc9 => self.len::<4>()?.saturating_add(1),
            0xc1 => return Err(DecodeErrorKind::Type { expected: Expected::Key, tag }),
        };
        self.take(len)?;
        Ok(0)
    }
}
