//! The table of peers.

use super::drop_reason::DropReason;
use super::event::{MailslotId, PeerKey};
use super::inbound::Inbound;
use super::link::Link;
use super::remote::Remote;
use super::shared::Shared;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use wirekit::Instant;

/// One peer: what is known of the way there, its mailslots that we send to, and ours that it sends to.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) link: Link,
    pub(super) remotes: Vec<Option<Remote>>,
    /// By the number of our mailslot.
    pub(super) inbound: BTreeMap<u16, Inbound>,
    /// It is in the queue of those that may have something to send.
    is_queued: bool,
    /// The timer that is set for it.
    timer_at: Option<Instant>,
    /// It was used since the hand of the clock came by.
    is_used: bool,
}

impl Peer {
    fn new(link: Link) -> Self {
        Self { link, remotes: Vec::new(), inbound: BTreeMap::new(), is_queued: false, timer_at: None, is_used: true }
    }

    /// True where nothing would be lost with it but what it can ask for again.
    pub(super) fn is_idle(&self) -> bool {
        self.remotes.iter().all(Option::is_none) && self.inbound.values().all(Inbound::is_idle)
    }

    /// Offers the requests that waited because too many octets of replies were kept.
    //= SMP121-L20
    pub(super) fn offer_held(&mut self, shared: &mut Shared) {
        if !self.link.holds_requests || self.link.replies_len >= shared.config.limits.replies_len_max {
            return;
        }
        self.link.holds_requests = false;
        for inbound in self.inbound.values_mut() {
            inbound.advance(&mut self.link, shared);
        }
    }

    /// The remote mailslot with this number.
    pub(super) fn remote_of(&mut self, mailslot: u16) -> Option<(&mut Remote, &mut Link)> {
        let Self { remotes, link, .. } = self;
        let remote = remotes.iter_mut().flatten().find(|remote| remote.mailslot() == Some(mailslot))?;
        Some((remote, link))
    }

    /// The record of a mailslot of ours, a new one where there is none.
    pub(super) fn inbound_of(
        &mut self,
        id: MailslotId,
        key: PeerKey,
        shared: &Shared,
    ) -> Result<&mut Inbound, DropReason> {
        let known = self.inbound.get(&id.number).is_some_and(|inbound| inbound.mailslot() == id);
        if !known && self.inbound.len() >= shared.config.limits.mailslots_per_peer_max {
            return Err(DropReason::MailslotsFull);
        }
        if !known {
            self.inbound.insert(id.number, Inbound::new(id, key));
        }
        self.inbound.get_mut(&id.number).ok_or(DropReason::MailslotsFull)
    }

    /// Adds up what its messages say, and compares.
    fn check(&self) -> Result<(), String> {
        let requests = self.remotes.iter().flatten().map(Remote::flight_len);
        let replies = self.inbound.values().map(Inbound::flight_len);
        let (flight_len, kept_len) = (requests.chain(replies).sum::<usize>(), self.link.congestion.flight_len());
        if flight_len != kept_len {
            return Err(format!("{}: {flight_len} octets in flight, {kept_len} counted", self.link.address));
        }
        if self.remotes.iter().flatten().any(Remote::has_forgotten) || self.inbound.values().any(Inbound::has_forgotten)
        {
            return Err(format!("{}: something is in flight without a timer", self.link.address));
        }
        Ok(())
    }

    /// The earliest of all its timers after `now`.
    pub(super) fn next_timer(&self, now: Instant) -> Option<Instant> {
        let remotes = self.remotes.iter().flatten().filter_map(|remote| remote.next_timer(now));
        let inbound = self.inbound.values().filter_map(|inbound| inbound.next_timer(now));
        let responses = self.link.responses.due_at().filter(|at| *at > now);
        responses.into_iter().chain(remotes).chain(inbound).min()
    }
}

#[derive(Debug)]
pub(super) struct Peers {
    by_address: BTreeMap<SocketAddr, PeerKey>,
    slots: Vec<Option<Peer>>,
    free: Vec<PeerKey>,
    /// Peers that had not proved their address when they came, oldest first.
    unproven: VecDeque<(PeerKey, SocketAddr)>,
    /// Where the search for one that can go begins.
    hand: usize,
    /// Peers that may have something to send.
    work: VecDeque<PeerKey>,
    timers: BTreeSet<(Instant, PeerKey)>,
}

impl Peers {
    pub(super) const fn new() -> Self {
        Self {
            by_address: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            unproven: VecDeque::new(),
            hand: 0,
            work: VecDeque::new(),
            timers: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(super) fn find(&self, address: SocketAddr) -> Option<PeerKey> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.slots.get_mut(key.index())?.as_mut()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.slots.iter().flatten().try_for_each(Peer::check)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerKey, &mut Peer)> {
        (0u32..).map(PeerKey).zip(&mut self.slots).filter_map(|(key, peer)| Some((key, peer.as_mut()?)))
    }

    /// The peer at an address; a new one where there is room or an idle one makes some. `is_wanted` where the application
    /// asked for it, so that a flood of strangers cannot push it out.
    //= SMP121-L3
    pub(super) fn find_or_add(
        &mut self,
        address: SocketAddr,
        local: IpAddr,
        is_wanted: bool,
        shared: &mut Shared,
    ) -> Option<PeerKey> {
        if let Some(key) = self.find(address) {
            if let Some(peer) = self.get_mut(key) {
                peer.is_used = true;
            }
            return Some(key);
        }
        let peers_max = shared.config.limits.peers_max;
        if !is_wanted {
            self.limit_unproven(peers_max / 4, shared);
        }
        if self.len() >= peers_max && !self.evict(shared) {
            return None;
        }
        let mut link = Link::new(address, local, &shared.config, shared.now);
        link.is_proven = is_wanted;
        let peer = Peer::new(link);
        let key = match self.free.pop() {
            Some(key) => key,
            None => PeerKey(u32::try_from(self.slots.len()).ok()?),
        };
        if key.index() == self.slots.len() {
            self.slots.push(None);
        }
        *self.slots.get_mut(key.index())? = Some(peer);
        self.by_address.insert(address, key);
        if !is_wanted {
            self.unproven.push_back((key, address));
        }
        Some(key)
    }

    /// Makes room for one more that has proved nothing.
    fn limit_unproven(&mut self, count_max: usize, shared: &mut Shared) {
        while self.unproven.len() >= count_max.max(1) {
            let Some((key, address)) = self.unproven.pop_front() else { return };
            let is_stale = |peer: &mut Peer| peer.link.address == address && !peer.link.is_proven && peer.is_idle();
            if self.get_mut(key).is_some_and(is_stale) {
                self.remove(key, shared);
            }
        }
    }

    /// Drops the first idle peer that was not used since the hand came by last.
    fn evict(&mut self, shared: &mut Shared) -> bool {
        // Twice around: the first time may only take the marks of use away.
        for _ in 0..self.slots.len() * 2 {
            self.hand = (self.hand + 1) % self.slots.len().max(1);
            let Some(Some(peer)) = self.slots.get_mut(self.hand) else { continue };
            if !core::mem::take(&mut peer.is_used) && peer.is_idle() {
                let address = peer.link.address;
                if let Some(key) = self.find(address) {
                    self.remove(key, shared);
                    return true;
                }
            }
        }
        false
    }

    fn remove(&mut self, key: PeerKey, shared: &mut Shared) {
        let Some(mut peer) = self.slots.get_mut(key.index()).and_then(Option::take) else { return };
        for inbound in peer.inbound.values_mut() {
            inbound.flush(&mut peer.link, shared);
        }
        self.by_address.remove(&peer.link.address);
        if let Some(at) = peer.timer_at {
            self.timers.remove(&(at, key));
        }
        if peer.is_queued {
            self.work.retain(|other| *other != key);
        }
        self.free.push(key);
    }

    /// To be called when something was done with a peer: sets its timer, and queues it where it may have something to send.
    pub(super) fn settle(&mut self, key: PeerKey) {
        let Some(peer) = self.slots.get_mut(key.index()).and_then(Option::as_mut) else { return };
        let link = &peer.link;
        let has_nothing = link.sending.is_empty() && link.control.is_empty() && link.responses.is_empty();
        if !peer.is_queued && !has_nothing {
            peer.is_queued = true;
            self.work.push_back(key);
        }
        self.settle_timer(key);
    }

    /// To be called when a peer has sent something: sets its timer.
    pub(super) fn settle_timer(&mut self, key: PeerKey) {
        let Some(peer) = self.slots.get_mut(key.index()).and_then(Option::as_mut) else { return };
        let link = &peer.link;
        if link.timer_at() != peer.timer_at {
            if let Some(at) = peer.timer_at {
                self.timers.remove(&(at, key));
            }
            peer.timer_at = link.timer_at();
            if let Some(at) = peer.timer_at {
                self.timers.insert((at, key));
            }
        }
    }

    /// The next peer that may have something to send.
    pub(super) fn next_work(&mut self) -> Option<PeerKey> {
        let key = self.work.pop_front()?;
        if let Some(peer) = self.get_mut(key) {
            peer.is_queued = false;
        }
        Some(key)
    }

    /// There was no room left for what the peer has to send.
    pub(super) fn put_work_back(&mut self, key: PeerKey) {
        if let Some(peer) = self.get_mut(key)
            && !core::mem::replace(&mut peer.is_queued, true)
        {
            self.work.push_front(key);
        }
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// A peer whose timer is due. The timer is no longer set.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<PeerKey> {
        let (at, key) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        if let Some(peer) = self.get_mut(key) {
            peer.timer_at = None;
            peer.link.set_timer(None);
        }
        Some(key)
    }
}
