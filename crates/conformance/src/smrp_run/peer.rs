//! The peer of the end under test: prefaces, and frames out of octets.

use super::frames::{Known, seen};
use crate::notation::{argument, render};
use sha2::{Digest, Sha256};
use smrp::Role;
use std::collections::BTreeSet;

const MAGIC: [u8; 8] = [0x8B, 0x53, 0x4D, 0x52, 0x50, 0x0D, 0x0A, 0x1A];
/// Magic and length.
const HEAD_LEN: usize = 10;
const NONCE: [u8; 16] = [3; 16];

/// What the peer knows of one link.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// The peer's preface, and that of the end under test.
    ours: Vec<u8>,
    theirs: Vec<u8>,
    unread: Vec<u8>,
}

/// Something that came from the end under test.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) words: Vec<String>,
    /// Octets that count for the position.
    pub(crate) session_len: u64,
    /// What a frame of a stream of octets carries. Cases in process look at the words alone.
    #[cfg_attr(not(feature = "sockets"), expect(dead_code, reason = "read over sockets"))]
    pub(crate) data: Option<Vec<u8>>,
}

/// The peer.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Which end is under test.
    tested: Role,
    pub(crate) known: Known,
    nonces: BTreeSet<Vec<u8>>,
    /// PINGs that came, as the words of their answers.
    pub(crate) pings: Vec<Vec<u8>>,
}

impl Peer {
    pub(crate) fn new(tested: Role) -> Self {
        Self { tested, known: Known::default(), nonces: BTreeSet::new(), pings: Vec::new() }
    }

    /// The octets of a preface in the words of a case.
    pub(crate) fn preface(&mut self, words: &[String], security: u8, link: &mut Link) -> Result<Vec<u8>, String> {
        let (mut magic, mut versions, mut security) = (MAGIC.to_vec(), vec![1], security);
        let (mut nonce, mut parameters) = (NONCE.to_vec(), Vec::new());
        let (mut length, mut count, mut cut, mut extra) = (None, None, 0, 0);
        for word in words {
            let (key, value) = word.split_once('=').ok_or(format!("{word}: a preface has no such thing"))?;
            let octets = || argument(value).map_err(|error| error.to_string());
            let number = || number(value).ok_or(format!("{word}: no number"));
            match key {
                "magic" => magic = octets()?,
                "versions" => {
                    versions =
                        value.split(',').map(|version| self::number(version).ok_or(word)).collect::<Result<_, _>>()?;
                }
                "security" => security = number()?.to_le_bytes()[0],
                "nonce" => nonce = octets()?,
                "parameters" => parameters = octets()?,
                "length" => length = Some(number()?),
                "count" => count = Some(number()?.to_le_bytes()[0]),
                "cut" => cut = number()?,
                "extra" => extra = number()?,
                _ => return Err(format!("{word}: a preface has no such thing")),
            }
        }
        let mut body = vec![count.unwrap_or(versions.len().to_le_bytes()[0])];
        versions.iter().for_each(|version| body.extend(version.to_be_bytes()));
        body.push(security);
        body.extend(nonce);
        body.extend(parameters);
        body.truncate(body.len().saturating_sub(usize::try_from(cut).unwrap_or(0)));
        body.extend(vec![0; usize::try_from(extra).unwrap_or(0)]);
        let length = length.unwrap_or(u32::try_from(body.len()).unwrap_or(u32::MAX));
        let [_, _, high, low] = length.to_be_bytes();
        let octets = [&magic[..], &[high, low], &body].concat();
        link.ours.clone_from(&octets);
        self.hashes(link);
        Ok(octets)
    }

    /// What each HELLO has to hash, as far as the prefaces are there.
    fn hashes(&mut self, link: &Link) {
        let both =
            |first: &[u8], second: &[u8]| Sha256::new().chain_update(first).chain_update(second).finalize().to_vec();
        let Link { ours, theirs, .. } = link;
        (self.known.hash, self.known.hash_due) = match self.tested {
            Role::Initiator => (both(theirs, ours), both(theirs, &[])),
            Role::Acceptor => (both(ours, &[]), both(ours, theirs)),
        };
    }

    /// What came, as far as it is whole.
    pub(crate) fn read(&mut self, octets: &[u8], link: &mut Link) -> Result<Vec<Sent>, String> {
        link.unread.extend(octets);
        let mut list = Vec::new();
        if link.theirs.is_empty() && !link.unread.is_empty() {
            let Some((words, len)) = self.seen_preface(&link.unread)? else { return Ok(list) };
            link.theirs = link.unread.drain(..len).collect();
            self.hashes(link);
            list.push(Sent { words, session_len: 0, data: None });
        }
        while let Some(frame) = seen(&link.unread, &self.known)? {
            link.unread.drain(..frame.len);
            let session_len = if frame.is_session { frame.len as u64 } else { 0 };
            self.known.received_len += session_len;
            self.known.tickets.extend(frame.handle);
            self.pings.extend(frame.ping);
            list.push(Sent { words: frame.words, session_len, data: frame.data });
        }
        Ok(list)
    }

    /// A preface by section 4.
    fn seen_preface(&mut self, octets: &[u8]) -> Result<Option<(Vec<String>, usize)>, String> {
        let [head @ .., high, low] = octets.get(..HEAD_LEN).unwrap_or_default() else { return Ok(None) };
        if head != MAGIC {
            return Err("a preface with another magic".into());
        }
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(body) = octets.get(HEAD_LEN..HEAD_LEN + len) else { return Ok(None) };
        let cut = || String::from("a preface that is cut");
        let (count, rest) = body.split_first().ok_or_else(cut)?;
        let (versions, rest) = rest.split_at_checked(usize::from(*count) * 4).ok_or_else(cut)?;
        let (security, rest) = rest.split_first().ok_or_else(cut)?;
        let (nonce, parameters) = rest.split_at_checked(16).ok_or_else(cut)?;
        let versions = versions.chunks(4).map(|version| crate::smrp::number(version).to_string());
        let versions: Vec<String> = versions.collect();
        let is_fresh = self.nonces.insert(nonce.to_vec()) && nonce.iter().any(|octet| *octet != 0);
        let mut words = vec![
            "preface".into(),
            format!("nonce={}", if is_fresh { "fresh" } else { "stale" }),
            format!("security={security}"),
            format!("versions={}", versions.join(",")),
        ];
        words.extend((!parameters.is_empty()).then(|| format!("parameters={}", render([parameters]).trim_start())));
        Ok(Some((words, HEAD_LEN + len)))
    }

    /// Octets that came and are no whole frame.
    pub(crate) fn left_len(link: &Link) -> usize {
        link.unread.len()
    }
}

fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}
