//! All rules of a session, without I/O.

mod account;
mod auth;
mod buffer;
mod channels;
mod commands;
mod event;
mod flow;
mod flush;
mod incoming;
mod joined;
mod ledger;
mod link;
mod messages;
mod observing;
mod outbox;
mod outgoing;
mod reading;
mod replay;
mod resume;
mod scheduler;
mod settling;
mod stats;
mod stream;
mod table;
#[cfg(feature = "tokio")]
pub(crate) use table::IdHasher;
mod timers;
mod transmit;

pub use commands::Request;
pub use event::{Event, Grant, Opened, Reattach, Ticket};
pub use flush::Unsent;
pub use joined::Messages;
#[cfg(feature = "tokio")]
pub(crate) use outbox::{Run, SHORT_LEN_MAX};
pub use resume::Adoption;
pub use stats::{Stats, StreamStats};
pub use timers::Reason;
pub use transmit::Transmit;

use crate::access::Access;
use crate::budget::{Pressure, Share};
use crate::config::Config;
use crate::error::{ConfigError, Fault, SessionError};
use crate::wire::Code;
use crate::{Direction, Role, Settings, StreamId};
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use flow::{Credit, RoundTrip};
use ledger::Ledger;
use link::{Link, Stage};
use replay::Replay;
use scheduler::Scheduler;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use table::Table;
use wirekit::{Deadline, Instant, Machine};

/// What can happen to a session from outside, commands apart.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets came. What cannot be read yet stays in the buffer; hand it in again with more behind it.
    Received(&'a mut BytesMut),
    /// The carrier ended, in whatever order.
    LinkLost,
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has a link.
    Linked,
    /// It waits for another one.
    Detached,
    /// It is over.
    Over,
}

/// A link that was lost and has no successor yet that the peer took.
#[derive(Clone, Copy, Debug)]
struct Loss {
    until: Instant,
    keep: Duration,
    /// Since when every attempt at another one was refused.
    refused_since: Option<Instant>,
}

/// A drain of ours.
#[derive(Clone, Copy, Debug)]
struct Drain {
    final_at: Instant,
    ends_at: Instant,
    duration: Duration,
    is_final: bool,
    /// Streams that came too late.
    refused_count: u64,
}

/// A drain of the peer.
#[derive(Clone, Debug)]
struct PeerGoing {
    redirect: Option<String>,
}

/// One end of a session.
///
/// The driver hands in what came and writes what [`poll_transmit`](Machine::poll_transmit) gives; the application's calls are methods: `open`, `write`,
/// `read`, `send_message`, `request`, `finish`, `reset`, `stop` and so on.
pub struct SessionMachine {
    role: Role,
    config: Arc<Config>,
    ours: Settings,
    peer: Settings,
    seed: [u8; 32],
    seed_count: u64,
    phase: Phase,
    loss: Option<Box<Loss>>,
    link: Link,
    table: Table,
    scheduler: Scheduler,
    credit: Credit,
    /// Session frames without data that wait.
    control: BytesMut,
    replay: Replay,
    /// Octets of session frames received whole.
    position: u64,
    /// Octets of whole replies of ours that were not sent yet.
    replies_len: u64,
    ledger: Ledger,
    events: VecDeque<Event>,
    datagrams: Datagrams,
    /// Octets that were handed in and wait to be sent, of all streams.
    queued_len: u64,
    share: Share,
    /// How much of the budget was left when it was last looked at.
    pressure: Pressure,
    access: Access,
    expires_at: Option<Instant>,
    handle: Option<Bytes>,
    epoch: u64,
    drain: Option<Box<Drain>>,
    peer_going: Option<Box<PeerGoing>>,
    deadlines: BTreeSet<(Instant, StreamId)>,
    end: Option<Box<SessionError>>,
    end_was_told: bool,
    was_established: bool,
    now: Instant,
    rtt: RoundTrip,
    stats: Stats,
    observer: Option<Box<dyn crate::trace::Observe>>,
    /// Octets that went out again, of streams that are there: apart, since few streams have any.
    replayed: BTreeMap<StreamId, u64>,
}

/// Not what is on its way: a token may be in it, and handles of tickets.
//= SMRP-A8
impl core::fmt::Debug for SessionMachine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SessionMachine")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("stage", &self.link.stage)
            .field("end", &self.end)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Datagrams {
    out: VecDeque<OutDatagram>,
    out_len: usize,
    incoming: VecDeque<(u64, Bytes)>,
    incoming_len: usize,
    was_told: bool,
}

#[derive(Debug)]
struct OutDatagram {
    flow: u64,
    data: Bytes,
    expires_at: Option<Instant>,
}

impl SessionMachine {
    /// A session whose first link has just been opened. `seed` must be fresh and unpredictable.
    ///
    /// # Errors
    /// [`ConfigError`] as [`Config::check`] has it.
    pub fn new(role: Role, config: Arc<Config>, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        let share = Share::of(config.budget.clone());
        //= SMRP-FC13
        if let Some(budget) = share.budget().filter(|_| role == Role::Initiator)
            && budget.pressure() == Pressure::Full
        {
            return Err(ConfigError::OverBudget { held: budget.held(), max: budget.len_max() });
        }
        let (ours, floor) = (config.settings.clone(), Settings::floor());
        let mut session = Self {
            role,
            table: Table::new(role, floor.max_streams_bidi, ours.max_streams_bidi, ours.max_streams_uni),
            credit: Credit::new(floor.init_max_data, ours.init_max_data, now),
            replay: Replay::new(ours.resumable_ms > 0),
            ledger: Ledger::new(config.ledger, now),
            ours,
            peer: floor,
            seed,
            seed_count: 0,
            phase: Phase::Linked,
            loss: None,
            link: Link::new(now, config.channel.clone()),
            scheduler: Scheduler::default(),
            control: BytesMut::new(),
            position: 0,
            replies_len: 0,
            events: VecDeque::new(),
            datagrams: Datagrams::default(),
            queued_len: 0,
            share,
            pressure: Pressure::Free,
            access: Access::default(),
            expires_at: None,
            handle: None,
            epoch: 0,
            drain: None,
            peer_going: None,
            deadlines: BTreeSet::new(),
            end: None,
            end_was_told: false,
            was_established: false,
            now,
            rtt: RoundTrip::default(),
            stats: Stats::default(),
            observer: None,
            replayed: BTreeMap::new(),
            config,
        };
        if role == Role::Initiator {
            let nonce = session.nonce();
            session.link.greet(&session.config, &session.ours, nonce, false);
            session.link.is_authenticated = true;
        }
        Ok(session)
    }

    /// Unpredictable octets: the seed is secret, and each use has its own number.
    //= SMRP-P10, SMRP-R6, SMRP-PR2
    fn random(&mut self) -> [u8; 32] {
        self.seed_count += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.seed_count.to_be_bytes());
        hash.finalize().into()
    }

    fn nonce(&mut self) -> [u8; 16] {
        let random = self.random();
        core::array::from_fn(|at| random.get(at).copied().unwrap_or_default())
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What the peer declared; before its HELLO, what holds anyway.
    #[must_use]
    pub fn peer_settings(&self) -> &Settings {
        &self.peer
    }

    /// Whose credentials the initiator showed, where it did and was believed.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.access.subject()
    }

    /// Streams that are open or not yet let go of.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.table.len()
    }

    /// Why the session is over; `None` while it is not.
    #[must_use]
    pub fn ended(&self) -> Option<&SessionError> {
        self.end.as_deref()
    }

    /// How this end behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// True where control waits to be sent.
    #[must_use]
    pub fn has_control(&self) -> bool {
        !self.control.is_empty() || !self.link.out.is_empty()
    }

    /// True while octets of the carrier are wanted.
    //= SMRP-FC10, SMRP-X5
    #[must_use]
    pub fn wants_octets(&self) -> bool {
        self.phase == Phase::Linked
            && !matches!(self.link.stage, Stage::Deciding | Stage::Over)
            && self.end.is_none()
            && self.link.paused_until.is_none()
            && self.control.len() <= self.config.limits.control_len_max
    }

    /// Whether the application should be given another request of the peer: not while too many replies wait to be sent, as where the peer asks and reads nothing.
    //= SMRP-X13
    #[must_use]
    pub fn wants_requests(&self) -> bool {
        self.replies_len <= self.config.limits.replies_len_max as u64
    }

    /// Octets of a reply of ours that were sent, or never will be.
    fn reply_went(&mut self, id: StreamId, len: u64) {
        if id.opener() != self.role {
            self.replies_len = self.replies_len.saturating_sub(len);
        }
    }

    /// Time does not go back.
    fn at(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    fn check_alive(&self) -> Result<(), SessionError> {
        match &self.end {
            Some(end) => Err(end.as_ref().clone()),
            None => Ok(()),
        }
    }

    /// Ends the session because of the peer.
    //= SMRP-E1
    fn fail(&mut self, fault: Fault) {
        let (code, frame_type) = (fault.code(), fault.frame_type());
        let reason = fault.to_string();
        self.close_with(code, frame_type, &reason, SessionError::Fault(fault));
    }

    fn fail_rule(&mut self, code: Code, frame_type: u8, what: &'static str) {
        self.fail(Fault::rule(code, frame_type, what));
    }

    /// Writes CLOSE and ends.
    //= SMRP-L4
    fn close_with(&mut self, code: Code, frame_type: u64, reason: &str, error: SessionError) {
        if self.end.is_some() {
            return;
        }
        let reason: String = reason
            .chars()
            .scan(0, |len, c| {
                *len += c.len_utf8();
                (*len <= crate::wire::REASON_LEN_MAX).then_some(c)
            })
            .collect();
        if self.phase == Phase::Linked && self.link.stage != Stage::Over {
            // What answers the first preface goes out with it; everything else that waits does not.
            let frame = crate::wire::Frame::Close { code, frame_type, reason: Bytes::from(reason) };
            self.link.put(&frame);
        }
        self.end_with(error);
    }

    /// Ends without a word.
    fn end_with(&mut self, error: SessionError) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(Box::new(error));
        self.observe_end();
        self.link.pong = None;
        self.phase = Phase::Over;
        self.replay.stop_keeping();
        self.deadlines.clear();
        self.datagrams.out.clear();
        self.datagrams.out_len = 0;
        self.control = BytesMut::new();
        self.link.again = Vec::new();
        self.drop_parts();
        // Nothing of it goes out any more; what came may still be taken.
        for stream in self.table.iter_mut() {
            stream.send.drop_queued(0);
        }
        self.queued_len = 0;
        self.account();
    }

    /// The direction that data of ours takes, and whether we have it.
    fn sends_on(&self, id: StreamId) -> bool {
        id.direction() == Direction::Bidi || id.opener() == self.role
    }

    fn receives_on(&self, id: StreamId) -> bool {
        id.direction() == Direction::Bidi || id.opener() != self.role
    }
}

impl Machine for SessionMachine {
    type Input<'a> = Input<'a>;
    type Event = Event;
    type Transmit = Transmit;
    type Reason = Reason;
    type Error = core::convert::Infallible;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Self::Error> {
        let now = self.at(now);
        match input {
            Input::Received(buffer) => self.received(now, buffer),
            Input::LinkLost => self.link_lost(now),
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        let now = self.at(now);
        self.timers_due(now);
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        let now = self.at(now);
        self.transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        self.events = VecDeque::new();
        // The last event waits for CLOSE to go out, so that a driver that stops at it has written everything.
        if self.end_was_told || !self.link.out.is_empty() {
            return None;
        }
        let end = self.end.as_ref()?.as_ref().clone();
        self.end_was_told = true;
        self.link.stage = Stage::Over;
        Some(Event::Ended(end))
    }

    fn poll_timeout(&self) -> Option<Deadline<Reason>> {
        self.next_deadline()
    }
}
