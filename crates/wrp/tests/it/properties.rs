//! What holds for any message and any octets.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use wrp::{DecodeErrorKind, Limits, Message, MessageRef, MessageType, Qos};

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z:/]{1,40}", "\\PC{0,300}"]
}

prop_compose! {
    fn any_message()(
        numbers in (any::<i64>(), any::<Option<i64>>(), any::<Option<i64>>(), any::<i64>()),
        texts in vec(any_text(), 9),
        headers in vec(any_text(), 0..20),
        names in proptest::collection::btree_map(any_text(), any_text(), 0..20),
        partner_ids in vec(any_text(), 0..4),
        payload in proptest::option::of(vec(any::<u8>(), 0..300)),
    ) -> Message {
        let [source, dest, transaction_uuid, content_type, accept, path, service_name, url, session_id] =
            <[String; 9]>::try_from(texts).unwrap();
        Message {
            msg_type: MessageType(numbers.0), source, dest, transaction_uuid, content_type, accept,
            status: numbers.1, rdr: numbers.2, headers, metadata: names.into_iter().collect(), path,
            payload: payload.map(Bytes::from), service_name, url, partner_ids, session_id, qos: Qos(numbers.3),
        }
    }
}

proptest! {
    //= WRP-R1, WRP-W1
    #[test]
    fn what_is_written_is_read_again(message in any_message()) {
        let octets = message.encode();
        prop_assert!(octets.len() <= message.encoded_len());
        prop_assert_eq!(Message::decode(&octets, &Limits::default()).unwrap(), message);
    }

    //= WRP-V1, WRP-V5
    #[test]
    fn what_is_borrowed_is_judged_as_what_is_owned(message in any_message(), number in 0_i64..14) {
        let message = Message { msg_type: MessageType(number), ..message };
        let octets = message.encode();
        let borrowed = MessageRef::decode(&octets, &Limits::NONE).unwrap();
        prop_assert_eq!(borrowed.validate(), message.validate());
        for field in wrp::Field::ALL {
            prop_assert_eq!(borrowed.has(field), message.has(field), "{:?}", field);
        }
    }

    //= WRP-R1
    #[test]
    fn every_beginning_of_a_message_is_too_short(message in any_message(), cut in any::<prop::sample::Index>()) {
        let octets = message.encode();
        let cut = octets.slice(..cut.index(octets.len()));
        let error = Message::decode(&cut, &Limits::default()).unwrap_err();
        prop_assert!(matches!(error.kind, DecodeErrorKind::Short { .. }), "{}", error);
        prop_assert!(error.offset <= cut.len());
    }

    //= WRP-L1
    #[test]
    fn damaged_octets_are_a_message_or_an_error_and_what_is_read_is_written_the_same_again(
        message in any_message(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut octets = message.encode().to_vec();
        for (at, octet) in damage {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let octets = Bytes::from(octets);
        if let Ok(read) = Message::decode(&octets, &Limits::default()) {
            let again = read.encode();
            prop_assert_eq!(&Message::decode(&again, &Limits::default()).unwrap(), &read);
            prop_assert!(again.len() <= read.encoded_len());
        }
    }

    //= WRP-L1
    #[test]
    fn any_octets_are_a_message_or_an_error(octets in vec(any::<u8>(), 0..200)) {
        let _either = MessageRef::decode(&octets, &Limits::default());
    }

    //= WRP-J1, WRP-J3
    #[test]
    fn json_is_read_as_it_was_written(message in any_message()) {
        let mut came = Message::from_json(message.to_json().as_bytes()).unwrap();
        // JSON has no empty payload.
        let mut wanted = message;
        wanted.payload = wanted.payload.filter(|payload| !payload.is_empty());
        wanted.metadata.sort();
        came.metadata.sort();
        prop_assert_eq!(came, wanted);
    }

    //= WRP-D7
    #[test]
    fn a_locator_written_reads_as_itself(text in "(mac:[0-9A-F]{12}|uuid:[a-z ]{1,5}|self:|dns:a|EVENT:b)(/[a-z/ ]{0,6})?") {
        if let Ok(locator) = text.parse::<wrp::Locator>() {
            let again: wrp::Locator = locator.to_string().parse().unwrap();
            prop_assert_eq!(again.to_string(), locator.to_string());
            prop_assert_eq!((again.service(), again.ignored()), (locator.service(), locator.ignored()));
        }
    }
}
