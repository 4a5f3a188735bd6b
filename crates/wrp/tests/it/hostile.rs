//! Octets of somebody who means harm.

use crate::event;
use bytes::Bytes;
use wrp::{DecodeError, DecodeErrorKind, Expected, Field, LimitExceeded, Limits, Message, MessageRef};

/// What comes out, and how many allocations that took.
fn counted<T>(make: impl FnOnce() -> T) -> (T, u64) {
    let mut made = None;
    let info = testkit::allocations::measure(|| made = Some(make()));
    (made.unwrap(), info.count_total)
}

/// A message of one field, whose value is `value`.
fn with(key: &str, value: &[u8]) -> Vec<u8> {
    let mut octets = vec![0x81, 0xa0 | key.len() as u8];
    octets.extend_from_slice(key.as_bytes());
    octets.extend_from_slice(value);
    octets
}

fn refused(octets: &[u8]) -> DecodeError {
    Message::decode(&Bytes::copy_from_slice(octets), &Limits::default()).unwrap_err()
}

/// The message of 24 octets that kills the reference, and its relatives: what is announced is not there.
//= WRP-L2
#[test]
fn counts_and_lengths_of_four_thousand_million_cost_nothing() {
    let of_max = |tag: u8| [tag, 0xff, 0xff, 0xff, 0xff];
    for (key, tag) in [
        ("headers", 0xdd),
        ("partner_ids", 0xdd),
        ("metadata", 0xdf),
        ("source", 0xdb),
        ("payload", 0xc6),
        ("x", 0xdd),
        ("x", 0xdf),
        ("x", 0xdb),
        ("x", 0xc6),
        ("x", 0xc9),
    ] {
        let octets = with(key, &of_max(tag));
        let (error, allocated) = counted(|| MessageRef::decode(&octets, &Limits::default()).unwrap_err());
        assert!(matches!(error.kind, DecodeErrorKind::Short { .. }), "{key} {tag:x}: {error}");
        assert_eq!(allocated, 0, "{key} {tag:x}");
    }
    for octets in [of_max(0xdf).to_vec(), [&of_max(0xdf)[..], &[0; 100]].concat()] {
        assert!(matches!(refused(&octets).kind, DecodeErrorKind::Short { .. }));
    }
    let four_million_entries = [&with("metadata", &[0xdf, 0, 0x40, 0, 0])[..], &[0; 5]].concat();
    assert!(matches!(refused(&four_million_entries).kind, DecodeErrorKind::Short { .. }));
}

//= WRP-L3
#[test]
fn nesting_is_counted_and_ends_at_the_limit() {
    for tag in [0x91, 0x81] {
        let nested = |depth: usize| {
            let mut value = vec![tag; depth];
            value.push(0);
            if tag == 0x81 {
                // Each map has a key, which is the next map, and then a value.
                value.extend(vec![0; depth]);
            }
            with("x", &value)
        };
        assert!(Message::decode(&nested(32).into(), &Limits::default()).is_ok());
        for depth in [33, 1000, 1_000_000] {
            assert_eq!(refused(&nested(depth)).kind, DecodeErrorKind::Depth { max: 32 });
        }
        let limits = Limits { depth_max: 3, ..Limits::default() };
        assert!(MessageRef::decode(&nested(3), &limits).is_ok());
        assert_eq!(MessageRef::decode(&nested(4), &limits).unwrap_err().kind, DecodeErrorKind::Depth { max: 3 });
        let flat = Limits { depth_max: 0, ..Limits::default() };
        assert!(MessageRef::decode(&with("x", &[0x90]), &flat).is_ok());
        assert!(MessageRef::decode(&with("x", &[0x91, 0]), &flat).is_err());
    }
}

//= WRP-L1
#[test]
fn every_limit_holds_at_itself_and_not_one_above() {
    let whole = event().to_builder().header("a: b").header("c: d").payload("12345678").build().unwrap().encode();
    let limit = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        MessageRef::decode(&whole, &limits).err().map(|error| error.kind)
    };
    let exceeded = |limit, max, got| Some(DecodeErrorKind::Limit(LimitExceeded { limit, max, got }));
    assert_eq!(whole.len(), 79);
    assert_eq!(limit(|limits| limits.message_len_max = 79), None);
    assert_eq!(limit(|limits| limits.message_len_max = 78), exceeded("message_len_max", 78, 79));
    assert_eq!(limit(|limits| limits.payload_len_max = 8), None);
    assert_eq!(limit(|limits| limits.payload_len_max = 7), exceeded("payload_len_max", 7, 8));
    assert_eq!(limit(|limits| limits.text_len_max = 8), None);
    assert_eq!(limit(|limits| limits.text_len_max = 7), exceeded("text_len_max", 7, 8), "msg_type has eight");
    assert_eq!(limit(|limits| limits.entries_max = 6), None);
    assert_eq!(limit(|limits| limits.entries_max = 5), exceeded("entries_max", 5, 6));
}

//= WRP-R8
#[test]
fn octets_behind_the_message_are_refused_unless_allowed() {
    let octets = [&event().encode()[..], b"xyz"].concat();
    let error = refused(&octets);
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::Trailing { len: 3 }, octets.len() - 3));
    let limits = |trailing_len_max| Limits { trailing_len_max, ..Limits::default() };
    assert!(MessageRef::decode(&octets, &limits(3)).is_ok());
    assert!(MessageRef::decode(&octets, &limits(2)).is_err());
}

//= WRP-R2, WRP-R3, WRP-R4, WRP-R5
#[test]
fn values_of_another_kind_are_refused_and_the_error_says_where() {
    let cases: &[(&str, &[u8], Expected)] = &[
        ("msg_type", &[0xca, 0, 0, 0, 0], Expected::Integer),
        ("msg_type", &[0xc0], Expected::Integer),
        ("qos", &[0xa1, b'5'], Expected::Integer),
        ("status", &[0xc2], Expected::Integer),
        ("status", &[0xc3], Expected::Integer),
        ("source", &[0xc0], Expected::Text),
        ("source", &[0xc4, 1, b'x'], Expected::Text),
        ("headers", &[0xa1, b'x'], Expected::TextList),
        ("headers", &[0x81, 0xa0, 0xa0], Expected::TextList),
        ("headers", &[0xc0], Expected::TextList),
        ("headers", &[0x91, 7], Expected::Text),
        ("metadata", &[0x91, 0xa0], Expected::Map),
        ("metadata", &[0x81, 0xc4, 0, 0xa0], Expected::Text),
        ("metadata", &[0x81, 0xa0, 0xc0], Expected::Text),
        ("payload", &[0xa1, b'x'], Expected::Octets),
        ("payload", &[0x91, 1], Expected::Octets),
        ("payload", &[0xc0], Expected::Octets),
    ];
    for (key, value, wanted) in cases {
        let error = refused(&with(key, value));
        assert!(
            matches!(error.kind, DecodeErrorKind::Type { expected, .. } if expected == *wanted),
            "{key} {value:x?}: {error}"
        );
        assert_eq!(error.field, Field::from_key(key.as_bytes()));
        assert!(error.offset >= 2 + key.len(), "{key} {value:x?}: {error}");
        assert!(error.to_string().starts_with(&format!("{key}: ")), "{error}");
    }
    let list = refused(&[0x93, 4, 1, 2]);
    assert_eq!(list.to_string(), "a map was expected, MessagePack 0x93 came (octet 0)");
    assert_eq!(refused(&[0x81, 7, 0]).to_string(), "a key was expected, MessagePack 0x07 came (octet 1)");
    assert_eq!(refused(&with("x", &[0xc1])).offset, 3, "0xc1 is never used");
}

//= WRP-R4
#[test]
fn text_that_is_not_utf8_is_refused_wherever_it_is() {
    for (key, value) in [
        ("source", &[0xa1, 0xff][..]),
        ("headers", &[0x92, 0xa1, b'a', 0xa2, 0xc3, 0x28]),
        ("partner_ids", &[0x91, 0xa1, 0x80]),
        ("metadata", &[0x81, 0xa1, 0xff, 0xa0]),
        ("metadata", &[0x81, 0xa0, 0xa1, 0xff]),
    ] {
        assert_eq!(refused(&with(key, value)).kind, DecodeErrorKind::NotUtf8, "{key}");
    }
    assert!(Message::decode(&with("payload", &[0xc4, 1, 0xff]).into(), &Limits::default()).is_ok(), "octets are free");
}

//= WRP-R1
#[test]
fn reading_without_keeping_allocates_nothing_and_the_payload_is_never_copied() {
    let message = event().to_builder().header("a: b").metadata("/k", "v").payload(vec![7; 1000]).build().unwrap();
    let octets = message.encode();
    let (read, allocated) = counted(|| MessageRef::decode(&octets, &Limits::default()).unwrap());
    assert_eq!((read.headers.iter().collect::<Vec<_>>(), allocated), (vec!["a: b"], 0));
    let kept = Message::decode(&octets, &Limits::default()).unwrap();
    let payload = kept.payload.unwrap();
    assert!(octets.as_ptr_range().contains(&payload.as_ptr()), "a slice of what came");
}

/// Named twice each, so that every entry has to find its like: comparing each with each would take 10,000,000,000 steps.
//= WRP-R7
#[test]
fn a_hundred_thousand_names_given_twice_are_read_in_a_moment() {
    let once: Vec<_> = (0..100_000).map(|number| (format!("{number:06}"), "first".to_owned())).collect();
    let again = once.iter().rev().map(|(name, _)| (name.clone(), "last".to_owned()));
    let metadata = once.iter().cloned().chain(again).collect();
    let octets = Message { metadata, ..Message::default() }.encode();
    let message = Message::decode(&octets, &Limits::NONE).unwrap();
    let wanted: Vec<_> = once.into_iter().map(|(name, _)| (name, "last".to_owned())).collect();
    assert!(message.metadata == wanted, "{} entries", message.metadata.len());
}
