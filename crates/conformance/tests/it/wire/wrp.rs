//! A server of devices over TCP that knows no code of ours, and its faults. It judges as little as the cases below need.

use super::{each_is_found, failing};
use conformance::wire::pack;
use conformance::wire::packets::Packets;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    AnswersReplies,
    AnswersAlive,
    LosesTheTransaction,
    SaysNothingOfHowItWent,
    ForgetsToTurnItAround,
    LeavesAfterNoMessage,
    TakesWhatStandsBehind,
    NeedsNoTransaction,
    TakesAnyQuality,
    TakesAnyType,
    TakesAnyLocator,
    LeavesOutTheQuality,
    ReadsNoWideHeaders,
    WantsMessagesInOneRead,
    JoinsInOrderOfArrival,
    TakesTheLastCopy,
    EndsWellWhateverCame,
    NumbersFromOne,
}

async fn serve(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wrp+tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(link(stream, fault));
        }
    });
    url
}

async fn link(mut stream: TcpStream, fault: Fault) {
    let (mut buffer, mut chunk, mut packets) = (Vec::new(), vec![0; 65_536], Packets::default());
    let mut arrived: Vec<String> = Vec::new();
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(len) => buffer.extend_from_slice(&chunk[..len]),
        }
        while buffer.len() >= 4 {
            let len = u32::from_be_bytes(buffer[..4].try_into().unwrap()) as usize;
            if buffer.len() < 4 + len {
                break;
            }
            let octets: Vec<u8> = buffer.drain(..4 + len).skip(4).collect();
            let Some(message) = read(&octets, fault) else {
                if fault == Fault::LeavesAfterNoMessage {
                    return;
                }
                continue;
            };
            if message.contains_key("headers") {
                if let Some(answer) = streamed(&message, &mut packets, &mut arrived, fault) {
                    write(&mut stream, &answer, fault).await;
                }
            } else if let Some(answer) = answer(&message, fault) {
                write(&mut stream, &answer, fault).await;
            }
        }
        if fault == Fault::WantsMessagesInOneRead {
            buffer.clear();
        }
    }
}

/// A message that is one, and valid.
fn read(octets: &[u8], fault: Fault) -> Option<Map<String, Value>> {
    if fault == Fault::ReadsNoWideHeaders && octets.first() == Some(&0xdf) {
        return None;
    }
    let octets = if octets.last() == Some(&0) && fault == Fault::TakesWhatStandsBehind {
        &octets[..octets.len() - 1]
    } else {
        octets
    };
    let (_, message) = pack::decode(octets).ok()?;
    let kind = message.get("msg_type")?.as_i64()?;
    let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_locator =
        |text: String| ["mac:", "MAC:", "dns:", "event:", "self:"].iter().any(|scheme| text.starts_with(scheme));
    let has_ends = [3, 4, 5, 6, 7, 8].contains(&kind);
    let right = ((2..=11).contains(&kind) || fault == Fault::TakesAnyType)
        && (!has_ends || fault == Fault::TakesAnyLocator || (is_locator(text("source")) && is_locator(text("dest"))))
        && (!has_ends || kind == 4 || fault == Fault::NeedsNoTransaction || !text("transaction_uuid").is_empty())
        && (fault == Fault::TakesAnyQuality || message.get("qos").and_then(Value::as_i64).unwrap_or(0) <= 99);
    right.then_some(message)
}

fn answer(message: &Map<String, Value>, fault: Fault) -> Option<Map<String, Value>> {
    let kind = message.get("msg_type")?.as_i64()?;
    let is_request =
        [0, 3, 5, 6, 7, 8, 12].contains(&kind) && (!message.contains_key("status") || fault == Fault::AnswersReplies);
    if !is_request && kind != 4 && !(kind == 10 && fault == Fault::AnswersAlive) {
        return None;
    }
    let mut answer = message.clone();
    if fault != Fault::ForgetsToTurnItAround {
        answer.insert("source".into(), message.get("dest").cloned().unwrap_or_default());
        answer.insert("dest".into(), message.get("source").cloned().unwrap_or_default());
    }
    if kind != 4 && fault != Fault::SaysNothingOfHowItWent {
        answer.insert("status".into(), 200.into());
    }
    if fault == Fault::LosesTheTransaction {
        answer.remove("transaction_uuid");
    }
    Some(answer)
}

fn streamed(
    message: &Map<String, Value>,
    packets: &mut Packets,
    arrived: &mut Vec<String>,
    fault: Fault,
) -> Option<Map<String, Value>> {
    let payload = message.get("payload").and_then(Value::as_str).unwrap_or_default();
    let headers = message.get("headers")?.to_string();
    let number = headers.split("stream-packet-number: ").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("0");
    if fault == Fault::JoinsInOrderOfArrival {
        arrived.push(payload.to_owned());
    } else if fault == Fault::TakesTheLastCopy {
        arrived.resize(arrived.len().max(number.parse::<usize>().unwrap() + 1), String::new());
        arrived[number.parse::<usize>().unwrap()] = payload.to_owned();
    }
    let taken = match packets.take(message) {
        // Of copies the first counts, whatever the others say.
        Err(why) if why.contains("one thing, then another") => None,
        Err(why) => Some(Err(why)),
        Ok(taken) => taken,
    };
    let (content, says) = match taken? {
        Ok(_) if !arrived.is_empty() => (arrived.concat(), "eof"),
        Ok(content) => (String::from_utf8(content).unwrap(), "eof"),
        Err(_) if fault == Fault::EndsWellWhateverCame => (String::new(), "eof"),
        Err(_) => (String::new(), "it broke"),
    };
    let number = u32::from(fault == Fault::NumbersFromOne);
    let headers =
        json!(["stream-id: back", format!("stream-packet-number: {number}"), format!("stream-final-packet: {says}")]);
    let packet =
        json!({"msg_type": 4, "source": "self:", "dest": "event:x", "headers": headers, "payload": content, "qos": 0});
    packet.as_object().cloned()
}

async fn write(stream: &mut TcpStream, message: &Map<String, Value>, fault: Fault) {
    let mut message = message.clone();
    if fault == Fault::LeavesOutTheQuality {
        message.remove("qos");
    }
    let octets = pack::encode(&message);
    let len = u32::try_from(octets.len()).unwrap().to_be_bytes();
    let _gone = stream.write_all(&[&len[..], &octets].concat()).await;
}

const FAULTS: [(Fault, &str, &str); 18] = [
    (Fault::AnswersReplies, "wrp", "wrp-wire-reply-is-not-answered"),
    (Fault::AnswersAlive, "wrp", "wrp-wire-other-types"),
    (Fault::LosesTheTransaction, "wrp", "wrp-wire-each-request-its-reply"),
    (Fault::SaysNothingOfHowItWent, "wrp", "wrp-wire-request"),
    (Fault::ForgetsToTurnItAround, "wrp", "wrp-wire-request"),
    (Fault::LeavesAfterNoMessage, "wrp", "wrp-wire-no-message"),
    (Fault::TakesWhatStandsBehind, "wrp", "wrp-wire-octets-behind"),
    (Fault::NeedsNoTransaction, "wrp", "wrp-wire-without-transaction"),
    (Fault::TakesAnyQuality, "wrp", "wrp-wire-bad-quality-of-service"),
    (Fault::TakesAnyType, "wrp", "wrp-wire-type-without-meaning"),
    (Fault::TakesAnyLocator, "wrp", "wrp-wire-bad-locator"),
    (Fault::LeavesOutTheQuality, "wrp", "wrp-wire-reply-in-order"),
    (Fault::ReadsNoWideHeaders, "wrp", "wrp-wire-wide-headers"),
    (Fault::WantsMessagesInOneRead, "wrp", "wrp-wire-octet-by-octet"),
    (Fault::JoinsInOrderOfArrival, "wrp-ssp", "ssp-wire-disorder"),
    (Fault::TakesTheLastCopy, "wrp-ssp", "ssp-wire-copies"),
    (Fault::EndsWellWhateverCame, "wrp-ssp", "ssp-wire-failure-of-the-sender"),
    (Fault::NumbersFromOne, "wrp-ssp", "ssp-wire-one-packet"),
];

#[tokio::test]
async fn a_right_server_passes_the_cases_that_find_the_faults() {
    let url = serve(Fault::None).await;
    for (_, system, case) in FAULTS {
        assert_eq!(failing(system, &url, &[case]).await, []);
    }
}

#[tokio::test]
async fn every_planted_fault_is_found() {
    each_is_found(FAULTS, |fault| async move { ((), serve(fault).await) }).await;
}
