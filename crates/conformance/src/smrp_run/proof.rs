//! Proofs of possession: what they sign, written down apart from the implementation, and a key that stands for any.

use super::body::Values;
use sha2::{Digest, Sha256};
use smrp::Signer;

/// What the carrier's exporter gives where a case says that it is TLS 1.3.
pub(crate) const BINDING: [u8; 32] = [7; 32];
/// The public key of [`Key`].
pub(crate) const PUBLIC: &[u8] = b"public";

/// A key whose signature is a hash, twice: what counts here is what was signed.
#[derive(Debug)]
pub(crate) struct Key;

impl Signer for Key {
    fn public_key(&self) -> bytes::Bytes {
        bytes::Bytes::from_static(PUBLIC)
    }

    fn sign(&self, octets: &[u8]) -> Vec<u8> {
        Sha256::digest(octets).repeat(2)
    }
}

/// The 156 octets of SMRP-A7.
pub(crate) fn octets(method: u8, about: &[u8]) -> Vec<u8> {
    let mut octets = [0x20; 64].to_vec();
    octets.extend(b"SMRP/1 proof of possession");
    octets.extend([0, method]);
    octets.extend(Sha256::digest(about));
    octets.extend(BINDING);
    octets
}

/// Whether the signature in a list of parameters is over what the method demands: over the token where there is one, else over the key.
pub(crate) fn is_right(taken: &Values, list: &[u8]) -> bool {
    let Some(signature) = taken.get("signature") else { return false };
    let proof = match taken.get("token") {
        Some(token) => octets(4, token),
        None if list.ends_with(PUBLIC) => octets(2, PUBLIC),
        None => return false,
    };
    *signature == Key.sign(&proof)
}
