//! Frames about streams, as they come.

use super::SessionMachine;
use super::event::{Event, Opened};
use super::ledger::Charge;
use super::stream::{Beginning, RecvHalf, RecvState, SendHalf, Stream};
use super::table::Admission;
use crate::access::{Verb, Verdict};
use crate::trace::Observed;
use crate::wire::{Code, Frame, Open, Parameters, number, parameter};
use crate::{Direction, Kind, Priority, StreamId};
use bytes::Bytes;
use core::time::Duration;
use wirekit::Instant;

/// Frames of data on one stream that may be without octets and without an end.
//= SMRP-X6
pub(super) const EMPTY_COUNT_MAX: u8 = 10;

/// Whether data is so large a part of what was read at once that it is kept by reference; the rest is copied, so that it does not
/// hold all of that.
pub(super) const fn is_large_part(len: usize, run_len: usize) -> bool {
    len * 4 >= run_len
}

impl SessionMachine {
    //= SMRP-ST1, SMRP-ST2, SMRP-X11
    pub(super) fn on_open(&mut self, now: Instant, open: Open, run_len: usize) {
        let id = open.stream;
        if id.opener() == self.role {
            return self.fail_rule(Code::STREAM_STATE, number::OPEN, "OPEN of a stream that is not the peer's");
        }
        match self.table.admit(id) {
            Admission::Fresh => {}
            Admission::Old => {
                return self.fail_rule(
                    Code::STREAM_STATE,
                    number::OPEN,
                    "OPEN of a stream that was opened or passed over",
                );
            }
            Admission::TooMany => {
                return self.fail_rule(Code::STREAM_LIMIT, number::OPEN, "more streams than were allowed");
            }
        }
        if open.metadata.as_ref().is_some_and(|metadata| metadata.octets().len() as u64 > self.ours.max_meta) {
            return self.fail_rule(Code::STREAM_STATE, number::OPEN, "metadata above the limit");
        }
        self.ledger.charge(Charge::Open);
        self.stats.streams_opened += 1;
        let kind = Kind::of(open.kind_and_priority >> 4);
        let mut stream = self.remote_stream(now, id, kind.unwrap_or(Kind::Bytes), Priority::of(open.kind_and_priority));
        self.observe_opened(&stream, "peer");
        if let Some(credit) = open.credit {
            stream.send.max = stream.send.max.max(credit);
        }
        stream.has_deadline = open.ttl_ms.is_some();
        stream.recv.has_head = true;
        if let Some(ms) = open.ttl_ms {
            self.deadlines.insert((now + Duration::from_millis(ms), id));
        }
        let ttl = open.ttl_ms.map(Duration::from_millis);
        let metadata = open.metadata;
        let refusal = self.refusal(kind, metadata.as_ref());
        self.table.insert(stream);
        let is_request = kind == Some(Kind::Request);
        let opened = match (kind, refusal) {
            (Some(kind), None) => {
                let priority = Priority::of(open.kind_and_priority);
                Some(Box::new(Opened { stream: id, kind, priority, metadata, ttl }))
            }
            (_, code) => {
                self.refuse(now, id, code.unwrap_or(Code::REFUSED));
                None
            }
        };
        if let Some(opened) = opened {
            if is_request {
                // Told when it is whole.
                if let Some(stream) = self.table.get_mut(id) {
                    stream.beginning = Some(Box::new(Beginning::Arriving(*opened)));
                }
            } else {
                self.events.push_back(Event::Opened(opened));
            }
        }
        let has_data = !open.data.is_empty();
        if !kind.is_some_and(Kind::has_messages) {
            if has_data || open.fin {
                self.take_data(now, id, open.fin, open.data, run_len, number::OPEN);
            }
        } else if has_data {
            self.fail_rule(Code::STREAM_STATE, number::OPEN, "data in the OPEN of a channel of messages");
        } else if open.fin {
            self.on_fin(id);
        }
    }

    fn remote_stream(&self, now: Instant, id: StreamId, kind: Kind, priority: Priority) -> Stream {
        let both = id.direction() == Direction::Bidi;
        Stream {
            id,
            kind,
            priority,
            is_open: true,
            beginning: None,
            has_deadline: false,
            send: SendHalf::new(both, self.peer.init_max_stream, kind, self.peer.init_max_msgs),
            recv: RecvHalf::new(true, self.ours.init_max_stream, kind, self.ours.init_max_msgs, now),
            is_charged: true,
        }
    }

    /// Why the peer may not open this, where it may not.
    //= SMRP-A9, SMRP-A16, SMRP-ST15, SMRP-ST17
    fn refusal(&mut self, kind: Option<Kind>, metadata: Option<&Parameters>) -> Option<Code> {
        let Some(kind) = kind else { return Some(Code::REFUSED) };
        if self.drain.as_ref().is_some_and(|drain| drain.is_final) || self.refuses_streams() {
            return Some(Code::REFUSED);
        }
        let name = metadata.and_then(|metadata| metadata.get(parameter::NAME)).unwrap_or_default();
        let name = core::str::from_utf8(&name).ok();
        let verb = if kind == Kind::Request { Verb::Request } else { Verb::Open };
        let Some(name) = name else { return Some(Code::REFUSED) };
        match self.access.take(self.now, verb, name) {
            Verdict::Granted => None,
            Verdict::Forbidden => Some(Code::FORBIDDEN),
            Verdict::Exhausted => Some(Code::QUOTA),
        }
    }

    /// Ends both halves of a stream that the application will not see.
    //= SMRP-X4
    pub(super) fn refuse(&mut self, now: Instant, id: StreamId, code: Code) {
        // What was under way when a drain named its last streams is nobody's fault: as many as could be open at once.
        let allowed = self.ours.max_streams_bidi.saturating_add(self.ours.max_streams_uni);
        let is_late = self.drain.as_mut().filter(|drain| drain.is_final).is_some_and(|drain| {
            drain.refused_count += 1;
            drain.refused_count <= allowed
        });
        if !is_late {
            self.ledger.charge(Charge::ProvokedReset);
        }
        self.stats.streams_refused += 1;
        let why = match code {
            Code::FORBIDDEN => "forbidden",
            Code::QUOTA => "quota",
            _ => "refused",
        };
        self.observe_drop("stream", why, Some(id), 1);
        self.reset_half(id, code, 0);
        self.stop_half(now, id, code);
        if let Some(stream) = self.table.get_mut(id) {
            stream.send.is_released = true;
            stream.recv.is_released = true;
        }
        self.forget_if_done(id);
    }

    pub(super) fn on_data(
        &mut self,
        now: Instant,
        id: StreamId,
        offset: Option<u64>,
        fin: bool,
        data: Bytes,
        run_len: usize,
    ) {
        if !self.is_receivable(now, id, number::DATA, data.len()) {
            return;
        }
        let Some(stream) = self.table.get(id) else { return };
        //= SMRP-ST7
        if stream.kind.has_messages() {
            if data.is_empty() && fin {
                return self.on_fin(id);
            }
            return self.fail_rule(Code::STREAM_STATE, number::DATA, "DATA on a channel of messages");
        }
        //= SMRP-ST9
        if offset.is_some_and(|offset| offset != stream.recv.received) {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::DATA, "an offset that is not where the stream is");
        }
        self.take_data(now, id, fin, data, run_len, number::DATA);
    }

    /// Whether a frame with data may come on this stream; what comes too late is given back.
    //= SMRP-ST6, SMRP-ST7, SMRP-ST8
    pub(super) fn is_receivable(&mut self, now: Instant, id: StreamId, frame: u8, len: usize) -> bool {
        if !self.receives_on(id) {
            self.fail_rule(Code::STREAM_STATE, frame, "data against the direction of its stream");
            return false;
        }
        match self.table.get(id) {
            Some(stream) if !stream.is_open => {
                self.fail_rule(Code::STREAM_STATE, frame, "data on a stream that was not opened");
                false
            }
            Some(stream) if stream.recv.has_ended => {
                self.fail_rule(Code::FINAL_SIZE, frame, "data behind the end of its stream");
                false
            }
            Some(_) => true,
            None => {
                self.is_late(id, frame);
                if self.end.is_none() {
                    self.drop_data(id, len);
                    if self.count_received(len) {
                        self.give_back(now, len as u64);
                    } else {
                        self.fail_rule(Code::FLOW_CONTROL, frame, "more octets than the session was given");
                    }
                }
                false
            }
        }
    }

    /// Data that nobody wants any more.
    pub(super) fn drop_data(&mut self, id: StreamId, len: usize) {
        if len > 0 {
            self.stats.data_dropped_len += len as u64;
            self.observe_drop("data", "late", Some(id), len as u64);
        }
    }

    /// A frame for a stream that is not there: too late, or never opened.
    pub(super) fn is_late(&mut self, id: StreamId, frame: u8) {
        if self.table.was_opened(id) {
            self.stats.frames_late += 1;
            self.ledger.charge(Charge::Useless);
        } else {
            self.fail_rule(Code::STREAM_STATE, frame, "a frame for a stream that was never opened");
        }
    }

    /// Data of a stream of octets, or of a request.
    //= SMRP-FC1, SMRP-FC2, SMRP-M6
    fn take_data(&mut self, now: Instant, id: StreamId, fin: bool, data: Bytes, run_len: usize, frame: u8) {
        let len = data.len();
        let in_session = self.count_received(len);
        let max_message = self.ours.max_message;
        let Some(stream) = self.table.get_mut(id) else { return };
        let recv = &mut stream.recv;
        recv.received = recv.received.saturating_add(len as u64);
        if !in_session || recv.received > recv.max {
            return self.fail_rule(Code::FLOW_CONTROL, frame, "more octets than were given");
        }
        if len == 0 && !fin {
            self.ledger.charge(Charge::Empty);
            recv.empty_count += 1;
            if recv.empty_count > EMPTY_COUNT_MAX {
                self.fail_rule(Code::PROTOCOL_VIOLATION, frame, "too many frames of data without octets");
            }
            return;
        }
        recv.has_data = true;
        if matches!(recv.state, RecvState::Stopped | RecvState::TooLarge) || recv.is_released {
            recv.taken += len as u64;
            self.drop_data(id, len);
            self.give_back(now, len as u64);
        } else {
            if is_large_part(len, run_len) {
                recv.buffer.push(data);
            } else {
                recv.buffer.push_slice(&data);
            }
            if stream.kind == Kind::Request {
                recv.incomplete += len as u64;
                let is_too_large = recv.received > max_message;
                self.credit.incomplete += len as u64;
                if is_too_large || !self.may_assemble() {
                    self.too_large(now, id, if is_too_large { Code::TOO_LARGE } else { Code::QUOTA });
                } else {
                    self.grant_stream(now, id);
                    self.grant_session(now);
                }
            } else {
                self.wake_reader(id);
            }
        }
        if fin {
            self.on_fin(id);
        }
    }

    /// A message above what we take: what came of it goes back.
    //= SMRP-M3
    pub(super) fn too_large(&mut self, now: Instant, id: StreamId, code: Code) {
        let Some(stream) = self.table.get_mut(id) else { return };
        let (given_back, incomplete) = stream.recv.drop_buffered();
        stream.recv.state = RecvState::TooLarge;
        self.credit.incomplete -= incomplete;
        self.stats.messages_refused += 1;
        self.observe_drop("message_in", if code == Code::QUOTA { "quota" } else { "too_large" }, Some(id), 1);
        self.ledger.charge(Charge::ProvokedReset);
        self.put_control(&Frame::Stop { stream: id, code });
        self.give_back(now, given_back);
        self.wake_reader(id);
        self.drop_arriving(id);
    }

    /// The peer's direction ends in good order.
    pub(super) fn on_fin(&mut self, id: StreamId) {
        let Some(stream) = self.table.get_mut(id) else { return };
        if stream.recv.has_ended {
            return self.fail_rule(Code::FINAL_SIZE, number::DATA, "a second end of a stream");
        }
        stream.recv.has_ended = true;
        if stream.recv.messages.as_ref().is_some_and(|messages| !messages.assemblies.is_empty()) {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::DATA, "the end of a channel within a message");
        }
        if stream.recv.state == RecvState::Open {
            stream.recv.state = RecvState::Finished;
        }
        let incomplete = core::mem::take(&mut stream.recv.incomplete);
        let is_request = stream.kind == Kind::Request;
        let is_theirs = id.opener() != self.role;
        self.credit.incomplete -= incomplete;
        match stream.take_arriving() {
            Some(opened) if is_request && is_theirs => self.events.push_back(Event::Opened(Box::new(opened))),
            _ => self.wake_reader(id),
        }
        self.observe_receive_end(id, "finished", None);
        self.forget_if_done(id);
    }

    /// A request that will never be whole: nobody was told of it, and nobody will be.
    /// At the end of the session: what will never be whole goes at once, and does not wait for whoever still holds the session.
    //= SMRP-X10
    pub(super) fn drop_parts(&mut self) {
        for id in self.table.ids() {
            let Some(stream) = self.table.get_mut(id) else { continue };
            if matches!(stream.beginning.as_deref(), Some(Beginning::Arriving(_))) {
                stream.recv.buffer.clear();
            }
            if let Some(messages) = &mut stream.recv.messages {
                messages.assemblies = Vec::new();
            }
        }
    }

    fn drop_arriving(&mut self, id: StreamId) {
        let Some(stream) = self.table.get_mut(id) else { return };
        if stream.take_arriving().is_some() {
            stream.send.is_released = true;
            stream.recv.is_released = true;
            self.reset_half(id, Code::CANCELLED, 0);
            self.forget_if_done(id);
        }
    }

    //= SMRP-ST10, SMRP-ST11, SMRP-FC4
    pub(super) fn on_reset(&mut self, now: Instant, id: StreamId, code: Code, final_len: u64, reliable_len: u64) {
        self.ledger.charge(Charge::Reset);
        if !self.receives_on(id) {
            return self.fail_rule(Code::STREAM_STATE, number::RESET, "RESET against the direction of its stream");
        }
        let Some(stream) = self.table.get_mut(id) else { return self.is_late(id, number::RESET) };
        let recv = &mut stream.recv;
        if recv.has_ended || final_len != recv.received || reliable_len > final_len {
            return self.fail_rule(Code::FINAL_SIZE, number::RESET, "RESET with a size that cannot be");
        }
        recv.has_ended = true;
        stream.is_charged = false;
        let incomplete = core::mem::take(&mut recv.incomplete);
        let mut given_back = 0;
        if recv.state == RecvState::Open {
            recv.state = RecvState::Reset(code);
            if stream.kind == Kind::Bytes {
                let keep = usize::try_from(reliable_len.saturating_sub(recv.taken)).unwrap_or(usize::MAX);
                given_back = recv.buffer.truncate(keep) as u64;
                recv.taken += given_back;
            } else if let Some(messages) = &mut recv.messages {
                // Whole messages are reliable as far as they came; parts of others are not.
                let parts: u64 = messages.assemblies.drain(..).map(|assembly| assembly.data.len() as u64).sum();
                given_back = parts;
                recv.taken += parts;
            } else {
                given_back = recv.buffer.clear() as u64;
                recv.taken += given_back;
            }
        }
        self.credit.incomplete -= incomplete;
        self.observe_receive_end(id, "reset", Some(code));
        self.give_back(now, given_back);
        self.wake_reader(id);
        self.drop_arriving(id);
        self.forget_if_done(id);
    }

    //= SMRP-ST12
    pub(super) fn on_stop(&mut self, id: StreamId, code: Code) {
        self.ledger.charge(Charge::Reset);
        if !self.sends_on(id) {
            return self.fail_rule(Code::STREAM_STATE, number::STOP, "STOP against the direction of its stream");
        }
        let Some(stream) = self.table.get_mut(id) else { return self.is_late(id, number::STOP) };
        if !stream.is_open {
            return self.fail_rule(Code::STREAM_STATE, number::STOP, "STOP of a stream that was not opened");
        }
        if stream.send.stopped.is_some() {
            return self.ledger.charge(Charge::Useless);
        }
        stream.send.stopped = Some(code);
        if !stream.send.is_done() {
            self.reset_half(id, code, 0);
        }
        self.wake_writer(id);
        self.forget_if_done(id);
    }

    //= SMRP-C8, SMRP-FC3
    pub(super) fn on_max_data(&mut self, octets: u64) {
        if octets <= self.credit.max {
            return self.ledger.charge(Charge::Useless);
        }
        self.credit.max = octets;
        self.credit.blocked_at = None;
        let (direction, messages, window) = ("got", None, None);
        self.observe(|| Observed::CreditUpdated { direction, stream: None, octets, messages, window });
    }

    pub(super) fn on_max_stream(&mut self, id: StreamId, octets: u64, messages: Option<u64>) {
        if !self.sends_on(id) {
            return self.fail_rule(
                Code::STREAM_STATE,
                number::MAX_STREAM,
                "credit against the direction of its stream",
            );
        }
        let Some(stream) = self.table.get_mut(id) else {
            // The end of a stream and the credit for it may cross: that is nobody's fault.
            if !self.table.was_opened(id) {
                self.is_late(id, number::MAX_STREAM);
            }
            return;
        };
        let mut is_more = octets > stream.send.max;
        stream.send.max = stream.send.max.max(octets);
        if let (Some(limit), Some(ours)) = (messages, &mut stream.send.messages) {
            is_more |= limit > ours.max;
            ours.max = ours.max.max(limit);
        }
        if !is_more {
            return self.ledger.charge(Charge::Useless);
        }
        let (direction, window) = ("got", None);
        self.observe(|| Observed::CreditUpdated { direction, stream: Some(id), octets, messages, window });
        self.schedule(id);
    }

    pub(super) fn on_max_streams(&mut self, class: u8, count: u64) {
        let direction = if class == 0 { Direction::Bidi } else { Direction::Uni };
        if count <= self.table.max_of_ours(direction) {
            return self.ledger.charge(Charge::Useless);
        }
        if self.table.allow_ours(direction, count) {
            self.events.push_back(Event::MayOpen(direction));
        }
    }

    //= SMRP-FC7
    pub(super) fn on_blocked(&mut self, now: Instant, scope: u8, id: StreamId, at: u64) {
        self.ledger.charge(Charge::Useless);
        self.observe(|| Observed::CreditBlocked { by: "peer", at });
        match scope {
            0 => self.grant_session(now),
            1 | 2 => self.grant_stream(now, id),
            _ => {}
        }
    }

    //= SMRP-O7
    pub(super) fn on_priority(&mut self, id: StreamId, bits: u8) {
        self.ledger.charge(Charge::Useless);
        match self.table.get_mut(id) {
            Some(stream) => stream.priority = Priority::of(bits),
            None => self.is_late(id, number::PRIORITY),
        }
    }

    //= SMRP-ST13
    pub(super) fn on_meta(&mut self, id: StreamId, is_trailer: bool, parameters: Parameters) {
        let len = parameters.octets().len();
        self.ledger.charge(Charge::Metadata(len));
        if !self.receives_on(id) {
            return self.fail_rule(Code::STREAM_STATE, number::META, "metadata against the direction of its stream");
        }
        let max = self.ours.max_meta;
        let Some(stream) = self.table.get_mut(id) else { return self.is_late(id, number::META) };
        // Of a request that is not whole nobody knows, so nobody could ask for this.
        let is_known = !matches!(stream.beginning.as_deref(), Some(Beginning::Arriving(_)));
        let recv = &mut stream.recv;
        //= SMRP-ST8
        if recv.has_ended {
            return self.fail_rule(Code::FINAL_SIZE, number::META, "metadata behind the end of its stream");
        }
        let is_wrong = len as u64 > max || if is_trailer { recv.has_trailer } else { recv.has_head || recv.has_data };
        if is_wrong {
            return self.fail_rule(Code::STREAM_STATE, number::META, "metadata above the limit, out of place or twice");
        }
        if is_trailer {
            recv.has_trailer = true;
        } else {
            recv.has_head = true;
        }
        if is_known && !recv.is_released {
            self.events.push_back(Event::Metadata { stream: id, is_trailer, metadata: parameters });
        }
    }

    //= SMRP-M7, SMRP-M8, SMRP-A16
    pub(super) fn on_datagram(&mut self, flow: u64, data: &[u8]) {
        if data.len() as u64 > self.ours.max_datagram {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::DGRAM, "a datagram above the limit");
        }
        let (charged, bound) = (data.len().max(64), self.datagram_len_max());
        let queue = &mut self.datagrams;
        let is_full = queue.incoming_len + charged > bound;
        if is_full || self.access.take(self.now, Verb::Datagram, "") != Verdict::Granted {
            self.stats.datagrams_lost += 1;
            self.stats.datagrams_forbidden += u64::from(!is_full);
            return self.observe_drop("datagram_in", if is_full { "queue_full" } else { "forbidden" }, None, 1);
        }
        queue.incoming_len += charged;
        queue.incoming.push_back((flow, Bytes::copy_from_slice(data)));
        if !core::mem::replace(&mut queue.was_told, true) {
            self.events.push_back(Event::Datagrams);
        }
    }

    pub(super) fn wake_reader(&mut self, id: StreamId) {
        if self.table.get_mut(id).is_some_and(|stream| core::mem::take(&mut stream.recv.wants_data)) {
            self.events.push_back(Event::Readable(id));
        }
    }

    pub(super) fn wake_writer(&mut self, id: StreamId) {
        if self.table.get_mut(id).is_some_and(|stream| core::mem::take(&mut stream.send.wants_room)) {
            self.events.push_back(Event::Writable(id));
        }
    }

    pub(super) fn wake(&mut self, id: StreamId) {
        self.wake_reader(id);
        self.wake_writer(id);
    }

    /// Forgets a stream that is over for both ends and the application.
    //= SMRP-ST4, SMRP-ST5
    pub(super) fn forget_if_done(&mut self, id: StreamId) {
        let Some(stream) = self.table.get(id) else { return };
        // Once the session is over it is enough that nobody holds it.
        let is_over = self.end.is_some() && stream.send.is_released && stream.recv.is_released;
        if !is_over && (!stream.is_done() || stream.send.is_scheduled) {
            return;
        }
        if stream.is_charged {
            self.ledger.give_back(Charge::Open);
        }
        if stream.has_deadline {
            self.deadlines.retain(|(_, other)| *other != id);
        }
        if let Some(messages) = &stream.send.messages {
            self.stats.messages_expired += messages.expired;
            self.stats.messages_sent += messages.begun;
        }
        if let Some(messages) = &stream.recv.messages {
            self.stats.messages_skipped += messages.skipped;
            self.stats.messages_received += messages.begun;
        }
        if !self.replayed.is_empty() {
            self.replayed.remove(&id);
        }
        if let Some((direction, count)) = self.table.remove(id) {
            self.put_control(&Frame::MaxStreams { class: direction.class(), count });
        }
        self.close_if_drained();
    }
}
