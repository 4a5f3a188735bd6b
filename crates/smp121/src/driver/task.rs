//! The task of an endpoint: reads the socket and keeps the time.

use super::clock::Alarm;
use super::error::ReceiveError;
use super::outlet::Block;
use super::shared::Shared;
use super::state::State;
use super::waiting::Wakes;
use crate::machine::{DropReason, Input};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wirekit::datagram::{DatagramSocket, PAYLOAD_LEN_MAX, ReceiveBatch, Received};
use wirekit::{Instant, Machine};

/// Datagrams received in one call, all of which are handled in one hold of the lock.
const BATCH_COUNT_MAX: usize = 32;
/// Batches that are received before other tasks of the runtime get their turn.
const BATCHES_PER_TURN_MAX: usize = 4;

#[derive(Debug)]
enum Step {
    /// Nothing to do before something happens.
    Idle,
    /// There is more to do, after others had their turn.
    Again,
    /// The endpoint has ended.
    Over,
}

/// What is to be done after something was received.
#[derive(Clone, Copy, Debug)]
struct Care {
    /// Something but the socket is to be seen to.
    is_wanted: bool,
    /// What others send is left for the next turn.
    is_corked: bool,
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    socket: Option<Arc<dyn DatagramSocket>>,
    batch: ReceiveBatch,
    alarm: Alarm,
    wakes: Wakes,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, socket: Arc<dyn DatagramSocket>) -> Self {
        let batch = socket.receive_batch(BATCH_COUNT_MAX, PAYLOAD_LEN_MAX);
        Self { shared, socket: Some(socket), batch, alarm: Alarm::default(), wakes: Wakes::default() }
    }

    /// Hands everything that was received to the machine, in one hold of the lock.
    fn take_in(&mut self) -> Care {
        let mut state = self.shared.state();
        let now = self.shared.clock.now();
        state.is_corked = false;
        state.counters.batches_received_count += 1;
        state.counters.carrier_dropped = self.batch.dropped();
        for error in self.batch.errors() {
            state.on_path_error(now, error);
        }
        let is_logged = tracing::enabled!(tracing::Level::DEBUG);
        for datagram in self.batch.datagrams() {
            if is_logged {
                handle_logged(&mut state, now, self.shared.local.ip(), &datagram);
            } else {
                handle(&mut state, now, self.shared.local.ip(), &datagram);
            }
        }
        state.settle(now, &mut self.wakes);
        // Several tasks that are woken have several things to send: those go together, when all of them had their turn and
        // this task has its next.
        state.is_corked = self.wakes.len() > 1;
        let care = Care { is_wanted: self.wants_care(&state, now), is_corked: state.is_corked };
        drop(state);
        self.wakes.wake();
        care
    }

    /// Whether anything but the socket has to be seen to.
    fn wants_care(&self, state: &State, now: Instant) -> bool {
        let rings_at = self.alarm.until();
        let deadline = state.machine.poll_timeout().map(|deadline| deadline.at);
        rings_at.is_some_and(|at| at <= now)
            || deadline.is_some_and(|at| at <= now || rings_at.is_none_or(|rings_at| at < rings_at))
            || !state.outlet.is_free()
            || state.driver.is_none()
            || state.check_open().is_err()
    }

    /// Does what is due, and sees to it that the task is woken for what will be.
    fn tend(&mut self, cx: &mut Context<'_>, is_corked: bool) -> Step {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        if state.end_reason().is_some() {
            drop(state);
            return self.end(ReceiveError::Closed);
        }
        let now = shared.clock.now();
        if !state.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        match self.poll_outlet(cx, &mut state, now) {
            Ok(()) => {}
            Err(error) => {
                drop(state);
                return self.end(ReceiveError::Carrier(Arc::new(error)));
            }
        }
        if state.machine.poll_timeout().is_some_and(|deadline| deadline.is_due(now)) {
            state.machine.handle_timeout(now);
        }
        state.is_corked = is_corked;
        state.settle(now, &mut self.wakes);
        let close_at = state.close_deadline(now);
        if close_at.is_some_and(|at| at <= now) {
            state.flush_last(now);
            drop(state);
            return self.end(ReceiveError::Closed);
        }
        let pause_until = match state.outlet.block() {
            Block::Paused { until } => Some(until),
            Block::Open | Block::Full => None,
        };
        let machine_at = state.machine.poll_timeout().map(|deadline| deadline.at);
        let deadline = [machine_at, pause_until, close_at].into_iter().flatten().min();
        // A socket that has become full just now is waited for in the next round.
        let is_again = state.outlet.has_more() || (state.outlet.block() == Block::Full && !self.waits_to_send(cx));
        let is_due = self.alarm.arm(cx, shared.clock, now, deadline);
        state.armed_at = self.alarm.until();
        drop(state);
        self.wakes.wake();
        if is_again || is_due { Step::Again } else { Step::Idle }
    }

    /// Sees whether what keeps datagrams back is over.
    fn poll_outlet(&self, cx: &mut Context<'_>, state: &mut State, now: Instant) -> io::Result<()> {
        match state.outlet.block() {
            Block::Open => {}
            Block::Paused { until } if until > now => {}
            Block::Paused { .. } => state.outlet.unblock(),
            Block::Full => {
                if let Some(socket) = &self.socket
                    && let Poll::Ready(result) = socket.poll_send_ready(cx)
                {
                    result?;
                    state.outlet.unblock();
                }
            }
        }
        Ok(())
    }

    /// True where the task is woken once the socket takes more.
    fn waits_to_send(&self, cx: &mut Context<'_>) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.poll_send_ready(cx).is_pending())
    }

    fn end(&mut self, reason: ReceiveError) -> Step {
        // The address is free before anybody hears of the end.
        self.socket = None;
        let mut state = self.shared.state();
        if let ReceiveError::Carrier(error) = &reason {
            tracing::warn!(local = %self.shared.local, %error, "the carrier of an endpoint failed");
        }
        state.end(reason, &mut self.wakes);
        drop(state);
        self.wakes.wake();
        Step::Over
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // Where nothing was received, something else woke the task.
        let mut care = Care { is_wanted: true, is_corked: false };
        let mut is_again = true;
        for _ in 0..BATCHES_PER_TURN_MAX {
            let Some(socket) = &this.socket else { return Poll::Ready(()) };
            match socket.poll_receive(cx, &mut this.batch) {
                Poll::Ready(Ok(())) => care = this.take_in(),
                Poll::Ready(Err(error)) => {
                    this.end(ReceiveError::Carrier(Arc::new(error)));
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    is_again = care.is_corked;
                    break;
                }
            }
            if care.is_corked {
                break;
            }
        }
        if care.is_wanted {
            match this.tend(cx, care.is_corked) {
                Step::Over => return Poll::Ready(()),
                Step::Again => is_again = true,
                Step::Idle => {}
            }
        }
        if is_again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    /// Where the runtime ends before the endpoint, nobody may wait for ever.
    fn drop(&mut self) {
        self.end(ReceiveError::Closed);
    }
}

fn handle(state: &mut State, now: Instant, local: IpAddr, datagram: &Received<'_>) {
    let destination = datagram.destination.unwrap_or(local);
    let input = Input::Datagram { source: datagram.source, destination, payload: datagram.payload };
    let Ok(()) = state.machine.handle(now, input);
}

/// As [`handle`], for those who want to know what becomes of each datagram.
#[cold]
fn handle_logged(state: &mut State, now: Instant, local: IpAddr, datagram: &Received<'_>) {
    let before = state.machine.counters().clone();
    tracing::trace!(source = %datagram.source, len = datagram.payload.len(), "datagram came");
    handle(state, now, local, datagram);
    let after = state.machine.counters();
    for reason in DropReason::ALL {
        if after.dropped_count(reason) != before.dropped_count(reason) {
            tracing::debug!(source = %datagram.source, len = datagram.payload.len(), %reason, "datagram dropped");
        }
    }
}
