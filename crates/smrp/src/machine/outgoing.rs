//! What goes out, and in which order.

use super::link::Stage;
use super::outbox::write_messages;
use super::scheduler::{Outcome, QUANTUM};
use super::stream::{Beginning, RecvState, SendState, Stream};
use super::{Phase, SessionMachine, Transmit};
use crate::trace::Observed;
use crate::wire::{Code, Frame, Open, Parameters, number, put_header, put_varint, varint_len};
use crate::{Direction, Kind, Role, StreamId};
use bytes::{BufMut, Bytes, BytesMut};
use core::time::Duration;
use std::collections::VecDeque;
use wirekit::Instant;

/// The longest header of DATA or MSG behind its type, flags and length: stream, id, ttl.
const FIELDS_LEN_MAX: u64 = 32;

/// What one turn of a stream wrote.
#[derive(Debug, Default)]
pub(super) struct Wrote {
    pub(super) len: u64,
    pub(super) frames: u64,
    /// Messages whose time had passed.
    pub(super) expired: u64,
}

impl SessionMachine {
    pub(super) fn transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        let before = out.len();
        let count = out.seal();
        if self.link.stage == Stage::Over && self.link.out.is_empty() {
            return false;
        }
        let mut again = count..count;
        if let Some(data) = self.link.pong.take() {
            self.link.put(&Frame::Ping { ack: true, data });
        }
        if !self.link.out.is_empty() {
            out.put_chunk(core::mem::take(&mut self.link.out).freeze());
        }
        if self.end.is_none() && self.phase == Phase::Linked {
            self.transmit_datagrams(now, out);
            if self.may_send_session_frames() {
                let first = out.seal();
                for chunk in core::mem::take(&mut self.link.again) {
                    out.put_chunk(chunk);
                }
                let (fresh, fresh_at) = (out.seal(), out.len());
                again = first..fresh;
                self.transmit_session(now, out);
                let count = out.seal();
                if count > first {
                    self.link.has_session_frames = true;
                }
                self.replay.sent(out.len() - fresh_at, out.since(fresh));
            }
        }
        // The end of the last stream may have been the end of a drain: nobody would ask again for its CLOSE.
        if !self.link.out.is_empty() {
            out.put_chunk(core::mem::take(&mut self.link.out).freeze());
        }
        out.seal();
        if self.is_observed() {
            // Datagrams and frames of the link go first, then what goes out again, then what is new.
            self.observe_sent(out.since(count).take(again.start.saturating_sub(count)), false);
            self.observe_sent(out.since(again.start).take(again.len()), true);
            self.observe_sent(out.since(again.end), false);
        }
        let len = (out.len() - before) as u64;
        self.stats.transmitted_len += len;
        self.account();
        len > 0
    }

    pub(super) fn may_send_session_frames(&self) -> bool {
        match self.link.stage {
            // The initiator's first flight, within the floor.
            //= SMRP-S6
            Stage::Preface | Stage::Hello => self.role == Role::Initiator && !self.was_established,
            Stage::Established => true,
            // A second AUTH of an established link holds nothing up.
            Stage::Deciding => self.link.is_authenticated && self.was_established && self.link.has_session_frames,
            _ => false,
        }
    }

    //= SMRP-O1
    fn transmit_session(&mut self, now: Instant, out: &mut Transmit) {
        // Whatever stream it speaks of has been opened first.
        self.transmit_control(out);
        //= SMRP-R4
        let kept_max = self.replay_len_max();
        while out.room() > 0 && (!self.replay.keeps() || self.replay.len() + (out.len() as u64) < kept_max) {
            if self.credit.room() == 0 {
                self.transmit_without_credit(now, out);
                self.tell_blocked(out);
                break;
            }
            let Some(turn) = self.scheduler.turn() else { break };
            let is_shared = self.scheduler.is_shared();
            let outcome = self.take_turn(now, turn.id, is_shared, out);
            self.scheduler.end_turn(turn, outcome);
            if outcome == Outcome::Done {
                if let Some(stream) = self.table.get_mut(turn.id) {
                    stream.send.is_scheduled = false;
                }
                self.forget_if_done(turn.id);
            }
        }
        self.open_all(out);
        self.transmit_control(out);
    }

    fn transmit_control(&mut self, out: &mut Transmit) {
        if !self.control.is_empty() {
            out.put_data(core::mem::take(&mut self.control).freeze());
        }
    }

    /// Ends and empty messages, which need none of the session's credit. Their streams stay in line, and have nothing when it is their turn.
    fn transmit_without_credit(&mut self, now: Instant, out: &mut Transmit) {
        let free = self.table.iter().filter(|stream| stream.send.is_scheduled && goes_without_credit(stream));
        let mut free: Vec<StreamId> = free.map(|stream| stream.id).collect();
        free.sort_unstable();
        for id in free {
            self.take_turn(now, id, true, out);
        }
    }

    fn tell_blocked(&mut self, out: &mut Transmit) {
        let at = self.credit.max;
        if !self.scheduler.is_empty() && self.credit.blocked_at != Some(at) {
            self.credit.blocked_at = Some(at);
            Frame::Blocked { scope: 0, stream: StreamId::new(0), at }.encode(out.tail());
            self.stats.frames_sent += 1;
            self.stats.blocked_count += 1;
            self.observe(|| Observed::CreditBlocked { by: "local", at });
        }
    }

    fn take_turn(&mut self, now: Instant, id: StreamId, is_shared: bool, out: &mut Transmit) -> Outcome {
        match self.table.get(id) {
            Some(stream) if !stream.send.is_done() => {
                if !stream.is_open {
                    self.open_before(id, out);
                }
            }
            _ => return Outcome::Done,
        }
        let (max_frame, room) = (self.peer.max_frame - FIELDS_LEN_MAX, self.credit.room());
        //= SMRP-O4
        let most = if is_shared { max_frame.min(QUANTUM as u64) } else { max_frame };
        let Some(stream) = self.table.get_mut(id) else { return Outcome::Done };
        let head_len = stream.opening_metadata().map_or(0, |metadata| metadata.octets().len() as u64);
        let most = most.min(max_frame.saturating_sub(head_len));
        let is_resetting = matches!(stream.send.state, SendState::Resetting { .. });
        let before = stream.send.queued_len();
        let wrote = if stream.send.messages.is_some() && !is_resetting {
            write_messages(stream, now, most, room, out)
        } else {
            write_data(stream, most, room, out)
        };
        let outcome = match stream.send.is_ready(id) {
            true => Outcome::More { is_incremental: stream.priority.is_incremental() },
            false => Outcome::Done,
        };
        let is_request = stream.kind == Kind::Request;
        let left = stream.send.queued_len();
        let is_done = stream.send.is_done();
        // It has more, and its own credit is used up.
        let is_blocked = left > 0 && outcome == Outcome::Done && !is_done;
        stream.send.blocked_count = stream.send.blocked_count.saturating_add(u32::from(is_blocked));
        let wakes = is_done || left * 2 <= self.send_len_max();
        self.queued_len -= (before - left) as u64;
        self.credit.sent += wrote.len;
        if is_request {
            self.reply_went(id, wrote.len);
        }
        self.stats.frames_sent += wrote.frames;
        if wrote.expired > 0 {
            self.observe_drop("message_out", "expired", Some(id), wrote.expired);
        }
        if is_done {
            self.observe_send_end(id);
        }
        if wakes {
            self.wake_writer(id);
        }
        outcome
    }

    /// Writes OPEN for this stream's predecessors, which have nothing to say yet.
    fn open_before(&mut self, id: StreamId, out: &mut Transmit) {
        let class = usize::from(id.direction().class());
        while let Some(first) = self.table.unopened.get(class).and_then(|list| list.front().copied()) {
            if first >= id {
                break;
            }
            self.open_first(class, out);
        }
        if let Some(list) = self.table.unopened.get_mut(class) {
            list.pop_front();
        }
    }

    /// Writes OPEN without data for the oldest stream that has none; one that was given up before is passed over.
    //= SMRP-ST3
    fn open_first(&mut self, class: usize, out: &mut Transmit) {
        let Some(id) = self.table.unopened.get_mut(class).and_then(VecDeque::pop_front) else {
            return;
        };
        let Some(stream) = self.table.get_mut(id) else { return };
        if !stream.is_open {
            put_open(stream, false, 0, out);
            self.stats.frames_sent += 1;
        }
    }

    /// Every stream that was opened is told of, whether it has data or not.
    fn open_all(&mut self, out: &mut Transmit) {
        for class in 0..2 {
            while self.table.unopened.get(class).is_some_and(|list| !list.is_empty()) {
                self.open_first(class, out);
            }
            if let Some(list) = self.table.unopened.get_mut(class).filter(|list| list.capacity() > 64) {
                *list = VecDeque::new();
            }
        }
    }

    //= SMRP-M7
    fn transmit_datagrams(&mut self, now: Instant, out: &mut Transmit) {
        if self.link.stage != Stage::Established {
            return;
        }
        while out.room() > 0 {
            let Some(datagram) = self.datagrams.out.pop_front() else { break };
            self.datagrams.out_len -= datagram.data.len().max(64);
            if datagram.expires_at.is_some_and(|at| at <= now) {
                self.stats.datagrams_dropped += 1;
                self.stats.datagrams_expired += 1;
                self.observe_drop("datagram_out", "expired", None, 1);
                continue;
            }
            let ttl_ms = datagram.expires_at.map(|at| left_ms(at, now));
            Frame::Dgram { flow: datagram.flow, ttl_ms, data: datagram.data }.encode(out.tail());
            self.stats.frames_sent += 1;
        }
    }

    /// Puts a stream that has something to send in line.
    pub(super) fn schedule(&mut self, id: StreamId) {
        let Some(stream) = self.table.get_mut(id) else { return };
        if !stream.send.is_scheduled && stream.send.is_ready(stream.id) {
            stream.send.is_scheduled = true;
            self.scheduler.push(id, stream.priority);
        }
    }

    /// Ends our sending half with RESET.
    //= SMRP-ST10, SMRP-ST16
    pub(super) fn reset_half(&mut self, id: StreamId, code: Code, reliable_len: u64) {
        let Some(stream) = self.table.get_mut(id) else { return };
        if !matches!(stream.send.state, SendState::Open | SendState::Finishing) {
            return;
        }
        let reliable_len = reliable_len.min(stream.send.sent + stream.send.buffer.len() as u64);
        let dropped = stream.send.drop_queued(reliable_len);
        let is_request = stream.kind == Kind::Request;
        self.queued_len -= dropped;
        if is_request {
            self.reply_went(id, dropped);
        }
        let Some(stream) = self.table.get_mut(id) else { return };
        if !stream.is_open && reliable_len == 0 && id.direction() == Direction::Uni {
            // The peer has never heard of it, and need not.
            stream.send.state = SendState::Reset(code);
            stream.is_open = true;
            self.observe_send_end(id);
            self.wake(id);
            return;
        }
        if stream.is_open && stream.send.sent >= reliable_len {
            stream.send.state = SendState::Reset(code);
            let final_len = stream.send.sent;
            self.put_control(&Frame::Reset { stream: id, code, final_len, reliable_len });
            self.observe_send_end(id);
        } else {
            stream.send.state = SendState::Resetting { code, reliable_len };
            self.schedule(id);
        }
    }

    /// Asks the peer to end its sending half.
    //= SMRP-ST12, SMRP-ST16
    pub(super) fn stop_half(&mut self, now: Instant, id: StreamId, code: Code) {
        let Some(stream) = self.table.get_mut(id) else { return };
        if stream.recv.has_ended || stream.recv.state != RecvState::Open {
            return;
        }
        stream.recv.state = RecvState::Stopped;
        let (given_back, incomplete) = stream.recv.drop_buffered();
        if let (false, SendState::Resetting { code, reliable_len: 0 }) = (stream.is_open, stream.send.state) {
            // Given up in both directions before the peer heard of it.
            stream.send.state = SendState::Reset(code);
            stream.recv.has_ended = true;
            stream.is_open = true;
            self.observe_send_end(id);
            self.observe_receive_end(id, "stopped", Some(code));
            self.wake(id);
            return;
        }
        let is_open = stream.is_open;
        self.credit.incomplete -= incomplete;
        if !is_open {
            self.open_now(id);
        }
        self.put_control(&Frame::Stop { stream: id, code });
        self.observe_receive_end(id, "stopped", Some(code));
        self.give_back(now, given_back);
    }

    /// Tells the peer of a stream, and one thing more about it.
    #[cfg(all(test, feature = "tokio"))]
    pub(crate) fn open_for_test(&mut self, id: StreamId, frame: &Frame) {
        self.open_now(id);
        self.put_control(frame);
    }

    /// Writes OPEN of a stream into the control that waits, its predecessors first.
    pub(super) fn open_now(&mut self, id: StreamId) {
        let mut out = Transmit::new(usize::MAX);
        self.open_before(id, &mut out);
        if let Some(stream) = self.table.get_mut(id).filter(|stream| !stream.is_open) {
            put_open(stream, false, 0, &mut out);
            self.stats.frames_sent += 1;
        }
        out.seal();
        self.control.extend_from_slice(&out.take());
    }
}

fn goes_without_credit(stream: &Stream) -> bool {
    let send = &stream.send;
    match &send.messages {
        Some(messages) => messages.outbox.front(stream.id).is_none_or(|(len, _)| len == 0),
        None => send.buffer.is_empty(),
    }
}

pub(super) fn left_ms(at: Instant, now: Instant) -> u64 {
    u64::try_from(at.saturating_since(now).as_millis()).unwrap_or(u64::MAX)
}

/// Octets, or a request.
fn write_data(stream: &mut Stream, most: u64, room: u64, out: &mut Transmit) -> Wrote {
    let id = stream.id;
    let send = &mut stream.send;
    let mut reliable = u64::MAX;
    if let SendState::Resetting { reliable_len, .. } = send.state {
        reliable = reliable_len - send.sent;
    }
    let may = send.max.saturating_sub(send.sent).min(room).min(most).min(reliable);
    let len = send.buffer.len().min(usize::try_from(may).unwrap_or(usize::MAX));
    let is_last = len == send.buffer.len();
    let fin = send.state == SendState::Finishing && is_last;
    let mut frames = 0;
    if fin && let Some(trailer) = send.trailer.take() {
        if !stream.is_open {
            put_open(stream, false, 0, out);
            frames += 1;
        }
        Frame::Meta { stream: id, is_trailer: true, parameters: *trailer }.encode(out.tail());
        frames += 1;
    }
    if len > 0 || fin || !stream.is_open {
        if stream.is_open {
            put_header(out.tail(), number::DATA, u8::from(fin), varint_len(id.number()) + len);
            put_varint(out.tail(), id.number());
        } else {
            put_open(stream, fin, len, out);
        }
        let send = &mut stream.send;
        let mut left = len;
        while left > 0 {
            let Some(piece) = send.buffer.pop(left) else { break };
            left -= piece.len();
            out.put_data(piece);
        }
        send.sent += len as u64;
        frames += 1;
        if fin {
            send.state = SendState::Finished;
        }
    }
    let send = &mut stream.send;
    if let SendState::Resetting { code, reliable_len } = send.state
        && send.sent >= reliable_len
    {
        Frame::Reset { stream: id, code, final_len: send.sent, reliable_len }.encode(out.tail());
        frames += 1;
        send.state = SendState::Reset(code);
    }
    Wrote { len: len as u64, frames, expired: 0 }
}

/// OPEN up to its data, which the caller writes.
pub(super) fn put_open(stream: &mut Stream, fin: bool, data_len: usize, out: &mut Transmit) {
    stream.is_open = true;
    let kind_and_priority = stream.kind.number() << 4 | stream.priority.bits();
    let (metadata, ttl): (Option<Parameters>, Option<Duration>) = match stream.beginning.take().map(|begun| *begun) {
        Some(Beginning::Opening { metadata, ttl }) => (metadata, ttl),
        _ => (None, None),
    };
    let ttl_ms = ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    if metadata.is_none() && ttl_ms.is_none() {
        let tail = out.tail();
        put_header(tail, number::OPEN, u8::from(fin), varint_len(stream.id.number()) + 1 + data_len);
        put_varint(tail, stream.id.number());
        tail.put_u8(kind_and_priority);
        return;
    }
    let open = Open { stream: stream.id, kind_and_priority, credit: None, ttl_ms, metadata, data: Bytes::new(), fin };
    let mut head = BytesMut::new();
    let flags = open.encode_head(&mut head);
    let tail = out.tail();
    put_header(tail, number::OPEN, flags, head.len() + data_len);
    tail.extend_from_slice(&head);
}
