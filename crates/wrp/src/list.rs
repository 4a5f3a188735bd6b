//! Lists and maps of texts that were read but not copied.

use crate::Limits;
use crate::decode::Cursor;

/// Texts as they lie in a message.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextList<'a> {
    count: usize,
    /// From the first entry on. They were read once: nothing in them is wrong.
    octets: &'a [u8],
}

/// Texts by texts as they lie in a message. A repeated name is there as often as it came; the last one counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextMap<'a>(TextList<'a>);

impl<'a> TextList<'a> {
    pub(crate) const fn new(count: usize, octets: &'a [u8]) -> Self {
        Self { count, octets }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True where there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The texts.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut cursor = Cursor::new(self.octets, Limits::NONE);
        (0..self.count).map_while(move |_| cursor.text().ok())
    }
}

impl<'a> TextMap<'a> {
    pub(crate) const fn new(count: usize, octets: &'a [u8]) -> Self {
        Self(TextList::new(count, octets))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.count
    }

    /// True where there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = Cursor::new(self.0.octets, Limits::NONE);
        (0..self.0.count).map_while(move |_| Some((cursor.text().ok()?, cursor.text().ok()?)))
    }
}

impl PartialEq for TextList<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for TextList<'_> {}

impl PartialEq for TextMap<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for TextMap<'_> {}
