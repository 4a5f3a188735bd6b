//! The endpoint as the application sees it.

use super::builder::EndpointBuilder;
use super::counters::EndpointCounters;
use super::error::{OpenError, StartError};
use super::mailslot::Mailslot;
use super::remote::RemoteMailslot;
use super::shared::{Owner, Shared};
use super::task::Driver;
use super::waiting::Ticket;
use crate::{Config, Profile};
use core::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use tokio::runtime::Handle;
use wirekit::datagram::DatagramSocket;

/// One end of the protocol at one socket: mailslots of its own, and handles to those of its peers.
///
/// Clones are the same endpoint. It lives until [`close`](Self::close), or until the last clone, [`Mailslot`],
/// [`RemoteMailslot`] and [`Request`](super::Request) is dropped; then it closes by itself, in the background. One task in
/// the runtime where it was started reads the socket and keeps the time. Handles may be used from any task, of other
/// runtimes too; what they send goes out in the task of the caller, at the cost of a lock and a system call.
#[derive(Clone, Debug)]
pub struct Endpoint {
    owner: Arc<Owner>,
}

impl Endpoint {
    /// An endpoint with all settings given by the caller. [`builder`](Self::builder) is the simpler way.
    ///
    /// The addressing of `config` must be that of the other ends: [`Addressing::Ip`](crate::Addressing::Ip) on raw IP, none
    /// in UDP and memory.
    ///
    /// # Errors
    /// [`StartError::NoRuntime`] outside of a tokio runtime.
    pub fn new(socket: impl DatagramSocket + 'static, config: Config) -> Result<Self, StartError> {
        Self::start(Arc::new(socket), config)
    }

    /// An endpoint that takes from the socket and the system what it can.
    #[must_use]
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::default()
    }

    pub(super) fn start(socket: Arc<dyn DatagramSocket>, config: Config) -> Result<Self, StartError> {
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let shared = Arc::new(Shared::new(Arc::clone(&socket), config));
        runtime.spawn(Driver::new(Arc::clone(&shared), socket));
        Ok(Self { owner: Arc::new(Owner { shared }) })
    }

    /// Defines a mailslot that takes requests of up to `len_max` octets, at most half of
    /// [`Limits::peer_assembly_len_max`](crate::Limits::peer_assembly_len_max). A name has 1 to 255 octets, none of them
    /// NUL.
    ///
    /// # Errors
    /// [`OpenError`]: a name that cannot be or is taken, a length that cannot be, too many mailslots, a closed endpoint.
    pub fn define(&self, name: impl AsRef<[u8]>, len_max: usize) -> Result<Mailslot, OpenError> {
        let name = name.as_ref();
        let id = self.owner.shared.act(|state, _, _| {
            state.check_open()?;
            let id = state.machine.define(name, len_max)?;
            state.receivers.insert(id, Default::default());
            Ok::<_, OpenError>(id)
        })?;
        Ok(Mailslot::new(Arc::clone(&self.owner), id))
    }

    /// A handle to the mailslot `name` of `peer`; on raw IP the port is 0. Nothing is sent yet. Where `peer` is this
    /// endpoint itself, the handle is as of [`get_local`](Self::get_local).
    ///
    /// Asks the system for the way to the peer, which takes some microseconds: keep the handle.
    ///
    /// # Errors
    /// [`OpenError`]: a name that cannot be, no way to the peer, a full table, a closed endpoint.
    pub fn get(&self, peer: SocketAddr, name: impl AsRef<[u8]>) -> Result<RemoteMailslot, OpenError> {
        let (name, shared) = (name.as_ref(), &self.owner.shared);
        let socket = {
            let state = shared.state();
            state.check_open()?;
            state.socket.clone().ok_or(OpenError::Closed)?
        };
        let local = socket.source_for(peer).map_err(|source| OpenError::NoRoute { peer, source })?;
        // Where IP is below, the machine sees by the address alone whether that is here.
        if !socket.is_ip() && SocketAddr::new(local, shared.local.port()) == peer {
            return self.get_local(name);
        }
        let path_len = socket.payload_len_max(peer);
        drop(socket);
        let id = shared.act(|state, now, _| {
            state.check_open()?;
            let id = state.machine.get(peer, local, name)?;
            if path_len < shared.segment_len_max {
                state.on_path_len(now, peer, path_len);
            }
            Ok::<_, OpenError>(id)
        })?;
        Ok(RemoteMailslot::new(Arc::clone(&self.owner), id, Some(peer), name))
    }

    /// A handle to a mailslot of this endpoint. Messages and replies are handed over by reference and never copied, nor
    /// sent.
    ///
    /// # Errors
    /// [`OpenError`]: a name that cannot be, a closed endpoint.
    pub fn get_local(&self, name: impl AsRef<[u8]>) -> Result<RemoteMailslot, OpenError> {
        let name = name.as_ref();
        let id = self.owner.shared.act(|state, _, _| {
            state.check_open()?;
            Ok::<_, OpenError>(state.machine.get_local(name)?)
        })?;
        Ok(RemoteMailslot::new(Arc::clone(&self.owner), id, None, name))
    }

    /// Where the socket is bound. On raw IP the port is 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.owner.shared.local
    }

    /// What happened so far. Copies some hundred octets.
    #[must_use]
    pub fn counters(&self) -> EndpointCounters {
        let state = self.owner.shared.state();
        EndpointCounters { protocol: state.machine.counters().clone(), ..state.counters.clone() }
    }

    /// Closes the endpoint and waits until its task is over and its address is free.
    ///
    /// From here on nothing new is taken on: mailslots and handles give errors that say so. Requests that the application
    /// holds can still be answered, and answers that are on their way are sent again where needed, both for 2 s at most.
    /// In the end acknowledgements that were held back go out, and whatever still waits ends with an error.
    ///
    /// Cancel-safe: the endpoint closes even if nobody waits for it.
    pub async fn close(&self) {
        let shared = &self.owner.shared;
        shared.act(|state, now, wakes| state.begin_close(now, wakes));
        let mut place = CloserPlace { shared, ticket: None };
        poll_fn(|cx| {
            let mut state = shared.state();
            if state.end_reason().is_some() {
                return Poll::Ready(());
            }
            state.closers.enter(&mut place.ticket, cx);
            Poll::Pending
        })
        .await;
    }
}

struct CloserPlace<'a> {
    shared: &'a Shared,
    ticket: Option<Ticket>,
}

impl Drop for CloserPlace<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.state().closers.leave(ticket);
        }
    }
}

impl RemoteMailslot {
    /// Treats the peer as `profile` says, from the next segment on, for all handles to it.
    ///
    /// # Errors
    /// [`OpenError`]: a mailslot of this endpoint, which has no profile; a closed endpoint.
    pub fn set_profile(&self, profile: Profile) -> Result<(), OpenError> {
        self.owner().shared.act(|state, _, _| {
            state.check_open()?;
            Ok(state.machine.set_profile(self.id(), profile)?)
        })
    }
}
