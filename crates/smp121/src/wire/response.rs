//! Response records: what rides along between header and data.

use wirekit::Reader;

/// Octets of a record without its variable data.
pub const RESPONSE_HEADER_LEN: usize = 8;

/// The most records of one segment: its count is one octet.
pub const RESPONSE_COUNT_MAX: usize = 255;

/// A response to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The connection number of the message.
    pub number: u32,
    /// The mailslot that the request of the exchange went to, in either direction.
    //= SMP121-W20
    pub mailslot: u16,
    /// What is said of it.
    pub action: Action,
}

/// What a response record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Action 1: the number is unknown. The source has a flag for it; the deployed implementation has this record.
    //= SMP121-W21
    Reset,
    /// Action 2: everything in front of this offset is here. The offset is the next octet that is expected.
    Accepted {
        /// 0 to the total size of the message.
        offset: u32,
    },
    /// Action 3: the message is larger than the receiver takes.
    TooLarge,
    /// Action 4: the receiver has the request and is at work on something. It advises only.
    Busy,
}

impl Action {
    /// Its octet on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Reset => 1,
            Self::Accepted { .. } => 2,
            Self::TooLarge => 3,
            Self::Busy => 4,
        }
    }
}

impl Response {
    /// Octets on the wire: 12 for an acknowledgement, 8 for the others.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        RESPONSE_HEADER_LEN + self.data_len()
    }

    const fn data_len(&self) -> usize {
        match self.action {
            Action::Accepted { .. } => 4,
            _ => 0,
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.mailslot.to_be_bytes());
        out.push(if matches!(self.action, Action::Accepted { .. }) { 4 } else { 0 });
        out.push(self.action.code());
        if let Action::Accepted { offset } = self.action {
            out.extend_from_slice(&offset.to_be_bytes());
        }
    }
}

/// A record as it stands on the wire, known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawResponse<'a> {
    /// The connection number.
    pub number: u32,
    /// The mailslot.
    pub mailslot: u16,
    /// The action's octet.
    pub action: u8,
    /// Its variable data, at most 255 octets.
    pub data: &'a [u8],
}

impl<'a> RawResponse<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let number = reader.u32().ok()?;
        let mailslot = reader.u16().ok()?;
        let size = reader.u8().ok()?;
        let action = reader.u8().ok()?;
        let data = reader.take(usize::from(size)).ok()?;
        Some(Self { number, mailslot, action, data })
    }

    /// What it means; `None` for an action that the source does not define and for one whose data has another size than it
    /// must have: those are passed over.
    //= SMP121-W22, SMP121-W23
    #[must_use]
    pub fn known(&self) -> Option<Response> {
        let action = match (self.action, self.data) {
            (1, []) => Action::Reset,
            (2, &[a, b, c, d]) => Action::Accepted { offset: u32::from_be_bytes([a, b, c, d]) },
            (3, []) => Action::TooLarge,
            (4, []) => Action::Busy,
            _ => return None,
        };
        Some(Response { number: self.number, mailslot: self.mailslot, action })
    }
}

/// The records of a segment, in the order of the wire, which means nothing.
#[derive(Clone, Copy, Debug)]
pub struct Responses<'a> {
    reader: Reader<'a>,
    left_count: u8,
}

impl<'a> Responses<'a> {
    /// `octets` hold exactly `count` records; the decoder has made sure of that.
    pub(super) const fn new(octets: &'a [u8], count: u8) -> Self {
        Self { reader: Reader::new(octets), left_count: count }
    }

    /// How many are left.
    #[must_use]
    pub const fn count_left(&self) -> u8 {
        self.left_count
    }
}

impl<'a> Iterator for Responses<'a> {
    type Item = RawResponse<'a>;

    fn next(&mut self) -> Option<RawResponse<'a>> {
        self.left_count = self.left_count.checked_sub(1)?;
        RawResponse::read(&mut self.reader)
    }
}
