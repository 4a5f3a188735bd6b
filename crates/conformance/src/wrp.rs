//! Cases of WRP messages and of streams over them.
//!
//! | line | meaning |
//! | --- | --- |
//! | `limit NAME NUMBER` | a limit of the reader, or of the stream, from here on |
//! | `decode HEX` | octets are read as a message |
//! | `json TEXT` | text is read as a message |
//! | `refused WORD` | that was refused: `short`, `type`, `range`, `depth`, `not-utf8`, `limit`, `trailing`, `json-syntax`, `json-type` |
//! | `reads JSON` | it was read as this message |
//! | `valid`, `invalid TEXT` | what validation says of the message |
//! | `writes HEX` | the message in MessagePack |
//! | `prints TEXT` | the message as JSON, octet for octet, with one line feed behind |
//! | `replies STATUS JSON` | what answers the message |
//! | `ack-for SOURCE`, `no-ack-for SOURCE` | is it an acknowledgement of one of SOURCE's messages? |
//! | `number N => WORDS`, `named TEXT => N` | what a type means: its name, `transaction`, `ack`; and which has a name |
//! | `level N => WORD`, `partners A,B => A,B` | a quality of service; partner ids behind a builder |
//! | `locator TEXT => SCHEME AUTHORITY SERVICE IGNORED`, `device TEXT => ID` | what a text is; `-` for nothing, and behind `=>` for no such thing |
//! | `device-of LOCATOR => ID` | the device of a locator; `-` for none |
//! | `again TEXT => TEXT` | a locator as it is written; read again it is the same |
//! | `base JSON` | the message that packets are made of, here and by the peer; an event where nothing is said |
//! | `unchecked` | messages of streams are not checked by the rules of their type |
//! | `packet HEADER \| HEADER ... \| PAYLOAD` | a packet of a stream comes; the payload is `'text'`, `gzip 'text'`, `deflate 'text'` or `hex HEX` |
//! | `taken`, `declined WORD` | what became of it |
//! | `close`, `wait SECONDS` | nothing more comes; time passes |
//! | `gives 'text'`, `pending`, `ended`, `failed TEXT` | what can be read, all of it; what is behind |
//! | `conflicts N`, `progress LEN TOTAL`, `told`, `untold` | copies that differed; octets given and the estimate; was it said that something can be read? |
//! | `cut LEN ENCODING 'text'`, `fails TEXT` | a stream is cut into packets of so many octets; it ends badly |
//! | `name ID`, `estimate LEN`, `uncuttable WORD`, `packet-len LEN` | in front of that: its name, its estimated length; behind: it was refused, what a packet holds |
//! | `sends HEADER \| HEADER ... \| PAYLOAD`, `raw HEX` | the next packet of it, decompressed; how its payload began as it went |
//!
//! Further steps are those of its modules `link` and `many`.

mod link;
mod many;
mod types;

use crate::case::Case;
use crate::notation::hex;
use crate::run::Failure;
use core::time::Duration;
use wirekit::{Instant, Machine};
use wrp::{DecodeErrorKind, Event, JsonError, Limits, Message};
use wrp_ssp::codec::{Caps, Compressor, Decompressor};
use wrp_ssp::{Encoding, End, Fill, Level, Options, PacketRef, Reassembler, Refused, SegmentError, Segmenter, Timing};

/// What a case is about.
struct World {
    limits: Limits,
    message: Result<Message, String>,
    stream_limits: wrp_ssp::Limits,
    stream: Option<Reassembler>,
    now: Instant,
    taken: Result<(), String>,
    segmenter: Option<(Segmenter, Vec<u8>)>,
    end: End,
    base: Option<Message>,
    timing: Timing,
    name: String,
    estimated_len: u64,
    uncuttable: Option<&'static str>,
    raw: Vec<u8>,
    link: link::World,
    many: many::World,
}

/// Runs a case.
///
/// # Errors
/// The first [`Failure`].
pub fn run(case: &Case) -> Result<(), Failure> {
    let mut world = World {
        limits: Limits::default(),
        message: Err("nothing was read".into()),
        stream_limits: wrp_ssp::Limits::default(),
        stream: None,
        now: Instant::EPOCH,
        taken: Ok(()),
        segmenter: None,
        end: End::Clean,
        base: None,
        timing: Timing::default(),
        name: "s".into(),
        estimated_len: 0,
        uncuttable: None,
        raw: Vec::new(),
        link: link::World::default(),
        many: many::World::default(),
    };
    for (step, line) in case.steps.iter().enumerate() {
        world.step(line).map_err(|detail| Failure { step, cutting: "whole".into(), detail })?;
    }
    Ok(())
}

fn expect<T: PartialEq + core::fmt::Debug>(got: &T, wanted: &T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("expected `{wanted:?}`, got `{got:?}`")) }
}

fn quoted(text: &str) -> Result<&str, String> {
    text.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).ok_or(format!("`{text}` is not in quotes"))
}

fn octets(digits: &str) -> Result<Vec<u8>, String> {
    hex(digits).map_err(|error| error.to_string())
}

fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn payload(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let compressed = |encoding, text: &str| {
        let mut out = Vec::new();
        Compressor::new(encoding, Level::Default).compress(quoted(text)?.as_bytes(), &mut out);
        Ok(out)
    };
    match text.split_once(' ') {
        Some(("gzip", text)) => compressed(Encoding::Gzip, text),
        Some(("deflate", text)) => compressed(Encoding::Deflate, text),
        Some(("hex", hex)) => octets(hex),
        _ => Ok(quoted(text)?.as_bytes().to_vec()),
    }
}

fn decode_word(kind: DecodeErrorKind) -> &'static str {
    match kind {
        DecodeErrorKind::Short { .. } => "short",
        DecodeErrorKind::Type { .. } => "type",
        DecodeErrorKind::Range => "range",
        DecodeErrorKind::Depth { .. } => "depth",
        DecodeErrorKind::NotUtf8 => "not-utf8",
        DecodeErrorKind::Limit(_) => "limit",
        DecodeErrorKind::Trailing { .. } => "trailing",
        _ => "other",
    }
}

fn refused_word(refused: &Refused) -> &'static str {
    match refused {
        Refused::NotSsp => "no-packet",
        Refused::Invalid(_) => "invalid",
        Refused::Header(_) => "header",
        Refused::OtherStream => "other-stream",
        Refused::Gap { .. } => "gap",
        Refused::Full { .. } => "full",
        Refused::PayloadLen { .. } => "payload",
        Refused::Ended => "ended",
        _ => "other",
    }
}

impl World {
    fn step(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "limit" => self.limit(rest),
            "decode" => {
                let read = Message::decode(&octets(rest)?.into(), &self.limits);
                self.message = read.map_err(|error| decode_word(error.kind).to_owned());
                Ok(())
            }
            "json" => {
                self.message = Message::from_json(rest.as_bytes()).map_err(|error| {
                    let word = if matches!(error, JsonError::Type(_)) { "json-type" } else { "json-syntax" };
                    word.to_owned()
                });
                Ok(())
            }
            "refused" => expect(&self.message.as_ref().err().map(String::as_str), &Some(rest)),
            "reads" => {
                let parse =
                    |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(|error| error.to_string());
                expect(&parse(&self.message()?.to_json())?, &parse(rest)?)
            }
            "valid" => self.message()?.validate().map_err(|fault| fault.to_string()),
            "invalid" => expect(&self.message()?.validate().err().map(|fault| fault.to_string()), &Some(rest.into())),
            "writes" => expect(&to_hex(&self.message()?.encode()), &to_hex(&octets(rest)?)),
            "prints" => expect(&self.message()?.to_json().as_str(), &format!("{rest}\n").as_str()),
            "replies" => {
                let (status, wanted) = rest.split_once(' ').ok_or("a status and a message")?;
                let status = status.parse().map_err(|_| format!("`{status}` is no number"))?;
                let reply = self.message()?.reply(status).build().map_err(|fault| fault.to_string())?;
                expect(&reply, &json(wanted)?)
            }
            "ack-for" | "no-ack-for" => expect(&self.message()?.is_qos_ack_for(rest), &(word == "ack-for")),
            "base" => {
                self.base = Some(json(rest)?);
                Ok(())
            }
            "unchecked" => {
                self.stream_limits.validates = false;
                Ok(())
            }
            "cut" => self.cut(rest),
            "fails" => {
                self.end = End::Failed(rest.to_owned());
                Ok(())
            }
            "name" => {
                rest.clone_into(&mut self.name);
                Ok(())
            }
            "estimate" => {
                self.estimated_len = rest.parse().map_err(|_| format!("`{rest}` is no length"))?;
                Ok(())
            }
            "uncuttable" => expect(&self.uncuttable, &Some(rest)),
            "packet-len" => {
                let (segmenter, _) = self.segmenter.as_ref().ok_or("nothing is cut")?;
                expect(&segmenter.packet_len().to_string().as_str(), &rest)
            }
            "sends" => self.sends(rest),
            "raw" => expect(&to_hex(self.raw.get(..rest.len() / 2).unwrap_or(&self.raw)).as_str(), &rest),
            _ => types::step(word, rest)
                .or_else(|| self.link.step(word, rest, &mut self.message))
                .or_else(|| self.many.step(word, rest, self.stream_limits))
                .unwrap_or_else(|| self.stream_step(word, rest)),
        }
    }

    /// What packets are made of.
    fn base(&self) -> Result<Message, String> {
        match &self.base {
            Some(base) => Ok(base.clone()),
            None => Event::new("self:", "event:x").build().map_err(|fault| fault.to_string()),
        }
    }

    fn message(&self) -> Result<&Message, String> {
        self.message.as_ref().map_err(|word| format!("it was refused: {word}"))
    }

    fn limit(&mut self, rest: &str) -> Result<(), String> {
        let (name, number) = rest.split_once(' ').ok_or("a name and a number")?;
        let number: usize = number.parse().map_err(|_| format!("`{number}` is no number"))?;
        match name {
            "message_len_max" => self.limits.message_len_max = number,
            "text_len_max" => self.limits.text_len_max = number,
            "message.payload_len_max" => self.limits.payload_len_max = number,
            "entries_max" => self.limits.entries_max = number,
            "depth_max" => self.limits.depth_max = number,
            "trailing_len_max" => self.limits.trailing_len_max = number,
            "gap_max" => self.stream_limits.gap_max = number as u64,
            "window_len_max" => self.stream_limits.window_len_max = number,
            "payload_len_max" => self.stream_limits.payload_len_max = number,
            "packet_len_max" => self.stream_limits.packet_len_max = number,
            "stream_len_max" => self.stream_limits.stream_len_max = number as u64,
            "ratio_max" => self.stream_limits.ratio_max = number,
            "missing_ranges_max" => self.stream_limits.missing_ranges_max = number,
            "total_timeout" => self.timing.total_timeout = Some(Duration::from_secs(number as u64)),
            _ => return Err(format!("no limit `{name}`")),
        }
        Ok(())
    }

    fn stream(&mut self) -> &mut Reassembler {
        let (limits, timing) = (self.stream_limits, self.timing);
        self.stream.get_or_insert_with(|| Reassembler::new(limits, timing))
    }

    fn stream_step(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let now = self.now;
        match word {
            "packet" => {
                let mut pieces: Vec<&str> = rest.split(" | ").collect();
                let last = pieces.pop().ok_or("a payload")?;
                let mut message = self.base()?;
                message.headers.extend(pieces.into_iter().filter(|piece| !piece.is_empty()).map(str::to_owned));
                message.payload = Some(payload(last)?.into());
                let taken = self.stream().take_message(now, &message);
                self.taken = taken.map_err(|refused| refused_word(&refused).to_owned());
                Ok(())
            }
            "taken" => self.taken.clone(),
            "declined" => expect(&self.taken.as_ref().err().map(String::as_str), &Some(rest)),
            "close" => {
                self.stream().close(now);
                Ok(())
            }
            "wait" => {
                let seconds = rest.parse().map_err(|_| format!("`{rest}` is no number of seconds"))?;
                self.now = now + Duration::from_secs(seconds);
                let now = self.now;
                self.stream().handle_timeout(now);
                Ok(())
            }
            "gives" => {
                let mut got = Vec::new();
                while let Fill::Octets(octets) = self.stream().fill(now) {
                    got.extend_from_slice(octets);
                    let len = octets.len();
                    self.stream().consume(len);
                }
                expect(&String::from_utf8_lossy(&got).into_owned(), &quoted(rest)?.to_owned())
            }
            "conflicts" => expect(&self.stream().stats().conflict_count.to_string().as_str(), &rest),
            "progress" => {
                let (given, total) = self.stream().progress();
                let total = total.map_or_else(|| "-".to_owned(), |total| total.to_string());
                expect(&format!("{given} {total}").as_str(), &rest)
            }
            "told" | "untold" => expect(&self.stream().poll_event().is_some(), &(word == "told")),
            "pending" => expect(&self.stream().fill(now), &Fill::Pending),
            "ended" => expect(&self.stream().fill(now), &Fill::End),
            "failed" => match self.stream().fill(now) {
                Fill::Failed(error) => expect(&error.to_string().as_str(), &rest),
                other => Err(format!("expected a failure, got {other:?}")),
            },
            _ => Err(format!("`{word}` is no step")),
        }
    }

    fn cut(&mut self, rest: &str) -> Result<(), String> {
        let mut words = rest.splitn(3, ' ');
        let mut next = || words.next().ok_or("cut LEN ENCODING 'text'");
        let len = next()?.parse().map_err(|_| "a length")?;
        let (encoding, level) = Encoding::parse(next()?).map_err(|error| error.to_string())?;
        let text = quoted(next()?)?.as_bytes().to_vec();
        let options = Options::new(self.name.as_str())
            .with_packet_len(len)
            .with_encoding(encoding, level)
            .with_unshrunk(true)
            .with_estimated_len(self.estimated_len)
            .with_validation(self.stream_limits.validates);
        let segmenter = Segmenter::new(self.base()?, options);
        self.uncuttable = segmenter.as_ref().err().map(|error| match error {
            SegmentError::StreamId(_) => "stream-id",
            SegmentError::NoHeaders(_) => "no-headers",
            SegmentError::Invalid(_) => "invalid",
            _ => "other",
        });
        self.segmenter = segmenter.ok().map(|segmenter| (segmenter, text));
        Ok(())
    }

    fn sends(&mut self, rest: &str) -> Result<(), String> {
        let end = self.end.clone();
        let (segmenter, text) = self.segmenter.as_mut().ok_or("nothing is cut")?;
        while !segmenter.is_ready() {
            let len = segmenter.push(text);
            text.drain(..len);
            if len == 0 {
                segmenter.finish(end.clone());
            }
        }
        let message = segmenter.poll_message().ok_or("nothing is sent any more")?;
        let packet = PacketRef::from_message(&message).map_err(|error| error.to_string())?.ok_or("no packet")?;
        self.raw = packet.payload.to_vec();
        let caps = Caps { len_max: 1 << 20, ratio_max: 1000 };
        let mut codec = Decompressor::default();
        let plain = codec.decompress(packet.encoding, &packet.payload, caps).map_err(|fault| fault.to_string())?;
        let got = format!("{} | '{}'", message.headers.join(" | "), String::from_utf8_lossy(plain));
        expect(&got.as_str(), &rest)
    }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A message of JSON.
fn json(text: &str) -> Result<Message, String> {
    Message::from_json(text.as_bytes()).map_err(|error| error.to_string())
}
