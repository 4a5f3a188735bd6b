//! Every frame of the registry, both ways, cut, changed and lied about.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use smrp::StreamId;
use smrp::wire::*;

fn octets(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn list(id: u64) -> Parameters {
    ParametersBuilder::new().with(id, b"abc").build()
}

/// One of each, with every field at a value of its own.
pub(crate) fn one_of_each() -> Vec<Frame> {
    let stream = StreamId::new(0x1234);
    vec![
        Frame::Padding { len: 3 },
        Frame::Ping { ack: true, data: 7 },
        Frame::Ack(Box::new(Ack {
            path: 1,
            largest: 90,
            delay: 3,
            first: 4,
            ranges: vec![(1, 2), (3, 4)],
            ecn_ce: Some(5),
        })),
        Frame::Handshake { offset: 70_000, data: octets("tls") },
        Frame::Hello(ParametersBuilder::new().with(1, &[5; 32]).with_number(2, 20_000).build()),
        Frame::Auth { method: 3, parameters: list(2) },
        Frame::AuthResult { code: Code::AUTH_FAILED, parameters: list(4) },
        Frame::GoAway {
            is_final: true,
            bidi: 9,
            uni: 10,
            drain_ms: 5_000,
            code: Code::SHUTDOWN,
            redirect: octets("smrp+tls://b"),
        },
        Frame::Close { code: Code::ABUSE, frame_type: 0x12, reason: octets("enough") },
        Frame::Ticket { lifetime_s: 60, offline_ms: 70, handle: octets("0123456789abcdef") },
        Frame::Reattach { epoch: 3, received: 1 << 40, handle: octets("0123456789abcdef") },
        Frame::ReattachResult { code: Code::NO_ERROR, epoch: 3, received: 99 },
        Frame::SessionAck { received: 1 << 20 },
        Frame::Settings(ParametersBuilder::new().with_number(2, 20_000).build()),
        Frame::NewCid { seq: 1, retire_prior: 0, cid: octets("cidcid"), reset_token: [8; 16] },
        Frame::RetireCid { seq: 4 },
        Frame::Open(Open {
            stream,
            kind_and_priority: 0x3B,
            credit: Some(1 << 20),
            ttl_ms: Some(100),
            metadata: Some(list(2)),
            data: octets("data"),
            fin: true,
        }),
        Frame::Data { stream, offset: Some(64), fin: true, data: octets("data") },
        Frame::Reset { stream, code: Code::CANCELLED, final_len: 100, reliable_len: 50 },
        Frame::Stop { stream, code: Code::REFUSED },
        Frame::MaxData { octets: 1 << 30 },
        Frame::MaxStream { stream, octets: 1 << 21, messages: Some(64) },
        Frame::MaxStreams { class: 1, count: 300 },
        Frame::Blocked { scope: 1, stream, at: 16_384 },
        Frame::Msg(Msg {
            stream,
            id: Some(5),
            offset: Some(6),
            ttl_ms: Some(7),
            first: true,
            last: true,
            data: octets("m"),
        }),
        Frame::MsgSkip { stream, first: 5, count: 2 },
        Frame::Dgram { flow: 9, ttl_ms: Some(20), data: octets("d") },
        Frame::Meta { stream, is_trailer: true, parameters: list(6) },
        Frame::Priority { stream, priority: 0x0D },
        Frame::PathChallenge { data: 1 },
        Frame::PathResponse { data: 2 },
        Frame::PathStatus { path: 3, state: 1 },
        Frame::AckFreq { threshold: 10, max_delay_us: 25_000, reorder: 3 },
        Frame::NewToken { token: octets("token") },
        Frame::Timestamp { sender_us: 1 << 35 },
        Frame::NbrHello { node: [1; 32], domain: 2, area: 3, cost: 4, parameters: list(2) },
        Frame::LinkState { lsa: octets("lsa") },
        Frame::LsDigest { entries: vec![([1; 16], 5), ([2; 16], 70_000)] },
        Frame::LsRequest { origins: vec![[3; 16], [4; 16]] },
        Frame::RouteAdvertise { prefix_len: 48, prefix: 0xABCD, path: vec![1, 2, 3], parameters: list(2) },
        Frame::RouteWithdraw { prefix_len: 32, prefix: 5 },
        Frame::LabelBind {
            is_request: true,
            forward: 1,
            reverse: 2,
            lifetime_s: 300,
            quota: 1 << 20,
            fec: octets("fec"),
        },
        Frame::LabelRelease { label: 0xDEAD_BEEF, code: Code::QUOTA },
        Frame::Forward { label: 7, ttl: 32, class: 1, deadline_ms: 50, payload: octets("sealed") },
        Frame::ForwardSr {
            ttl: 8,
            class: 1,
            index: 0,
            hops: vec![(1, [2; 8]), (3, [4; 8])],
            payload: octets("sealed"),
        },
        Frame::RouteError { code: Code::MTU, label: 7, mtu: 1_200, retry_ms: 100 },
        Frame::Subscribe(Box::new(Subscribe {
            sub: 1,
            urgency: 2,
            mode: 1,
            octets: 1 << 16,
            messages: 100,
            pattern: octets("/a/**"),
            parameters: list(2),
        })),
        Frame::SubResult { sub: 1, code: Code::NO_ERROR, parameters: list(2) },
        Frame::Unsubscribe { sub: 1, code: Code::CANCELLED },
        Frame::Publish { alias: 1, group: 2, seq: 3, ttl_ms: 4, payload: octets("p") },
        Frame::TopicAlias { alias: 1, topic: octets("/a/b") },
        Frame::McastJoin { prune: true, group: [6; 16], label: 9 },
        Frame::NameRegister { name: octets("/org"), eid: [7; 16], lease_s: 60, signature: octets("sig") },
        Frame::NameQuery { query: 1, name: octets("/org") },
        Frame::NameReply { query: 1, code: Code::NO_ERROR, ttl_s: 60, places: vec![([7; 16], 8)] },
        Frame::CircCreate { circuit: 1, handshake: octets("ch") },
        Frame::CircCreated { circuit: 1, handshake: octets("sh") },
        Frame::Cell { circuit: 1, cell: Bytes::from(vec![9; CELL_LEN]) },
        Frame::CircDestroy { circuit: 1, code: Code::NO_ROUTE },
        Frame::Unknown { number: 0xF3, flags: 0x05, body: octets("grease") },
        Frame::Unknown { number: 0x1234, flags: 0, body: octets("extension") },
    ]
}

fn encode(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

fn decode(octets: &Bytes, on_octets: bool) -> Result<Option<(Frame, usize)>, WireError> {
    let Some(header) = Header::decode(octets)? else { return Ok(None) };
    let len = header.len + header.body_len;
    if octets.len() < len {
        return Ok(None);
    }
    Frame::decode(header, octets, 0, on_octets).map(|frame| Some((frame, len)))
}

#[test]
fn every_frame_of_the_registry_is_read_as_it_was_written() {
    //= SMRP-F1, SMRP-F9, SMRP-C1
    let frames = one_of_each();
    for entry in REGISTRY {
        assert!(frames.iter().any(|frame| frame.number() == u64::from(entry.number)), "{} has no example", entry.name);
    }
    for frame in frames {
        let octets = encode(&frame);
        assert_eq!(decode(&octets, false), Ok(Some((frame.clone(), octets.len()))));
        for cut in 0..octets.len() {
            assert_eq!(decode(&octets.slice(..cut), false), Ok(None), "{frame:?} cut at {cut}");
        }
    }
}

#[test]
fn a_body_is_met_exactly() {
    //= SMRP-F5
    for frame in one_of_each() {
        let octets = encode(&frame);
        let header = Header::decode(&octets).unwrap().unwrap();
        for shorter in 0..header.body_len {
            let cut = Bytes::from([&octets[..2], &length(shorter), &octets[header.len..header.len + shorter]].concat());
            match decode(&cut, false) {
                // What takes the rest, or ends between two entries of a list, is another valid frame.
                Ok(Some((other, _))) => assert_eq!(encode(&other), cut, "{frame:?} cut to {shorter}"),
                Ok(None) => panic!("{frame:?}: the body is whole"),
                Err(error) => assert!([Code::FRAME_ENCODING, Code::SETTINGS].contains(&error.code())),
            }
        }
    }
    let trailing = Bytes::from_static(&[0x14, 0, 2, 5, 9]);
    assert_eq!(decode(&trailing, true).unwrap_err().kind, WireErrorKind::Trailing);
}

fn length(len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, len as u64);
    out
}

#[test]
fn lengths_have_one_form() {
    //= SMRP-C3
    let kind =
        |octets: &'static [u8]| decode(&Bytes::from_static(octets), true).map_err(|error| (error.kind, error.code()));
    let wrong = Err((WireErrorKind::Length, Code::FRAME_ENCODING));
    assert_eq!(kind(&[0, 0, 0x40, 1, 0]), wrong);
    assert_eq!(kind(&[0, 0, 0x80, 0, 0, 1, 0]), wrong);
    assert_eq!(kind(&[0, 0, 0xC0]), wrong, "eight octets are no length");
    assert_eq!(kind(&[0xFF, 0, 3, 0x40, 0x23, 0]), wrong, "a type behind 0xFF as well");
    assert!(matches!(kind(&[0x14, 0, 2, 0x40, 5]), Ok(Some(_))), "other varints may be longer");
}

#[test]
fn unknown_frames_are_skipped_unless_they_are_critical() {
    //= SMRP-F3, SMRP-F4, SMRP-F8
    for number in [0x23_u8, 0x2F, 0x3B, 0x46, 0x54, 0xF0, 0xFE] {
        let frame = Bytes::from(vec![number, 0x3F, 1, 9]);
        assert!(matches!(decode(&frame, true), Ok(Some((Frame::Unknown { .. }, 4)))), "{number:#x}");
        let critical = Bytes::from(vec![number, 0x80, 1, 9]);
        assert_eq!(decode(&critical, true).unwrap_err().code(), Code::UNSUPPORTED_FRAME);
    }
    let known = Bytes::from_static(&[0x14, 0x80, 1, 9]);
    assert_eq!(decode(&known, true), Ok(Some((Frame::MaxData { octets: 9 }, 4))), "C says nothing in a known frame");
    let behind = Bytes::from_static(&[0xFF, 0, 2, 0x14, 9]);
    let (frame, _) = decode(&behind, true).unwrap().unwrap();
    assert_eq!(encode(&frame), behind, "and is written as it came");
    assert!(
        matches!(decode(&behind, true), Ok(Some((Frame::Unknown { number: 0x14, .. }, _)))),
        "a known type has one form"
    );
}

#[test]
fn flags_that_a_type_does_not_define_are_refused() {
    //= SMRP-F4
    for frame in one_of_each().into_iter().filter(|frame| !matches!(frame, Frame::Unknown { .. })) {
        let octets = encode(&frame);
        let entry = frame_type(octets[0].into()).unwrap();
        for bit in (0..7).map(|bit| 1_u8 << bit).filter(|bit| entry.flags & bit == 0) {
            let mut changed = octets.to_vec();
            changed[1] |= bit;
            let error = decode(&Bytes::from(changed), false).unwrap_err();
            assert_eq!((error.kind, error.code()), (WireErrorKind::Flags(bit), Code::FRAME_ENCODING), "{}", entry.name);
        }
    }
}

#[test]
fn frames_of_datagram_carriers_have_no_place_on_octets() {
    //= SMRP-F6
    for frame in one_of_each().into_iter().filter(|frame| !matches!(frame, Frame::Unknown { .. })) {
        let octets = encode(&frame);
        let entry = frame_type(octets[0].into()).unwrap();
        match decode(&octets, true) {
            Ok(_) => assert!(entry.on_octets, "{}", entry.name),
            Err(error) => {
                assert_eq!((entry.on_octets, error.code()), (false, Code::UNSUPPORTED_FRAME), "{}", entry.name)
            }
        }
    }
}

#[test]
fn text_handles_and_reasons_keep_to_their_form() {
    //= SMRP-C9, SMRP-L5, SMRP-R6
    let wrong = |frame: Frame| decode(&encode(&frame), true).unwrap_err().code();
    let handle = |len| Frame::Ticket { lifetime_s: 1, offline_ms: 1, handle: Bytes::from(vec![1; len]) };
    assert_eq!(wrong(handle(15)), Code::FRAME_ENCODING);
    assert_eq!(wrong(handle(513)), Code::FRAME_ENCODING);
    assert!(decode(&encode(&handle(512)), true).is_ok());
    let close = |len| Frame::Close { code: Code::NO_ERROR, frame_type: 0, reason: Bytes::from(vec![0xFF; len]) };
    assert!(decode(&encode(&close(256)), true).is_ok(), "a reason need not be text");
    assert_eq!(wrong(close(257)), Code::FRAME_ENCODING);
    let redirect = Bytes::from_static(&[0xFF]);
    let goaway = Frame::GoAway { is_final: false, bidi: 0, uni: 0, drain_ms: 0, code: Code::SHUTDOWN, redirect };
    assert_eq!(wrong(goaway), Code::FRAME_ENCODING);
}

proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        //= SMRP-F10
        let input = Bytes::from(input);
        for on_octets in [true, false] {
            if let Ok(Some((frame, _))) = decode(&input, on_octets) {
                // What was read can be written, and is then read as the same.
                let again = encode(&frame);
                prop_assert_eq!(decode(&again, on_octets).unwrap().unwrap().0, frame);
            }
        }
        drop(Preface::decode(&input));
    }

    #[test]
    fn one_changed_octet_never_makes_the_reader_panic(at in any::<prop::sample::Index>(), which in any::<prop::sample::Index>(), value: u8) {
        //= SMRP-F10
        let frames = one_of_each();
        let mut octets = encode(which.get(&frames)).to_vec();
        let at = at.index(octets.len());
        octets[at] = value;
        let octets = Bytes::from(octets);
        drop(decode(&octets, true));
        drop(decode(&octets, false));
    }
}

#[test]
fn a_count_that_lies_reserves_nothing() {
    //= SMRP-F10
    let mut octets = vec![0x02, 0, 0];
    for value in [1, 90, 3, VARINT_MAX, 4] {
        put_varint(&mut octets, value);
    }
    octets[2] = u8::try_from(octets.len() - 3).unwrap();
    assert_eq!(decode(&Bytes::from(octets), false).unwrap_err().kind, WireErrorKind::Cut);
}
