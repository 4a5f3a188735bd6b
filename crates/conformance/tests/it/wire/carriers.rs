//! A WebSocket server of the runner's own parts, and its faults.

use super::{each_is_found, failing};
use conformance::notation::CaseUnit;
use conformance::wire::ws::{Frame, HEAD_LEN_MAX, Head, Opcode, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    TakesText,
    NeverPongs,
    PongsNothing,
    TakesUnmasked,
    TakesReservedBits,
    TakesUnknownOpcodes,
    TakesLongPings,
    TakesCutPings,
    TakesContinuationsOfNothing,
    TakesMessagesWithinMessages,
    LosesFragmentsAtPings,
    KnowsNoFragments,
    NeverAnswersClose,
    AnswersCloseWithAnotherCode,
    LooksBehindClose,
    TakesBadCloseCodes,
    TakesHalfCloseCodes,
    WaitsForAnyLength,
    TakesEveryVersion,
    TakesEveryPath,
    TakesEveryOrigin,
    TakesPosts,
    AgreesOnExtensions,
    WaitsForEverForAHead,
    EndsWithTheFirstReset,
}

async fn serve(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp+ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if fault == Fault::EndsWithTheFirstReset {
                let mut one = Socket { stream, fault, buffer: Vec::new(), message: None, units: Vec::new() };
                if one.talk().await.is_none() {
                    return;
                }
                continue;
            }
            tokio::spawn(async move {
                Socket { stream, fault, buffer: Vec::new(), message: None, units: Vec::new() }.talk().await
            });
        }
    });
    url
}

struct Socket {
    stream: TcpStream,
    fault: Fault,
    buffer: Vec<u8>,
    /// Of the message begun.
    message: Option<Vec<u8>>,
    units: Vec<u8>,
}

impl Socket {
    async fn read(&mut self) -> Option<()> {
        let mut chunk = vec![0; 65_536];
        match self.stream.read(&mut chunk).await {
            Ok(len) if len > 0 => self.buffer.extend_from_slice(&chunk[..len]),
            _ => return None,
        }
        Some(())
    }

    async fn write(&mut self, octets: &[u8]) {
        let _gone = self.stream.write_all(octets).await;
    }

    /// `None` where the other end went without a word.
    async fn talk(&mut self) -> Option<()> {
        let head = loop {
            match Head::read(&self.buffer) {
                Ok(Some((head, len))) => {
                    self.buffer.drain(..len);
                    break head;
                }
                Ok(None) => self.read().await?,
                Err(_) if self.fault == Fault::WaitsForEverForAHead => self.read().await?,
                Err(_) => return Some(()),
            }
            if self.buffer.len() > HEAD_LEN_MAX && self.fault != Fault::WaitsForEverForAHead {
                return Some(());
            }
        };
        let refusal = self.refusal(&head);
        if let Some(refusal) = refusal {
            self.write(format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
            return Some(());
        }
        let mut granted = answer(&head, None).unwrap();
        if self.fault == Fault::AgreesOnExtensions && head.header("sec-websocket-extensions").is_some() {
            granted = granted.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        }
        self.write(granted.as_bytes()).await;
        loop {
            match Frame::read(&self.buffer) {
                Ok(Some((frame, len))) => {
                    self.buffer.drain(..len);
                    if let Err(code) = Box::pin(self.take(frame)).await {
                        return self.close(code).await;
                    }
                }
                Ok(None) if self.claims_too_much() => return self.close(1009).await,
                Err(_) if self.fault != Fault::WaitsForAnyLength => return self.close(1009).await,
                Ok(None) | Err(_) => self.read().await?,
            }
        }
    }

    fn claims_too_much(&self) -> bool {
        let len = self.buffer.get(2..10).map_or(0, |len| u64::from_be_bytes(len.try_into().unwrap()));
        self.buffer.get(1).is_some_and(|second| second & 127 == 127)
            && len > 1 << 20
            && self.fault != Fault::WaitsForAnyLength
    }

    fn refusal(&self, head: &Head) -> Option<&'static str> {
        let has = |name: &str, word: &str| {
            let value = head.header(name).unwrap_or_default();
            value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        let mut words = head.first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match self.fault {
            _ if path != "/" && self.fault != Fault::TakesEveryPath => Some("404 Not Found"),
            _ if method != "GET" && self.fault != Fault::TakesPosts => Some("405 Method Not Allowed"),
            _ if head.header("origin").is_some() && self.fault != Fault::TakesEveryOrigin => Some("403 Forbidden"),
            _ if head.header("sec-websocket-version") != Some("13") && self.fault != Fault::TakesEveryVersion => {
                Some("426 Upgrade Required\r\nSec-WebSocket-Version: 13")
            }
            _ if !has("upgrade", "websocket") || !has("connection", "upgrade") => Some("400 Bad Request"),
            _ => None,
        }
    }

    /// What a frame does, or the code that the connection ends with.
    async fn take(&mut self, frame: Frame) -> Result<(), u16> {
        let fault = self.fault;
        let is_control = frame.opcode.0 >= 8;
        let wrong = (!frame.masked && fault != Fault::TakesUnmasked)
            || (frame.reserved != 0 && fault != Fault::TakesReservedBits)
            || (!matches!(frame.opcode.0, 0..=2 | 8..=10) && fault != Fault::TakesUnknownOpcodes)
            || (is_control && frame.payload.len() > 125 && fault != Fault::TakesLongPings)
            || (is_control && !frame.fin && fault != Fault::TakesCutPings);
        if wrong {
            return Err(1002);
        }
        match frame.opcode {
            Opcode::PING => {
                if fault == Fault::LosesFragmentsAtPings {
                    self.message = None;
                }
                if fault != Fault::NeverPongs {
                    let content = if fault == Fault::PongsNothing { Vec::new() } else { frame.payload };
                    self.write(&Frame::new(Opcode::PONG, content, false).octets()).await;
                }
            }
            Opcode::CLOSE => return self.told(&frame.payload).await,
            Opcode::TEXT if fault != Fault::TakesText => return Err(1003),
            Opcode::TEXT | Opcode::BINARY => {
                if self.message.is_some() && fault != Fault::TakesMessagesWithinMessages {
                    return Err(1002);
                }
                self.message = Some(frame.payload);
            }
            Opcode::CONTINUATION => match &mut self.message {
                Some(message) => message.extend(frame.payload),
                None if fault == Fault::TakesContinuationsOfNothing || fault == Fault::LosesFragmentsAtPings => {}
                None => return Err(1002),
            },
            _ => {}
        }
        if frame.fin || fault == Fault::KnowsNoFragments {
            let message = self.message.take().unwrap_or_default();
            if !is_control || message.is_empty() {
                self.units.extend(message);
            } else {
                self.message = Some(message);
            }
        }
        while let Some((unit, len)) = CaseUnit::read(&self.units) {
            self.units.drain(..len);
            if unit.code == 0 {
                self.write(&Frame::binary(&unit.octets(), false).octets()).await;
            }
        }
        Ok(())
    }

    async fn told(&mut self, payload: &[u8]) -> Result<(), u16> {
        let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
        let is_sane = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        match (code, self.fault) {
            (_, Fault::NeverAnswersClose) => Err(0),
            (_, Fault::LooksBehindClose) => Ok(()),
            (None, fault) if payload.len() == 1 && fault != Fault::TakesHalfCloseCodes => Err(1002),
            (Some(code), fault) if !is_sane(code) && fault != Fault::TakesBadCloseCodes => Err(1002),
            (Some(_), Fault::AnswersCloseWithAnotherCode) => Err(1011),
            (Some(_), _) if core::str::from_utf8(&payload[2..]).is_err() => Err(1007),
            (code, _) => Err(code.unwrap_or(1000)),
        }
    }

    /// Says why, and reads on until the other end is gone: closing at once would reset what it sends.
    async fn close(&mut self, code: u16) -> Option<()> {
        if code != 0 {
            self.write(&Frame::new(Opcode::CLOSE, code.to_be_bytes().to_vec(), false).octets()).await;
            let _gone = self.stream.shutdown().await;
            while self.read().await.is_some() {}
        }
        Some(())
    }
}

const FAULTS: [(Fault, &str); 25] = [
    (Fault::TakesText, "ws-text"),
    (Fault::NeverPongs, "ws-ping"),
    (Fault::PongsNothing, "ws-ping"),
    (Fault::TakesUnmasked, "ws-unmasked"),
    (Fault::TakesReservedBits, "ws-reserved-bits"),
    (Fault::TakesUnknownOpcodes, "ws-unknown-opcode"),
    (Fault::TakesLongPings, "ws-ping-too-long"),
    (Fault::TakesCutPings, "ws-ping-in-fragments"),
    (Fault::TakesContinuationsOfNothing, "ws-continuation-of-nothing"),
    (Fault::TakesMessagesWithinMessages, "ws-message-within-a-message"),
    (Fault::LosesFragmentsAtPings, "ws-ping-between-fragments"),
    (Fault::KnowsNoFragments, "ws-fragments"),
    (Fault::NeverAnswersClose, "ws-close"),
    (Fault::AnswersCloseWithAnotherCode, "ws-close"),
    (Fault::LooksBehindClose, "ws-nothing-behind-close"),
    (Fault::TakesBadCloseCodes, "ws-close-code-that-cannot-be-sent"),
    (Fault::TakesHalfCloseCodes, "ws-close-of-one-octet"),
    (Fault::WaitsForAnyLength, "ws-frame-too-long"),
    (Fault::TakesEveryVersion, "ws-other-version"),
    (Fault::TakesEveryPath, "ws-wrong-path"),
    (Fault::TakesEveryOrigin, "ws-other-origin"),
    (Fault::TakesPosts, "ws-post"),
    (Fault::AgreesOnExtensions, "ws-extension-is-not-agreed-on"),
    (Fault::WaitsForEverForAHead, "ws-head-too-long"),
    (Fault::EndsWithTheFirstReset, "ws-reset"),
];

#[tokio::test]
async fn a_right_server_passes_the_cases_that_find_the_faults() {
    let url = serve(Fault::None).await;
    for (_, case) in FAULTS {
        assert_eq!(failing("carriers", &url, &[case]).await, []);
    }
}

#[tokio::test]
async fn every_planted_fault_is_found() {
    let faults = FAULTS.map(|(fault, case)| (fault, "carriers", case));
    each_is_found(faults, |fault| async move { ((), serve(fault).await) }).await;
}
