//! What the application asks of channels of messages.

use super::SessionMachine;
#[cfg(doc)]
use super::event::Event;
use super::joined::Messages;
#[cfg(feature = "tokio")]
use super::outbox::Run;
use super::outbox::{OutMessage, SHORT_LEN_MAX};
use super::stream::RecvMessages;
use crate::StreamId;
use crate::error::{ReceiveError, SendError};
use bytes::Bytes;
use core::time::Duration;
use wirekit::Instant;

impl SessionMachine {
    /// Hands in a message.
    ///
    /// # Errors
    /// [`SendError::Blocked`] where the channel is full; an [`Event::Writable`] comes then.
    //= SMRP-O6
    pub fn send_message(
        &mut self,
        now: Instant,
        id: StreamId,
        data: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), SendError> {
        self.queue_message(now, id, data, ttl, false)
    }

    /// The same; where `is_last`, however full the channel is.
    pub(crate) fn queue_message(
        &mut self,
        now: Instant,
        id: StreamId,
        data: Bytes,
        ttl: Option<Duration>,
        is_last: bool,
    ) -> Result<(), SendError> {
        let now = self.at(now);
        let (queue_max, max) = (self.send_len_max(), self.peer.max_message);
        let stream = self.sendable(id, false)?;
        let Some(messages) = &mut stream.send.messages else { return Err(SendError::Kind("no messages")) };
        if data.len() as u64 > max {
            return Err(SendError::TooLarge { len: data.len(), max });
        }
        if messages.outbox.cost() >= queue_max && !is_last {
            stream.send.wants_room = true;
            return Err(SendError::Blocked);
        }
        let len = data.len();
        if len <= SHORT_LEN_MAX && ttl.is_none() {
            messages.outbox.push_short(id, messages.next_id, &data);
        } else {
            let expires_at = ttl.map(|ttl| now + ttl);
            messages.outbox.push(OutMessage { id: messages.next_id, data, is_begun: false, expires_at });
        }
        messages.next_id += 1;
        self.queued(len);
        self.schedule(id);
        Ok(())
    }

    /// Hands in messages that are frames already; `run` is empty then. Where `is_last`, however full the channel is.
    ///
    /// # Errors
    /// As [`send_message`](Self::send_message); all of them stay in `run`.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_run(&mut self, id: StreamId, run: &mut Run, is_last: bool) -> Result<(), SendError> {
        let (queue_max, max) = (self.send_len_max(), self.peer.max_message);
        let stream = self.sendable(id, false)?;
        let Some(messages) = &mut stream.send.messages else { return Err(SendError::Kind("no messages")) };
        if run.longest() as u64 > max {
            return Err(SendError::TooLarge { len: run.longest(), max });
        }
        if messages.outbox.cost() >= queue_max && !is_last {
            stream.send.wants_room = true;
            return Err(SendError::Blocked);
        }
        let len = run.len();
        messages.next_id += messages.outbox.push_run(messages.next_id, run);
        self.queued(len);
        self.schedule(id);
        Ok(())
    }

    /// The next message; `None` is the end.
    ///
    /// # Errors
    /// [`ReceiveError::Blocked`] where there is none yet; an [`Event::Readable`] comes then.
    pub fn receive_message(&mut self, now: Instant, id: StreamId) -> Result<Option<Bytes>, ReceiveError> {
        let now = self.at(now);
        let Some(message) = self.messages_of(id)?.and_then(|messages| {
            let message = messages.ready.pop()?;
            messages.taken += 1;
            Some(message)
        }) else {
            return Ok(None);
        };
        self.took(now, id, message.len());
        Ok(Some(message))
    }

    /// As many messages as are there, up to `len_max` octets and 4 KiB or one message more. True at the end, where there are none.
    ///
    /// # Errors
    /// As [`receive_message`](Self::receive_message), where there is none.
    pub fn receive_messages(
        &mut self,
        now: Instant,
        id: StreamId,
        len_max: usize,
        into: &mut Messages,
    ) -> Result<bool, ReceiveError> {
        let now = self.at(now);
        let Some(messages) = self.messages_of(id)? else { return Ok(true) };
        let (count, octets) = messages.ready.move_to(into, len_max);
        messages.taken += count;
        self.took(now, id, usize::try_from(octets).unwrap_or(usize::MAX));
        Ok(false)
    }

    /// What came on a channel, where there is something to take; `None` at its end.
    fn messages_of(&mut self, id: StreamId) -> Result<Option<&mut RecvMessages>, ReceiveError> {
        let Some(messages) = &self.receivable(id)?.recv.messages else { return Err(ReceiveError::Kind("no messages")) };
        if messages.ready.is_empty() {
            return self.nothing_left(id).map(|()| None);
        }
        Ok(self.table.get_mut(id).and_then(|stream| stream.recv.messages.as_deref_mut()))
    }
}
