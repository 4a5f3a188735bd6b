//! What the application asks of a session.

#[cfg(doc)]
use super::event::Event;
use super::stream::{Beginning, RecvHalf, RecvState, SendHalf, SendState, Stream};
use super::{OutDatagram, SessionMachine};
use crate::error::{DatagramError, OpenError, ReceiveError, SendError};
use crate::wire::{Code, Frame, Parameters};
use crate::{Direction, Kind, Priority, StreamId};
use bytes::Bytes;
use core::time::Duration;
use wirekit::Instant;

/// How a stream is to be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// How urgent it is.
    pub priority: Priority,
    /// Where it wants to go, and more.
    pub metadata: Option<Parameters>,
    /// How long it is of use.
    pub ttl: Option<Duration>,
}

impl Request {
    /// With this priority.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// With this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Parameters) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Of use for this long.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

impl SessionMachine {
    /// Opens a stream. The peer hears of it with the first data, or at the next transmit.
    ///
    /// # Errors
    /// [`OpenError`]; after [`OpenError::Blocked`] an [`Event::MayOpen`] comes.
    pub fn open(
        &mut self,
        now: Instant,
        kind: Kind,
        direction: Direction,
        request: Request,
    ) -> Result<StreamId, OpenError> {
        let now = self.at(now);
        self.check_alive()?;
        if let Some(going) = &self.peer_going {
            return Err(OpenError::GoingAway { redirect: going.redirect.clone() });
        }
        if self.refuses_streams() {
            return Err(OpenError::OverBudget);
        }
        let len = request.metadata.as_ref().map_or(0, |metadata| metadata.octets().len());
        if len as u64 > self.peer.max_meta {
            return Err(OpenError::Metadata { len, max: self.peer.max_meta });
        }
        let id = self
            .table
            .next_of_ours(direction)
            .map_err(|used_up| if used_up { OpenError::IdsUsedUp } else { OpenError::Blocked })?;
        let Request { priority, metadata, ttl } = request;
        let both = direction == Direction::Bidi;
        let expires_at = ttl.map(|ttl| now + ttl);
        if let Some(at) = expires_at {
            self.deadlines.insert((at, id));
        }
        self.stats.streams_opened += 1;
        let opening = (metadata.is_some() || ttl.is_some()).then(|| Box::new(Beginning::Opening { metadata, ttl }));
        let stream = Stream {
            id,
            kind,
            priority,
            is_open: false,
            beginning: opening,
            has_deadline: expires_at.is_some(),
            send: SendHalf::new(true, self.peer.init_max_stream, kind, self.peer.init_max_msgs),
            recv: RecvHalf::new(both, self.ours.init_max_stream, kind, self.ours.init_max_msgs, now),
            is_charged: false,
        };
        self.observe_opened(&stream, "local");
        self.table.insert(stream);
        Ok(id)
    }

    /// Opens a stream with a whole request on it; the reply is [`receive_whole`](Self::receive_whole)d.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where the body is above what the peer takes.
    //= SMRP-M6
    pub fn request(&mut self, now: Instant, body: Bytes, request: Request) -> Result<StreamId, OpenError> {
        self.check_alive()?;
        if body.len() as u64 > self.peer.max_message {
            return Err(OpenError::TooLarge { len: body.len(), max: self.peer.max_message });
        }
        let id = self.open(now, Kind::Request, Direction::Bidi, request)?;
        let len = body.len();
        if let Some(stream) = self.table.get_mut(id) {
            stream.send.buffer.push(body);
            stream.send.state = SendState::Finishing;
            stream.send.is_released = true;
        }
        self.queued(len);
        self.schedule(id);
        Ok(id)
    }

    /// Answers a request, or sends a whole request on a stream that was opened for one.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send_whole(&mut self, id: StreamId, body: Bytes) -> Result<(), SendError> {
        let max = self.peer.max_message;
        let stream = self.sendable(id, false)?;
        if stream.kind != Kind::Request {
            return Err(SendError::Kind("no whole message"));
        }
        if body.len() as u64 > max {
            return Err(SendError::TooLarge { len: body.len(), max });
        }
        let len = body.len();
        stream.send.buffer.push(body);
        stream.send.state = SendState::Finishing;
        if id.opener() != self.role {
            self.replies_len += len as u64;
        }
        self.queued(len);
        self.schedule(id);
        Ok(())
    }

    /// Hands in octets, as many as there is room for, and says how many.
    ///
    /// # Errors
    /// [`SendError::Blocked`] where there is no room; an [`Event::Writable`] comes then.
    pub fn write(&mut self, id: StreamId, octets: &[u8]) -> Result<usize, SendError> {
        self.write_with(id, octets, Bytes::copy_from_slice)
    }

    /// The same, with what makes a copy of many octets.
    pub(crate) fn write_with(
        &mut self,
        id: StreamId,
        octets: &[u8],
        copy: impl FnOnce(&[u8]) -> Bytes,
    ) -> Result<usize, SendError> {
        let max = self.send_len_max();
        let stream = self.sendable(id, false)?;
        if stream.kind != Kind::Bytes {
            return Err(SendError::Kind("messages"));
        }
        let room = max.saturating_sub(stream.send.buffer.len());
        if room == 0 && !octets.is_empty() {
            stream.send.wants_room = true;
            return Err(SendError::Blocked);
        }
        let taken = octets.get(..octets.len().min(room)).unwrap_or_default();
        if taken.len() < 4_096 {
            stream.send.buffer.push_slice(taken);
        } else {
            stream.send.buffer.push(copy(taken));
        }
        self.queued(taken.len());
        self.schedule(id);
        Ok(taken.len())
    }

    /// Hands in octets by reference, all of them or none.
    ///
    /// # Errors
    /// [`SendError::Blocked`] where the stream is full; an [`Event::Writable`] comes then.
    pub fn write_bytes(&mut self, id: StreamId, octets: Bytes) -> Result<(), SendError> {
        let max = self.send_len_max();
        let stream = self.sendable(id, false)?;
        if stream.kind != Kind::Bytes {
            return Err(SendError::Kind("messages"));
        }
        if stream.send.buffer.len() >= max {
            stream.send.wants_room = true;
            return Err(SendError::Blocked);
        }
        let len = octets.len();
        stream.send.buffer.push(octets);
        self.queued(len);
        self.schedule(id);
        Ok(())
    }

    /// Whether everything that was handed in has gone to the carrier; otherwise an [`Event::Writable`] comes when it may have.
    pub fn is_flushed(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.table.get_mut(id) else { return true };
        let is_flushed = !stream.send.has_queued() && !matches!(stream.send.state, SendState::Finishing);
        stream.send.wants_room |= !is_flushed;
        is_flushed
    }

    /// Ends our direction in good order, behind what was handed in.
    ///
    /// # Errors
    /// [`SendError`] where it is at its end already.
    pub fn finish(&mut self, id: StreamId) -> Result<(), SendError> {
        let stream = self.sendable(id, true)?;
        if stream.send.state == SendState::Open {
            stream.send.state = SendState::Finishing;
        }
        self.schedule(id);
        Ok(())
    }

    /// Ends our direction with metadata behind its data.
    ///
    /// # Errors
    /// [`SendError`].
    //= SMRP-ST13
    pub fn finish_with(&mut self, id: StreamId, trailer: Parameters) -> Result<(), SendError> {
        let (len, max) = (trailer.octets().len(), self.peer.max_meta);
        if len as u64 > max {
            return Err(SendError::TooLarge { len, max });
        }
        let stream = self.sendable(id, false)?;
        stream.send.trailer = Some(Box::new(trailer));
        self.finish(id)
    }

    /// Sends metadata ahead of our data, on a stream that the peer opened.
    ///
    /// # Errors
    /// [`SendError`].
    //= SMRP-ST13
    pub fn send_metadata(&mut self, id: StreamId, metadata: Parameters) -> Result<(), SendError> {
        let (len, max, role) = (metadata.octets().len(), self.peer.max_meta, self.role);
        if len as u64 > max {
            return Err(SendError::TooLarge { len, max });
        }
        let stream = self.sendable(id, false)?;
        if stream.send.has_head || id.opener() == role || stream.send.sent > 0 {
            return Err(SendError::Kind("metadata once, ahead of data, and of its opener with OPEN"));
        }
        stream.send.has_head = true;
        self.put_control(&Frame::Meta { stream: id, is_trailer: false, parameters: metadata });
        Ok(())
    }

    /// Gives our direction up. Of what was handed in, the first `reliable_len` octets are still delivered.
    pub fn reset(&mut self, now: Instant, id: StreamId, code: Code, reliable_len: u64) {
        self.at(now);
        self.reset_half(id, code, reliable_len);
        self.forget_if_done(id);
    }

    /// Wants no more of the peer's direction.
    pub fn stop(&mut self, now: Instant, id: StreamId, code: Code) {
        let now = self.at(now);
        self.stop_half(now, id, code);
        self.forget_if_done(id);
    }

    /// Changes how urgent our direction is, and tells the peer for its own where `tells`.
    //= SMRP-O7
    pub fn set_priority(&mut self, id: StreamId, priority: Priority, tells: bool) {
        let Some(stream) = self.table.get_mut(id) else { return };
        stream.priority = priority;
        if tells && stream.is_open && self.end.is_none() {
            self.put_control(&Frame::Priority { stream: id, priority: priority.bits() });
        }
    }

    /// Copies octets that came. 0 is the end.
    ///
    /// # Errors
    /// [`ReceiveError::Blocked`] where there are none yet; an [`Event::Readable`] comes then.
    pub fn read(&mut self, now: Instant, id: StreamId, into: &mut [u8]) -> Result<usize, ReceiveError> {
        let now = self.at(now);
        self.take_octets(now, id, |buffer| {
            let len = buffer.read(into);
            (len, len)
        })
        .map(Option::unwrap_or_default)
    }

    /// Takes a piece of the octets that came, without a copy. `None` is the end.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_chunk(&mut self, now: Instant, id: StreamId, len_max: usize) -> Result<Option<Bytes>, ReceiveError> {
        let now = self.at(now);
        self.take_octets(now, id, |buffer| {
            let piece = buffer.pop(len_max).unwrap_or_default();
            (piece.len(), piece)
        })
    }

    /// Whether octets wait to be read; false at the end.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn peek(&mut self, id: StreamId) -> Result<bool, ReceiveError> {
        let stream = self.receivable(id)?;
        if stream.recv.buffer.is_empty() { self.nothing_left(id).map(|()| false) } else { Ok(true) }
    }

    //= SMRP-FC6, SMRP-ST11
    fn take_octets<T>(
        &mut self,
        now: Instant,
        id: StreamId,
        take: impl FnOnce(&mut super::buffer::Buffer) -> (usize, T),
    ) -> Result<Option<T>, ReceiveError> {
        let stream = self.receivable(id)?;
        if stream.kind != Kind::Bytes {
            return Err(ReceiveError::Kind("messages"));
        }
        if stream.recv.buffer.is_empty() {
            return self.nothing_left(id).map(|()| None);
        }
        let (len, taken) = take(&mut stream.recv.buffer);
        self.took(now, id, len);
        Ok(Some(taken))
    }

    /// The application took octets.
    pub(super) fn took(&mut self, now: Instant, id: StreamId, len: usize) {
        if let Some(stream) = self.table.get_mut(id) {
            stream.recv.taken += len as u64;
        }
        self.ledger.taken(len);
        self.count_taken(now, len as u64);
        if self.end.is_none() {
            self.grant_stream(now, id);
        }
        self.grant_session(now);
        self.account();
    }

    /// A request or a reply, whole.
    ///
    /// # Errors
    /// [`ReceiveError::Blocked`] where it is not whole yet; an [`Event::Readable`] comes then.
    //= SMRP-M6
    pub fn receive_whole(&mut self, now: Instant, id: StreamId) -> Result<Bytes, ReceiveError> {
        let now = self.at(now);
        let stream = self.receivable(id)?;
        if stream.kind != Kind::Request {
            return Err(ReceiveError::Kind("no whole message"));
        }
        if stream.recv.state != RecvState::Finished || stream.recv.end_was_taken {
            self.nothing_left(id)?;
            return Ok(Bytes::new());
        }
        stream.recv.end_was_taken = true;
        let body = stream.recv.buffer.take_all();
        self.took(now, id, body.len());
        Ok(body)
    }

    /// Nothing is buffered: is it the end, or not yet?
    pub(super) fn nothing_left(&mut self, id: StreamId) -> Result<(), ReceiveError> {
        let (is_over, max) = (self.end.clone(), self.ours.max_message);
        let Some(stream) = self.table.get_mut(id) else { return Err(ReceiveError::NoStream(id)) };
        match stream.recv.state {
            RecvState::Finished => {
                stream.recv.end_was_taken = true;
                Ok(())
            }
            RecvState::Reset(code) => {
                stream.recv.end_was_taken = true;
                Err(ReceiveError::Reset(code))
            }
            RecvState::TooLarge => Err(ReceiveError::TooLarge(max)),
            _ => match is_over {
                Some(end) => Err(ReceiveError::Session(*end)),
                None => {
                    stream.recv.wants_data = true;
                    Err(ReceiveError::Blocked)
                }
            },
        }
    }

    /// The application lets go of our direction; one that is not at its end is given up.
    //= SMRP-ST16
    pub fn release_send(&mut self, now: Instant, id: StreamId) {
        self.at(now);
        let Some(stream) = self.table.get_mut(id) else { return };
        stream.send.is_released = true;
        stream.send.wants_room = false;
        if stream.send.state == SendState::Open && self.end.is_none() {
            self.reset_half(id, Code::CANCELLED, 0);
        }
        self.forget_if_done(id);
        self.account();
    }

    /// The application lets go of the peer's direction; one that is not at its end is stopped.
    //= SMRP-ST16
    pub fn release_receive(&mut self, now: Instant, id: StreamId) {
        let now = self.at(now);
        let Some(stream) = self.table.get_mut(id) else { return };
        stream.recv.is_released = true;
        stream.recv.wants_data = false;
        if self.end.is_none() && !stream.recv.has_ended {
            self.stop_half(now, id, Code::CANCELLED);
        } else {
            let (given_back, incomplete) = stream.recv.drop_buffered();
            self.credit.incomplete -= incomplete;
            self.give_back(now, given_back);
        }
        self.forget_if_done(id);
        self.account();
    }

    /// Refuses a stream that the peer opened: nothing was done with it.
    //= SMRP-ST15
    pub fn refuse_stream(&mut self, now: Instant, id: StreamId, code: Code) {
        let now = self.at(now);
        self.reset_half(id, code, 0);
        self.stop_half(now, id, code);
        self.release_send(now, id);
        self.release_receive(now, id);
    }

    /// Hands in a datagram. Where the queue is full the oldest one goes.
    ///
    /// # Errors
    /// [`DatagramError`].
    //= SMRP-M7, SMRP-M8
    pub fn send_datagram(
        &mut self,
        now: Instant,
        flow: u64,
        data: Bytes,
        ttl: Option<Duration>,
    ) -> Result<(), DatagramError> {
        let now = self.at(now);
        self.check_alive()?;
        let max = self.peer.max_datagram;
        if data.len() as u64 > max {
            return Err(DatagramError::TooLarge { len: data.len(), max });
        }
        let bound = self.datagram_len_max();
        let mut displaced = 0;
        let queue = &mut self.datagrams;
        queue.out_len += data.len().max(64);
        queue.out.push_back(OutDatagram { flow, data, expires_at: ttl.map(|ttl| now + ttl) });
        while queue.out_len > bound {
            let Some(oldest) = queue.out.pop_front() else { break };
            queue.out_len -= oldest.data.len().max(64);
            displaced += 1;
        }
        if displaced > 0 {
            self.stats.datagrams_dropped += displaced;
            self.stats.datagrams_displaced += displaced;
            self.observe_drop("datagram_out", "queue_full", None, displaced);
        }
        self.account();
        Ok(())
    }

    /// The oldest datagram that came; after `None` an [`Event::Datagrams`] tells of the next.
    pub fn receive_datagram(&mut self) -> Option<(u64, Bytes)> {
        let queue = &mut self.datagrams;
        let Some((flow, data)) = queue.incoming.pop_front() else {
            queue.was_told = false;
            return None;
        };
        queue.incoming_len -= data.len().max(64);
        self.ledger.taken(data.len());
        self.account();
        Some((flow, data))
    }

    /// What the peer asked of us when it stopped our direction.
    #[must_use]
    pub fn stopped(&self, id: StreamId) -> Option<Code> {
        self.table.get(id).and_then(|stream| stream.send.stopped)
    }

    pub(super) fn sendable(&mut self, id: StreamId, may_be_finishing: bool) -> Result<&mut Stream, SendError> {
        self.check_alive()?;
        let Some(stream) = self.table.get_mut(id) else { return Err(SendError::NoStream(id)) };
        if let Some(code) = stream.send.stopped {
            return Err(SendError::Stopped(code));
        }
        match stream.send.state {
            SendState::Open => Ok(stream),
            SendState::Finishing if may_be_finishing => Ok(stream),
            SendState::None => Err(SendError::Kind("nothing in this direction")),
            _ => Err(SendError::Finished),
        }
    }

    pub(super) fn receivable(&mut self, id: StreamId) -> Result<&mut Stream, ReceiveError> {
        match self.table.get_mut(id) {
            Some(stream) if stream.recv.state == RecvState::None => {
                Err(ReceiveError::Kind("nothing in this direction"))
            }
            Some(stream) => Ok(stream),
            None => Err(ReceiveError::NoStream(id)),
        }
    }
}
