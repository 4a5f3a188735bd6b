//! Wire cases of wrp and wrp-ssp. The runner is a device, the implementation its server; where it connects to the runner, the other way round. It answers a request with its
//! payload, and sends each stream back.
//!
//! | line | meaning |
//! | --- | --- |
//! | `send {"msg_type":3,...}` | a message (JSON; the payload as text, or `hex:` and digits); `"payload":"61*3000"` is not possible, see `large` |
//! | `send hex HH ...` | octets as one message |
//! | `large COUNT {...}` | the message with a payload of so many octets `a` |
//! | `text 'words'` | a WebSocket message of text |
//! | `cut COUNT {...}` | on a byte stream: the message octet by octet |
//! | `expect {...}` | the next message has these fields; `null` is a field that is not there |
//! | `expect-large COUNT {...}` | the same, and a payload of so many octets `a` |
//! | `canonical` | that message was written in the one form that there is |
//! | `expect-stream 'content'`, `expect-stream failed` | packets of one stream come, and are that, or end in an error |
//! | `silent` | nothing comes: a request goes out, and its reply is the next thing |
//! | `silent or closed` | the same, or the connection is closed |
//! | `closed`, `closed CODE` | the other end closes, a WebSocket with that code |
//! | `end` | the runner ends its direction |
//!
//! A case that does not end with `closed` ends with `silent`.

use super::link::{Came, Ended, Link};
use super::target::Target;
use super::{pack, packets::Packets};
use crate::notation::{NotationError, argument, hex, words};
use serde_json::{Map, Value};
use std::collections::VecDeque;

type Message = Map<String, Value>;

/// One line of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A message goes out.
    Send(Vec<u8>),
    /// Text goes out.
    Text(Vec<u8>),
    /// Octet by octet.
    Cut(Vec<u8>),
    /// A message with these fields comes.
    Expect(Message),
    /// It was in its one form.
    Canonical,
    /// A stream comes; `None` for one that ends in an error.
    Stream(Option<Vec<u8>>),
    /// Nothing comes; true where the end may.
    Silent(bool),
    /// The end comes.
    Closed(Option<u16>),
    /// This direction ends.
    End,
}

fn object(text: &str) -> Result<Message, NotationError> {
    serde_json::from_str(text).map_err(|_| NotationError::new(text, "no JSON object"))
}

/// A message with a payload of so many octets.
fn large(text: &str) -> Result<Message, NotationError> {
    let (count, json) = text.split_once(' ').ok_or_else(|| NotationError::new(text, "COUNT {...}"))?;
    let count: usize = count.parse().map_err(|_| NotationError::new(count, "no count"))?;
    let mut message = object(json)?;
    message.insert("payload".into(), "a".repeat(count).into());
    Ok(message)
}

impl Step {
    /// From a line.
    ///
    /// # Errors
    /// [`NotationError`] where it is none.
    pub fn parse(line: &str) -> Result<Self, NotationError> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Ok(match (verb, rest) {
            ("send", rest) if rest.starts_with("hex ") => Self::Send(hex(rest.get(4..).unwrap_or_default())?),
            ("send", rest) => Self::Send(pack::encode(&object(rest)?)),
            ("large", rest) => Self::Send(pack::encode(&large(rest)?)),
            ("text", rest) => Self::Text(argument(rest)?),
            ("cut", rest) => Self::Cut(pack::encode(&object(rest)?)),
            ("expect", rest) => Self::Expect(object(rest)?),
            ("expect-large", rest) => Self::Expect(large(rest)?),
            ("canonical", "") => Self::Canonical,
            ("expect-stream", "failed") => Self::Stream(None),
            ("expect-stream", rest) => match &words(rest)[..] {
                [one] => Self::Stream(Some(argument(one)?)),
                _ => return Err(NotationError::new(line, "one content")),
            },
            ("silent", "") => Self::Silent(false),
            ("silent", "or closed") => Self::Silent(true),
            ("closed", "") => Self::Closed(None),
            ("closed", code) => Self::Closed(Some(code.parse().map_err(|_| NotationError::new(line, "no code"))?)),
            ("end", "") => Self::End,
            _ => return Err(NotationError::new(line, "no such step")),
        })
    }
}

struct Run {
    link: Link,
    buffer: VecDeque<u8>,
    barriers: u32,
    /// Who the runner says that it is.
    own: String,
    last: Vec<u8>,
    ended: Option<Ended>,
}

/// Runs a case.
///
/// # Errors
/// The first thing that was not as expected.
pub async fn run(steps: &[String], target: &Target) -> Result<(), String> {
    let parsed: Result<Vec<Step>, _> = steps.iter().map(|line| Step::parse(line)).collect();
    let parsed = parsed.map_err(|error| format!("the case is wrong: {error}"))?;
    let own = target.url.options().device.clone().unwrap_or_else(|| super::target::DEVICE.to_owned());
    let link = target.link().await?;
    let mut run = Run { link, buffer: VecDeque::new(), barriers: 0, own, last: Vec::new(), ended: None };
    for (line, step) in steps.iter().zip(parsed) {
        run.step(step).await.map_err(|detail| format!("`{line:.200}`: {detail}"))?;
    }
    match run.ended {
        Some(_) => Ok(()),
        None => run.silent(false).await.map_err(|detail| format!("at the end: {detail}")),
    }
}

impl Run {
    async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Send(octets) => self.send(&octets).await,
            Step::Text(octets) => self.link.text(octets).await,
            Step::Cut(octets) => {
                for octet in self.framed(&octets) {
                    self.link.write(&[octet]).await?;
                    tokio::time::sleep(core::time::Duration::from_millis(1)).await;
                }
                Ok(())
            }
            Step::Expect(expected) => {
                let got = self.message().await?;
                check(&expected, &got)
            }
            Step::Canonical if pack::is_canonical(&self.last) => Ok(()),
            Step::Canonical => Err(format!("not in its one form: {}", hex_of(&self.last))),
            Step::Stream(expected) => self.stream(expected.as_deref()).await,
            Step::Silent(or_closed) => self.silent(or_closed).await,
            Step::Closed(code) => match (self.octets().await?, code) {
                (Err(Ended::Cleanly(got)), Some(code)) if got != Some(code) => Err(format!("closed with {got:?}")),
                (Err(ended), _) => {
                    self.ended = Some(ended);
                    Ok(())
                }
                (Ok(octets), _) => Err(format!("not closed, but {}", hex_of(&octets))),
            },
            Step::End => self.link.end().await,
        }
    }

    /// On a byte stream, the octets with their length in front.
    fn framed(&self, octets: &[u8]) -> Vec<u8> {
        let len = u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&len[..], octets].concat()
    }

    async fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        match self.link.is_websocket() {
            true => self.link.send(octets).await,
            false => {
                let framed = self.framed(octets);
                self.link.write(&framed).await
            }
        }
    }

    /// The octets of the next message, or how it ended.
    async fn octets(&mut self) -> Result<Result<Vec<u8>, Ended>, String> {
        loop {
            let is_stream = !self.link.is_websocket();
            let len = self.buffer.make_contiguous().first_chunk::<4>().map(|len| u32::from_be_bytes(*len));
            if let Some(len) =
                len.and_then(|len| usize::try_from(len).ok()).filter(|len| is_stream && self.buffer.len() - 4 >= *len)
            {
                let message = self.buffer.drain(..4 + len).skip(4).collect();
                return Ok(Ok(message));
            }
            match self.link.receive().await? {
                Came::Octets(octets) if is_stream => self.buffer.extend(octets),
                Came::Octets(octets) => return Ok(Ok(octets)),
                Came::Ended(ended) => return Ok(Err(ended)),
            }
        }
    }

    async fn message(&mut self) -> Result<Message, String> {
        self.last = self.octets().await?.map_err(|ended| format!("it left: {ended:?}"))?;
        Ok(pack::decode(&self.last)?.1)
    }

    async fn silent(&mut self, or_closed: bool) -> Result<(), String> {
        self.barriers += 1;
        let transaction = format!("barrier-{}", self.barriers);
        let request = serde_json::json!({
            "msg_type": 3, "source": self.own, "dest": "dns:echo.example/echo", "transaction_uuid": transaction, "payload": transaction, "qos": 0,
        });
        let request = request.as_object().cloned().unwrap_or_default();
        self.send(&pack::encode(&request)).await?;
        match self.octets().await? {
            Err(ended) if or_closed => {
                self.ended = Some(ended);
                Ok(())
            }
            Err(ended) => Err(format!("it left: {ended:?}")),
            Ok(octets) => {
                let expected =
                    serde_json::json!({"msg_type": 3, "transaction_uuid": transaction, "payload": transaction});
                check(expected.as_object().unwrap_or(&Message::new()), &pack::decode(&octets)?.1)
            }
        }
    }

    async fn stream(&mut self, expected: Option<&[u8]>) -> Result<(), String> {
        let mut packets = Packets::default();
        loop {
            let message = self.message().await?;
            match (packets.take(&message)?, expected) {
                (None, _) => {}
                (Some(Ok(content)), Some(expected)) if content == expected => return Ok(()),
                (Some(Ok(content)), _) => {
                    return Err(format!(
                        "a stream of {} octets: {:.80}",
                        content.len(),
                        String::from_utf8_lossy(&content)
                    ));
                }
                (Some(Err(_)), None) => return Ok(()),
                (Some(Err(reason)), Some(_)) => return Err(format!("the stream failed: {reason}")),
            }
        }
    }
}

fn check(expected: &Message, got: &Message) -> Result<(), String> {
    for (key, wanted) in expected {
        let there = got.get(key).unwrap_or(&Value::Null);
        if there != wanted {
            let short = |value: &Value| value.to_string().chars().take(120).collect::<String>();
            return Err(format!("{key}: expected {}, got {}", short(wanted), short(there)));
        }
    }
    Ok(())
}

fn hex_of(octets: &[u8]) -> String {
    octets.iter().take(100).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_what_is_none_is_refused() {
        assert!(Step::parse(r#"large 3 {"msg_type":3}"#).is_ok());
        assert_eq!(Step::parse("closed 1009"), Ok(Step::Closed(Some(1009))));
        for line in ["", "send", "send {", "send [1]", "large {}", "expect", "silent or not", "closed x", "wait 3s"] {
            assert!(Step::parse(line).is_err(), "{line}");
        }
    }
}
