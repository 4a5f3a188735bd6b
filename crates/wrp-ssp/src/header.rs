//! The five headers of a packet.

use crate::{Encoding, EncodingError, End, NUMBER_MAX};
use bytes::Bytes;
use thiserror::Error;
use wrp::Message;

pub(crate) const STREAM_ID: &str = "stream-id";
pub(crate) const NUMBER: &str = "stream-packet-number";
pub(crate) const FINAL: &str = "stream-final-packet";
pub(crate) const ENCODING: &str = "stream-encoding";
pub(crate) const ESTIMATED_LEN: &str = "stream-estimated-total-length";

const LABELS: [&str; 5] = [STREAM_ID, NUMBER, FINAL, ENCODING, ESTIMATED_LEN];

/// Why a message is no packet although it has headers of one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// No stream is named.
    #[error("no stream-id")]
    NoStreamId,
    /// The stream's name holds more than letters, digits, `_` and `-`, or nothing.
    #[error("stream-id {0:?} has more than letters, digits, _ and -")]
    StreamId(String),
    /// No number.
    #[error("no stream-packet-number")]
    NoNumber,
    /// The number is none, or above 2^63 - 1.
    #[error("stream-packet-number {0:?} is no decimal number up to 2^63 - 1")]
    Number(String),
    /// The encoding is unknown.
    #[error("stream-encoding: {0}")]
    Encoding(#[from] EncodingError),
}

/// A header's label and value, as they count: trimmed, the label in any case. `None` for what is no header of a stream.
//= SSP-H1, SSP-H2, SSP-H3
#[must_use]
pub fn label_of(header: &str) -> Option<(&'static str, &str)> {
    let (label, value) = header.split_once(':')?;
    let label = label.trim();
    let known = LABELS.into_iter().find(|known| known.eq_ignore_ascii_case(label))?;
    Some((known, value.trim()))
}

/// True where the message has at least one header of a stream.
//= SSP-H4
#[must_use]
pub fn is_ssp(message: &Message) -> bool {
    message.headers.iter().any(|header| label_of(header).is_some())
}

/// The last value of a label.
//= SSP-H5
fn last<'a>(message: &'a Message, wanted: &str) -> Option<&'a str> {
    message
        .headers
        .iter()
        .rev()
        .filter_map(|header| label_of(header))
        .find(|(label, _)| *label == wanted)
        .map(|(_, value)| value)
}

/// The stream that an event is of, unchecked. `None` for other messages.
//= SSP-H6
#[must_use]
pub fn stream_id_of(message: &Message) -> Option<&str> {
    if message.msg_type != wrp::MessageType::EVENT {
        return None;
    }
    last(message, STREAM_ID)
}

/// The estimated length that an event says; `Some(0)` for an empty one. `None` for other messages, and where it is no number.
//= SSP-H6
#[must_use]
pub fn estimated_len_of(message: &Message) -> Option<u64> {
    if message.msg_type != wrp::MessageType::EVENT {
        return None;
    }
    match last(message, ESTIMATED_LEN)? {
        "" => Some(0),
        value => decimal(value),
    }
}

/// Decimal digits and nothing else, leading zeros allowed.
//= SSP-N2
fn decimal(value: &str) -> Option<u64> {
    if !value.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    value.parse().ok()
}

pub(crate) fn is_stream_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'))
}

/// Texts of a peer shown in errors end here.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A packet, as it lies in its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketRef<'a> {
    /// The stream.
    pub stream_id: &'a str,
    /// Its place in the stream, from 0.
    pub number: u64,
    /// How the payload is written.
    pub encoding: Encoding,
    /// In the last packet, how the stream ends.
    pub end: Option<End>,
    /// How long the stream may become. It means nothing but progress.
    pub estimated_len: Option<u64>,
    /// The octets.
    pub payload: Bytes,
}

impl<'a> PacketRef<'a> {
    /// The packet that a message carries; `Ok(None)` for a message without any header of a stream.
    ///
    /// # Errors
    /// [`HeaderError`].
    //= SSP-H1, SSP-I1, SSP-N1, SSP-N2, SSP-N3, SSP-E2, SSP-X1
    pub fn from_message(message: &'a Message) -> Result<Option<Self>, HeaderError> {
        Self::from_headers(message.headers.iter().map(String::as_str), || message.payload.clone().unwrap_or_default())
    }

    /// The packet with these headers; `Ok(None)` where none of them is of a stream. `payload` is only asked for then.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn from_headers(
        headers: impl Iterator<Item = &'a str>,
        payload: impl FnOnce() -> Bytes,
    ) -> Result<Option<Self>, HeaderError> {
        let [mut stream_id, mut number, mut end, mut encoding, mut estimated_len] = [None; 5];
        for (label, value) in headers.filter_map(label_of) {
            let slot = match label {
                STREAM_ID => &mut stream_id,
                NUMBER => &mut number,
                FINAL => &mut end,
                ENCODING => &mut encoding,
                _ => &mut estimated_len,
            };
            *slot = Some(value);
        }
        if [stream_id, number, end, encoding, estimated_len].iter().all(Option::is_none) {
            return Ok(None);
        }
        let stream_id = stream_id.ok_or(HeaderError::NoStreamId)?;
        if !is_stream_id(stream_id) {
            return Err(HeaderError::StreamId(shown(stream_id)));
        }
        let number = number.ok_or(HeaderError::NoNumber)?;
        let number =
            decimal(number).filter(|number| *number <= NUMBER_MAX).ok_or_else(|| HeaderError::Number(shown(number)))?;
        Ok(Some(Self {
            stream_id,
            number,
            encoding: encoding.unwrap_or_default().parse()?,
            end: end.map(End::from_header),
            // A bad one is no reason to lose a packet.
            estimated_len: estimated_len.and_then(decimal),
            payload: payload(),
        }))
    }
}

/// Writes the headers of a packet behind the first `count` of `headers`, which are the application's and the stream's name. Texts
/// that were there are used again.
//= SSP-S5
pub(crate) fn put(
    headers: &mut Vec<String>,
    count: usize,
    number: u64,
    estimated_len: Option<u64>,
    end: Option<&End>,
    encoding: Encoding,
) {
    let mut at = count;
    let mut next = |label: &str, value: &str| {
        if headers.len() == at {
            headers.push(String::new());
        }
        if let Some(header) = headers.get_mut(at) {
            header.clear();
            header.reserve(label.len() + 2 + value.len());
            for piece in [label, ": ", value] {
                header.push_str(piece);
            }
        }
        at += 1;
    };
    let mut digits = [0; 20];
    next(NUMBER, in_digits(number, &mut digits));
    if let Some(len) = estimated_len {
        next(ESTIMATED_LEN, in_digits(len, &mut digits));
    }
    if let Some(end) = end {
        next(FINAL, &end.header());
    }
    if let Some(encoding) = encoding.header() {
        next(ENCODING, encoding);
    }
    headers.truncate(at);
}

/// A header.
pub(crate) fn text(label: &str, value: &str) -> String {
    format!("{label}: {value}")
}

/// Decimal digits, without the machinery of formatting: there is a number in every packet.
fn in_digits(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
        at -= 1;
        if number == 0 {
            break;
        }
    }
    digits.get(at..).and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default()
}
