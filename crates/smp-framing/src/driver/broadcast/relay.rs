//! From one receiver's queue to its connection.

use super::{LeaveReason, Shared};
use crate::driver::error::SendError;
use crate::driver::handle::{BodySender, Sender};
use crate::fanout::{Dropped, FanOutFrame, Item, MessageId, ReceiverId};
use crate::{Arguments, Code};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Where the sending handles reach one connection's task.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// There may be something in the queue.
    pub(super) wake: Notify,
    /// Let go of everything, even in the middle of it.
    pub(super) stop: Notify,
    pub(super) is_unsubscribed: AtomicBool,
    /// Set when the receiver left.
    pub(super) dropped: OnceLock<Dropped>,
}

impl Seat {
    async fn stopped(&self) -> LeaveReason {
        self.stop.notified().await;
        if self.is_unsubscribed.load(Ordering::Acquire) { LeaveReason::Unsubscribed } else { LeaveReason::TooSlow }
    }
}

/// Moves items until the connection or the broadcast ends.
pub(super) async fn run(shared: Arc<Shared>, id: ReceiverId, sender: Sender, seat: Arc<Seat>) -> LeaveReason {
    let left = relay(&shared, id, &sender, &seat).await;
    if left == LeaveReason::TooSlow {
        sender.abort();
    }
    let mut state = shared.lock();
    state.seats.remove(&id);
    if let Ok(dropped) = state.fan_out.leave(id) {
        let _first_time = seat.dropped.set(dropped);
    }
    drop(state);
    shared.room.notify_waiters();
    tracing::debug!(receiver = %id, ?left, "a connection left the broadcast");
    left
}

async fn relay(shared: &Shared, id: ReceiverId, sender: &Sender, seat: &Seat) -> LeaveReason {
    let mut bodies = HashMap::new();
    loop {
        // Read before the queue: what was sent before the end is in the queue then.
        let is_over = shared.is_over.load(Ordering::Acquire);
        let item = shared.lock().fan_out.poll(id);
        let passed = match item {
            None if is_over => return LeaveReason::Finished,
            None => {
                tokio::select! {
                    () = seat.wake.notified() => continue,
                    left = seat.stopped() => return left,
                    () = sender.closed() => return LeaveReason::ConnectionClosed,
                }
            }
            Some(Item::Disconnect) => return LeaveReason::TooSlow,
            Some(item) => {
                shared.room.notify_waiters();
                tokio::select! {
                    biased;
                    left = seat.stopped() => return left,
                    passed = pass(sender, &mut bodies, &item) => passed.map_err(|error| (item, error)),
                }
            }
        };
        match passed {
            Ok(()) => {}
            // This connection cannot take it, others can.
            Err((item, SendError::Usage(error))) => {
                tracing::debug!(receiver = %id, %error, "not sent to a connection of the broadcast");
                shared.lock().fan_out.give_up(id, &item);
            }
            Err((_, SendError::Closed | SendError::Connection(_))) => return LeaveReason::ConnectionClosed,
        }
    }
}

type Bodies = HashMap<MessageId, BodySender>;

async fn pass(sender: &Sender, bodies: &mut Bodies, item: &Item) -> Result<(), SendError> {
    match item {
        Item::Message(arguments) => sender.send(arguments.clone()).await,
        Item::Frame(frame) => pass_frame(sender, bodies, frame).await,
        Item::Abandoned { message, .. } => {
            // Dropping it tells the peer.
            bodies.remove(message);
            Ok(())
        }
        Item::Disconnect => Ok(()),
    }
}

/// The last piece of a message and its end go in one step, so that a message's only frame is a LAST FRAME.
//= SMPF-CONV-3 SMPF-B-FANOUT
async fn pass_frame(sender: &Sender, bodies: &mut Bodies, frame: &FanOutFrame) -> Result<(), SendError> {
    let mut body = match bodies.remove(&frame.message) {
        Some(body) => body,
        None => sender.open_body_at(count(&frame.arguments), frame.ident.number).await?,
    };
    let mut pieces = pieces(&frame.arguments);
    let last_piece = if frame.code == Code::LastFrame { pieces.pop() } else { None };
    for (index, payload) in pieces {
        body.write(index, payload).await?;
    }
    match (frame.code, last_piece) {
        (Code::LastFrame, Some((index, payload))) => body.finish_with(index, payload).await,
        (Code::LastFrame, None) => body.finish().await,
        _ => {
            bodies.insert(frame.message, body);
            Ok(())
        }
    }
}

fn count(arguments: &Arguments) -> u8 {
    u8::try_from(arguments.count()).unwrap_or(u8::MAX)
}

fn pieces(arguments: &Arguments) -> Vec<(u8, Bytes)> {
    (0..).zip(arguments.clone().into_vec()).filter(|(_, payload)| !payload.is_empty()).collect()
}
