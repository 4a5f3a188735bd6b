//! All rules of the protocol, without I/O: an endpoint with mailslots of its own and handles to those of its peers.
//!
//! ```
//! use smp121::machine::{EndpointMachine, Event, Input, SendOptions, TransmitBatch};
//! use smp121::Config;
//! use std::net::{IpAddr, SocketAddr};
//! use wirekit::{Instant, Machine};
//!
//! let (here, there): (IpAddr, IpAddr) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
//! let now = Instant::EPOCH;
//! let mut client = EndpointMachine::new(Config::builder([1; 32]).build()?);
//! let mut server = EndpointMachine::new(Config::builder([2; 32]).build()?);
//! let printer = server.define(b"printer", 1000)?;
//!
//! let handle = client.get(SocketAddr::new(there, 0), here, b"printer")?;
//! client.send(now, handle, "page".into(), SendOptions::default())?;
//! // A driver would put these on a socket. Two datagrams for the name, two for the message.
//! let mut batch = TransmitBatch::new(64, 65_536);
//! for _ in 0..4 {
//!     while client.poll_transmit(now, &mut batch) {}
//!     for datagram in batch.iter() {
//!         server.handle(now, Input::Datagram {
//!             source: SocketAddr::new(here, 0), destination: there, payload: datagram.payload,
//!         })?;
//!     }
//!     batch.clear();
//!     if let Some(request) = server.receive(printer) {
//!         assert_eq!(request.message, "page");
//!         server.reply(now, request.id, "printed".into())?;
//!     }
//!     while server.poll_transmit(now, &mut batch) {}
//!     for datagram in batch.iter() {
//!         client.handle(now, Input::Datagram {
//!             source: SocketAddr::new(there, 0), destination: here, payload: datagram.payload,
//!         })?;
//!     }
//!     batch.clear();
//! }
//! assert!(matches!(client.poll_event(), Some(Event::Done { outcome: Ok(reply), .. }) if reply == "printed"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assembly;
mod bucket;
mod congestion;
mod drop_reason;
mod event;
mod inbound;
mod incoming;
mod link;
mod local;
mod mailslots;
mod num;
mod outgoing;
mod peers;
mod remote;
mod responses;
mod rtt;
mod shared;
mod transfer;
mod transmit;
mod window;

pub use drop_reason::DropReason;
pub use event::{Counters, Event, ExchangeId, Input, MailslotId, RemoteId, Request, RequestId, Resolved};
pub use transmit::{Transmit, TransmitBatch};

use crate::config::Addressing;
use crate::{Config, ExchangeError, LimitExceeded, Profile, ReplyError, UsageError};
use bytes::Bytes;
use event::PeerKey;
use local::Locals;
use mailslots::{Turn, check_name};
use num::{to_u32, to_usize};
use outgoing::Strangers;
use peers::Peers;
use remote::Remote;
use shared::Shared;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wirekit::{Deadline, Instant, Machine};

/// What a request asks for beside its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// The largest reply that is taken, in octets. Default 1 MiB.
    pub reply_len_max: usize,
    /// How long the caller waits. Default: for as long as the peer is there.
    pub timeout: Option<Duration>,
    /// The code point of differentiated services for its segments, 0 to 63: the precedence of the source. Default 0.
    //= SMP121-A30
    pub dscp: u8,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { reply_len_max: 1 << 20, timeout: None, dscp: 0 }
    }
}

impl SendOptions {
    /// Sets the largest reply that is taken, in octets.
    #[must_use]
    pub const fn with_reply_len_max(mut self, len: usize) -> Self {
        self.reply_len_max = len;
        self
    }

    /// Sets how long the caller waits.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the code point of differentiated services; its lowest six bits count.
    #[must_use]
    pub const fn with_dscp(mut self, dscp: u8) -> Self {
        self.dscp = dscp & 0x3f;
        self
    }
}

/// Why the machine wants to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimerReason {
    /// Something of a peer: a retransmission, an acknowledgement, a caller's time.
    Peer,
    /// The time of a caller within the endpoint.
    Local,
}

/// One endpoint: sender and receiver in one. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct EndpointMachine {
    shared: Shared,
    peers: Peers,
    locals: Locals,
    strangers: Strangers,
}

impl EndpointMachine {
    /// An endpoint that has no mailslots yet and knows nobody.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            shared: Shared::new(config),
            peers: Peers::new(),
            locals: Locals::default(),
            strangers: Strangers::default(),
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Peers that are remembered.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// For tests: whether what is counted is what is there.
    ///
    /// # Errors
    /// What is not.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> Result<(), String> {
        self.peers.check()
    }

    // Mailslots of our own.

    /// Defines a mailslot that takes requests of up to `len_max` octets. To RDOS, choose one whose low 16 bits are not all zero.
    ///
    /// # Errors
    /// [`UsageError`]: a name that cannot be or is taken, a size beyond half of `peer_assembly_len_max`, too many mailslots.
    //= SMP121-U6
    pub fn define(&mut self, name: &[u8], len_max: usize) -> Result<MailslotId, UsageError> {
        let serial = self.shared.serial();
        let Shared { mailslots, config, .. } = &mut self.shared;
        mailslots.define(name, len_max, serial, &config.limits)
    }

    /// Sets the precedence of a mailslot's replies: the code point of differentiated services of their segments, whose lowest six
    /// bits count. Default 0.
    ///
    /// # Errors
    /// [`UsageError::Gone`] where the mailslot is gone.
    //= SMP121-A30, SMP121-I15
    pub fn set_dscp(&mut self, id: MailslotId, dscp: u8) -> Result<(), UsageError> {
        self.shared.mailslots.get_mut(id).ok_or(UsageError::Gone)?.dscp = dscp & 0x3f;
        Ok(())
    }

    /// Takes a mailslot away. Requests in it are dropped; peers that ask again learn that it is gone.
    ///
    /// # Errors
    /// [`UsageError::Gone`] where it is gone already.
    pub fn undefine(&mut self, now: Instant, id: MailslotId) -> Result<(), UsageError> {
        self.advance_clock(now);
        self.shared.mailslots.undefine(id).ok_or(UsageError::Gone)?;
        for (_, peer) in self.peers.iter_mut() {
            if peer.inbound.get(&id.number).is_some_and(|inbound| inbound.mailslot() == id)
                && let Some(mut inbound) = peer.inbound.remove(&id.number)
            {
                inbound.flush(&mut peer.link, &mut self.shared);
                peer.offer_held(&mut self.shared);
            }
        }
        self.locals.on_mailslot_gone(id, &mut self.shared);
        Ok(())
    }

    /// The next request of a mailslot, oldest first. `None` where there is none, until an [`Event::Ready`] says so.
    //= SMP121-U7
    pub fn receive(&mut self, id: MailslotId) -> Option<Request> {
        loop {
            let turn = self.shared.mailslots.get_mut(id)?.pop()?;
            let request = match turn {
                Turn::Local { serial } => self.locals.receive(serial, &mut self.shared),
                Turn::Peer { peer: key, place, serial } => self.receive_from(id, key, place, serial),
            };
            // What was withdrawn meanwhile is passed over.
            if request.is_some() {
                return request;
            }
        }
    }

    fn receive_from(&mut self, id: MailslotId, key: PeerKey, place: u64, serial: u64) -> Option<Request> {
        let peer = self.peers.get_mut(key)?;
        let inbound = peer.inbound.get_mut(&id.number)?;
        let (id, message) = inbound.receive(place, serial, &mut peer.link, &mut self.shared)?;
        Some(Request { id, source: Some(peer.link.address), message })
    }

    /// Answers a request. Each is answered once; until then the next one of the same peer waits.
    ///
    /// # Errors
    /// [`ReplyError::Void`] where nobody waits any more, [`ReplyError::TooLarge`] for what cannot be sent; the request is then
    /// still to be answered.
    //= SMP121-U8
    pub fn reply(&mut self, now: Instant, id: RequestId, reply: Bytes) -> Result<(), ReplyError> {
        self.advance_clock(now);
        if id.peer == PeerKey::LOCAL {
            return self.locals.reply(id.serial, reply, &mut self.shared);
        }
        let peer = self.peers.get_mut(id.peer).ok_or(ReplyError::Void)?;
        let number = id.mailslot.number;
        let inbound = peer.inbound.get_mut(&number).filter(|inbound| inbound.mailslot() == id.mailslot);
        let inbound = inbound.ok_or(ReplyError::Void)?;
        inbound.reply(id, reply, &mut peer.link, &mut self.shared)?;
        self.peers.settle(id.peer);
        Ok(())
    }

    // Mailslots of peers.

    /// A handle to the mailslot `name` of `peer` (port 0 on raw IP), reached from `local`, an address of our own. Handles to
    /// the same mailslot share everything. Where `peer` is `local` itself, the handle goes the short way.
    ///
    /// Nothing is sent before the first [`send`](Self::send) or [`resolve`](Self::resolve).
    ///
    /// # Errors
    /// [`UsageError`]: a name that cannot be, two families of addresses, a full table.
    //= SMP121-U1
    pub fn get(&mut self, peer: SocketAddr, local: IpAddr, name: &[u8]) -> Result<RemoteId, UsageError> {
        check_name(name)?;
        if self.shared.config.addressing == Addressing::Ip {
            if peer.ip().to_canonical() == local.to_canonical() {
                return self.get_local(name);
            }
            if peer.ip().to_canonical().is_ipv4() != local.to_canonical().is_ipv4() {
                return Err(UsageError::Family { peer, local });
            }
        }
        let peers_max = self.shared.config.limits.peers_max;
        let full = || LimitExceeded::new("peers_max", peers_max, peers_max + 1);
        let key = self.peers.find_or_add(peer, local, true, &mut self.shared).ok_or_else(full)?;
        let serial = self.shared.serial();
        let limits = self.shared.config.limits;
        let peer = self.peers.get_mut(key).ok_or(UsageError::Gone)?;
        if let Some(remote) = peer.remotes.iter_mut().flatten().find(|remote| *remote.name == *name) {
            remote.handle_count += 1;
            return Ok(remote.id);
        }
        let index = match peer.remotes.iter_mut().position(|slot| slot.as_ref().is_none_or(Remote::is_idle)) {
            Some(index) => index,
            None if peer.remotes.len() < limits.mailslots_per_peer_max => {
                peer.remotes.push(None);
                peer.remotes.len() - 1
            }
            None => {
                let (max, got) = (limits.mailslots_per_peer_max, limits.mailslots_per_peer_max + 1);
                return Err(LimitExceeded::new("mailslots_per_peer_max", max, got).into());
            }
        };
        let id = RemoteId { peer: key, remote: to_u32(index), serial };
        if let Some(slot) = peer.remotes.get_mut(index) {
            *slot = Some(Remote::new(id, name.into()));
        }
        Ok(id)
    }

    /// A handle to a mailslot of this endpoint: no network is between.
    ///
    /// # Errors
    /// [`UsageError::Name`] for a name that cannot be.
    //= SMP121-U5
    pub fn get_local(&mut self, name: &[u8]) -> Result<RemoteId, UsageError> {
        check_name(name)?;
        Ok(self.locals.get(name, &mut self.shared))
    }

    /// Gives a handle back. Exchanges that are open go on.
    //= SMP121-U4
    pub fn free(&mut self, id: RemoteId) {
        if id.peer == PeerKey::LOCAL {
            self.locals.free(id);
        } else if let Some(peer) = self.peers.get_mut(id.peer)
            && let Some(slot) = peer.remotes.get_mut(to_usize(id.remote))
            && let Some(remote) = slot.as_mut().filter(|remote| remote.id == id)
        {
            // What was learned of the mailslot stays until its place is needed.
            remote.handle_count = remote.handle_count.saturating_sub(1);
        }
    }

    /// Treats a peer as `profile` says, from the next segment on.
    ///
    /// # Errors
    /// [`UsageError::Gone`] for a handle that was given back, and for a local one.
    pub fn set_profile(&mut self, id: RemoteId, profile: Profile) -> Result<(), UsageError> {
        let peer = self.peers.get_mut(id.peer).ok_or(UsageError::Gone)?;
        peer.link.profile = profile;
        Ok(())
    }

    /// Resolves the name now, and says what is known where it was resolved already. Otherwise an [`Event::Resolved`] comes.
    ///
    /// # Errors
    /// [`UsageError::Gone`] for a handle that was given back.
    pub fn resolve(&mut self, now: Instant, id: RemoteId) -> Result<Option<Resolved>, UsageError> {
        self.advance_clock(now);
        if id.peer == PeerKey::LOCAL {
            let len_max = self.locals.resolve(id, &mut self.shared)?;
            let known = len_max.map(|len| Resolved { request_len_max: to_usize(len), outstanding_max: u16::MAX });
            if known.is_none() {
                let outcome = Err(ExchangeError::NoSuchMailslot);
                self.shared.events.push_back(Event::Resolved { remote: id, outcome });
            }
            return Ok(known);
        }
        let resolved = self.with_remote(id, |remote, link, shared| {
            let known = remote.resolved();
            if known.is_none() {
                remote.resolve(link, shared);
            }
            known
        })?;
        Ok(resolved)
    }

    /// Sends a request. Its reply, or why there is none, comes as an [`Event::Done`].
    ///
    /// # Errors
    /// [`UsageError`]: a handle that was given back, a message that is too large, too many that wait.
    //= SMP121-U2
    pub fn send(
        &mut self,
        now: Instant,
        id: RemoteId,
        message: Bytes,
        options: SendOptions,
    ) -> Result<ExchangeId, UsageError> {
        self.advance_clock(now);
        if id.peer == PeerKey::LOCAL {
            return self.locals.send(id, message, options, &mut self.shared);
        }
        self.with_remote(id, |remote, link, shared| remote.send(message, options, link, shared))?
    }

    /// Gives an exchange up: no event comes of it any more. Its request, if it has a number, goes on all the same, since the
    /// peer serves those behind it only after it.
    //= SMP121-A19
    pub fn cancel(&mut self, id: ExchangeId) {
        if id.remote.peer == PeerKey::LOCAL {
            self.locals.cancel(id.serial);
        } else {
            let _gone_already = self.with_remote(id.remote, |remote, _, _| remote.cancel(id.serial));
        }
    }

    fn with_remote<R>(
        &mut self,
        id: RemoteId,
        act: impl FnOnce(&mut Remote, &mut link::Link, &mut Shared) -> R,
    ) -> Result<R, UsageError> {
        let peer = self.peers.get_mut(id.peer).ok_or(UsageError::Gone)?;
        let remote = peer.remotes.get_mut(to_usize(id.remote)).and_then(Option::as_mut);
        let remote = remote.filter(|remote| remote.id == id).ok_or(UsageError::Gone)?;
        let result = act(remote, &mut peer.link, &mut self.shared);
        self.peers.settle(id.peer);
        Ok(result)
    }

    fn advance_clock(&mut self, now: Instant) {
        self.shared.now = self.shared.now.max(now);
    }
}

impl Machine for EndpointMachine {
    type Input<'a> = Input<'a>;
    type Event = Event;
    type Transmit = TransmitBatch;
    type Reason = TimerReason;
    type Error = core::convert::Infallible;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), Self::Error> {
        self.advance_clock(now);
        match input {
            Input::Datagram { source, destination, payload } => self.on_datagram(source, destination, payload),
            Input::PathError(error) => self.on_path_error(error),
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        self.locals.handle_timeout(&mut self.shared);
        while let Some(key) = self.peers.next_due(self.shared.now) {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            for remote in peer.remotes.iter_mut().flatten() {
                remote.handle_timeout(&mut peer.link, &mut self.shared);
            }
            for inbound in peer.inbound.values_mut() {
                inbound.handle_timeout(&mut peer.link, &mut self.shared);
            }
            peer.offer_held(&mut self.shared);
            // What is due now has been done, or goes with the next poll.
            let next = peer.next_timer(self.shared.now);
            peer.link.set_timer(next);
            self.peers.settle(key);
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> bool {
        self.advance_clock(now);
        self.transmit(out)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }

    fn poll_timeout(&self) -> Option<Deadline<TimerReason>> {
        let peer = self.peers.next_timer().map(|at| Deadline::new(at, TimerReason::Peer));
        let local = self.locals.next_timer().map(|at| Deadline::new(at, TimerReason::Local));
        wirekit::earliest([peer, local])
    }
}
