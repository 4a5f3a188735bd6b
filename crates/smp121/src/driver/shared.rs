//! The lock, and what happens around it.

use super::clock::Clock;
use super::state::State;
use super::waiting::Wakes;
use crate::Config;
use crate::machine::EndpointMachine;
use core::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wirekit::Instant;
use wirekit::datagram::DatagramSocket;

pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) local: SocketAddr,
    pub(super) segment_len_max: usize,
    state: Mutex<State>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(socket: Arc<dyn DatagramSocket>, config: Config) -> Self {
        let (local, segment_len_max) = (socket.local_addr(), config.segment_len_max);
        let state = Mutex::new(State::new(EndpointMachine::new(config), socket));
        Self { clock: Clock::new(), local, segment_len_max, state }
    }

    /// The state, to look at. Whoever calls the machine uses [`act`](Self::act).
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing half done that would be worse than none of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the machine in the task of the caller, sends what comes of it, and tells those who wait.
    pub(super) fn act<R>(&self, act: impl FnOnce(&mut State, Instant, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let mut state = self.state();
        let now = self.clock.now();
        let result = act(&mut state, now, &mut wakes);
        state.settle(now, &mut wakes);
        state.call_driver(&mut wakes);
        drop(state);
        wakes.wake();
        result
    }
}

/// What the handles hold. When the last one is gone, the endpoint closes.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.act(|state, now, wakes| state.begin_close(now, wakes));
    }
}
