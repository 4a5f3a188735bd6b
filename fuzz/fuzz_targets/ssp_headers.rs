//! Any headers are a packet of a stream, none, or an error, as a plain reader says; and a packet written again reads as itself.
//! The input: headers as lines.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wrp_ssp::{Encoding, End, HeaderError, NUMBER_MAX, PacketRef, clean_reason, label_of};

/// The last value of a label, by the rules in their plainest form.
fn value<'a>(lines: &[&'a str], wanted: &str) -> Option<&'a str> {
    let mut found = None;
    for line in lines {
        let Some(at) = line.find(':') else { continue };
        if line[..at].trim().to_ascii_lowercase() == wanted {
            found = Some(line[at + 1..].trim());
        }
    }
    found
}

fn number(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches('0');
    let is_decimal = !text.is_empty() && text.chars().all(|char| char.is_ascii_digit());
    (is_decimal && digits.len() <= 20)
        .then(|| digits.chars().fold(0_u128, |sum, digit| sum * 10 + u128::from(digit as u32 - 48)))
        .and_then(|number| u64::try_from(number).ok())
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = core::str::from_utf8(input) else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    let labels = [
        "stream-id",
        "stream-packet-number",
        "stream-final-packet",
        "stream-encoding",
        "stream-estimated-total-length",
    ];
    let values = labels.map(|label| value(&lines, label));
    let is_any = lines.iter().any(|line| label_of(line).is_some());
    assert_eq!(is_any, values.iter().any(Option::is_some));
    let read = PacketRef::from_headers(lines.iter().copied(), || Bytes::from_static(b"x"));
    let [id, number_text, end, encoding, estimated] = values;
    match read {
        Ok(None) => assert!(!is_any),
        Ok(Some(packet)) => {
            assert_eq!(Some(packet.stream_id), id);
            assert!(packet.number <= NUMBER_MAX && Some(packet.number) == number_text.and_then(number));
            assert_eq!(packet.estimated_len, estimated.and_then(number));
            assert_eq!(packet.end.is_some(), end.is_some());
            assert_eq!(Ok(packet.encoding), encoding.unwrap_or_default().parse::<Encoding>());
            again(&packet);
        }
        Err(HeaderError::NoStreamId) => assert!(is_any && id.is_none()),
        Err(HeaderError::StreamId(_)) => {
            let id = id.unwrap();
            assert!(
                id.is_empty() || id.chars().any(|char| !char.is_ascii_alphanumeric() && char != '_' && char != '-')
            );
        }
        Err(HeaderError::NoNumber) => assert!(number_text.is_none()),
        Err(HeaderError::Number(_)) => assert!(number_text.and_then(number).is_none_or(|number| number > NUMBER_MAX)),
        Err(HeaderError::Encoding(_)) => assert!(encoding.unwrap().parse::<Encoding>().is_err()),
        Err(other) => panic!("{other}"),
    }
});

/// What a sender would write of the packet.
fn again(packet: &PacketRef<'_>) {
    let end = packet.end.as_ref().map(End::header);
    let mut headers =
        vec![format!("stream-id: {}", packet.stream_id), format!("stream-packet-number: {}", packet.number)];
    headers.extend(packet.estimated_len.map(|len| format!("stream-estimated-total-length: {len}")));
    headers.extend(end.map(|end| format!("stream-final-packet: {end}")));
    headers.extend(packet.encoding.header().map(|name| format!("stream-encoding: {name}")));
    let read = PacketRef::from_headers(headers.iter().map(String::as_str), || packet.payload.clone()).unwrap().unwrap();
    assert_eq!((read.stream_id, read.number, read.encoding), (packet.stream_id, packet.number, packet.encoding));
    assert_eq!(read.estimated_len, packet.estimated_len);
    match (&packet.end, &read.end) {
        (None, None) | (Some(End::Clean), Some(End::Clean)) => {}
        // Cleaned once, a reason stays as it is, and never becomes a clean end.
        (Some(End::Failed(reason)), Some(End::Failed(read))) => {
            assert_eq!(&clean_reason(reason), read);
            assert!(read.chars().all(|char| !char.is_control()));
        }
        other => panic!("{other:?}"),
    }
}
