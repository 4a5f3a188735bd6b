//! Response records.

use super::{PSEUDO, raw, record};
use smp121::wire::{
    Action, Data, Direction, Kind, Outgoing, Position, RESPONSE_COUNT_MAX, RawResponse, Response, decode, encode,
    reset_record,
};

fn accepted(number: u32) -> Response {
    Response { number, mailslot: 0x0107, action: Action::Accepted { offset: number.wrapping_mul(3) } }
}

fn read(count: u8, body: &[u8]) -> Vec<Option<Response>> {
    let octets = raw(0, 0, body).with(|raw| raw.count = count).octets();
    decode(&octets, &PSEUDO).unwrap().responses.map(|raw| raw.known()).collect()
}

//= SMP121-W20, SMP121-W21, SMP121-W22, SMP121-W26, SMP121-W27, SMP121-W29, SMP121-W30, SMP121-A26
#[test]
fn each_action_is_read_as_the_table_says() {
    let body = [
        record(1, 2, 1, b""),
        record(3, 4, 2, &[0x01, 0x02, 0x03, 0x04]),
        record(5, 6, 3, b""),
        record(u32::MAX, u16::MAX, 4, b""),
    ]
    .concat();
    let expected = [
        (1, 2, Action::Reset),
        (3, 4, Action::Accepted { offset: 0x0102_0304 }),
        (5, 6, Action::TooLarge),
        (u32::MAX, u16::MAX, Action::Busy),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(number, mailslot, action)| Some(Response { number, mailslot, action })).collect();
    assert_eq!(read(4, &body), expected);
}

//= SMP121-W23, SMP121-A26
#[test]
fn unknown_actions_and_wrong_sizes_are_passed_over_by_their_size() {
    let known = record(7, 8, 3, b"");
    for action in 0..=u8::MAX {
        for size in [0u8, 1, 3, 4, 5, 8, 255] {
            let body = [record(1, 2, action, &vec![0xee; usize::from(size)]), known.clone()].concat();
            let got = read(2, &body);
            let fits = matches!((action, size), (1 | 3 | 4, 0) | (2, 4));
            assert_eq!(got[0].is_some(), fits, "action {action}, size {size}");
            assert_eq!(got[1], Some(Response { number: 7, mailslot: 8, action: Action::TooLarge }));
        }
    }
}

//= SMP121-W9, SMP121-W24, SMP121-L15
#[test]
fn records_end_where_their_count_ends() {
    let body = [record(1, 2, 2, &[0; 4]), record(3, 4, 3, b"")].concat();
    for (count, left) in [(0u8, 20), (1, 8), (2, 0)] {
        let octets = raw(0x04, 0, &body).with(|raw| raw.count = count).octets();
        let segment = decode(&octets, &PSEUDO).unwrap();
        assert_eq!((segment.responses.count_left(), segment.data.len()), (count, left));
        assert_eq!(segment.responses.count(), usize::from(count));
    }
}

//= SMP121-W9
#[test]
fn as_many_as_a_segment_holds_are_read() {
    // 249 records of size 255 are 65,487 octets; a segment has room for 65,519.
    let body = record(1, 2, 9, &[5; 255]).repeat(249);
    let octets = raw(0, 0, &body).with(|raw| raw.count = 249).octets();
    let raws: Vec<RawResponse<'_>> = decode(&octets, &PSEUDO).unwrap().responses.collect();
    assert!(raws.len() == 249 && raws.iter().all(|raw| raw.data == [5; 255] && raw.action == 9));
    let body = record(1, 2, 2, &[0; 4]).repeat(255);
    assert_eq!(read(255, &body).len(), 255);
}

//= SMP121-W24, SMP121-W25, SMP121-O13
#[test]
fn the_encoder_takes_255_records_and_says_so() {
    for given in [0, 1, 254, 255, 256, 1_000] {
        let responses: Vec<Response> = (0..given).map(accepted).collect();
        let mut out = Vec::new();
        let taken = encode(&Outgoing::Responses, &responses, &PSEUDO, &mut out);
        assert_eq!(taken, responses.len().min(RESPONSE_COUNT_MAX));
        let segment = decode(&out, &PSEUDO).unwrap();
        assert_eq!(segment.kind(), Ok(Kind::Responses));
        let got: Vec<_> = segment.responses.map(|raw| raw.known().unwrap()).collect();
        assert_eq!(got, responses[..taken]);
    }
}

//= SMP121-O13
#[test]
fn records_give_way_to_data_and_data_to_the_length() {
    let responses: Vec<Response> = (0..10).map(accepted).collect();
    for (len, taken, kept) in [
        (65_519 - 120, 10, 65_519 - 120),
        (65_519 - 119, 9, 65_519 - 119),
        (65_519 - 12, 1, 65_519 - 12),
        (65_519 - 11, 0, 65_519 - 11),
        (65_519, 0, 65_519),
        (65_520, 0, 65_519),
        (200_000, 0, 65_519),
    ] {
        let octets = vec![0x77; len];
        let data = Data {
            direction: Direction::Reply,
            number: 1,
            mailslot: 2,
            position: Position::First { total: 1_000_000 },
            is_last: false,
            octets: &octets,
        };
        let mut out = vec![0xaa; 3];
        assert_eq!(encode(&Outgoing::Data(data), &responses, &PSEUDO, &mut out), taken, "{len}");
        assert_eq!(out[..3], [0xaa; 3], "what was there stays");
        let segment = decode(&out[3..], &PSEUDO).unwrap();
        assert_eq!(segment.data.len(), kept, "{len}");
    }
}

//= SMP121-W25
#[test]
fn a_record_with_less_room_than_it_needs_lets_none_behind_it_pass() {
    // 9 octets of room: too few for the acknowledgement in front, enough for the reset behind. The order stays.
    let octets = vec![0; 65_519 - 9];
    let data = Data {
        direction: Direction::Request,
        number: 1,
        mailslot: 2,
        position: Position::At { offset: 0 },
        is_last: true,
        octets: &octets,
    };
    let mut out = Vec::new();
    assert_eq!(encode(&Outgoing::Data(data), &[accepted(1), reset_record(2, 3)], &PSEUDO, &mut out), 0);
    assert_eq!(encode(&Outgoing::Data(data), &[reset_record(2, 3), accepted(1)], &PSEUDO, &mut Vec::new()), 1);
}

//= SMP121-W21
#[test]
fn a_reset_has_both_forms_in_one_segment() {
    let mut out = Vec::new();
    let reset = Outgoing::Reset { number: 0x1234_5678, mailslot: 0x0107 };
    assert_eq!(encode(&reset, &[reset_record(0x1234_5678, 0x0107)], &PSEUDO, &mut out), 1);
    let segment = decode(&out, &PSEUDO).unwrap();
    assert_eq!(segment.kind(), Ok(Kind::Reset { number: 0x1234_5678, mailslot: 0x0107 }));
    let record = segment.responses.clone().next().unwrap().known().unwrap();
    assert_eq!(record, Response { number: 0x1234_5678, mailslot: 0x0107, action: Action::Reset });
    assert_eq!(out[12], 0x20);
}

//= SMP121-A26
#[test]
fn lengths_and_codes_of_records_are_those_of_the_layout() {
    use smp121::wire::layout::{ACTIONS, action};
    for known in [Action::Reset, Action::Accepted { offset: 9 }, Action::TooLarge, Action::Busy] {
        let response = Response { number: 1, mailslot: 2, action: known };
        let named = action(known.code()).unwrap();
        assert_eq!(response.encoded_len(), 8 + usize::from(named.data_len), "{}", named.name);
        let mut out = Vec::new();
        encode(&Outgoing::Responses, &[response], &PSEUDO, &mut out);
        assert_eq!(out.len(), 16 + response.encoded_len());
        assert_eq!((out[22], out[23]), (named.data_len, named.code));
    }
    assert!(ACTIONS.iter().all(|action| action.code < 16), "RDOS drops the rest of a datagram behind another");
    assert_eq!((action(0), action(5)), (None, None));
}
