//! Payloads that somebody else compressed: octets within the limits, or an error; the same again from a state that was used before.
//! The input: one octet for the encoding and the limits, then the payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use wrp_ssp::codec::{Caps, Compressor, DecodeFault, Decompressor, RATIO_FREE_LEN, compressed_len_max};
use wrp_ssp::{Encoding, Level};

thread_local! {
    /// Used again for every input.
    static USED: RefCell<Decompressor> = RefCell::default();
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, payload)) = input.split_first() else { return };
    let encoding = [Encoding::Gzip, Encoding::Deflate, Encoding::Identity, Encoding::Gzip][usize::from(first & 3)];
    let caps = Caps { len_max: 1 << (8 + (first >> 2 & 15)), ratio_max: 1 + usize::from(first >> 6) * 50 };
    let mut fresh = Decompressor::default();
    let read = fresh.decompress(encoding, payload, caps).map(<[u8]>::to_vec);
    USED.with_borrow_mut(|used| assert_eq!(used.decompress(encoding, payload, caps).map(<[u8]>::to_vec), read));
    match read {
        Ok(plain) => {
            assert!(plain.len() <= caps.len_max);
            assert!(plain.len() <= RATIO_FREE_LEN.max(payload.len() * caps.ratio_max));
            // Nothing is read out of nothing, and what was read can be written.
            assert!(!payload.is_empty() || encoding == Encoding::Identity);
            let mut out = Vec::new();
            Compressor::new(encoding, Level::Fastest).compress(&plain, &mut out);
            assert!(out.len() <= compressed_len_max(plain.len()) + 18);
            if !plain.is_empty() {
                let wide = Caps { len_max: usize::MAX - 1, ratio_max: usize::MAX };
                assert_eq!(fresh.decompress(encoding, &out, wide).unwrap(), plain);
            }
        }
        Err(DecodeFault::TooLong { max, payload_len, .. }) => {
            assert!(payload_len == payload.len() && max <= caps.len_max);
            assert!(fresh.last().len() <= max + 1, "no more than one octet over the limit is made");
        }
        Err(fault) => assert!(encoding != Encoding::Identity && !fault.to_string().is_empty()),
    }
});
