//! The preface: the first octets of each direction of a link.

use super::parameters::{Parameters, ParametersError, Rules};
use bytes::{BufMut, Bytes, BytesMut};
use core::fmt;
use sha2::{Digest, Sha256};
use thiserror::Error;
use wirekit::{Reader, Short};

/// The first octets. The first one begins no TLS record, no HTTP request and no SSH banner.
pub const MAGIC: [u8; 8] = [0x8B, b'S', b'M', b'R', b'P', 0x0D, 0x0A, 0x1A];
/// The version of docs/smrp.md.
pub const VERSION_1: u32 = 1;
/// Octets behind the length that a preface has at most.
pub const PREFACE_LEN_MAX: usize = 1_024;
/// Versions that a preface lists at most.
pub const VERSION_COUNT_MAX: usize = 16;
const NONCE_LEN: usize = 16;
const RULES: Rules = Rules { known: &[], repeatable: &[], text: &[] };

/// True for a version that exists so that nobody gets used to there being few.
#[must_use]
pub const fn is_grease(version: u32) -> bool {
    version & 0x0F0F_0F0F == 0x0A0A_0A0A
}

/// What an end says about the secrecy of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// The carrier is TLS.
    Tls,
    /// TLS within the session. Not spoken by this crate.
    Inner,
    /// Plaintext.
    Plaintext,
}

impl Security {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tls => 0,
            Self::Inner => 1,
            Self::Plaintext => 2,
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Self::Tls, Self::Inner, Self::Plaintext].into_iter().find(|security| security.number() == number)
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS of the carrier",
            Self::Inner => "TLS within the session",
            Self::Plaintext => "plaintext",
        })
    }
}

/// A preface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preface {
    /// Versions, best first; in an answer the chosen one.
    pub versions: Vec<u32>,
    /// What the sender says about its link.
    pub security: Security,
    /// Fresh for each link.
    pub nonce: [u8; NONCE_LEN],
    /// None is defined yet.
    pub parameters: Parameters,
}

/// Why octets are no preface.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrefaceError {
    /// Another protocol.
    #[error("the peer does not speak SMRP: {0}")]
    OtherProtocol(OtherProtocol),
    /// Longer than any preface.
    #[error("a preface of {len} octets, where {PREFACE_LEN_MAX} are the most")]
    TooLong {
        /// What its length says.
        len: usize,
    },
    /// Its fields end before or behind its length.
    #[error("the fields of the preface do not end with it")]
    Length,
    /// No version, or more than 16.
    #[error("a preface with {0} versions, where 1 to {VERSION_COUNT_MAX} are allowed")]
    VersionCount(u8),
    /// A number that says nothing about security.
    #[error("security {0} is unknown")]
    Security(u8),
    /// Its parameters cannot be read.
    #[error("the preface's {0}")]
    Parameters(#[from] ParametersError),
}

/// What came instead, as far as its first octets tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherProtocol {
    /// A TLS record.
    Tls,
    /// A request or an answer of HTTP.
    Http,
    /// An SSH banner.
    Ssh,
    /// This octet, and it says nothing more.
    Octet(u8),
}

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("it sent a TLS record; is one side configured without TLS?"),
            Self::Http => f.write_str("it sent HTTP; is this the right port?"),
            Self::Ssh => f.write_str("it sent an SSH banner; is this the right port?"),
            Self::Octet(octet) => write!(f, "its first octet is {octet:#04x}, not {:#04x}", MAGIC[0]),
        }
    }
}

impl OtherProtocol {
    fn of(octets: &[u8]) -> Self {
        match octets {
            [0x14..=0x17, ..] => Self::Tls,
            [b'S', b'S', ..] => Self::Ssh,
            [b'A'..=b'Z', ..] => Self::Http,
            _ => Self::Octet(octets.first().copied().unwrap_or_default()),
        }
    }
}

impl Preface {
    /// Its octets.
    //= SMRP-P1
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(u8::try_from(self.versions.len()).unwrap_or(u8::MAX));
        self.versions.iter().for_each(|version| body.put_u32(*version));
        body.put_u8(self.security.number());
        body.put_slice(&self.nonce);
        body.put_slice(self.parameters.octets());
        let mut out = BytesMut::with_capacity(MAGIC.len() + 2 + body.len());
        out.put_slice(&MAGIC);
        out.put_u16(u16::try_from(body.len()).unwrap_or(u16::MAX));
        out.put_slice(&body);
        out.freeze()
    }

    /// Reads a preface from the front of `octets`. `None` where more are needed; otherwise how many it took.
    ///
    /// # Errors
    /// [`PrefaceError`] as soon as it can be told.
    //= SMRP-P2, SMRP-P3, SMRP-P4
    pub fn decode(octets: &[u8]) -> Result<Option<(Self, usize)>, PrefaceError> {
        let begun = MAGIC.iter().zip(octets).take_while(|(magic, octet)| magic == octet).count();
        if begun < MAGIC.len().min(octets.len()) {
            return Err(PrefaceError::OtherProtocol(OtherProtocol::of(octets)));
        }
        let mut reader = Reader::new(octets);
        let Ok(len) = reader.take(MAGIC.len()).and_then(|_| reader.u16()) else { return Ok(None) };
        let len = usize::from(len);
        if len > PREFACE_LEN_MAX {
            return Err(PrefaceError::TooLong { len });
        }
        let Ok(body) = reader.take(len) else { return Ok(None) };
        let preface = Self::decode_body(body)?;
        Ok(Some((preface, reader.position())))
    }

    fn decode_body(body: &[u8]) -> Result<Self, PrefaceError> {
        let short = |_: Short| PrefaceError::Length;
        let mut reader = Reader::new(body);
        let count = reader.u8().map_err(short)?;
        if count == 0 || usize::from(count) > VERSION_COUNT_MAX {
            return Err(PrefaceError::VersionCount(count));
        }
        let versions = (0..count).map(|_| reader.u32().map_err(short)).collect::<Result<Vec<u32>, _>>()?;
        let number = reader.u8().map_err(short)?;
        let security = Security::of(number).ok_or(PrefaceError::Security(number))?;
        let nonce = reader.array().map_err(short)?;
        let rest = reader.take(reader.remaining_len()).map_err(short)?;
        let parameters = Parameters::read(Bytes::copy_from_slice(rest), RULES)?;
        Ok(Self { versions, security, nonce, parameters })
    }
}

/// SHA-256 of the prefaces seen so far, as HELLO carries it.
//= SMRP-P11
#[must_use]
pub fn preface_hash(prefaces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    prefaces.iter().for_each(|preface| hash.update(preface));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preface() -> Preface {
        Preface {
            versions: vec![VERSION_1, 0x1A2A_3A4A],
            security: Security::Plaintext,
            nonce: [7; 16],
            parameters: Parameters::default(),
        }
    }

    #[test]
    fn a_preface_is_read_as_it_was_written_at_every_cut() {
        //= SMRP-P1
        let octets = preface().encode();
        assert_eq!(octets[..12], [0x8B, 0x53, 0x4D, 0x52, 0x50, 0x0D, 0x0A, 0x1A, 0, 26, 2, 0]);
        for cut in 0..octets.len() {
            assert_eq!(Preface::decode(&octets[..cut]), Ok(None), "{cut}");
        }
        let mut longer = octets.to_vec();
        longer.push(0x04);
        assert_eq!(Preface::decode(&longer), Ok(Some((preface(), octets.len()))));
    }

    #[test]
    fn another_protocol_is_named_by_its_first_octets() {
        //= SMRP-P2
        let other = |octets: &[u8]| Preface::decode(octets).unwrap_err().to_string();
        assert!(other(&[0x16, 3, 1]).contains("TLS record"));
        assert!(other(b"GET / HTTP/1.1").contains("HTTP"));
        assert!(other(b"SSH-2.0").contains("SSH"));
        assert!(other(&[0x8B, b'S', b'X']).contains("first octet"), "the magic goes wrong at its third octet");
        assert!(other(&[0]).contains("0x00"));
    }

    #[test]
    fn lengths_and_counts_are_checked_before_anything_is_kept() {
        //= SMRP-P3, SMRP-P4
        let with = |change: fn(&mut Vec<u8>)| {
            let mut octets = preface().encode().to_vec();
            change(&mut octets);
            Preface::decode(&octets)
        };
        assert_eq!(
            with(|o| o[8..10].copy_from_slice(&1025_u16.to_be_bytes())),
            Err(PrefaceError::TooLong { len: 1025 })
        );
        assert_eq!(with(|o| o[8..10].copy_from_slice(&1024_u16.to_be_bytes())), Ok(None));
        assert_eq!(with(|o| o[9] -= 1), Err(PrefaceError::Length));
        assert_eq!(with(|o| o[10] = 0), Err(PrefaceError::VersionCount(0)));
        assert_eq!(with(|o| o[10] = 17), Err(PrefaceError::VersionCount(17)));
        assert_eq!(with(|o| o[19] = 3), Err(PrefaceError::Security(3)));
        let trailing = with(|o| {
            o[9] += 1;
            o.push(2);
        });
        assert_eq!(trailing, Err(PrefaceError::Parameters(ParametersError::Cut)));
    }

    #[test]
    fn grease_versions_have_their_own_form() {
        //= SMRP-P7
        assert!(is_grease(0x0A1A_2A3A) && !is_grease(VERSION_1) && !is_grease(0x0A1A_2A3B));
    }
}
