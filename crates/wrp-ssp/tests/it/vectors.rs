//! What was observed of the reference implementation. The README beside the vectors says what must hold.

use crate::drain;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use testkit::vectors::{cases, from_hex, to_hex, wrp::data};
use wirekit::Instant;
use wrp::{Invalid, Message, MessageType, Qos};
use wrp_ssp::codec::{Caps, Decompressor};
use wrp_ssp::{
    Encoding, End, Limits, Options, PacketRef, Reassembler, Refused, SegmentError, Segmenter, StreamError, Timing,
    estimated_len_of, is_ssp, label_of, stream_id_of,
};

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn message(fields: &Map<String, Value>) -> Message {
    let mut message = Message::default();
    for (key, value) in fields {
        let text = || value.as_str().unwrap().to_owned();
        match key.as_str() {
            "msg_type" => message.msg_type = MessageType(value.as_i64().unwrap()),
            "source" => message.source = text(),
            "dest" => message.dest = text(),
            "transaction_uuid" => message.transaction_uuid = text(),
            "content_type" => message.content_type = text(),
            "accept" => message.accept = text(),
            "path" => message.path = text(),
            "session_id" => message.session_id = text(),
            "status" => message.status = value.as_i64(),
            "rdr" => message.rdr = value.as_i64(),
            "qos" => message.qos = Qos(value.as_i64().unwrap()),
            "headers" => message.headers = texts(value),
            "partner_ids" => message.partner_ids = texts(value),
            "metadata" => {
                let entries = value.as_object().unwrap().iter();
                message.metadata =
                    entries.map(|(name, value)| (name.clone(), value.as_str().unwrap().into())).collect();
            }
            "payload_hex" => message.payload = Some(from_hex(value.as_str().unwrap()).unwrap().into()),
            other => panic!("a field {other}"),
        }
    }
    message
}

fn options(case: &Value) -> Result<Options, &'static str> {
    let options = &case["options"];
    let (encoding, level) =
        Encoding::parse(options["encoding"].as_str().unwrap_or("gzip")).map_err(|_| "invalid_ssp")?;
    let len = options["max_packet_size"].as_u64().unwrap_or(0) as usize;
    let mut ours = Options::new(options["id"].as_str().unwrap_or_default())
        .with_packet_len(len)
        .with_encoding(encoding, level)
        .with_unshrunk(true)
        .with_validation(case["validate"] == "standard")
        .with_estimated_len(u64::try_from(options["estimated_length"].as_i64().unwrap_or(0)).unwrap_or(0));
    if let Some(prefix) = options["tx_prefix"].as_str() {
        let (prefix, fails_at) = (prefix.to_owned(), options["tx_fail_at"].as_u64());
        ours = ours.with_transaction(Box::new(move |number| {
            if fails_at == Some(number) { Err("no name".into()) } else { Ok(format!("{prefix}{number}")) }
        }));
    }
    Ok(ours)
}

/// The reader of a case, driving a segmenter as one would; the messages, and the class of the last result.
fn cut(case: &Value, mut segmenter: Segmenter) -> (Vec<Message>, &'static str) {
    let reader = &case["reader"];
    let octets = data(&case["stream"]).unwrap();
    let end = match reader {
        reader if reader["error"].is_string() => End::Failed(reader["error"].as_str().unwrap().to_owned()),
        reader if reader["no_progress"] == true => End::Failed("the reader gives nothing".to_owned()),
        reader if reader["cancel_after_bytes"].is_u64() => End::Failed("cancelled".to_owned()),
        _ => End::Clean,
    };
    let comes_with_data = reader["eof_with_data"] == true || reader["error_with_data"] == true;
    let stop_at = reader["cancel_after_bytes"].as_u64().map_or(octets.len(), |len| len as usize);
    let chunk_len = reader["chunk"].as_u64().map_or(usize::MAX, |len| len as usize);
    let mut rest = &octets[..stop_at];
    let mut messages = Vec::new();
    while !segmenter.is_over() {
        while !segmenter.is_ready() {
            let len = segmenter.push(&rest[..rest.len().min(chunk_len)]);
            rest = &rest[len..];
            if len == 0 || (rest.is_empty() && comes_with_data) {
                segmenter.finish(end.clone());
            }
        }
        messages.push(segmenter.poll_message().unwrap());
    }
    (messages, if end == End::Clean { "eof" } else { "other" })
}

fn construct_class(error: &SegmentError) -> &'static str {
    match error {
        SegmentError::StreamId(_) => "invalid_ssp",
        SegmentError::Invalid(Invalid::Missing { .. }) => "missing_required",
        SegmentError::Invalid(Invalid::Locator { .. }) => "invalid_locator",
        other => panic!("{other}"),
    }
}

fn plain(message: &Message) -> Vec<u8> {
    let packet = PacketRef::from_message(message).unwrap().unwrap();
    let caps = Caps { len_max: 1 << 24, ratio_max: 10_000 };
    Decompressor::default().decompress(packet.encoding, &packet.payload, caps).unwrap().to_vec()
}

//= SSP-S2, SSP-S3, SSP-S4, SSP-S5, SSP-S6, SSP-S10, SSP-E3, SSP-E4, SSP-E6, SSP-X2, SSP-F1, SSP-F3, SSP-N1
#[test]
fn streams_are_cut_as_the_reference_cuts_them() {
    let Some(cases) = cases("wrp/packetizer.json").unwrap() else { return };
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let wanted = case["construct"]["class"].as_str().unwrap();
        if name == "reject-no-stream" {
            // A segmenter has no reader that could be absent.
            continue;
        }
        let base = message(case["base_message"].as_object().unwrap());
        let made =
            options(&case).and_then(|options| Segmenter::new(base, options).map_err(|error| construct_class(&error)));
        if name == "base-missing-source" {
            // Refused before anything is read, so nothing is lost.
            assert_eq!((made.unwrap_err(), case["level"].as_str()), ("missing_required", Some("quirk")));
            continue;
        }
        let segmenter = match made {
            Ok(segmenter) => segmenter,
            Err(class) => {
                assert_eq!(class, wanted, "{name}");
                continue;
            }
        };
        assert_eq!(wanted, "ok", "{name}");
        let (messages, end) = cut(&case, segmenter);
        let steps: Vec<&Value> =
            case["steps"].as_array().unwrap().iter().filter(|step| step["headers"].is_array()).collect();
        assert_eq!(messages.len(), steps.len(), "{name}");
        let is_must = case["level"] == "must";
        for (ours, step) in messages.iter().zip(&steps) {
            let theirs = texts(&step["headers"]);
            if is_must {
                assert_eq!(ours.headers, theirs, "{name}");
            } else {
                // Our last packet always says why, in words of our own.
                let ours: Vec<_> = ours.headers.iter().filter(|text| !is_final(text)).collect();
                assert_eq!(ours, theirs.iter().filter(|text| !is_final(text)).collect::<Vec<_>>(), "{name}");
            }
            assert_eq!(to_hex(&Sha256::digest(plain(ours))), step["plain_sha256"].as_str().unwrap(), "{name}");
            if step["byte_exact"] == true && is_must {
                let octets = ours.encode();
                assert_eq!(octets.len() as u64, step["msgpack_length"].as_u64().unwrap(), "{name}");
                assert_eq!(to_hex(&Sha256::digest(&octets)), step["msgpack_sha256"].as_str().unwrap(), "{name}");
            }
            if let Some(fields) = step["message"].as_object()
                && let Some(transaction) = fields.get("transaction_uuid")
            {
                assert_eq!(ours.transaction_uuid, transaction.as_str().unwrap(), "{name}");
            }
        }
        let class = steps.last().unwrap()["result"]["class"].as_str().unwrap();
        if is_must {
            assert_eq!(end, class, "{name}");
        }
        let last = PacketRef::from_message(messages.last().unwrap()).unwrap().unwrap();
        assert!(last.end.is_some(), "{name}: the last packet says that it is");
        let ended = case["plain_equals_stream"] == true;
        let whole: Vec<u8> = messages.iter().flat_map(plain).collect();
        assert_eq!(to_hex(&Sha256::digest(&whole)) == case["stream_sha256"].as_str().unwrap(), ended, "{name}");
    }
}

fn is_final(header: &str) -> bool {
    label_of(header).is_some_and(|(label, _)| label == "stream-final-packet")
}

fn refused_class(refused: &Refused) -> &'static str {
    match refused {
        Refused::NotSsp => "not_handled",
        Refused::Header(_) => "invalid_ssp",
        Refused::Gap { .. } => "gap_exceeded",
        Refused::Ended => "closed",
        Refused::Invalid(Invalid::Missing { .. }) => "missing_required",
        Refused::Invalid(Invalid::Locator { .. }) => "invalid_locator",
        Refused::OtherStream => "other_stream",
        other => panic!("{other}"),
    }
}

fn end_class(end: Option<&Result<(), StreamError>>) -> &'static str {
    match end {
        None => "pending",
        Some(Ok(())) => "eof",
        Some(Err(StreamError::Sender(_) | StreamError::Closed { .. })) => "unexpected_eof",
        Some(Err(StreamError::Decode { .. })) => "decode_error",
        Some(Err(other)) => panic!("{other}"),
    }
}

/// Cases of level `may` where we do otherwise, and what comes of it: the octets, how it ends, and what became of the packets.
fn otherwise(name: &str) -> Option<(&'static [u8], &'static str, &'static [&'static str])> {
    Some(match name {
        // A bad estimate is no reason to lose a packet: the first one is taken, and the copy that says more is a conflict.
        "estimate-refused-word" | "estimate-refused-above-u64" => (b"a", "pending", &["ok", "ok"]),
        _ => return None,
    })
}

//= SSP-R1, SSP-R2, SSP-R3, SSP-R4, SSP-R5, SSP-R6, SSP-R7, SSP-N1, SSP-N2, SSP-H1, SSP-H2, SSP-H4, SSP-H5
//= SSP-E2, SSP-E5, SSP-E7, SSP-E8, SSP-E9, SSP-F1, SSP-F2, SSP-F5, SSP-V1, SSP-V2, SSP-X1, SSP-L2, SSP-I1, SSP-M1
#[test]
fn streams_are_joined_as_the_reference_joins_them_or_better() {
    let Some(cases) = cases("wrp/assembler.json").unwrap() else { return };
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let gap_max = case["max_packet_gap"].as_u64().unwrap();
        let limits = Limits {
            validates: case["validate"] == "standard",
            gap_max: if gap_max == 0 { 1 << 20 } else { gap_max },
            ratio_max: if case["level"] == "limit" { 2000 } else { Limits::default().ratio_max },
            ..Limits::default()
        };
        let mut stream = Reassembler::new(limits, Timing::default());
        let (mut octets, mut end, mut classes) = (Vec::new(), None, Vec::new());
        for step in case["messages"].as_array().unwrap() {
            let wire = from_hex(step["msgpack_hex"].as_str().unwrap()).unwrap();
            let message = Message::decode(&wire.into(), &wrp::Limits::NONE).unwrap();
            let taken = stream.take_message(Instant::EPOCH, &message);
            classes.push(taken.as_ref().map_or_else(refused_class, |()| "ok"));
            if case["delivery"] == "read_as_available" {
                let (more, ended) = drain(&mut stream, Instant::EPOCH);
                octets.extend(more);
                end = ended;
            }
        }
        if case["close_after"] == true {
            stream.close(Instant::EPOCH);
        }
        let (more, ended) = drain(&mut stream, Instant::EPOCH);
        octets.extend(more);
        end = ended.or(end);

        let (observed, better) = (&case["observed"], &case["recommended"]);
        let mut wanted: Vec<String> = observed["process"]
            .as_array()
            .unwrap()
            .iter()
            .map(|result| result["class"].as_str().unwrap().to_owned())
            .collect();
        for (at, class) in better["process"].as_object().into_iter().flatten() {
            wanted[at.parse::<usize>().unwrap()] = class.as_str().unwrap().to_owned();
        }
        if let Some((their_octets, their_end, process)) = otherwise(name) {
            assert_eq!(case["level"], "may", "{name}");
            assert_eq!(
                (&octets[..], end_class(end.as_ref()), &classes[..]),
                (their_octets, their_end, process),
                "{name}"
            );
            continue;
        }
        if name != "two-stream-ids" {
            assert_eq!(classes, wanted, "{name}");
        } else {
            assert_eq!(classes.iter().filter(|class| **class == "other_stream").count(), 1, "{name}");
        }
        match better["bytes_utf8"].as_str() {
            Some(text) => assert_eq!(octets, text.as_bytes(), "{name}"),
            None => assert_eq!(to_hex(&Sha256::digest(&octets)), observed["bytes_sha256"].as_str().unwrap(), "{name}"),
        }
        let wanted_end = better["end"]["class"].as_str().or(observed["end"]["class"].as_str()).unwrap();
        assert_eq!(end_class(end.as_ref()), wanted_end, "{name}: {end:?}");
        if let (Some(Err(StreamError::Sender(reason))), Some(text)) = (&end, observed["end"]["text"].as_str())
            && let Some(wanted) = text.strip_prefix("unexpected EOF: ")
        {
            assert_eq!(reason, wanted, "{name}");
        }
    }
}

//= SSP-H4, SSP-H6
#[test]
fn headers_are_looked_up_alike() {
    let Some(cases) = cases("wrp/ssp_headers.json").unwrap() else { return };
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let message = Message {
            msg_type: MessageType(case["msg_type"].as_i64().unwrap()),
            headers: texts(&case["headers"]),
            ..Message::default()
        };
        assert_eq!(is_ssp(&message), case["is_ssp"].as_bool().unwrap(), "{name}");
        assert_eq!(stream_id_of(&message), case["stream_id"].as_str(), "{name}");
        let estimated = case["estimated"].as_str().map(|text| text.parse::<u64>().unwrap());
        assert_eq!(estimated_len_of(&message), estimated, "{name}");
    }
}
