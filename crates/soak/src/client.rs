//! The process that asks: a connection that is made again whenever it is lost, and some requests under way all the time.
//!
//! It is told what to do by lines on standard input (`pace N`, `abandon`, `restart`, `stop`) and tells what it counted by a line of JSON every
//! 100 ms, and one for each request that failed.

mod server;

use postroad::Connection;
use serde_json::json;
use server::Server;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::Rng;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

/// Requests under way.
pub(crate) const UNDER_WAY: u64 = 4;
const TELL_EVERY: Duration = Duration::from_millis(100);
const CONNECT_AGAIN: Duration = Duration::from_millis(100);
/// A request whose time-out is 5 s and that has not ended by then never will.
const LOST_AFTER: Duration = Duration::from_secs(15);
/// Connecting, whose time-out is 2 s, likewise.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const LEN_MAX: usize = 64 << 10;
/// Connections that are given up in turn, with as many requests under way on each.
const ABANDONED: u64 = 6;

/// Requests that are forgotten, taken for others, and panicked at, where that is planted.
const LOST_AT: u64 = 50;
const WRONG_AT: u64 = 51;
const PANIC_AT: u64 = 52;

/// What a client does that must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Keeps 4 KiB of each request.
    Leak,
    /// Forgets one request.
    Lost,
    /// Takes one reply for another.
    Wrong,
    /// Opens a file for one request of 16, and keeps it.
    Descriptors,
    /// A task panics.
    Panic,
}

impl Plant {
    const ALL: [(&'static str, Self); 5] = [
        ("leak", Self::Leak),
        ("lost", Self::Lost),
        ("wrong", Self::Wrong),
        ("descriptors", Self::Descriptors),
        ("panic", Self::Panic),
    ];

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, plant)| plant).ok_or(format!("nothing called {name:?} can be planted"))
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, plant)| *plant == self).map_or("", |(name, _)| name)
    }
}

#[derive(Debug, Default)]
struct Counters {
    asked: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    wrong: AtomicU64,
    lost: AtomicU64,
    /// When the last request was asked that has been answered, in ms of the system's clock.
    fresh_ms: AtomicU64,
}

struct Client {
    url: String,
    /// How often it was connected, and the present connection.
    link: Mutex<(u64, Option<Connection>)>,
    counters: Counters,
    /// Requests a second of each worker; 0 for as many as are answered; negative for the end.
    pace: watch::Sender<f64>,
    pattern: Vec<u8>,
    seed: u64,
    plant: Vec<Plant>,
    kept: std::sync::Mutex<(Vec<Vec<u8>>, Vec<std::fs::File>)>,
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn tell(line: &serde_json::Value) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

fn add(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

#[allow(clippy::panic, reason = "planted, to be found")]
async fn panics() {
    panic!("planted");
}

/// Runs until it is told to stop or nobody is left to tell it.
pub(crate) async fn run(url: &str, listens: bool, seed: u64, plant: Vec<Plant>) -> Result<(), String> {
    let mut server = if listens { Some(Server::start(url).await?) } else { None };
    let client = Arc::new(Client {
        url: url.to_owned(),
        link: Mutex::new((0, None)),
        counters: Counters::default(),
        pace: watch::Sender::new(0.0),
        pattern: Rng::new(seed).bytes(LEN_MAX * 2),
        seed,
        plant,
        kept: std::sync::Mutex::default(),
    });
    let mut workers = JoinSet::new();
    for number in 0..UNDER_WAY {
        workers.spawn(Arc::clone(&client).work(number));
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut ticks = tokio::time::interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => tell(&client.counted(false)),
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return Ok(()) };
                match line.split_once(' ').unwrap_or((&line, "")) {
                    ("pace", rate) => {
                        let rate: f64 = rate.parse().map_err(|_| format!("{line}: no rate"))?;
                        client.pace.send_replace(rate / UNDER_WAY as f64);
                    }
                    ("abandon", _) => drop(tokio::spawn({
                        let client = Arc::clone(&client);
                        async move { client.abandon().await }
                    })),
                    ("restart", _) => if let Some(server) = &mut server {
                        server.restart().await?;
                    },
                    _ => break,
                }
            }
        }
    }
    client.pace.send_replace(-1.0);
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    tell(&client.counted(true));
    Ok(())
}

impl Client {
    fn counted(&self, is_last: bool) -> serde_json::Value {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        json!({
            // First what ends: so no request counts as ended before it was asked.
            "answered": of(&c.answered), "failed": of(&c.failed), "wrong": of(&c.wrong), "lost": of(&c.lost),
            "asked": of(&c.asked), "fresh_ms": of(&c.fresh_ms), "last": is_last,
            "tasks": tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        })
    }

    /// The connection, made where there is none.
    async fn connection(&self) -> (u64, Connection) {
        let mut link = self.link.lock().await;
        loop {
            if let (number, Some(connection)) = &*link {
                return (*number, connection.clone());
            }
            match timeout(CONNECT_MAX, postroad::connect(self.url.as_str())).await {
                Ok(Ok(connection)) => *link = (link.0 + 1, Some(connection)),
                Ok(Err(_)) => sleep(CONNECT_AGAIN).await,
                Err(_) => tell(&json!({"ended": format!("connecting did not end within {CONNECT_MAX:?}")})),
            }
        }
    }

    async fn lost(&self, number: u64) {
        let mut link = self.link.lock().await;
        if link.0 == number {
            link.1 = None;
        }
    }

    /// Others who come, ask, and are gone before they are answered.
    async fn abandon(&self) {
        for wait in 0..ABANDONED {
            let Ok(Ok(connection)) = timeout(CONNECT_MAX, postroad::connect(self.url.as_str())).await else { continue };
            let mut asked = JoinSet::new();
            for _ in 0..ABANDONED {
                let (connection, payload) = (connection.clone(), self.pattern.clone());
                asked.spawn(async move { drop(connection.request(payload).await) });
            }
            sleep(Duration::from_millis(wait)).await;
            asked.abort_all();
        }
    }

    async fn work(self: Arc<Self>, number: u64) {
        let mut rng = Rng::with_stream(self.seed, number + 1);
        let mut pace = self.pace.subscribe();
        let mut rate = *pace.borrow_and_update();
        let mut next = Instant::now();
        while rate >= 0.0 {
            if rate > 0.0 {
                // Who is late by more than a second does not catch up: it would be another load than the one planned.
                next = (next + Duration::from_secs_f64(1.0 / rate)).max(Instant::now() - Duration::from_secs(1));
                let mut tick = interval_at(next, Duration::from_secs(1));
                tokio::select! {
                    _ = tick.tick() => {}
                    _ = pace.changed() => {}
                }
            }
            if *pace.borrow() >= 0.0 {
                self.ask(&mut rng, number).await;
            }
            rate = *pace.borrow_and_update();
        }
    }

    fn payload(&self, rng: &mut Rng, number: u64) -> Vec<u8> {
        let len = match rng.below(100) {
            0..70 => rng.range(16..512),
            70..97 => rng.range(512..8 << 10),
            _ => rng.range(8 << 10..LEN_MAX),
        };
        let from = rng.range(0..LEN_MAX);
        let mut payload = self.pattern.get(from..from + len).unwrap_or_default().to_vec();
        // No two are alike.
        let mark = number.to_be_bytes().into_iter().chain(rng.next_u64().to_be_bytes());
        payload.iter_mut().zip(mark).for_each(|(octet, mark)| *octet = mark);
        payload
    }

    async fn ask(&self, rng: &mut Rng, number: u64) {
        let payload = self.payload(rng, number);
        let (link, connection) = self.connection().await;
        let asked = add(&self.counters.asked);
        let asked_ms = now_ms();
        self.plant(asked, &payload);
        if asked == LOST_AT && self.plant.contains(&Plant::Lost) {
            return;
        }
        match timeout(LOST_AFTER, connection.request(payload.clone())).await {
            Ok(Ok(reply)) => {
                let is_right = reply.part_count() == 1 && reply.get(0).is_some_and(|part| *part == payload);
                let is_right = is_right && !(asked == WRONG_AT && self.plant.contains(&Plant::Wrong));
                add(if is_right { &self.counters.answered } else { &self.counters.wrong });
                self.counters.fresh_ms.fetch_max(asked_ms, Ordering::Relaxed);
            }
            Ok(Err(error)) => {
                add(&self.counters.failed);
                tell(&json!({"failure": format!("{}: {}", error.kind().word(), error.why())}));
                self.lost(link).await;
            }
            Err(_) => {
                add(&self.counters.lost);
                self.lost(link).await;
            }
        }
    }

    fn plant(&self, asked: u64, payload: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for plant in &self.plant {
            match plant {
                Plant::Leak => kept.0.push([payload, &[1; 4 << 10]].concat()),
                Plant::Descriptors if asked.is_multiple_of(16) => kept.1.extend(std::fs::File::open("/dev/null")),
                Plant::Panic if asked == PANIC_AT => drop(tokio::spawn(panics())),
                _ => {}
            }
        }
    }
}
