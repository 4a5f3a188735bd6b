//! What headers can say.

use crate::{base, packet};
use wrp::Message;
use wrp_ssp::{END_TEXT_LEN_MAX, End, HeaderError, NUMBER_MAX, PacketRef, clean_reason, is_ssp, label_of};

type Said = (String, u64, Option<End>, Option<u64>);

fn read(headers: &[&str]) -> Result<Option<Said>, HeaderError> {
    let message = Message { headers: headers.iter().map(|text| (*text).to_owned()).collect(), ..base() };
    let packet = PacketRef::from_message(&message)?;
    Ok(packet.map(|packet| (packet.stream_id.to_owned(), packet.number, packet.end, packet.estimated_len)))
}

fn number(text: &str) -> Result<u64, HeaderError> {
    read(&["stream-id: s", &format!("stream-packet-number: {text}")]).map(|packet| packet.unwrap().1)
}

//= SSP-N1, SSP-N2, SSP-N3
#[test]
fn numbers_are_decimal_digits_up_to_2_63_minus_1() {
    for (text, wanted) in [("0", 0), ("00", 0), ("007", 7), (" 7 ", 7), ("9223372036854775807", NUMBER_MAX)] {
        assert_eq!(number(text), Ok(wanted), "{text:?}");
    }
    for text in [
        "",
        " ",
        "+1",
        "-0",
        "-1",
        "1.0",
        "1e3",
        "0x1",
        "1_0",
        "1 0",
        "seven",
        "\u{661}",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999999999",
    ] {
        assert!(matches!(number(text), Err(HeaderError::Number(_))), "{text:?}");
    }
    let long = number(&"9".repeat(1_000_000)).unwrap_err().to_string();
    assert!(long.len() < 200, "errors show a beginning: {}", long.len());
}

//= SSP-I1
#[test]
fn streams_are_named_with_letters_digits_underscores_and_hyphens() {
    let id = |id: &str| read(&[&format!("stream-id: {id}"), "stream-packet-number: 0"]);
    for good in ["a", "Z9_-", &"x".repeat(65_536)] {
        assert_eq!(id(good).unwrap().unwrap().0, good);
    }
    let symbols = " !\"#$%&'()*+,./:;<=>?@[\\]^`{|}~\u{7f}\u{e9}";
    for bad in symbols.chars().map(|symbol| format!("a{symbol}b")).chain([String::new()]) {
        assert!(matches!(id(&bad), Err(HeaderError::StreamId(_))), "{bad:?}");
    }
    assert_eq!(read(&["stream-packet-number: 0"]), Err(HeaderError::NoStreamId));
    assert_eq!(read(&["stream-id: s"]), Err(HeaderError::NoNumber));
}

//= SSP-H1, SSP-H2, SSP-H3, SSP-H5
#[test]
fn labels_are_trimmed_and_read_in_any_case_and_the_last_of_each_counts() {
    assert_eq!(label_of("\t STREAM-Id\r\n:  x "), Some(("stream-id", "x")));
    assert_eq!(label_of("stream-id"), None, "no colon");
    assert_eq!(label_of("stream id: x"), None);
    assert_eq!(label_of("stream - id: x"), None, "white space within a label is part of it");
    assert_eq!(label_of("stream-encoding: a:b"), Some(("stream-encoding", "a:b")));
    assert_eq!(label_of("stream-pac\u{212a}et-number: 0"), None, "the sign of the kelvin is no k");
    let last = read(&["stream-id: a", "stream-packet-number: 1", "Stream-ID: b", "stream-packet-number: 2"]);
    assert_eq!(last.unwrap().unwrap(), ("b".to_owned(), 2, None, None));
}

//= SSP-H4
#[test]
fn a_message_without_any_such_header_is_no_packet() {
    assert_eq!(read(&["a: b", "stream-id"]), Ok(None));
    assert!(!is_ssp(&base()));
    for label in
        ["stream-id", "stream-packet-number", "stream-final-packet", "stream-encoding", "stream-estimated-total-length"]
    {
        assert!(is_ssp(&Message { headers: vec![format!("{label}:")], ..base() }), "{label}");
    }
}

//= SSP-X1
#[test]
fn an_estimate_that_is_none_is_passed_over() {
    let estimate = |text: &str| {
        let header = format!("stream-estimated-total-length: {text}");
        read(&["stream-id: s", "stream-packet-number: 0", &header]).unwrap().unwrap().3
    };
    assert_eq!(estimate("55"), Some(55));
    assert_eq!(estimate("18446744073709551615"), Some(u64::MAX));
    for bad in ["", "many", "-1", "18446744073709551616", "1.5"] {
        assert_eq!(estimate(bad), None, "{bad}");
    }
}

//= SSP-E2
#[test]
fn unknown_encodings_are_refused() {
    for bad in ["br", "defalte", "GZIP", "Gzip", "gzip+", "gzip+9", "+best", "identity+best", "gzip, deflate", "zlib"] {
        let message = packet(0, &[&format!("stream-encoding: {bad}")], b"");
        let refused = PacketRef::from_message(&message).unwrap_err();
        assert!(matches!(refused, HeaderError::Encoding(_)), "{bad}: {refused}");
    }
}

//= SSP-F1, SSP-F2, SSP-F5
#[test]
fn an_end_is_clean_or_says_why() {
    for clean in ["eof", "EOF", " Eof "] {
        assert_eq!(End::from_header(clean), End::Clean, "{clean:?}");
    }
    assert_eq!(End::from_header("disk on fire"), End::Failed("disk on fire".into()));
    assert!(matches!(End::from_header("  "), End::Failed(_)), "the label alone ends a stream");
    let ended = read(&["stream-id: s", "stream-packet-number: 0", "stream-final-packet:"]).unwrap().unwrap().2;
    assert!(matches!(ended, Some(End::Failed(_))));
}

//= SSP-F3, SSP-F4
#[test]
fn a_reason_is_cleaned_so_that_nobody_takes_it_for_a_clean_end() {
    for (reason, wanted) in [
        ("", "unknown error"),
        (" \t\r\n", "unknown error"),
        ("eof", "error: eof"),
        (" EOF\n", "error: EOF"),
        ("a\r\nstream-id: x\0", "a  stream-id: x"),
        ("disk on fire", "disk on fire"),
    ] {
        assert_eq!(clean_reason(reason), wanted, "{reason:?}");
        assert!(matches!(End::from_header(&End::Failed(reason.into()).header()), End::Failed(_)));
    }
    for long in ["x".repeat(10_000), "\u{1f600}".repeat(1000)] {
        assert!((END_TEXT_LEN_MAX - 4..=END_TEXT_LEN_MAX).contains(&clean_reason(&long).len()));
    }
    assert_eq!(End::Clean.header(), "eof");
}
