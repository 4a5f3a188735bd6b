//! What is encoded is decoded as it was, and hostile octets do nothing but draw an error.

use super::{PSEUDO, raw};
use proptest::prelude::*;
use smp121::wire::{
    Action, Data, DecodeError, Direction, Kind, NameReply, Outgoing, Position, PseudoHeader, Response, decode,
    decode_unchecked, encode,
};

fn any_response() -> impl Strategy<Value = Response> {
    let action = prop_oneof![
        Just(Action::Reset),
        any::<u32>().prop_map(|offset| Action::Accepted { offset }),
        Just(Action::TooLarge),
        Just(Action::Busy),
    ];
    (any::<u32>(), any::<u16>(), action).prop_map(|(number, mailslot, action)| Response { number, mailslot, action })
}

fn any_pseudo() -> impl Strategy<Value = PseudoHeader> {
    prop_oneof![
        any::<(u32, u32)>().prop_map(|(source, destination)| PseudoHeader::V4 {
            source: source.into(),
            destination: destination.into(),
        }),
        any::<(u128, u128)>().prop_map(|(source, destination)| PseudoHeader::V6 {
            source: source.into(),
            destination: destination.into(),
        }),
        Just(PseudoHeader::None),
    ]
}

/// The octets that a segment refers to, then which segment.
#[derive(Clone, Debug)]
enum Shape {
    Responses,
    NameRequest(Vec<u8>),
    NameReply(u32, u32, u16, u16, Option<Vec<u8>>),
    Data(bool, u32, u16, Option<u32>, u32, bool, Vec<u8>),
    Reset(u32, u16),
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let name = || proptest::collection::vec(1..=u8::MAX, 1..=255);
    prop_oneof![
        Just(Shape::Responses),
        name().prop_map(Shape::NameRequest),
        (any::<u32>(), any::<u32>(), any::<u16>(), any::<u16>(), proptest::option::of(name())).prop_map(
            |(number, len, mailslot, outstanding, name)| Shape::NameReply(number, len, mailslot, outstanding, name)
        ),
        (
            any::<bool>(),
            any::<u32>(),
            any::<u16>(),
            proptest::option::of(0..u32::MAX - 2_000),
            0u32..100_000,
            any::<bool>(),
            proptest::collection::vec(any::<u8>(), 0..1_500)
        )
            .prop_map(|(reply, number, mailslot, offset, more, last, octets)| Shape::Data(
                reply, number, mailslot, offset, more, last, octets
            )),
        any::<(u32, u16)>().prop_map(|(number, mailslot)| Shape::Reset(number, mailslot)),
    ]
}

impl Shape {
    fn both(&self) -> (Outgoing<'_>, Kind<'_>) {
        match self {
            Self::Responses => (Outgoing::Responses, Kind::Responses),
            Self::NameRequest(name) => (Outgoing::NameRequest { name }, Kind::NameRequest { name }),
            Self::NameReply(number, request_len_max, mailslot, outstanding_max, name) => {
                let reply = NameReply {
                    number: *number,
                    request_len_max: *request_len_max,
                    mailslot: *mailslot,
                    outstanding_max: *outstanding_max,
                    name: name.as_deref(),
                };
                (Outgoing::NameReply(reply), Kind::NameReply(reply))
            }
            Self::Data(reply, number, mailslot, offset, more, is_last, octets) => {
                let total = u32::try_from(octets.len()).unwrap() + more;
                let data = Data {
                    direction: if *reply { Direction::Reply } else { Direction::Request },
                    number: *number,
                    mailslot: *mailslot,
                    position: offset.map_or(Position::First { total }, |offset| Position::At { offset }),
                    is_last: *is_last,
                    octets,
                };
                (Outgoing::Data(data), Kind::Data(data))
            }
            Self::Reset(number, mailslot) => {
                let (number, mailslot) = (*number, *mailslot);
                (Outgoing::Reset { number, mailslot }, Kind::Reset { number, mailslot })
            }
        }
    }
}

proptest! {
    //= SMP121-O6, SMP121-W12, SMP121-A2
    #[test]
    fn what_is_encoded_is_decoded_as_it_was(
        shape in any_shape(),
        responses in proptest::collection::vec(any_response(), 0..300),
        pseudo in any_pseudo(),
    ) {
        let (outgoing, kind) = shape.both();
        let mut out = Vec::new();
        let taken = encode(&outgoing, &responses, &pseudo, &mut out);
        prop_assert_eq!(taken, responses.len().min(255));
        let segment = decode(&out, &pseudo).unwrap();
        prop_assert_eq!(segment.kind(), Ok(kind));
        let got: Vec<_> = segment.responses.map(|raw| raw.known().unwrap()).collect();
        prop_assert_eq!(&got[..], &responses[..taken]);
        let length = u16::from_be_bytes([out[10], out[11]]);
        prop_assert_eq!(usize::from(length), out.len());
    }

    //= SMP121-O7
    #[test]
    fn any_octets_are_decoded_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let is_short = matches!(decode(&octets, &PSEUDO), Err(DecodeError::Short { .. }));
        prop_assert_eq!(is_short, octets.len() < 16);
        if let Ok(segment) = decode_unchecked(&octets) {
            let _ = segment.kind();
            let records_len: usize = segment.responses.map(|raw| raw.data.len() + 8).sum();
            prop_assert!(records_len + segment.data.len() <= octets.len() - 16);
        }
    }

    //= SMP121-O7, SMP121-W5
    #[test]
    fn any_octets_behind_a_header_are_decoded_or_refused(
        body in proptest::collection::vec(any::<u8>(), 0..600), flags: u8, count: u8, field: u32,
    ) {
        let octets = raw(flags, field, &body).with(|raw| raw.count = count).octets();
        match decode(&octets, &PSEUDO) {
            Ok(segment) => {
                let _ = segment.kind();
                let records_len: usize = segment.responses.map(|raw| raw.data.len() + 8).sum();
                prop_assert_eq!(records_len + segment.data.len(), body.len());
            }
            Err(error) => {
                let is_beyond = matches!(error, DecodeError::ResponsesBeyondSegment { .. });
                prop_assert!(is_beyond && count > 0, "{}", error);
            }
        }
    }
}
