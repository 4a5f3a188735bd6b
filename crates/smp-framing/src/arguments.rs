//! The content of a unit or a message: a list of byte strings.

use bytes::{Bytes, BytesMut};
use core::fmt;
use std::sync::Arc;

/// The most arguments a unit can have: ARGC is half an octet.
//= SMPF-R1
pub const ARGC_MAX: usize = 15;

/// The longest argument a unit can have: LENGTH is two octets and counts the payload only.
//= SMPF-R3
pub const ARGUMENT_LEN_MAX: usize = 65_535;

/// Octets of a LENGTH.
pub(crate) const LENGTH_LEN: usize = 2;

/// A list of byte strings, in order; each may be empty, and so may the list.
///
/// Cloning and slicing share the bytes. What came off the wire is kept as it stood there, so it holds the part of the
/// read buffer it came in (up to the driver's read size) alive: call [`compact`](Self::compact) before keeping a small
/// message for long.
///
/// ```
/// use smp_framing::Arguments;
///
/// let arguments = Arguments::from(["meta".into(), "photograph".into()]);
/// assert_eq!(arguments.count(), 2);
/// assert_eq!(arguments.get(1), Some(&b"photograph"[..]));
/// ```
#[derive(Clone)]
pub struct Arguments(Repr);

/// The tag is as wide as a register: a narrower one makes moves at odd offsets, which cost more than the move.
#[derive(Clone)]
#[repr(u64)]
enum Repr {
    Wire(Encoded),
    One(Bytes),
    Many(Vec<Bytes>),
}

/// `count` arguments as on the wire, LENGTH and payload in turn, somewhere in a chunk. Whoever makes one has walked it.
#[derive(Clone)]
struct Encoded {
    chunk: Arc<Bytes>,
    start: u32,
    end: u32,
    count: usize,
}

impl Encoded {
    #[inline]
    fn octets(&self) -> &[u8] {
        self.chunk.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl Arguments {
    /// No arguments.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Many(Vec::new()))
    }

    /// `chunk` must hold exactly `count` arguments from `start` to `end`, LENGTH and payload in turn, and be shorter than
    /// 4 GiB.
    #[inline(always)]
    pub(crate) fn from_wire(count: usize, chunk: Arc<Bytes>, start: usize, end: usize) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "chunks have at most 256 units of less than 1 MiB")]
        let (start, end) = (start as u32, end as u32);
        Self(Repr::Wire(Encoded { chunk, start, end, count }))
    }

    /// The octets as they go on the wire, where they are at hand without work.
    #[inline]
    pub(crate) fn as_wire(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Wire(encoded) => Some(encoded.octets()),
            Repr::One(_) | Repr::Many(_) => None,
        }
    }

    /// `part` of what [`as_wire`](Self::as_wire) gave, sharing the bytes.
    pub(crate) fn share_wire(&self, part: &[u8]) -> Bytes {
        match &self.0 {
            Repr::Wire(encoded) => encoded.chunk.slice_ref(part),
            Repr::One(_) | Repr::Many(_) => Bytes::new(),
        }
    }

    /// The only argument, where it is kept as a byte string of its own.
    #[inline]
    pub(crate) fn as_single(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::One(only) => Some(only),
            Repr::Wire(_) | Repr::Many(_) => None,
        }
    }

    /// How many arguments there are. More than [`ARGC_MAX`] cannot be sent.
    #[inline]
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.0 {
            Repr::Wire(encoded) => encoded.count,
            Repr::One(_) => 1,
            Repr::Many(parts) => parts.len(),
        }
    }

    /// True where there are no arguments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Argument `index`, from 0. Costs a walk over the arguments before it.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.iter().nth(index)
    }

    /// Argument `index`, from 0, sharing the bytes.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<Bytes> {
        match &self.0 {
            Repr::Wire(_) => self.get(index).map(|payload| self.share_wire(payload)),
            Repr::One(only) => (index == 0).then(|| only.clone()),
            Repr::Many(parts) => parts.get(index).cloned(),
        }
    }

    /// The arguments in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(match &self.0 {
            Repr::Wire(encoded) => IterRepr::Wire(encoded.octets()),
            Repr::One(only) => IterRepr::One(Some(only)),
            Repr::Many(parts) => IterRepr::Many(parts.iter()),
        })
    }

    /// Octets of payload in all arguments together.
    #[inline]
    #[must_use]
    pub fn payload_len(&self) -> usize {
        match &self.0 {
            Repr::Wire(encoded) => (encoded.end - encoded.start) as usize - encoded.count * LENGTH_LEN,
            Repr::One(only) => only.len(),
            Repr::Many(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }

    /// The size that MAX-MESSAGE-SIZE is compared with: LENGTH octets and payload of all arguments.
    //= SMPF-R2
    #[inline]
    #[must_use]
    pub fn arguments_len(&self) -> usize {
        self.payload_len() + self.count() * LENGTH_LEN
    }

    /// The arguments as byte strings of their own, sharing the bytes.
    #[must_use]
    pub fn into_vec(self) -> Vec<Bytes> {
        match self.0 {
            Repr::Wire(_) => self.iter().map(|payload| self.share_wire(payload)).collect(),
            Repr::One(only) => vec![only],
            Repr::Many(parts) => parts,
        }
    }

    /// The same arguments in memory of their own, so that they hold no larger buffer alive. Copies once.
    #[must_use]
    pub fn compact(&self) -> Self {
        if self.count() > ARGC_MAX || self.iter().any(|payload| payload.len() > ARGUMENT_LEN_MAX) {
            return Self(Repr::Many(self.iter().map(Bytes::copy_from_slice).collect()));
        }
        if let (1, Some(only)) = (self.count(), self.get(0)) {
            return Bytes::copy_from_slice(only).into();
        }
        let mut encoded = BytesMut::with_capacity(self.arguments_len());
        for payload in self {
            encoded.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
            encoded.extend_from_slice(payload);
        }
        Self::from_wire(self.count(), Arc::new(encoded.freeze()), 0, self.arguments_len())
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Bytes> for Arguments {
    #[inline]
    fn from(only: Bytes) -> Self {
        Self(Repr::One(only))
    }
}

impl From<Vec<u8>> for Arguments {
    fn from(only: Vec<u8>) -> Self {
        Self(Repr::One(only.into()))
    }
}

impl From<&'static str> for Arguments {
    fn from(only: &'static str) -> Self {
        Self(Repr::One(Bytes::from_static(only.as_bytes())))
    }
}

impl From<Vec<Bytes>> for Arguments {
    fn from(parts: Vec<Bytes>) -> Self {
        Self(Repr::Many(parts))
    }
}

impl<const N: usize> From<[Bytes; N]> for Arguments {
    fn from(parts: [Bytes; N]) -> Self {
        Self(Repr::Many(parts.into()))
    }
}

impl FromIterator<Bytes> for Arguments {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        Self(Repr::Many(parts.into_iter().collect()))
    }
}

/// Equal where the arguments are, however they are kept.
impl PartialEq for Arguments {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count() && self.iter().eq(other)
    }
}

impl Eq for Arguments {}

/// Shows sizes only: payloads do not belong in logs.
impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arguments")?;
        f.debug_list().entries(self.iter().map(|payload| format_args!("{} B", payload.len()).to_string())).finish()
    }
}

impl<'a> IntoIterator for &'a Arguments {
    type Item = &'a [u8];
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The payloads of [`Arguments`], in order.
#[derive(Clone, Debug)]
pub struct Iter<'a>(IterRepr<'a>);

#[derive(Clone, Debug)]
enum IterRepr<'a> {
    Wire(&'a [u8]),
    One(Option<&'a Bytes>),
    Many(core::slice::Iter<'a, Bytes>),
}

impl<'a> Iter<'a> {
    /// Over arguments as they stand on the wire.
    #[inline]
    pub(crate) const fn over_wire(encoded: &'a [u8]) -> Self {
        Self(IterRepr::Wire(encoded))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.0 {
            IterRepr::Wire(rest) => {
                let (length, after) = rest.split_first_chunk::<LENGTH_LEN>()?;
                let (payload, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                *rest = after;
                Some(payload)
            }
            IterRepr::One(only) => only.take().map(AsRef::as_ref),
            IterRepr::Many(parts) => parts.next().map(AsRef::as_ref),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(parts: &[&[u8]]) -> Arguments {
        parts.iter().map(|part| Bytes::copy_from_slice(part)).collect::<Arguments>().compact()
    }

    #[test]
    fn the_ways_of_keeping_them_are_equal() {
        let many = Arguments::from(vec![Bytes::from_static(b"ab")]);
        assert_eq!(many, Arguments::from("ab"));
        assert_eq!(many, wire(&[b"ab"]));
        assert_ne!(many, wire(&[b"ab", b""]));
        assert_eq!(Arguments::new(), Arguments::from(Vec::<Bytes>::new()));
    }

    #[test]
    fn sizes_count_length_octets_where_they_should() {
        let arguments = wire(&[b"abc", b"", b"d"]);
        assert_eq!((arguments.count(), arguments.payload_len(), arguments.arguments_len()), (3, 4, 10));
        assert_eq!(arguments.clone().into_vec().len(), 3);
        assert_eq!(arguments.bytes(2).unwrap(), "d");
        assert_eq!(arguments.bytes(3), None);
    }

    #[test]
    fn an_argument_too_long_for_a_length_survives_compacting() {
        let long = Arguments::from(vec![7u8; ARGUMENT_LEN_MAX + 1]);
        assert_eq!(long.compact(), long);
    }

    #[test]
    fn debug_output_shows_no_payload() {
        assert_eq!(format!("{:?}", Arguments::from("secret")), "Arguments[\"6 B\"]");
    }

    #[test]
    fn equal_is_what_has_the_same_content() {
        assert_ne!(Arguments::from("ab"), Arguments::from("ac"));
        assert_ne!(wire(&[b"ab", b"c"]), wire(&[b"a", b"bc"]));
        assert_ne!(Arguments::from("a"), Arguments::from(["a".into(), "".into()]));
    }

    #[test]
    fn arguments_are_found_by_their_place() {
        let parts: [&[u8]; 3] = [b"a", b"", b"bc"];
        for arguments in [wire(&parts), Arguments::from(parts.map(Bytes::copy_from_slice))] {
            assert_eq!([0, 1, 2].map(|index| arguments.bytes(index).unwrap()), parts);
            assert_eq!((arguments.get(3), arguments.bytes(3)), (None, None));
            assert_eq!(arguments.into_vec(), parts);
        }
        assert_eq!(Arguments::from("only").bytes(1), None);
    }

    #[test]
    fn compacting_makes_a_copy_and_too_many_arguments_stay_too_many() {
        let came = wire(&[b"ab"]);
        assert_ne!(came.compact().get(0).unwrap().as_ptr(), came.get(0).unwrap().as_ptr());
        let many = Arguments::from(vec![Bytes::new(); ARGC_MAX + 1]).compact();
        assert!(many.as_wire().is_none(), "what is kept as on the wire goes unchecked");
    }
}
