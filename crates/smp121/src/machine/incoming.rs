//! What a datagram does.

use super::EndpointMachine;
use super::drop_reason::DropReason;
use super::event::PeerKey;
use super::link::Control;
use super::num::to_u64;
use super::peers::Peer;
use super::shared::Shared;
use crate::ExchangeError;
use crate::config::Addressing;
use crate::wire::{self, Action, Data, Direction, Kind, NameReply, PseudoHeader, Segment};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wirekit::datagram::{PathError, PathErrorKind};

/// How long a peer that answered before may be without anybody who speaks SMP.
const RESTART_TIME: Duration = Duration::from_secs(5);

impl EndpointMachine {
    /// Takes a datagram in. Whatever is wrong with it, it is dropped and counted (rule j).
    //= SMP121-R-J, SMP121-A33
    pub(super) fn on_datagram(&mut self, source: SocketAddr, destination: IpAddr, payload: &[u8]) {
        self.shared.counters.datagrams_received_count += 1;
        self.shared.counters.received_len += to_u64(payload.len());
        if let Err(reason) = self.try_datagram(source, destination, payload) {
            self.shared.drop_one(reason);
        }
    }

    fn try_datagram(&mut self, source: SocketAddr, destination: IpAddr, payload: &[u8]) -> Result<(), DropReason> {
        let pseudo = match self.shared.config.addressing {
            Addressing::None => PseudoHeader::None,
            Addressing::Ip => {
                if is_of_many(source.ip()) || source.ip().is_unspecified() || is_of_many(destination) {
                    return Err(DropReason::Address);
                }
                PseudoHeader::between(source.ip(), destination).ok_or(DropReason::Address)?
            }
        };
        let segment = wire::decode(payload, &pseudo)?;
        let kind = segment.kind();
        let Some(key) = self.peer_for(source, destination, &kind) else {
            return self.on_stranger(source, destination, kind?);
        };
        let Self { peers, shared, .. } = self;
        let Some(peer) = peers.get_mut(key) else { return Err(DropReason::Unknown) };
        let outcome = peer.on_segment(key, &segment, kind, shared);
        peer.offer_held(shared);
        peers.settle(key);
        outcome
    }

    /// The peer that a segment is from. Only a name request makes a stranger known.
    fn peer_for(
        &mut self,
        source: SocketAddr,
        destination: IpAddr,
        kind: &Result<Kind<'_>, wire::DecodeError>,
    ) -> Option<PeerKey> {
        if let Some(key) = self.peers.find(source) {
            return Some(key);
        }
        let Ok(Kind::NameRequest { name }) = kind else { return None };
        // Whoever asks for what is not there is answered and forgotten.
        self.shared.mailslots.by_name(name)?;
        self.peers.find_or_add(source, destination, false, &mut self.shared)
    }

    /// A segment from somebody that nothing is known of.
    //= SMP121-R-D
    fn on_stranger(&mut self, source: SocketAddr, destination: IpAddr, kind: Kind<'_>) -> Result<(), DropReason> {
        if self.shared.mailslots.is_untouched() && kind.asks() {
            return Err(DropReason::NoMailslots);
        }
        match kind {
            Kind::Data(Data { direction: Direction::Request, number, mailslot, .. }) => {
                self.shared.take_reset()?;
                self.strangers.push(source, destination, Control::Reset { number, mailslot });
                Err(DropReason::OutsideWindow)
            }
            Kind::NameRequest { name } => {
                if self.shared.mailslots.by_name(name).is_some() {
                    return Err(DropReason::PeersFull);
                }
                self.shared.take_reset().map_err(|_| DropReason::NameRequestRate)?;
                self.strangers.push(source, destination, Control::NoSuchName { name: name.into() });
                Ok(())
            }
            Kind::Reset { .. } => Err(DropReason::ResetUnknown),
            Kind::NameReply(_) => Err(DropReason::NameReplyUnasked),
            _ => Err(DropReason::Unknown),
        }
    }

    /// The network says that something did not arrive. Anybody can say so; it counts where it names what is in flight.
    //= SMP121-O19
    pub(super) fn on_path_error(&mut self, error: &PathError) {
        let Some(key) = self.peers.find(error.destination) else { return };
        let Self { peers, shared, .. } = self;
        let Some(peer) = peers.get_mut(key) else { return };
        peer.on_path_error(error, shared);
        peers.settle(key);
    }
}

/// A group, or everybody: nobody has an exchange with them.
fn is_of_many(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

impl Peer {
    fn on_segment(
        &mut self,
        key: PeerKey,
        segment: &Segment<'_>,
        kind: Result<Kind<'_>, wire::DecodeError>,
        shared: &mut Shared,
    ) -> Result<(), DropReason> {
        self.link.heard_at = shared.now;
        // What is invalid is dropped with all that rides along.
        //= SMP121-R-J
        let kind = kind?;
        // Data first: a reply may come together with a reset of its own request.
        let outcome = self.on_kind(key, kind, shared);
        //= SMP121-A28
        for response in segment.responses.filter_map(|raw| raw.known()) {
            let known = self.on_response(response.number, response.mailslot, response.action, shared);
            if !known {
                shared.drop_one(if response.action == Action::Reset {
                    DropReason::ResetUnknown
                } else {
                    DropReason::Unknown
                });
            }
        }
        outcome
    }

    fn on_kind(&mut self, key: PeerKey, kind: Kind<'_>, shared: &mut Shared) -> Result<(), DropReason> {
        match kind {
            Kind::Responses => Ok(()),
            Kind::NameRequest { name } => self.on_name_request(key, name, shared),
            Kind::NameReply(reply) => self.on_name_reply(&reply, shared),
            Kind::Data(data) => match data.direction {
                Direction::Request => self.on_request(&data, shared),
                Direction::Reply => match self.remote_of(data.mailslot) {
                    Some((remote, link)) => remote.on_reply(&data, link, shared),
                    None => Err(DropReason::Unknown),
                },
            },
            Kind::Reset { number, mailslot } => {
                let Some((remote, link)) = self.remote_of(mailslot) else { return Err(DropReason::ResetUnknown) };
                if !remote.on_reset(number, link, shared) {
                    return Err(DropReason::ResetUnknown);
                }
                shared.counters.resets_obeyed_count += 1;
                Ok(())
            }
        }
    }

    /// A record of a response has no direction: a number of a reply of ours is tried first.
    //= SMP121-A7
    fn on_response(&mut self, number: u32, mailslot: u16, action: Action, shared: &mut Shared) -> bool {
        let Self { inbound, link, .. } = self;
        if let Some(inbound) = inbound.get_mut(&mailslot)
            && inbound.on_response(number, action, link, shared)
        {
            return true;
        }
        let Some((remote, link)) = self.remote_of(mailslot) else { return false };
        let known = remote.on_response(number, action, link, shared);
        if known && action == Action::Reset {
            shared.counters.resets_obeyed_count += 1;
        }
        known
    }

    //= SMP121-R-D, SMP121-R-K
    fn on_request(&mut self, data: &Data<'_>, shared: &mut Shared) -> Result<(), DropReason> {
        if shared.mailslots.is_untouched() {
            return Err(DropReason::NoMailslots);
        }
        let id = shared.mailslots.by_number(data.mailslot).map(|mailslot| mailslot.id);
        let Self { inbound, link, .. } = self;
        let outcome = match inbound.get_mut(&data.mailslot) {
            Some(inbound) if Some(inbound.mailslot()) == id => inbound.on_request(data, link, shared),
            _ => Err(DropReason::OutsideWindow),
        };
        if outcome == Err(DropReason::OutsideWindow) {
            shared.take_reset()?;
            link.push_control(Control::Reset { number: data.number, mailslot: data.mailslot });
        }
        outcome
    }

    //= SMP121-W16, SMP121-L8
    fn on_name_request(&mut self, key: PeerKey, name: &[u8], shared: &mut Shared) -> Result<(), DropReason> {
        if shared.mailslots.is_untouched() {
            return Err(DropReason::NoMailslots);
        }
        if !self.link.name_requests.take(shared.now) {
            return Err(DropReason::NameRequestRate);
        }
        let Some(id) = shared.mailslots.by_name(name).map(|mailslot| mailslot.id) else {
            self.link.push_control(Control::NoSuchName { name: name.into() });
            return Ok(());
        };
        let number = self.inbound_of(id, key, shared)?.offer(shared);
        self.link.push_control(Control::NameReply { number, mailslot: id.number });
        Ok(())
    }

    /// Finds who asked: by the name, or where the peer does not repeat it, by there being one only.
    //= SMP121-A15
    fn on_name_reply(&mut self, reply: &NameReply<'_>, shared: &mut Shared) -> Result<(), DropReason> {
        let Self { remotes, link, .. } = self;
        let mut asking = remotes.iter_mut().flatten().filter(|remote| remote.is_resolving());
        let remote = match reply.name {
            Some(name) => asking.find(|remote| *remote.name == *name),
            None => asking.next().filter(|_| asking.next().is_none()),
        };
        if remote.is_some_and(|remote| remote.on_name_reply(reply, link, shared)) {
            Ok(())
        } else {
            Err(DropReason::NameReplyUnasked)
        }
    }

    fn on_path_error(&mut self, error: &PathError, shared: &mut Shared) {
        let Self { remotes, inbound, link, .. } = self;
        let number = error.quoted.map(|[a, b, c, d, ..]| u32::from_be_bytes([a, b, c, d]));
        if let PathErrorKind::TooLong { mtu } = error.kind {
            let ip_len = if error.destination.is_ipv4() { 20 } else { 40 };
            let is_ours = |number| {
                remotes.iter().flatten().any(|remote| remote.quotes(number))
                    || inbound.values().any(|inbound| inbound.quotes(number))
            };
            if mtu > 0 && number.is_none_or(is_ours) {
                link.set_segment_len_max(super::num::to_usize(mtu).saturating_sub(ip_len));
            }
            return;
        }
        let is_final = matches!(error.kind, PathErrorKind::ProtocolUnreachable | PathErrorKind::PortUnreachable);
        // A peer that was there a moment ago may be starting anew.
        let is_silent = shared.now.saturating_since(link.heard_at) >= RESTART_TIME;
        for remote in remotes.iter_mut().flatten() {
            // A report that quotes nothing comes from the system itself, of what was just sent.
            let is_ours = number.is_none_or(|number| remote.quotes(number));
            if is_ours && (!remote.was_resolved() || (is_final && is_silent)) {
                remote.fail(ExchangeError::Unreachable(error.kind), link, shared);
            }
        }
    }
}

impl Kind<'_> {
    /// True for what wants something of a mailslot of ours. An endpoint that never had any stays silent: it may share its address with
    /// one that has some, and would answer for it.
    //= SMP121-O21
    const fn asks(&self) -> bool {
        matches!(self, Self::NameRequest { .. } | Self::Data(Data { direction: Direction::Request, .. }))
    }
}

impl Shared {
    /// Counts what is dropped.
    pub(super) fn drop_one(&mut self, reason: DropReason) {
        if let Some(count) = self.counters.dropped.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Leave to send a reset, or another answer to somebody unknown.
    //= SMP121-L9
    fn take_reset(&mut self) -> Result<(), DropReason> {
        if self.resets.take(self.now) { Ok(()) } else { Err(DropReason::ResetRate) }
    }
}
