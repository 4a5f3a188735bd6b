//! One sender, many connections.

mod relay;

use super::handle::Sender;
use crate::Arguments;
use crate::fanout::{Dropped, FanOut, FanOutConfig, FanOutError, MessageId, Policy, ReceiverId};
use crate::framer::is_whole;
use bytes::Bytes;
use relay::Seat;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, coop, yield_now};

/// Sends the same messages on many connections, each with a queue and a [`Policy`] of its own: see [`FanOut`]. Cheap to
/// clone.
///
/// Connections come and go at any time, one that has ended leaves by itself, and one that comes in the middle of a
/// message gets the rest of it, from the next frame on. Its first frame has the number that it has for the others. So do
/// the frames after it where the connection's MAX-MESSAGE-SIZE is the broadcast's and the sender does not
/// [`flush`](BroadcastBody::flush) short frames: a connection with a backlog joins those, and then counts on from its own.
///
/// Beside its queue a connection holds what it has taken: up to 256 pieces of a frame each, and
/// [`Limits::outgoing_len_max`](crate::Limits::outgoing_len_max).
///
/// When all clones and bodies are dropped, the subscriptions end as soon as their queues are empty. The connections stay
/// open as long as their other handles want.
//= SMPF-CONV-3 SMPF-B-FANOUT SMPF-B-SLOW-RECEIVER
#[derive(Clone, Debug)]
pub struct Broadcast {
    hold: Arc<Hold>,
}

/// What the sending handles and the connections' tasks share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Woken when a queue got shorter or went.
    room: Notify,
    /// No more comes.
    is_over: AtomicBool,
}

#[derive(Debug)]
struct State {
    fan_out: FanOut,
    seats: BTreeMap<ReceiverId, Arc<Seat>>,
}

/// Kept by each sending handle: when the last one goes, the broadcast is over.
#[derive(Debug)]
struct Hold(Arc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
        for seat in self.0.lock().seats.values() {
            seat.wake.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the fan-out and wakes whom it may concern.
    fn act<T>(&self, act: impl FnOnce(&mut FanOut) -> T) -> T {
        let mut state = self.lock();
        let done = act(&mut state.fan_out);
        for seat in state.seats.values() {
            seat.wake.notify_one();
        }
        for seat in state.fan_out.disconnecting().filter_map(|id| state.seats.get(&id)) {
            seat.stop.notify_one();
        }
        done
    }

    /// The same, again and again until nobody is waited for.
    async fn act_with_room<T>(
        &self,
        mut act: impl FnMut(&mut FanOut) -> Result<T, FanOutError>,
    ) -> Result<T, FanOutError> {
        // A sender that never waits would leave the connections' tasks no turn on a runtime of one thread.
        let is_crowded = self.lock().fan_out.is_crowded();
        if is_crowded {
            yield_now().await;
        } else {
            coop::consume_budget().await;
        }
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            match self.act(&mut act) {
                Err(FanOutError::Blocked(_)) => room.await,
                done => return done,
            }
        }
    }
}

impl Broadcast {
    /// A broadcast that nobody gets yet.
    #[must_use]
    pub fn new(config: FanOutConfig) -> Self {
        let state = State { fan_out: FanOut::new(config), seats: BTreeMap::new() };
        let (room, is_over) = (Notify::new(), AtomicBool::new(false));
        Self { hold: Arc::new(Hold(Arc::new(Shared { state: Mutex::new(state), room, is_over }))) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.hold.0
    }

    /// Sends to this connection too, from now on, with a task of its own. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`FanOutError::TooManyReceivers`].
    pub fn subscribe(&self, sender: Sender, policy: Policy) -> Result<Subscription, FanOutError> {
        let shared = Arc::clone(self.shared());
        let seat = Arc::new(Seat::default());
        let id = {
            let mut state = shared.lock();
            let id = state.fan_out.join(policy)?;
            state.seats.insert(id, Arc::clone(&seat));
            id
        };
        let task = tokio::spawn(relay::run(Arc::clone(&shared), id, sender, Arc::clone(&seat)));
        Ok(Subscription { id, shared, seat, task })
    }

    /// Sends a message to all, waiting for those whose policy says so. One that is too large for a unit goes as frames.
    /// Not cancel-safe for those: dropped in the middle, the message is given up.
    ///
    /// # Errors
    /// [`FanOutError`].
    pub async fn send(&self, message: impl Into<Arguments>) -> Result<(), FanOutError> {
        let message = message.into();
        let max_message_size = self.shared().lock().fan_out.config().max_message_size();
        if is_whole(&message, max_message_size)? {
            return self.shared().act_with_room(|fan_out| fan_out.send(&message)).await;
        }
        let parts = message.into_vec();
        let mut body = self.open_body(u8::try_from(parts.len()).unwrap_or(u8::MAX))?;
        for (index, part) in (0..).zip(parts) {
            body.write(index, part).await?;
        }
        body.finish().await
    }

    /// Opens a body of `count` arguments.
    ///
    /// # Errors
    /// [`FanOutError::TooManyMessages`], [`FanOutError::Encode`] for more than 15 arguments.
    pub fn open_body(&self, count: u8) -> Result<BroadcastBody, FanOutError> {
        self.open_body_at(count, 0)
    }

    /// [`open_body`](Self::open_body) for a sender that relays the middle of something: frames count from `first_number`.
    ///
    /// # Errors
    /// As `open_body`.
    pub fn open_body_at(&self, count: u8, first_number: u32) -> Result<BroadcastBody, FanOutError> {
        let message = self.shared().lock().fan_out.begin(count, first_number)?;
        Ok(BroadcastBody { hold: Arc::clone(&self.hold), message, rest: (0, Bytes::new()), is_done: false })
    }

    /// What all connections together were not sent, those that left counted.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.shared().lock().fan_out.dropped()
    }

    /// How many connections there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.shared().lock().fan_out.receiver_count()
    }
}

/// Sends one body to all. Dropping it before [`finish`](Self::finish) gives the body up, and who has a part of it is told.
#[derive(Debug)]
pub struct BroadcastBody {
    hold: Arc<Hold>,
    message: MessageId,
    /// What a write that was dropped had not sent yet.
    rest: (u8, Bytes),
    is_done: bool,
}

impl BroadcastBody {
    /// Which message this is, for [`Subscription::rejoin`].
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.message
    }

    /// Appends to argument `index`, waiting for those whose policy says so. Full frames go out at once, what is left goes
    /// with the next write, [`flush`](Self::flush) or [`finish`](Self::finish). Cancel-safe: what a dropped write has not
    /// sent goes before anything else.
    ///
    /// # Errors
    /// [`FanOutError::NoSuchArgument`].
    pub async fn write(&mut self, index: u8, payload: Bytes) -> Result<(), FanOutError> {
        self.write_what_is_left().await?;
        self.rest = (index, payload);
        self.write_rest().await
    }

    async fn write_what_is_left(&mut self) -> Result<(), FanOutError> {
        if self.rest.1.is_empty() { Ok(()) } else { self.write_rest().await }
    }

    async fn write_rest(&mut self) -> Result<(), FanOutError> {
        let Self { hold, message, rest: (index, payload), .. } = self;
        let written = hold.0.act_with_room(|fan_out| fan_out.write(*message, *index, payload)).await;
        *payload = Bytes::new();
        written
    }

    /// Sends what does not fill a frame yet.
    ///
    /// # Errors
    /// [`FanOutError`].
    pub async fn flush(&mut self) -> Result<(), FanOutError> {
        self.write_what_is_left().await?;
        let message = self.message;
        self.hold.0.act_with_room(|fan_out| fan_out.flush(message)).await
    }

    /// Ends the body. Dropping the future gives the body up.
    ///
    /// # Errors
    /// [`FanOutError`].
    pub async fn finish(mut self) -> Result<(), FanOutError> {
        self.write_what_is_left().await?;
        let message = self.message;
        self.hold.0.act_with_room(|fan_out| fan_out.finish(message)).await?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for BroadcastBody {
    fn drop(&mut self) {
        if !self.is_done {
            let _finished_before = self.hold.0.act(|fan_out| fan_out.abandon(self.message));
        }
    }
}

/// Why a connection gets no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaveReason {
    /// It was unsubscribed.
    Unsubscribed,
    /// All sending handles are gone, and it got everything that it was to get.
    Finished,
    /// It was too slow for [`Policy::Disconnect`], and was aborted.
    TooSlow,
    /// It ended.
    ConnectionClosed,
}

/// One connection's part in a [`Broadcast`]. Dropping it changes nothing.
#[derive(Debug)]
pub struct Subscription {
    id: ReceiverId,
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    task: JoinHandle<LeaveReason>,
}

impl Subscription {
    /// Which receiver this is, as in [`FanOutError::Blocked`].
    #[must_use]
    pub const fn id(&self) -> ReceiverId {
        self.id
    }

    /// What this connection was not sent.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        let state = self.shared.lock();
        state.fan_out.dropped_of(self.id).or_else(|| self.seat.dropped.get().copied()).unwrap_or_default()
    }

    /// Octets that wait for this connection, headers counted.
    #[must_use]
    pub fn queued_len(&self) -> usize {
        self.shared.lock().fan_out.queued_len(self.id).unwrap_or_default()
    }

    /// Takes part again in a message that was lost, from the next frame on: for streams without an end. `true` where it
    /// was lost.
    ///
    /// # Errors
    /// [`FanOutError::NoSuchMessage`], [`FanOutError::NoSuchReceiver`].
    pub fn rejoin(&self, message: MessageId) -> Result<bool, FanOutError> {
        self.shared.lock().fan_out.rejoin(self.id, message)
    }

    /// Sends nothing more to this connection, which stays open. Messages that it has a part of are given up.
    pub fn unsubscribe(&self) {
        self.seat.is_unsubscribed.store(true, Ordering::Release);
        self.seat.stop.notify_one();
    }

    /// Waits until the connection gets no more, and says why.
    pub async fn left(self) -> LeaveReason {
        // The task panics never, and is cancelled only when the runtime ends.
        self.task.await.unwrap_or(LeaveReason::ConnectionClosed)
    }
}
