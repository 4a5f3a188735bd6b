//! Any octets are a frame, the beginning of one, or an error; a frame is written so that it reads the same. Prefaces likewise.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use smrp::wire::{Frame, Header, Preface};

fuzz_target!(|input: &[u8]| {
    let octets = Bytes::copy_from_slice(input);
    for on_octets in [true, false] {
        let mut at = 0;
        while let Ok(Some(header)) = Header::decode(&octets[at..]) {
            let len = header.len + header.body_len;
            if octets.len() - at < len {
                break;
            }
            match Frame::decode(header, &octets, at, on_octets) {
                Ok(frame) => {
                    let mut again = BytesMut::new();
                    frame.encode(&mut again);
                    let again = again.freeze();
                    let header = Header::decode(&again).unwrap().unwrap();
                    assert_eq!(header.len + header.body_len, again.len());
                    assert_eq!(Frame::decode(header, &again, 0, on_octets).unwrap(), frame);
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
            at += len;
        }
    }
    if let Ok(Some((preface, len))) = Preface::decode(input) {
        assert_eq!(preface.encode(), input[..len]);
    }
});
