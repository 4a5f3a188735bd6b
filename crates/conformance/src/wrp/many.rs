//! Many streams at once.
//!
//! | line | meaning |
//! | --- | --- |
//! | `streams NAME NUMBER ...` | many streams are taken from here on, with these limits |
//! | `own SOURCE` | who this end is |
//! | `from SOURCE HEADER \| ... \| PAYLOAD`, `ack-from SOURCE TO HEADER \| ...` | a message comes; an acknowledgement of one of TO's |
//! | `routed WORD` | what became of it: `taken`, `foreign`, `ack`, `late`, `refused`, `full`, or the limit that it met |
//! | `stream SOURCE ID gives 'text'`, `stream SOURCE ID ended` (or `pending`, `failed`) | what can be read of one |
//! | `forget SOURCE ID` | the application is done with it |
//! | `later SECONDS` | time passes |
//! | `open COUNT`, `kept LEN` | streams that are open, octets that are kept |

use super::{expect, payload, quoted};
use core::time::Duration;
use wirekit::{Instant, Machine as _};
use wrp::Event;
use wrp_ssp::{Demultiplexer, DemuxLimits, Fill, Limits, Routed, StreamKey, Timing};

/// Many streams, and what became of the last message.
#[derive(Debug, Default)]
pub(super) struct World {
    streams: Option<Demultiplexer>,
    limits: DemuxLimits,
    own: Option<String>,
    now: Instant,
    routed: Option<Routed>,
}

impl World {
    /// Takes a step; `None` where it is no step of many streams.
    pub(super) fn step(&mut self, word: &str, rest: &str, limits: Limits) -> Option<Result<(), String>> {
        Some(match word {
            "streams" => self.limit(rest),
            "own" => {
                self.own = Some(rest.to_owned());
                Ok(())
            }
            "from" => self.arrive(rest, limits, false),
            "ack-from" => self.arrive(rest, limits, true),
            "routed" => expect(&self.routed.as_ref().map(routed_word), &Some(rest)),
            "stream" => self.read(rest),
            "forget" => key(rest).and_then(|(key, _)| match self.streams(limits).remove(&key) {
                Some(_) => Ok(()),
                None => Err(format!("no stream {key:?}")),
            }),
            "later" => self.pass(rest, limits),
            "open" => expect(&self.streams(limits).stream_count().to_string().as_str(), &rest),
            "kept" => expect(&self.streams(limits).kept_len().to_string().as_str(), &rest),
            _ => return None,
        })
    }

    fn streams(&mut self, limits: Limits) -> &mut Demultiplexer {
        let (demux_limits, own) = (self.limits, self.own.clone());
        self.streams.get_or_insert_with(|| Demultiplexer::new(limits, Timing::default(), demux_limits, own))
    }

    fn limit(&mut self, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split(' ').collect();
        for pair in words.chunks(2) {
            let [name, number] = pair else { return Err("a name and a number".into()) };
            let number: usize = number.parse().map_err(|_| format!("`{number}` is no number"))?;
            match *name {
                "streams_max" => self.limits.streams_max = number,
                "streams_per_source_max" => self.limits.streams_per_source_max = number,
                "window_len_max" => self.limits.window_len_max = number,
                "ended_max" => self.limits.ended_max = number,
                _ => return Err(format!("no limit `{name}`")),
            }
        }
        Ok(())
    }

    fn arrive(&mut self, rest: &str, limits: Limits, is_ack: bool) -> Result<(), String> {
        let (source, mut rest) = rest.split_once(' ').ok_or("SOURCE ...")?;
        let mut message = Event::new(source, "event:x").build().map_err(|fault| fault.to_string())?;
        if is_ack {
            let (to, behind) = rest.split_once(' ').ok_or("TO ...")?;
            (message.dest, message.rdr) = (to.to_owned(), Some(0));
            rest = behind;
        }
        let mut pieces: Vec<&str> = rest.split(" | ").collect();
        message.payload = Some(payload(pieces.pop().ok_or("a payload")?)?.into());
        message.headers = pieces.into_iter().map(str::to_owned).collect();
        let now = self.now;
        self.routed = Some(self.streams(limits).take_message(now, &message));
        Ok(())
    }

    fn read(&mut self, rest: &str) -> Result<(), String> {
        let (key, wanted) = key(rest)?;
        let now = self.now;
        let streams = self.streams.as_mut().ok_or("no streams")?;
        let mut got = Vec::new();
        while let Some(Fill::Octets(octets)) = streams.fill(now, &key) {
            got.extend_from_slice(octets);
            let len = octets.len();
            streams.consume(&key, len);
        }
        if let Some(text) = wanted.strip_prefix("gives ") {
            return expect(&String::from_utf8_lossy(&got).as_ref(), &quoted(text)?);
        }
        let state = match streams.fill(now, &key) {
            Some(Fill::Pending) => "pending",
            Some(Fill::End) => "ended",
            Some(Fill::Failed(_)) => "failed",
            Some(Fill::Octets(_)) => "octets",
            None => "nothing",
        };
        expect(&state, &wanted)
    }

    fn pass(&mut self, rest: &str, limits: Limits) -> Result<(), String> {
        let seconds = rest.parse().map_err(|_| format!("`{rest}` is no number of seconds"))?;
        self.now = self.now + Duration::from_secs(seconds);
        let now = self.now;
        self.streams(limits).handle_timeout(now);
        Ok(())
    }
}

/// A stream's key, and what stands behind it.
fn key(rest: &str) -> Result<(StreamKey, &str), String> {
    let mut words = rest.splitn(3, ' ');
    let (Some(source), Some(id)) = (words.next(), words.next()) else { return Err("SOURCE ID".into()) };
    Ok((StreamKey { source: source.to_owned(), stream_id: id.to_owned() }, words.next().unwrap_or_default()))
}

fn routed_word(routed: &Routed) -> &'static str {
    match routed {
        Routed::Taken(_) => "taken",
        Routed::Foreign => "foreign",
        Routed::Ack => "ack",
        Routed::Late => "late",
        Routed::Refused(_) => "refused",
        Routed::TooManyStreams(limit) => limit,
        Routed::Full => "full",
        _ => "other",
    }
}
