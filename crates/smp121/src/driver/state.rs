//! What the tasks of an endpoint share, behind one lock.

use super::counters::EndpointCounters;
use super::error::ReceiveError;
use super::outlet::{Outlet, too_long};
use super::waiting::{BuildSerialHasher, Ticket, Waiters, Wakes};
use crate::ExchangeError;
use crate::machine::{EndpointMachine, Event, ExchangeId, Input, MailslotId, RemoteId, RequestId, Resolved};
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use wirekit::datagram::{DatagramSocket, PathError, PathErrorKind};
use wirekit::{Instant, Machine};

/// How long an endpoint that is closed waits for requests in service to be answered, and for those answers to arrive.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Acknowledgements wait for something to ride on for at most this long. An endpoint that ends looks so far ahead.
const ACK_DELAY_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Open,
    /// Nothing new is taken on.
    Closing {
        until: Instant,
    },
    Ended(ReceiveError),
}

/// An exchange that a task waits for.
#[derive(Debug)]
pub(super) enum Exchange {
    Open(Waker),
    Done(Result<Bytes, ExchangeError>),
}

/// One that waits for a name to be resolved.
#[derive(Debug)]
pub(super) struct Resolution {
    pub(super) remote: RemoteId,
    pub(super) ticket: u64,
    pub(super) waker: Waker,
    pub(super) outcome: Option<Result<Resolved, ExchangeError>>,
}

pub(super) struct State {
    pub(super) machine: EndpointMachine,
    /// Gone when the endpoint has ended, so that its address is free.
    pub(super) socket: Option<Arc<dyn DatagramSocket>>,
    pub(super) outlet: Outlet,
    /// What is to be sent is left for the driver, whose turn comes after those of the tasks that it has just woken.
    pub(super) is_corked: bool,
    pub(super) phase: Phase,
    pub(super) exchanges: HashMap<ExchangeId, Exchange, BuildSerialHasher>,
    /// Those who wait for a request.
    pub(super) receivers: HashMap<MailslotId, Waiters, BuildSerialHasher>,
    pub(super) resolutions: Vec<Resolution>,
    pub(super) last_resolution: u64,
    /// Requests that the application holds and nobody waits for any more.
    voided: Vec<RequestId>,
    /// Those who wait for that.
    pub(super) void_watchers: Waiters,
    pub(super) closers: Waiters,
    /// Requests that the application holds and has not answered.
    pub(super) held_count: usize,
    /// The driver's task.
    pub(super) driver: Option<Waker>,
    /// When the driver's alarm rings at the latest. `None` where it does not.
    pub(super) armed_at: Option<Instant>,
    /// All but the protocol's.
    pub(super) counters: EndpointCounters,
}

impl State {
    pub(super) fn new(machine: EndpointMachine, socket: Arc<dyn DatagramSocket>) -> Self {
        let outlet = Outlet::new(socket.local_addr());
        Self {
            machine,
            socket: Some(socket),
            outlet,
            is_corked: false,
            phase: Phase::Open,
            exchanges: HashMap::default(),
            receivers: HashMap::default(),
            resolutions: Vec::new(),
            last_resolution: 0,
            voided: Vec::new(),
            void_watchers: Waiters::default(),
            closers: Waiters::default(),
            held_count: 0,
            driver: None,
            armed_at: None,
            counters: EndpointCounters::default(),
        }
    }

    /// Whether new work is taken on.
    pub(super) fn check_open(&self) -> Result<(), ReceiveError> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Closing { .. } => Err(ReceiveError::Closed),
            Phase::Ended(end) => Err(end.clone()),
        }
    }

    /// Why everything has ended, if it has.
    pub(super) fn end_reason(&self) -> Option<ReceiveError> {
        match &self.phase {
            Phase::Ended(end) => Some(end.clone()),
            Phase::Open | Phase::Closing { .. } => None,
        }
    }

    /// Sends what is to be sent and tells those who wait. To be called whenever the machine was, before the lock is given
    /// back.
    pub(super) fn settle(&mut self, now: Instant, wakes: &mut Wakes) {
        if let Some(socket) = &self.socket
            && !self.is_corked
        {
            self.outlet.flush(now, &mut self.machine, &**socket, &mut self.counters);
        }
        self.tell(wakes);
    }

    /// Whether the driver has something to do: time, a full socket, more to send, an end.
    pub(super) fn call_driver(&mut self, wakes: &mut Wakes) {
        let deadline = self.machine.poll_timeout().map(|deadline| deadline.at);
        let is_earlier = deadline.is_some_and(|at| self.armed_at.is_none_or(|armed_at| at < armed_at));
        if is_earlier {
            self.armed_at = deadline;
        }
        if (is_earlier || !self.outlet.is_free() || !matches!(self.phase, Phase::Open))
            && let Some(driver) = &self.driver
        {
            wakes.push(driver.clone());
        }
    }

    fn tell(&mut self, wakes: &mut Wakes) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Done { exchange, outcome } => {
                    // Where there is none, its future was dropped.
                    if let Some(slot) = self.exchanges.get_mut(&exchange)
                        && let Exchange::Open(waker) = core::mem::replace(slot, Exchange::Done(outcome))
                    {
                        wakes.push(waker);
                    }
                }
                Event::Ready(mailslot) => {
                    if let Some(receivers) = self.receivers.get_mut(&mailslot) {
                        receivers.wake_all(wakes);
                    }
                }
                Event::Resolved { remote, outcome } => {
                    for resolution in self.resolutions.iter_mut().filter(|resolution| resolution.remote == remote) {
                        resolution.outcome = Some(outcome);
                        wakes.push(resolution.waker.clone());
                    }
                }
                Event::Void(request) => {
                    // Only requests that the application holds become void, so these are no more than those.
                    self.voided.push(request);
                    self.void_watchers.wake_all(wakes);
                }
            }
        }
    }

    /// The network's word on a datagram that was sent earlier.
    pub(super) fn on_path_error(&mut self, now: Instant, error: &PathError) {
        self.counters.path_errors_count += 1;
        tracing::debug!(%error, "the network reports");
        let mut error = *error;
        if matches!(error.kind, PathErrorKind::TooLong { .. })
            && let Some(socket) = &self.socket
        {
            // The system has taken the report in, and knows what else is between IP and the payload.
            error.kind = too_long(error.destination, socket.payload_len_max(error.destination));
        }
        let Ok(()) = self.machine.handle(now, Input::PathError(&error));
    }

    /// What the path to a peer takes, as the system knows it now.
    pub(super) fn on_path_len(&mut self, now: Instant, peer: SocketAddr, payload_len_max: usize) {
        let error = PathError::new(peer, too_long(peer, payload_len_max));
        let Ok(()) = self.machine.handle(now, Input::PathError(&error));
    }

    pub(super) fn is_void(&self, request: RequestId) -> bool {
        self.voided.contains(&request)
    }

    /// The application holds a request no longer, or it was answered.
    pub(super) fn release(&mut self, request: RequestId) {
        self.held_count = self.held_count.saturating_sub(1);
        if !self.voided.is_empty() {
            self.voided.retain(|other| *other != request);
        }
    }

    // The end.

    /// Takes nothing new on from here.
    pub(super) fn begin_close(&mut self, now: Instant, wakes: &mut Wakes) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Closing { until: now + CLOSE_TIMEOUT };
            for receivers in self.receivers.values_mut() {
                receivers.wake_all(wakes);
            }
        }
    }

    /// When an endpoint that closes ends at the latest. Now, where nothing is open.
    pub(super) fn close_deadline(&self, now: Instant) -> Option<Instant> {
        let Phase::Closing { until } = self.phase else { return None };
        let is_open = self.held_count > 0 || self.machine.counters().replies_len > 0 || !self.outlet.is_idle();
        Some(if is_open { until } else { now })
    }

    /// Sends acknowledgements that wait for something to ride on: nothing more will come.
    pub(super) fn flush_last(&mut self, now: Instant) {
        let later = now + ACK_DELAY_MAX;
        self.machine.handle_timeout(later);
        if let Some(socket) = &self.socket {
            self.outlet.flush(later, &mut self.machine, &**socket, &mut self.counters);
        }
    }

    pub(super) fn end(&mut self, reason: ReceiveError, wakes: &mut Wakes) {
        if matches!(self.phase, Phase::Ended(_)) {
            return;
        }
        self.phase = Phase::Ended(reason);
        self.socket = None;
        for exchange in self.exchanges.values() {
            if let Exchange::Open(waker) = exchange {
                wakes.push(waker.clone());
            }
        }
        for receivers in self.receivers.values_mut() {
            receivers.wake_all(wakes);
        }
        for resolution in &self.resolutions {
            wakes.push(resolution.waker.clone());
        }
        self.void_watchers.wake_all(wakes);
        self.closers.wake_all(wakes);
    }

    pub(super) fn leave_receivers(&mut self, mailslot: MailslotId, ticket: Ticket) {
        if let Some(receivers) = self.receivers.get_mut(&mailslot) {
            receivers.leave(ticket);
        }
    }
}
