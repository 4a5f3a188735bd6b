//! One direction of a link taken apart for people: its preface, and every frame with its fields by name.
//!
//! Credentials are never among what is shown: of tokens, signatures and handles there is the length alone.

mod layout;
mod shown;

use crate::wire::{
    CRITICAL, Code, EXTENSION, Frame, FrameType, Header, Preface, PrefaceError, WireError, frame_type, take_varint,
};
use bytes::{Bytes, BytesMut};
use layout::{Field, Layout, Names, Repeat, Shape};
use thiserror::Error;
use wirekit::{Reader, Short};

/// The longest body that is looked into: what `max_frame` can be at most.
pub const BODY_LEN_MAX: usize = (1 << 24) - 1;

/// Takes one direction apart, however its octets are handed in. Holds at most one frame that is not whole.
///
/// ```
/// use smrp::inspect::{Inspector, Item};
///
/// let mut inspector = Inspector::frames();
/// inspector.feed(&[0x13, 0x00, 0x03, 0x04, 0x41, 0x00]);
/// let Some(Item::Frame(frame)) = inspector.next_item() else { panic!() };
/// assert_eq!((frame.name, frame.fields[0].name, frame.to_string().as_str()), (Some("STOP"), "stream", "STOP stream=4 code=CANCELLED"));
/// assert_eq!(inspector.missing_len(), 0);
/// ```
#[derive(Debug)]
pub struct Inspector {
    octets: BytesMut,
    offset: u64,
    expects_preface: bool,
    /// Nothing behind this can be told apart any more.
    is_over: bool,
}

/// What comes in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// The preface.
    Preface {
        /// Where it begins.
        offset: u64,
        /// What it says.
        preface: Preface,
    },
    /// A frame.
    Frame(InspectedFrame),
    /// What is neither; nothing behind it can be told apart.
    Broken(Broken),
}

/// Why a direction cannot be taken apart any further.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("at octet {offset}: {why}")]
pub struct Broken {
    /// Where what is wrong begins.
    pub offset: u64,
    /// What is wrong.
    pub why: BrokenKind,
}

/// What cannot be taken apart.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BrokenKind {
    /// No preface where one should be.
    #[error(transparent)]
    Preface(#[from] PrefaceError),
    /// A header that says no length.
    #[error(transparent)]
    Header(#[from] WireError),
    /// A body beyond what any end takes.
    #[error("a body of {0} octets, where {BODY_LEN_MAX} are the most")]
    TooLong(usize),
}

/// A frame as far as its octets go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedFrame {
    /// Where it begins.
    pub offset: u64,
    /// Octets of header and body.
    pub wire_len: usize,
    /// The number of its type.
    pub number: u64,
    /// The name of its type in the registry.
    pub name: Option<&'static str>,
    /// Its flags.
    pub flags: u8,
    /// The names of those of its flags that have one.
    pub flag_names: Vec<&'static str>,
    /// The fields that are there whole, in the order of the wire.
    pub fields: Vec<InspectedField>,
    /// What a receiver finds wrong with it.
    pub fault: Option<WireError>,
}

/// A field, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedField {
    /// Its name in the specification.
    pub name: &'static str,
    /// What it holds.
    pub value: Value,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A number.
    Number(u64),
    /// A code.
    Code(Code),
    /// Octets.
    Octets(Bytes),
    /// A list of parameters.
    Parameters(Vec<InspectedParameter>),
    /// Something that lets somebody in: its length in octets, and nothing else.
    Secret(usize),
}

/// A parameter of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedParameter {
    /// Its id.
    pub id: u64,
    /// Its name, where it has one in such a list.
    pub name: Option<&'static str>,
    /// What it holds: a number, octets, or a secret.
    pub value: Value,
}

impl Inspector {
    /// Of a direction from its beginning.
    #[must_use]
    pub fn new() -> Self {
        Self { octets: BytesMut::new(), offset: 0, expects_preface: true, is_over: false }
    }

    /// Of frames without a preface in front.
    #[must_use]
    pub fn frames() -> Self {
        Self { expects_preface: false, ..Self::new() }
    }

    /// Takes more octets. Once something was broken they are dropped.
    pub fn feed(&mut self, octets: &[u8]) {
        if !self.is_over {
            self.octets.extend_from_slice(octets);
        }
    }

    /// The next thing that is whole; `None` where more octets are needed, and behind what was broken.
    pub fn next_item(&mut self) -> Option<Item> {
        if self.is_over || self.octets.is_empty() {
            return None;
        }
        let offset = self.offset;
        if self.expects_preface {
            return match Preface::decode(&self.octets) {
                Ok(None) => None,
                Ok(Some((preface, len))) => {
                    self.expects_preface = false;
                    drop(self.take(len));
                    Some(Item::Preface { offset, preface })
                }
                Err(error) => Some(self.broken(error.into())),
            };
        }
        let header = match Header::decode(&self.octets) {
            Ok(None) => return None,
            Ok(Some(header)) if header.body_len > BODY_LEN_MAX => {
                return Some(self.broken(BrokenKind::TooLong(header.body_len)));
            }
            Ok(Some(header)) => header,
            Err(error) => return Some(self.broken(error.into())),
        };
        let wire_len = header.len + header.body_len;
        if self.octets.len() < wire_len {
            return None;
        }
        let octets = self.take(wire_len);
        Some(Item::Frame(inspected(header, &octets, offset)))
    }

    fn take(&mut self, len: usize) -> Bytes {
        self.offset += len as u64;
        self.octets.split_to(len).freeze()
    }

    fn broken(&mut self, why: BrokenKind) -> Item {
        self.is_over = true;
        self.octets = BytesMut::new();
        Item::Broken(Broken { offset: self.offset, why })
    }

    /// How many octets were taken apart so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Octets of something that is not whole.
    #[must_use]
    pub fn left_len(&self) -> usize {
        self.octets.len()
    }

    /// The least number of octets that could finish what has begun; 0 where nothing has.
    #[must_use]
    pub fn missing_len(&self) -> usize {
        let have = self.octets.len();
        if have == 0 {
            return 0;
        }
        let whole = if self.expects_preface {
            match self.octets.get(8..10) {
                Some(&[high, low]) => 10 + usize::from(u16::from_be_bytes([high, low])),
                _ => 10,
            }
        } else {
            let shortest = || match self.octets.get(2) {
                None => 3,
                Some(first) => 2 + (1 << (first >> 6)),
            };
            match Header::decode(&self.octets) {
                Ok(Some(header)) => header.len + header.body_len,
                _ => shortest(),
            }
        };
        whole.saturating_sub(have).max(1)
    }
}

impl Default for Inspector {
    fn default() -> Self {
        Self::new()
    }
}

fn inspected(header: Header, octets: &Bytes, offset: u64) -> InspectedFrame {
    let fault = Frame::decode(header, octets, 0, true).err();
    let body = octets.slice(header.len.min(octets.len())..);
    let entry = if header.number == EXTENSION { None } else { frame_type(header.number.into()) };
    let mut number = u64::from(header.number);
    let mut cursor = Cursor { octets: &body, reader: Reader::new(&body), fields: Vec::new() };
    if header.number == EXTENSION
        && let Ok(typed) = take_varint(&mut cursor.reader)
    {
        number = typed;
    }
    match entry {
        // What a field cannot be read of ends it there: the fault says why.
        Some(entry) => drop(cursor.fields_of(&layout::layout(entry.number), header.flags)),
        None => drop(cursor.field(&Field { name: "body", shape: Shape::Rest, flag: 0 }, header.flags)),
    }
    InspectedFrame {
        offset,
        wire_len: octets.len(),
        number,
        name: entry.map(|entry| entry.name),
        flags: header.flags,
        flag_names: entry.map(|entry| names_of(entry, header.flags)).unwrap_or_default(),
        fields: cursor.fields,
        fault,
    }
}

fn names_of(entry: &FrameType, flags: u8) -> Vec<&'static str> {
    let known = layout::flag_names(entry).iter().enumerate();
    known.filter(|(bit, _)| flags & !CRITICAL & (1 << bit) != 0).map(|(_, name)| *name).collect()
}

/// A body, how far it was read, and what was found.
struct Cursor<'a> {
    octets: &'a Bytes,
    reader: Reader<'a>,
    fields: Vec<InspectedField>,
}

impl Cursor<'_> {
    fn fields_of(&mut self, layout: &Layout, flags: u8) -> Result<(), Short> {
        layout.fields.iter().try_for_each(|field| self.field(field, flags))?;
        match layout.repeat {
            Repeat::Never => {}
            // Each takes an octet at least, so what a count claims ends with the body.
            Repeat::Count => {
                for _ in 0..self.number_of("count") {
                    layout.repeated.iter().try_for_each(|field| self.field(field, flags))?;
                }
            }
            Repeat::ToEnd => {
                while self.reader.remaining_len() > 0 {
                    layout.repeated.iter().try_for_each(|field| self.field(field, flags))?;
                }
            }
        }
        layout.behind.iter().try_for_each(|field| self.field(field, flags))
    }

    fn number_of(&self, name: &str) -> u64 {
        let number = self.fields.iter().rev().find(|field| field.name == name).map(|field| &field.value);
        if let Some(Value::Number(number)) = number { *number } else { 0 }
    }

    /// The number in front, as a length.
    fn length(&self) -> Result<usize, Short> {
        let len = usize::try_from(self.number_of("length")).unwrap_or(usize::MAX);
        Ok(len)
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Short> {
        let from = self.reader.position();
        self.reader.take(len)?;
        Ok(self.octets.slice(from..from + len))
    }

    fn field(&mut self, field: &Field, flags: u8) -> Result<(), Short> {
        if field.flag != 0 && flags & field.flag == 0 {
            return Ok(());
        }
        let left = self.reader.remaining_len();
        let value = match field.shape {
            Shape::Varint => Value::Number(take_varint(&mut self.reader)?),
            Shape::Code => Value::Code(Code::new(take_varint(&mut self.reader)?)),
            Shape::Fixed(len) => {
                Value::Number(self.take(len)?.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
            }
            Shape::Octets(len) => Value::Octets(self.take(len)?),
            Shape::Counted => {
                let len = self.length()?;
                Value::Octets(self.take(len)?)
            }
            Shape::Rest => Value::Octets(self.take(left)?),
            Shape::Secret => Value::Secret(self.take(left)?.len()),
            Shape::SecretOctets(len) => Value::Secret(self.take(len)?.len()),
            Shape::Parameters(names) => parameters(&self.take(left)?, names),
            Shape::CountedParameters(names) => {
                let len = self.length()?;
                parameters(&self.take(len)?, names)
            }
        };
        self.fields.push(InspectedField { name: field.name, value });
        Ok(())
    }
}

/// A list as far as it goes. Where it is none, credentials are a secret as a whole.
fn parameters(octets: &Bytes, names: Names) -> Value {
    let mut reader = Reader::new(octets);
    let mut list = Vec::new();
    while reader.remaining_len() > 0 {
        let Some((id, value)) = parameter(octets, &mut reader) else {
            return if names == Names::Auth { Value::Secret(octets.len()) } else { Value::Octets(octets.clone()) };
        };
        let number = names.is_number(id).then(|| crate::wire::number_of(&value)).flatten();
        let value = match number {
            _ if names == Names::Auth => Value::Secret(value.len()),
            Some(number) => Value::Number(number),
            None => Value::Octets(value),
        };
        list.push(InspectedParameter { id, name: names.of(id), value });
    }
    Value::Parameters(list)
}

fn parameter(octets: &Bytes, reader: &mut Reader<'_>) -> Option<(u64, Bytes)> {
    let id = take_varint(reader).ok()?;
    let len = usize::try_from(take_varint(reader).ok()?).ok()?;
    let from = reader.position();
    reader.take(len).ok()?;
    Some((id, octets.slice(from..from + len)))
}
