//! Channels of messages: fragments in, fragments out.

use super::SessionMachine;
use super::incoming::{EMPTY_COUNT_MAX, is_large_part};
use super::ledger::Charge;
use super::link::Stage;
use super::outbox::WHOLE;
use super::stream::{ASSEMBLIES_MAX, Assembly, RecvMessages, RecvState};
use crate::wire::{Code, Header, Msg, number, take_varint};
use crate::{Kind, StreamId};
use bytes::{Bytes, BytesMut};
use wirekit::{Instant, Reader};

/// What a fragment did to its channel.
enum Step {
    /// The message is whole, and had octets of fragments before.
    Whole {
        earlier: usize,
    },
    /// It grew.
    Part,
    Broken(Code, &'static str),
    TooLarge,
}

/// A frame that is a message as most are: whole, with nothing said about it.
struct WholeMessage<'a> {
    stream: StreamId,
    data: &'a [u8],
    /// Octets of the frame.
    len: usize,
}

impl<'a> WholeMessage<'a> {
    fn decode(octets: &'a [u8]) -> Option<Self> {
        let header = Header::decode(octets).ok()??;
        if (header.number, header.flags) != (number::MSG, WHOLE) {
            return None;
        }
        let len = header.len + header.body_len;
        let mut body = Reader::new(octets.get(header.len..len)?);
        let stream = StreamId::new(take_varint(&mut body).ok()?);
        Some(Self { stream, data: octets.get(header.len + body.position()..len)?, len })
    }
}

impl SessionMachine {
    /// The short way for what is most frequent: whole messages on one channel, one behind the other, from `begin` on. Says how many octets of the
    /// run they were. It takes what there can be no doubt about; everything else, faults above all, goes the long way.
    //= SMRP-M1, SMRP-M5, SMRP-R1
    pub(super) fn take_whole_messages(&mut self, run: &Bytes, begin: usize) -> usize {
        let Some(first) = run.get(begin..).and_then(WholeMessage::decode) else { return 0 };
        let id = first.stream;
        // An observer is told of each frame.
        if self.link.stage != Stage::Established || !self.receives_on(id) || self.is_observed() {
            return 0;
        }
        let Some(stream) = self.table.get_mut(id) else { return 0 };
        let recv = &mut stream.recv;
        if !stream.is_open || recv.has_ended || recv.state != RecvState::Open || recv.is_released {
            return 0;
        }
        let Some(messages) = &mut recv.messages else { return 0 };
        if !messages.assemblies.is_empty() {
            return 0;
        }
        let mut octets_left =
            recv.max.saturating_sub(recv.received).min(self.credit.told.saturating_sub(self.credit.received));
        let (most, count_max) = (self.ours.max_message, messages.max.saturating_sub(messages.begun));
        let (mut at, mut count, mut len) = (begin, 0, 0);
        while count < count_max
            && let Some(message) = run.get(at..).and_then(WholeMessage::decode)
            && message.stream == id
            && message.data.len() as u64 <= octets_left.min(most)
        {
            at += message.len;
            octets_left -= message.data.len() as u64;
            (count, len) = (count + 1, len + message.data.len() as u64);
            if is_large_part(message.data.len(), run.len()) {
                messages.ready.push(run.slice_ref(message.data));
            } else {
                messages.ready.push_slice(message.data, run.len() - at);
            }
        }
        if count == 0 {
            return 0;
        }
        messages.begun += count;
        messages.next_id = messages.next_id.saturating_add(count);
        recv.received += len;
        recv.has_data = true;
        self.credit.received += len;
        self.stats.frames_received += count;
        self.position += (at - begin) as u64;
        self.link.has_session_frames = true;
        self.wake_reader(id);
        self.acknowledge_position();
        at - begin
    }

    //= SMRP-M1, SMRP-M2, SMRP-M3, SMRP-M5
    pub(super) fn on_msg(&mut self, now: Instant, msg: Msg, run_len: usize) {
        let (id, len) = (msg.stream, msg.data.len());
        if !self.is_receivable(now, id, number::MSG, len) {
            return;
        }
        let in_session = self.count_received(len);
        let max_message = self.ours.max_message;
        let Some(stream) = self.table.get_mut(id) else { return };
        let kind = stream.kind;
        let recv = &mut stream.recv;
        recv.received = recv.received.saturating_add(len as u64);
        if !in_session || recv.received > recv.max {
            return self.fail_rule(Code::FLOW_CONTROL, number::MSG, "more octets than were given");
        }
        let Some(messages) = &mut recv.messages else {
            return self.fail_rule(Code::STREAM_STATE, number::MSG, "MSG on a stream of octets");
        };
        if msg.first {
            messages.begun += 1;
            if messages.begun > messages.max {
                return self.fail_rule(Code::FLOW_CONTROL, number::MSG, "more messages than were given");
            }
        }
        if len == 0 && !msg.first && !msg.last {
            self.ledger.charge(Charge::Empty);
            recv.empty_count += 1;
            if recv.empty_count > EMPTY_COUNT_MAX {
                self.fail_rule(Code::PROTOCOL_VIOLATION, number::MSG, "too many fragments without octets");
            }
            return;
        }
        recv.has_data = true;
        let is_dropped = matches!(recv.state, RecvState::Stopped | RecvState::TooLarge) || recv.is_released;
        if is_dropped {
            recv.taken += len as u64;
            if msg.first {
                messages.taken += 1;
            }
            self.drop_data(id, len);
            return self.give_back(now, len as u64);
        }
        match assemble(messages, kind, msg, max_message, run_len) {
            Step::Whole { earlier } => {
                let earlier = earlier as u64;
                recv.incomplete -= earlier;
                self.credit.incomplete -= earlier;
                self.wake_reader(id);
            }
            Step::Part => {
                recv.incomplete += len as u64;
                self.credit.incomplete += len as u64;
                if !self.may_assemble() {
                    return self.too_large(now, id, Code::QUOTA);
                }
                self.grant_stream(now, id);
                self.grant_session(now);
            }
            Step::Broken(code, what) => self.fail_rule(code, number::MSG, what),
            Step::TooLarge => self.too_large(now, id, Code::TOO_LARGE),
        }
    }

    //= SMRP-M4
    pub(super) fn on_msg_skip(&mut self, now: Instant, id: StreamId, first: u64, count: u64) {
        if !self.receives_on(id) {
            return self.fail_rule(
                Code::STREAM_STATE,
                number::MSG_SKIP,
                "MSG_SKIP against the direction of its stream",
            );
        }
        let Some(stream) = self.table.get_mut(id) else { return self.is_late(id, number::MSG_SKIP) };
        let recv = &mut stream.recv;
        let Some(messages) = &mut recv.messages else {
            return self.fail_rule(Code::STREAM_STATE, number::MSG_SKIP, "MSG_SKIP on a stream of octets");
        };
        if recv.has_ended {
            return self.fail_rule(Code::FINAL_SIZE, number::MSG_SKIP, "MSG_SKIP behind the end of its stream");
        }
        let end = first.saturating_add(count);
        let mut dropped = 0;
        messages.assemblies.retain(|assembly| {
            let is_skipped = (first..end).contains(&assembly.id);
            if is_skipped {
                dropped += assembly.data.len() as u64;
                messages.taken += 1;
            }
            !is_skipped
        });
        messages.next_id = messages.next_id.max(end);
        messages.skipped = messages.skipped.saturating_add(count);
        recv.incomplete -= dropped;
        recv.taken += dropped;
        self.credit.incomplete -= dropped;
        self.observe_drop("message_in", "skipped", Some(id), count);
        self.give_back(now, dropped);
        self.grant_stream(now, id);
    }
}

fn assemble(messages: &mut RecvMessages, kind: Kind, msg: Msg, max: u64, run_len: usize) -> Step {
    let in_order = kind == Kind::Messages;
    if msg.first {
        let id = msg.id.unwrap_or(messages.next_id);
        if id < messages.next_id && (in_order || messages.assemblies.iter().any(|assembly| assembly.id == id)) {
            return Step::Broken(Code::PROTOCOL_VIOLATION, "a message that was begun before");
        }
        if in_order && !messages.assemblies.is_empty() {
            return Step::Broken(Code::PROTOCOL_VIOLATION, "a message begun within another one");
        }
        messages.next_id = messages.next_id.max(id.saturating_add(1));
        if msg.data.len() as u64 > max {
            return Step::TooLarge;
        }
        if msg.last {
            if is_large_part(msg.data.len(), run_len) {
                messages.ready.push(msg.data);
            } else {
                messages.ready.push_slice(&msg.data, 0);
            }
            return Step::Whole { earlier: 0 };
        }
        if messages.assemblies.len() >= ASSEMBLIES_MAX {
            return Step::Broken(Code::PROTOCOL_VIOLATION, "more messages under way than may be");
        }
        messages.assemblies.push(Assembly { id, data: BytesMut::from(&msg.data[..]) });
        return Step::Part;
    }
    let at = match msg.id {
        Some(id) => messages.assemblies.iter().position(|assembly| assembly.id == id),
        None => messages.assemblies.len().checked_sub(1),
    };
    let Some((at, assembly)) = at.and_then(|at| Some((at, messages.assemblies.get_mut(at)?))) else {
        return Step::Broken(Code::PROTOCOL_VIOLATION, "a fragment of a message that was not begun");
    };
    if (assembly.data.len() + msg.data.len()) as u64 > max {
        return Step::TooLarge;
    }
    let earlier = assembly.data.len();
    assembly.data.extend_from_slice(&msg.data);
    if !msg.last {
        return Step::Part;
    }
    messages.ready.push(messages.assemblies.remove(at).data.freeze());
    Step::Whole { earlier }
}
