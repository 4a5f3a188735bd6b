//! Which frame a fault is told by.

use crate::hostile::{answer, id};
use crate::raw::Raw;
use bytes::Bytes;
use smrp::wire::*;

#[test]
fn the_frame_that_shows_a_fault_is_named() {
    //= SMRP-E1, SMRP-S5
    let mut raw = Raw::ready();
    raw.send(&[Frame::Settings(ParametersBuilder::new().with_number(parameter::IDLE_MS, 5_000).build())]);
    let said = raw.read();
    let named = matches!(said[..], [Frame::Close { code: Code::SETTINGS, frame_type, .. }] if frame_type == u64::from(number::SETTINGS));
    assert!(named, "{said:?}");
}

#[test]
fn text_that_is_none_is_a_fault_of_its_frame() {
    //= SMRP-C9
    let list = ParametersBuilder::new().with(parameter::NAME, &[0xC3, 0x28]).build();
    let open = Open {
        stream: id(0),
        kind_and_priority: 3,
        credit: None,
        ttl_ms: None,
        metadata: Some(list),
        data: Bytes::new(),
        fin: false,
    };
    assert_eq!(answer(&[Frame::Open(open)]), Code::FRAME_ENCODING);
}
