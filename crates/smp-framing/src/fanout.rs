//! One sender, many receivers: what each of them is to be sent, without I/O.

mod config;
mod cutter;
mod queue;

pub use config::{FanOutConfig, FanOutConfigBuilder, FanOutLimits};
pub use queue::{Dropped, FanOutFrame, Item, Policy};

use crate::framer::{IdSequence, is_whole};
use crate::{Arguments, EncodeError, FrameIdent};
use bytes::Bytes;
use cutter::Cutter;
use queue::{Cut, Queue};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A message of frames that is being sent to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

/// One of the receivers. Never used again after it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiverId(u64);

impl core::fmt::Display for ReceiverId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// Why the sender's or a receiver's wish was not met. Nothing has changed then, but for what [`FanOut::write`] says.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FanOutError {
    /// The wire cannot carry it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A message that does not go as one unit.
    #[error("{len} octets of arguments are more than the {max} of one unit: begin a message and write it in pieces")]
    TooLarge {
        /// Octets of arguments.
        len: usize,
        /// The most that go as one unit.
        max: usize,
    },
    /// A receiver whose policy is to wait has no room.
    #[error("receiver {0} is full and its policy is to wait: poll it or let it leave, then try again")]
    Blocked(ReceiverId),
    /// As many messages of frames are open as [`FanOutLimits::open_messages_max`] allows.
    #[error("{max} messages are open already: finish one first")]
    TooManyMessages {
        /// The limit.
        max: usize,
    },
    /// As many receivers are there as [`FanOutLimits::receiver_count_max`] allows.
    #[error("{max} receivers are there already: let one leave first")]
    TooManyReceivers {
        /// The limit.
        max: usize,
    },
    /// A message that was finished, abandoned or never begun.
    #[error("the message was finished or abandoned before")]
    NoSuchMessage,
    /// A receiver that left.
    #[error("the receiver left before")]
    NoSuchReceiver,
    /// A message's argument that there is not.
    #[error("argument {index} of a message that has {count}")]
    NoSuchArgument {
        /// The index, from 0.
        index: u8,
        /// How many the message has.
        count: u8,
    },
}

#[derive(Debug)]
struct Running {
    ident: FrameIdent,
    cutter: Cutter,
}

/// Sends the same messages to many receivers: one cut into frames, one frame number for all, payloads shared.
///
/// A receiver that joins in the middle of a message gets the next frame as NEW FRAME (or LAST FRAME), with the number it
/// has anyway, and the rest after it. Each receiver has a queue with limits of its own and a [`Policy`] for the case that
/// it is full, so a slow one holds up the others only where its policy says so. Costs per frame: one copy of its payload
/// at most, and a reference per receiver.
///
/// ```
/// use bytes::Bytes;
/// use smp_framing::Code;
/// use smp_framing::fanout::{FanOut, FanOutConfig, Item, Policy};
///
/// let mut fan_out = FanOut::new(FanOutConfig::default());
/// let early = fan_out.join(Policy::Drop)?;
/// let message = fan_out.begin(1, 0)?;
/// fan_out.write(message, 0, &mut Bytes::from_static(b"first"))?;
/// fan_out.flush(message)?;
/// let late = fan_out.join(Policy::Drop)?;
/// fan_out.write(message, 0, &mut Bytes::from_static(b"rest"))?;
/// fan_out.finish(message)?;
///
/// let mut frames = |receiver| {
///     let items = std::iter::from_fn(|| fan_out.poll(receiver));
///     items.filter_map(Item::into_unit).map(|unit| (unit.code(), unit.ident().unwrap().number)).collect::<Vec<_>>()
/// };
/// assert_eq!(frames(early), [(Code::NewFrame, 0), (Code::LastFrame, 1)]);
/// assert_eq!(frames(late), [(Code::LastFrame, 1)]);
/// # Ok::<(), smp_framing::fanout::FanOutError>(())
/// ```
//= SMPF-CONV-3 SMPF-B-FANOUT SMPF-B-SLOW-RECEIVER
#[derive(Debug)]
pub struct FanOut {
    config: FanOutConfig,
    messages: BTreeMap<MessageId, Running>,
    receivers: BTreeMap<ReceiverId, Queue>,
    ids: IdSequence,
    ids_in_use: BTreeSet<u16>,
    next_message: u64,
    next_receiver: u64,
    /// Of those that left.
    dropped_before: Dropped,
}

impl FanOut {
    /// Nobody there, nothing open.
    #[must_use]
    pub fn new(config: FanOutConfig) -> Self {
        Self {
            config,
            messages: BTreeMap::new(),
            receivers: BTreeMap::new(),
            ids: IdSequence::default(),
            ids_in_use: BTreeSet::new(),
            next_message: 0,
            next_receiver: 0,
            dropped_before: Dropped::default(),
        }
    }

    /// A new receiver. Of the messages that are open it gets what is still to come.
    ///
    /// # Errors
    /// [`FanOutError::TooManyReceivers`].
    pub fn join(&mut self, policy: Policy) -> Result<ReceiverId, FanOutError> {
        let max = self.config.limits.receiver_count_max;
        if self.receivers.len() >= max {
            return Err(FanOutError::TooManyReceivers { max });
        }
        let id = ReceiverId(self.next_receiver);
        self.next_receiver += 1;
        self.receivers.insert(id, Queue::new(policy, self.config.limits));
        Ok(id)
    }

    /// Lets a receiver go; what it was dropped until then is still counted in [`dropped`](Self::dropped). What waited for
    /// it is gone.
    ///
    /// # Errors
    /// [`FanOutError::NoSuchReceiver`].
    pub fn leave(&mut self, receiver: ReceiverId) -> Result<Dropped, FanOutError> {
        let queue = self.receivers.remove(&receiver).ok_or(FanOutError::NoSuchReceiver)?;
        self.dropped_before = self.dropped_before + queue.dropped();
        Ok(queue.dropped())
    }

    /// Lets a receiver that lost a message take part in it again, as one that joins now: for streams without an end.
    /// `true` where it had lost it.
    ///
    /// # Errors
    /// [`FanOutError::NoSuchMessage`], [`FanOutError::NoSuchReceiver`].
    pub fn rejoin(&mut self, receiver: ReceiverId, message: MessageId) -> Result<bool, FanOutError> {
        if !self.messages.contains_key(&message) {
            return Err(FanOutError::NoSuchMessage);
        }
        Ok(self.queue(receiver)?.rejoin(message))
    }

    /// Sends a message that goes as one unit.
    ///
    /// # Errors
    /// [`FanOutError::TooLarge`] for a message that has to go as frames, [`FanOutError::Encode`], [`FanOutError::Blocked`].
    pub fn send(&mut self, arguments: &Arguments) -> Result<(), FanOutError> {
        let max = self.config.max_message_size;
        if !is_whole(arguments, max)? {
            return Err(FanOutError::TooLarge { len: arguments.arguments_len(), max });
        }
        self.check_room(None, queue::message_len(arguments))?;
        // Several arguments are joined once, so that each receiver's copy is a reference.
        let shared = if arguments.count() > 1 && arguments.as_wire().is_none() {
            arguments.compact()
        } else {
            arguments.clone()
        };
        for queue in self.receivers.values_mut() {
            queue.offer_message(&shared);
        }
        Ok(())
    }

    /// Begins a message of `count` arguments whose frames are numbered from `first_number`.
    ///
    /// # Errors
    /// [`FanOutError::Encode`] for more than 15 arguments, [`FanOutError::TooManyMessages`].
    pub fn begin(&mut self, count: u8, first_number: u32) -> Result<MessageId, FanOutError> {
        let max = self.config.limits.open_messages_max;
        let cutter = Cutter::new(count, self.config.max_message_size)?;
        if self.messages.len() >= max {
            return Err(FanOutError::TooManyMessages { max });
        }
        let id = self.ids.next(|id| self.ids_in_use.contains(&id));
        self.ids_in_use.insert(id);
        let message = MessageId(self.next_message);
        self.next_message += 1;
        self.messages.insert(message, Running { ident: FrameIdent { id, number: first_number }, cutter });
        Ok(message)
    }

    /// Appends `payload` to argument `index`. A frame goes out when it is full and more comes; [`flush`](Self::flush)
    /// sends what is there.
    ///
    /// # Errors
    /// [`FanOutError::Blocked`]: what was taken is gone from `payload`, what is left there is to be written again once the
    /// receiver has room. [`FanOutError::NoSuchMessage`], [`FanOutError::NoSuchArgument`].
    pub fn write(&mut self, message: MessageId, index: u8, payload: &mut Bytes) -> Result<(), FanOutError> {
        let count = self.running(message)?.cutter.count();
        if index >= count {
            return Err(FanOutError::NoSuchArgument { index, count });
        }
        while !self.running(message)?.cutter.fill(index, payload) {
            self.emit(message, false)?;
        }
        Ok(())
    }

    /// Sends what was written and did not fill a frame yet; nothing where there is none.
    ///
    /// # Errors
    /// [`FanOutError::Blocked`]: try again once the receiver has room. [`FanOutError::NoSuchMessage`].
    pub fn flush(&mut self, message: MessageId) -> Result<(), FanOutError> {
        if self.running(message)?.cutter.is_empty() { Ok(()) } else { self.emit(message, false) }
    }

    /// Ends a message: the LAST FRAME goes with what is left.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn finish(&mut self, message: MessageId) -> Result<(), FanOutError> {
        self.emit(message, true)?;
        self.forget(message);
        Ok(())
    }

    /// Gives a message up: whoever has a part of it is told so. Never blocks.
    ///
    /// # Errors
    /// [`FanOutError::NoSuchMessage`].
    pub fn abandon(&mut self, message: MessageId) -> Result<(), FanOutError> {
        let id = self.running(message)?.ident.id;
        for queue in self.receivers.values_mut() {
            queue.abandon(message, id);
        }
        self.forget(message);
        Ok(())
    }

    /// What a receiver is to be sent next.
    pub fn poll(&mut self, receiver: ReceiverId) -> Option<Item> {
        self.receivers.get_mut(&receiver)?.poll()
    }

    /// For a caller that could not pass on what it polled: the item counts as dropped, and the message of a frame is over
    /// for this receiver.
    pub fn give_up(&mut self, receiver: ReceiverId, item: &Item) {
        if let Some(queue) = self.receivers.get_mut(&receiver) {
            let is_open = matches!(item, Item::Frame(frame) if self.messages.contains_key(&frame.message));
            queue.give_up(item, is_open);
        }
    }

    /// The receivers that were too slow for [`Policy::Disconnect`] and have not left yet.
    pub fn disconnecting(&self) -> impl Iterator<Item = ReceiverId> + '_ {
        self.receivers.iter().filter(|(_, queue)| queue.is_disconnecting()).map(|(id, _)| *id)
    }

    /// Octets that wait for a receiver, headers counted; never more than [`FanOutLimits::queue_len_max`].
    #[must_use]
    pub fn queued_len(&self, receiver: ReceiverId) -> Option<usize> {
        self.receivers.get(&receiver).map(Queue::queued_len)
    }

    /// What one receiver was not sent.
    #[must_use]
    pub fn dropped_of(&self, receiver: ReceiverId) -> Option<Dropped> {
        self.receivers.get(&receiver).map(Queue::dropped)
    }

    /// What all receivers together were not sent, those that left counted.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.receivers.values().fold(self.dropped_before, |sum, queue| sum + queue.dropped())
    }

    /// True where a receiver's queue is half full or more: a good time to let those run that poll.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.receivers.values().any(Queue::is_half_full)
    }

    /// How many receivers there are.
    #[must_use]
    pub fn receiver_count(&self) -> usize {
        self.receivers.len()
    }

    /// The messages that are open, oldest first.
    pub fn open_messages(&self) -> impl Iterator<Item = MessageId> + '_ {
        self.messages.keys().copied()
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &FanOutConfig {
        &self.config
    }

    fn running(&mut self, message: MessageId) -> Result<&mut Running, FanOutError> {
        self.messages.get_mut(&message).ok_or(FanOutError::NoSuchMessage)
    }

    fn queue(&mut self, receiver: ReceiverId) -> Result<&mut Queue, FanOutError> {
        self.receivers.get_mut(&receiver).ok_or(FanOutError::NoSuchReceiver)
    }

    fn forget(&mut self, message: MessageId) {
        if let Some(running) = self.messages.remove(&message) {
            self.ids_in_use.remove(&running.ident.id);
        }
    }

    /// That every receiver that makes others wait has room for `len` octets.
    fn check_room(&self, message: Option<MessageId>, len: usize) -> Result<(), FanOutError> {
        match self.receivers.iter().find(|(_, queue)| queue.blocks(message, len)) {
            Some((id, _)) => Err(FanOutError::Blocked(*id)),
            None => Ok(()),
        }
    }

    /// Sends the frame that was filled to all.
    fn emit(&mut self, message: MessageId, is_last: bool) -> Result<(), FanOutError> {
        let len = self.running(message)?.cutter.frame_len();
        self.check_room(Some(message), len)?;
        let running = self.running(message)?;
        let cut = Cut { message, ident: running.ident, is_last, arguments: running.cutter.take(), len };
        running.ident.number = running.ident.number.wrapping_add(1);
        for queue in self.receivers.values_mut() {
            queue.offer_frame(&cut);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
