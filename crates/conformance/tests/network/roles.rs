//! What the processes of the tests do.

use super::child::{MARK, ROLE};
use bytes::Bytes;
use postroad_transport::{raw, udp};
use serde::{Deserialize, Serialize};
use smp121::machine::SendOptions;
use smp121::{Endpoint, ExchangeError, Mailslot, Profile, RemoteMailslot, SendError};
use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wirekit::datagram::PathErrorKind;

/// What an endpoint is bound to; port 0 is raw IP.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) local: SocketAddr,
    /// `spec` or `rdos`.
    pub(crate) profile: String,
}

impl Place {
    pub(crate) fn spec(local: SocketAddr) -> Self {
        Self { local, profile: "spec".to_owned() }
    }

    pub(crate) fn rdos(local: SocketAddr) -> Self {
        Self { local, profile: "rdos".to_owned() }
    }

    fn endpoint(&self) -> Endpoint {
        let builder = Endpoint::builder().with_profile(Profile::by_name(&self.profile).unwrap());
        if self.local.port() == 0 {
            let config = raw::Config::new(121).with_address(self.local.ip()).with_receive_buffer_len(Some(4 << 20));
            builder.start(config.open().unwrap().start().unwrap()).unwrap()
        } else {
            let config = udp::Config::new(self.local).with_receive_buffer_len(Some(4 << 20));
            builder.start(config.open().unwrap().start().unwrap()).unwrap()
        }
    }
}

/// What requests are made, each with a number of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) peer: SocketAddr,
    pub(crate) mailslot: String,
    pub(crate) first_id: u64,
    pub(crate) count: u64,
    /// Octets of a request, at least 16.
    pub(crate) len: usize,
    /// Octets of the reply.
    pub(crate) reply_len: usize,
    /// So many wait for their replies at once.
    pub(crate) in_flight: u64,
    /// A pause before each.
    pub(crate) pause: Duration,
    /// How long each may take.
    pub(crate) timeout: Option<Duration>,
}

impl Load {
    pub(crate) fn new(peer: SocketAddr, count: u64, len: usize) -> Self {
        let (mailslot, pause) = ("work".to_owned(), Duration::ZERO);
        Self { peer, mailslot, first_id: 0, count, len, reply_len: len, in_flight: 1, pause, timeout: None }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Serves the mailslot `work`, and says what it did when it gets a line.
    Serve { place: Place },
    /// Makes requests, and says what became of them.
    Ask { place: Place, load: Load },
    /// An RDOS machine with a mailslot `work`, that makes requests too where `load` says so.
    Rdos { local: SocketAddr, load: Option<Load> },
}

/// Why an exchange failed, in what is told to other processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    NoSuchMailslot,
    ProtocolUnreachable,
    PortUnreachable,
    Other(String),
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Exchange(ExchangeError::NoSuchMailslot) => Self::NoSuchMailslot,
            SendError::Exchange(ExchangeError::Unreachable(PathErrorKind::ProtocolUnreachable)) => {
                Self::ProtocolUnreachable
            }
            SendError::Exchange(ExchangeError::Unreachable(PathErrorKind::PortUnreachable)) => Self::PortUnreachable,
            other => Self::Other(format!("{other:?}")),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    Ready,
    Progress {
        done_count: u64,
    },
    Asked {
        ok_count: u64,
        failures: Vec<Failure>,
        took: Duration,
        traffic: Traffic,
    },
    Served {
        /// How many requests were executed, how many different ones, and the most that one was.
        executed_count: u64,
        distinct_count: u64,
        most_count: u64,
        traffic: Traffic,
        /// Of an RDOS machine: what it would not have survived, and replies that were not right.
        crashes: Vec<String>,
        /// Of an RDOS machine: requests of its own that have their replies.
        asked_count: u64,
    },
}

/// What an endpoint sent and dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traffic {
    pub(crate) sent_count: u64,
    pub(crate) received_count: u64,
    pub(crate) resent_count: u64,
    pub(crate) fast_resent_count: u64,
    pub(crate) timeouts_count: u64,
    pub(crate) dropped_count: u64,
    pub(crate) resets_sent_count: u64,
    pub(crate) requests_count: u64,
}

impl Traffic {
    fn of(endpoint: &Endpoint) -> Self {
        let counters = endpoint.counters().protocol;
        Self {
            sent_count: counters.datagrams_sent_count,
            received_count: counters.datagrams_received_count,
            resent_count: counters.resent_count,
            fast_resent_count: counters.fast_resent_count,
            timeouts_count: counters.timeouts_count,
            dropped_count: counters.dropped_all_count(),
            resets_sent_count: counters.resets_sent_count,
            requests_count: counters.requests_count,
        }
    }
}

pub(crate) fn say(report: &Report) {
    let line = format!("{MARK}{}\n", serde_json::to_string(report).unwrap());
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// A request: its number, how long the reply is to be, and octets that only this number has.
pub(crate) fn request(id: u64, len: usize, reply_len: usize) -> Bytes {
    let mut message = id.to_be_bytes().to_vec();
    message.extend((reply_len as u64).to_be_bytes());
    fill(&mut message, id, len);
    message.into()
}

pub(crate) fn id_of(message: &[u8]) -> u64 {
    u64::from_be_bytes(message[..8].try_into().unwrap())
}

/// The reply to a request: a digest of all its octets first, then octets that only this number has.
pub(crate) fn reply_to(message: &[u8]) -> Bytes {
    let len = u64::from_be_bytes(message[8..16].try_into().unwrap()) as usize;
    let mut reply = digest(message).to_be_bytes().to_vec();
    fill(&mut reply, !id_of(message), len);
    reply.truncate(len);
    reply.into()
}

fn fill(octets: &mut Vec<u8>, seed: u64, len: usize) {
    let mut state = seed;
    while octets.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        octets.extend((state ^ (state >> 33)).to_be_bytes());
    }
    octets.truncate(len);
}

/// Changes with each octet and with their order.
fn digest(octets: &[u8]) -> u64 {
    octets.chunks(8).fold(0xcbf2_9ce4_8422_2325, |hash: u64, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

/// Plays the role that the environment has, in a process that a test has started.
#[test]
#[ignore = "a process of other tests"]
fn child() {
    let role = serde_json::from_str(&std::env::var(ROLE).expect("started by a test")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match role {
            Role::Serve { place } => serve(&place).await,
            Role::Ask { place, load } => ask(&place, load).await,
            Role::Rdos { local, load } => super::rdos::run_machine(local, load).await,
        }
    });
    // Not through the harness, which would wait for threads that read.
    std::process::exit(0);
}

/// Lines that the parent sends; the end of them is the end of the process.
pub(crate) fn lines() -> tokio::sync::mpsc::UnboundedReceiver<()> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            _ = sender.send(());
        }
        std::process::exit(0);
    });
    receiver
}

type Executed = Arc<Mutex<HashMap<u64, u64>>>;

async fn execute(mailslot: Mailslot, executed: Executed) {
    while let Ok(mut request) = mailslot.receive().await {
        let message = request.take_message();
        *executed.lock().unwrap().entry(id_of(&message)).or_default() += 1;
        // Nobody waits for it where the client was killed.
        _ = request.reply(reply_to(&message));
    }
}

async fn serve(place: &Place) {
    let endpoint = place.endpoint();
    let executed = Executed::default();
    tokio::spawn(execute(endpoint.define("work", 2 << 20).unwrap(), Arc::clone(&executed)));
    let mut asked = lines();
    say(&Report::Ready);
    while asked.recv().await.is_some() {
        say(&served(&executed.lock().unwrap(), Traffic::of(&endpoint), Vec::new(), 0));
    }
}

pub(crate) fn served(executed: &HashMap<u64, u64>, traffic: Traffic, crashes: Vec<String>, asked_count: u64) -> Report {
    let executed_count = executed.values().sum();
    let most_count = executed.values().copied().max().unwrap_or(0);
    Report::Served { executed_count, distinct_count: executed.len() as u64, most_count, traffic, crashes, asked_count }
}

async fn exchange(remote: &RemoteMailslot, load: &Load, id: u64) -> Result<(), Failure> {
    let message = request(id, load.len, load.reply_len);
    let mut options = SendOptions::default().with_reply_len_max(2 << 20);
    if let Some(timeout) = load.timeout {
        options = options.with_timeout(timeout);
    }
    let reply = remote.send_with(message.clone(), options).await?;
    if reply == reply_to(&message) { Ok(()) } else { Err(Failure::Other(format!("the reply to {id} is wrong"))) }
}

async fn ask(place: &Place, load: Load) {
    let endpoint = place.endpoint();
    let _lines = lines();
    say(&Report::Ready);
    let remote = endpoint.get(load.peer, &load.mailslot).unwrap();
    let begun = Instant::now();
    let (next, done) = (Mutex::new(0), Mutex::new((0, Vec::new())));
    let worker = || async {
        loop {
            let serial = {
                let mut next = next.lock().unwrap();
                *next += 1;
                *next - 1
            };
            if serial >= load.count {
                return;
            }
            if !load.pause.is_zero() {
                tokio::time::sleep(load.pause).await;
            }
            let outcome = exchange(&remote, &load, load.first_id + serial).await;
            let mut done = done.lock().unwrap();
            match outcome {
                Ok(()) => done.0 += 1,
                Err(failure) => done.1.push(failure),
            }
            let done_count = done.0 + done.1.len() as u64;
            if done_count.is_multiple_of((load.count / 20).max(1)) {
                say(&Report::Progress { done_count });
            }
        }
    };
    let workers = (0..load.in_flight).map(|_| worker());
    futures_util::future::join_all(workers).await;
    let took = begun.elapsed();
    let (ok_count, failures) = done.into_inner().unwrap();
    say(&Report::Asked { ok_count, failures, took, traffic: Traffic::of(&endpoint) });
    // What is owed to the peer, such as the last acknowledgement, goes out first.
    endpoint.close().await;
}
