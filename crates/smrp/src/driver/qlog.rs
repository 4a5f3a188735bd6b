//! Traces of sessions: JSON text sequences (RFC 7464) in the manner of qlog, one file for each session.
//!
//! A thread of its own writes them. Sessions hand events over through a bounded queue and never wait for it: where it is full, events are
//! dropped and counted, and the trace says how many.

use crate::Role;
use crate::trace::{Observe, Observed, Value};
use serde_json::{Map, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use wirekit::Instant;

/// The name of the events' schema; its paper is `docs/smrp-qlog.md`.
const EVENT_SCHEMA: &str = "https://github.com/postroad/postroad/docs/smrp-qlog.md#1";
/// Room that is kept in a file for what it says at its end.
const FAREWELL_LEN: u64 = 512;

/// Bounds on traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QlogOptions {
    /// One session of so many has a trace, the first one among them. Default 1.
    pub one_in: u64,
    /// Octets of one file; what comes then is dropped and counted. Default 16 MiB.
    pub file_len_max: u64,
    /// Events of all sessions that wait to be written, about 100 octets each; what comes then is dropped and counted. Default 16,384.
    pub queue_max: usize,
}

impl Default for QlogOptions {
    fn default() -> Self {
        Self { one_in: 1, file_len_max: 16 << 20, queue_max: 16_384 }
    }
}

impl QlogOptions {
    /// With a trace for one session of so many; 0 counts as 1.
    #[must_use]
    pub fn with_one_in(mut self, one_in: u64) -> Self {
        self.one_in = one_in;
        self
    }

    /// With files of at most so many octets, 4 KiB or more.
    #[must_use]
    pub fn with_file_len_max(mut self, len: u64) -> Self {
        self.file_len_max = len;
        self
    }

    /// With so many events that may wait.
    #[must_use]
    pub fn with_queue_max(mut self, count: usize) -> Self {
        self.queue_max = count;
        self
    }
}

/// Where traces go. Clones are the same; the last of them, and of the sessions that have a trace, ends the thread.
#[derive(Clone, Debug)]
pub struct Qlog {
    shared: Arc<Shared>,
    queue: SyncSender<Message>,
}

#[derive(Debug)]
struct Shared {
    one_in: u64,
    sessions: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    /// Traces that ended while the queue was full, and what they had dropped by then: at most one for each file.
    ended: Mutex<Vec<(u64, u64)>>,
}

enum Message {
    Begin(u64, Role, SystemTime),
    Event(u64, Instant, Observed),
    End(u64, u64),
}

impl Qlog {
    /// Into files `smrp-ROLE-TIME-PROCESS-COUNT.sqlog` of this folder, which is made where it is not there.
    ///
    /// # Errors
    /// [`io::Error`] where the folder cannot be made, or no thread.
    pub fn to_dir(dir: impl Into<PathBuf>, options: QlogOptions) -> io::Result<Self> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir)?;
        Self::to(options, move |name| Ok(Box::new(File::create_new(dir.join(name))?)))
    }

    /// To what `open` gives for each session's name. It is called, and written to, by one thread alone.
    ///
    /// # Errors
    /// [`io::Error`] where no thread can be had.
    pub fn to(
        options: QlogOptions,
        open: impl FnMut(&str) -> io::Result<Box<dyn Write + Send>> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, events) = sync_channel(options.queue_max);
        let shared = Arc::new(Shared {
            one_in: options.one_in.max(1),
            sessions: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            ended: Mutex::default(),
        });
        let writer =
            Writer { shared: shared.clone(), open, files: HashMap::new(), len_max: options.file_len_max.max(4 << 10) };
        std::thread::Builder::new().name("smrp-qlog".to_owned()).spawn(move || writer.run(&events))?;
        Ok(Self { shared, queue })
    }

    /// Events that were dropped because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Traces that could not be written, or not to their end.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// The observer of one session, where it is one that has a trace.
    pub(super) fn session(&self, role: Role) -> Option<Box<dyn Observe>> {
        let id = self.shared.sessions.fetch_add(1, Ordering::Relaxed);
        if !id.is_multiple_of(self.shared.one_in) {
            return None;
        }
        match self.queue.try_send(Message::Begin(id, role, wall_clock())) {
            Ok(()) => Some(Box::new(Trace { qlog: self.clone(), id, dropped: 0 })),
            Err(_) => {
                self.shared.failed.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

/// One session's end of the queue.
#[derive(Debug)]
struct Trace {
    qlog: Qlog,
    id: u64,
    /// Events that were dropped since the last one that was not.
    dropped: u64,
}

impl Observe for Trace {
    fn observe(&mut self, now: Instant, what: Observed) {
        let send = |what| self.qlog.queue.try_send(Message::Event(self.id, now, what)).is_ok();
        let is_told = self.dropped == 0 || send(Observed::EventsDropped { count: self.dropped, why: "queue_full" });
        if is_told {
            self.dropped = 0;
        }
        if !is_told || !send(what) {
            self.dropped += 1;
            self.qlog.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Err(TrySendError::Full(_)) = self.qlog.queue.try_send(Message::End(self.id, self.dropped)) {
            let mut ended = self.qlog.shared.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.push((self.id, self.dropped));
        }
    }
}

struct Writer<F> {
    shared: Arc<Shared>,
    open: F,
    files: HashMap<u64, Out>,
    len_max: u64,
}

/// One file.
struct Out {
    to: BufWriter<Box<dyn Write + Send>>,
    len: u64,
    left_out: u64,
    last: Instant,
}

impl<F: FnMut(&str) -> io::Result<Box<dyn Write + Send>>> Writer<F> {
    fn run(mut self, events: &Receiver<Message>) {
        loop {
            let message = match events.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.idle();
                    match events.recv() {
                        Ok(message) => message,
                        Err(RecvError) => break,
                    }
                }
            };
            self.take(&message);
        }
        self.idle();
    }

    /// Nothing waits: those that ended while the queue was full have nothing more to come.
    fn idle(&mut self) {
        let ended = core::mem::take(&mut *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, dropped) in ended {
            self.take(&Message::End(id, dropped));
        }
        let failed: Vec<u64> =
            self.files.iter_mut().filter_map(|(id, out)| out.to.flush().is_err().then_some(*id)).collect();
        failed.into_iter().for_each(|id| self.fail(id));
    }

    fn fail(&mut self, id: u64) {
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
        self.files.remove(&id);
    }

    fn take(&mut self, message: &Message) {
        let (id, result) = match *message {
            Message::Begin(id, role, at) => (id, self.begin(id, role, at)),
            Message::Event(id, now, ref what) => (id, self.event(id, now, what)),
            Message::End(id, dropped) => {
                let result = self.end(id, dropped);
                self.files.remove(&id);
                (id, result)
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a trace could not be written");
            self.fail(id);
        }
    }

    fn begin(&mut self, id: u64, role: Role, at: SystemTime) -> io::Result<()> {
        let (word, vantage) = match role {
            Role::Initiator => ("initiator", "client"),
            Role::Acceptor => ("acceptor", "server"),
        };
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("smrp-{word}-{}-{}-{id}.sqlog", since.as_millis(), std::process::id());
        let to = BufWriter::new((self.open)(&name)?);
        let header = json!({
            "file_schema": "urn:ietf:params:qlog:file:sequential",
            "serialization_format": "application/qlog+json-seq",
            // As tools want it that were made for earlier drafts.
            "qlog_version": "0.4",
            "qlog_format": "JSON-SEQ",
            "title": "a session of SMRP",
            "trace": {
                "vantage_point": { "name": word, "type": vantage },
                "common_fields": {
                    "time_format": "relative_to_epoch",
                    "reference_time": {
                        "clock_type": "monotonic",
                        "epoch": "unknown",
                        "wall_clock_time": rfc3339(since.as_secs(), since.subsec_millis()),
                    },
                },
                "event_schemas": [EVENT_SCHEMA],
            },
        });
        let mut out = Out { to, len: 0, left_out: 0, last: Instant::EPOCH };
        out.put(&header)?;
        self.files.insert(id, out);
        Ok(())
    }

    fn event(&mut self, id: u64, now: Instant, what: &Observed) -> io::Result<()> {
        let Some(out) = self.files.get_mut(&id) else { return Ok(()) };
        out.last = now;
        if out.len + FAREWELL_LEN > self.len_max {
            out.left_out += 1;
            return Ok(());
        }
        out.put(&record(now, what))
    }

    fn end(&mut self, id: u64, dropped: u64) -> io::Result<()> {
        let Some(out) = self.files.get_mut(&id) else { return Ok(()) };
        let (last, left_out) = (out.last, out.left_out);
        for (count, why) in [(dropped, "queue_full"), (left_out, "file_full")] {
            if count > 0 {
                out.put(&record(last, &Observed::EventsDropped { count, why }))?;
            }
        }
        out.to.flush()
    }
}

impl Out {
    fn put(&mut self, record: &serde_json::Value) -> io::Result<()> {
        let text = format!("\u{1e}{record}\n");
        self.len += text.len() as u64;
        self.to.write_all(text.as_bytes())
    }
}

fn record(now: Instant, what: &Observed) -> serde_json::Value {
    let mut data = Map::new();
    what.fields(|name, value| {
        let value = match value {
            Value::Number(number) => json!(number),
            Value::Millis(millis) => json!(millis),
            Value::Flag(flag) => json!(flag),
            Value::Word(word) => json!(word),
            Value::Code(code) => json!(code.to_string()),
        };
        data.insert(name.to_owned(), value);
    });
    let millis = now.since_epoch().as_secs_f64() * 1_000.0;
    json!({ "time": millis, "name": format!("smrp:{}", what.name()), "data": data })
}

/// A time of the calendar, in UTC.
fn rfc3339(seconds: u64, millis: u32) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, in cycles of 400: leap days are the last of their year.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{millis:03}Z", second % 60)
}

/// When a trace begins, for people.
#[allow(clippy::disallowed_methods, reason = "a driver owns the clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400, 7), "2000-02-29T00:00:00.007Z");
        assert_eq!(rfc3339(1_709_251_199, 999), "2024-02-29T23:59:59.999Z");
        assert_eq!(rfc3339(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }
}
