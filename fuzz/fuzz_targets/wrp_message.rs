//! Any octets are a WRP message or an error; a message is written so that it reads the same, in MessagePack and in JSON, and whatever is cut
//! off it is missed. The same octets as JSON, and as a locator, never do harm either.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wrp::{DecodeErrorKind, DeviceId, Limits, Locator, Message, MessageRef};

fuzz_target!(|input: &[u8]| {
    let octets = Bytes::copy_from_slice(input);
    let limits = Limits {
        trailing_len_max: usize::from(input.first().is_some_and(|first| first & 1 == 1)),
        ..Limits::default()
    };
    match Message::decode(&octets, &limits) {
        Ok(message) => read(&message, &octets, &limits),
        Err(error) => {
            assert!(error.offset <= input.len());
            assert!(!error.to_string().is_empty());
            assert_eq!(MessageRef::decode(input, &limits).unwrap_err(), error);
        }
    }
    if let Ok(message) = Message::from_json(input) {
        let _judged = message.validate();
        let mut same = message.clone();
        same.payload = same.payload.filter(|payload| !payload.is_empty());
        assert_eq!(Message::from_json(message.to_json().as_bytes()).unwrap(), same);
    }
    if let Ok(text) = core::str::from_utf8(input) {
        if let Ok(locator) = text.parse::<Locator>() {
            let again: Locator = locator.to_string().parse().unwrap();
            assert_eq!(
                (again.authority(), again.service(), again.ignored()),
                (locator.authority(), locator.service(), locator.ignored())
            );
            assert_eq!(text.parse::<DeviceId>().is_ok(), true, "a locator names somebody");
        }
    }
});

fn read(message: &Message, octets: &Bytes, limits: &Limits) {
    let borrowed = MessageRef::decode(octets, limits).unwrap();
    assert_eq!(borrowed.headers.iter().count(), borrowed.headers.len());
    assert_eq!(borrowed.metadata.iter().count(), borrowed.metadata.len());
    let written = message.encode();
    assert!(written.len() <= message.encoded_len());
    assert_eq!(&Message::decode(&written, &Limits::NONE).unwrap(), message);
    // Unknown fields go and the rest is as short as it goes, but: a type of 10 octets and a qos of 5 may have been missing, four
    // numbers may have come without a sign and take up to 4 octets more, and the map may have had fewer than 16 entries.
    assert!(written.len() <= octets.len() + 10 + 5 + 4 * 4 + 2);
    for cut in [written.len() / 2, written.len() - 1] {
        let error = Message::decode(&written.slice(..cut), &Limits::NONE).unwrap_err();
        assert!(matches!(error.kind, DecodeErrorKind::Short { .. }), "{error}");
    }
    let _judged = message.validate();
}
