//! What an attacker has: an address, a time, and a note of what became of it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Where and how long, and what came of it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) address: String,
    until: Instant,
    pub(crate) outcome: Outcome,
}

/// What an attacker did and what was done to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) connection_count: u64,
    pub(crate) sent_len: u64,
    /// How the server ended the first connection that it ended, and when after its opening.
    pub(crate) ended: Option<(String, Duration)>,
    /// Time in which nothing of what the attacker had was taken.
    pub(crate) held_back: Duration,
}

impl Field {
    pub(crate) fn new(address: &str, time: Duration) -> Self {
        Self { address: address.to_owned(), until: Instant::now() + time, outcome: Outcome::default() }
    }

    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// A connection; after a pause `None` where there is none to be had.
    pub(crate) fn connect(&mut self) -> Option<TcpStream> {
        match TcpStream::connect(&self.address) {
            Ok(stream) => {
                self.outcome.connection_count += 1;
                drop(stream.set_nodelay(true));
                Some(stream)
            }
            Err(_) => {
                std::thread::sleep(Duration::from_millis(10));
                None
            }
        }
    }

    /// Writes all of it, as the server takes it; false once it takes no more.
    pub(crate) fn write(&mut self, stream: &mut TcpStream, mut octets: &[u8]) -> bool {
        drop(stream.set_write_timeout(Some(Duration::from_millis(20))));
        while !octets.is_empty() && !self.is_over() {
            let begun = Instant::now();
            match stream.write(octets) {
                Ok(0) => return false,
                Ok(len) => {
                    self.outcome.sent_len += len as u64;
                    octets = octets.get(len..).unwrap_or_default();
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return false,
            }
            let took = begun.elapsed();
            if took >= Duration::from_millis(10) {
                self.outcome.held_back += took;
            }
        }
        octets.is_empty()
    }

    /// Notes how a connection ended, where it is the first.
    pub(crate) fn ended(&mut self, how: impl Into<String>, opened: Instant) {
        if self.outcome.ended.is_none() {
            self.outcome.ended = Some((how.into(), opened.elapsed()));
        }
    }

    /// Reads what is there within `wait`; `None` at the end.
    pub(crate) fn read(&self, stream: &mut TcpStream, into: &mut [u8], wait: Duration) -> Option<usize> {
        drop(stream.set_read_timeout(Some(wait.max(Duration::from_millis(1)))));
        match stream.read(into) {
            Ok(0) => None,
            Ok(len) => Some(len),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Some(0),
            Err(_) => None,
        }
    }
}

impl Outcome {
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let (how, after) = self.ended.clone().unzip();
        serde_json::json!({
            "connections": self.connection_count, "sent": self.sent_len, "how": how,
            "after_ms": after.map(ms), "held_back_ms": ms(self.held_back),
        })
    }

    pub(crate) fn from_json(value: &serde_json::Value) -> Self {
        let number = |key: &str| value.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let how = value.get("how").and_then(serde_json::Value::as_str);
        Self {
            connection_count: number("connections"),
            sent_len: number("sent"),
            ended: how.map(|how| (how.to_owned(), Duration::from_millis(number("after_ms")))),
            held_back: Duration::from_millis(number("held_back_ms")),
        }
    }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
