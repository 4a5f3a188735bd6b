//! What is sent and received: parts, and headers where the protocol has them.

use bytes::Bytes;
use core::fmt;
use std::sync::Arc;

/// A message: byte strings in order, each of which may be empty, and headers.
///
/// ```
/// use postroad::Message;
///
/// let message = Message::from("hello").with_part(vec![1, 2, 3]);
/// assert_eq!(message.part_count(), 2);
/// assert_eq!(message.text(0), Some("hello"));
/// ```
///
/// What a stack can carry differs: over `smp` a message has at most 15 parts (14 in a request or reply) and no
/// headers, over `smp121` it has one part and no headers, over `wrp` one part and headers of text. Sending what cannot be carried is an error of kind [`Unsupported`](crate::ErrorKind::Unsupported), and
/// [`ConnectOptions::require`](crate::ConnectOptions::require) says so before anything is sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    parts: Vec<Bytes>,
    headers: Vec<(String, Bytes)>,
    /// What it came in, over `wrp`.
    wrp: Origin,
}

/// Where a message comes from is no part of what it is.
#[derive(Clone, Default)]
struct Origin(Option<Arc<wrp::Message>>);

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

impl Message {
    /// A message without parts.
    #[must_use]
    pub const fn new() -> Self {
        Self { parts: Vec::new(), headers: Vec::new(), wrp: Origin(None) }
    }

    /// The same message with one part more.
    #[must_use]
    pub fn with_part(mut self, part: impl Into<Bytes>) -> Self {
        self.parts.push(part.into());
        self
    }

    /// The same message with one header more. No header of the same name is replaced.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The parts in order.
    #[must_use]
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// The headers in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, Bytes)] {
        &self.headers
    }

    /// How many parts there are.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// Part `index`, from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Bytes> {
        self.parts.get(index)
    }

    /// Part `index`, from 0, where it is UTF-8.
    #[must_use]
    pub fn text(&self, index: usize) -> Option<&str> {
        self.parts.get(index).and_then(|part| core::str::from_utf8(part).ok())
    }

    /// Octets of all parts together.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// The WRP message that it came in, over `wrp`: source, destination, content type, metadata and all else that it said. Not
    /// looked at when the message is sent, or compared with another one.
    #[must_use]
    pub fn as_wrp(&self) -> Option<&wrp::Message> {
        self.wrp.0.as_deref()
    }

    pub(crate) fn with_wrp(mut self, origin: Arc<wrp::Message>) -> Self {
        self.wrp = Origin(Some(origin));
        self
    }

    /// The parts by value.
    #[must_use]
    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }
}

/// Shows sizes only: payloads do not belong in logs.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.parts.iter().map(|part| format!("{} B", part.len())).collect();
        f.debug_struct("Message").field("parts", &parts).field("header_count", &self.headers.len()).finish()
    }
}

impl From<Vec<Bytes>> for Message {
    fn from(parts: Vec<Bytes>) -> Self {
        Self { parts, ..Self::new() }
    }
}

impl<const N: usize> From<[Bytes; N]> for Message {
    fn from(parts: [Bytes; N]) -> Self {
        Vec::from(parts).into()
    }
}

impl From<Bytes> for Message {
    fn from(part: Bytes) -> Self {
        vec![part].into()
    }
}

impl From<Vec<u8>> for Message {
    fn from(part: Vec<u8>) -> Self {
        Bytes::from(part).into()
    }
}

impl From<String> for Message {
    fn from(part: String) -> Self {
        Bytes::from(part).into()
    }
}

/// Copies the text.
impl From<&str> for Message {
    fn from(part: &str) -> Self {
        Bytes::copy_from_slice(part.as_bytes()).into()
    }
}

impl FromIterator<Bytes> for Message {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        parts.into_iter().collect::<Vec<_>>().into()
    }
}
