//! Channels of messages: fragments in, fragments out.

use super::SessionMachine;
use super::incoming::{EMPTY_COUNT_MAX, is_large_part};
use super::ledger::Charge;
use super::stream::{ASSEMBLIES_MAX, Assembly, RecvState};
use crate::wire::{Code, Msg, number};
use crate::{Kind, StreamId};
use bytes::{Bytes, BytesMut};
use wirekit::Instant;

/// Memory that short messages share.
const ARENA_LEN: usize = 4 << 10;

/// What a fragment did to its channel.
enum Step {
    /// The message is whole, or grew.
    Whole(Bytes),
    Part,
    Broken(Code, &'static str),
    TooLarge,
}

impl SessionMachine {
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
        match assemble(messages, kind, msg, max_message, run_len, &mut self.arena) {
            Step::Whole(data) => {
                let earlier = (data.len() - len) as u64;
                messages.ready.push_back(data);
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

/// A copy that shares memory with its neighbours, at most [`ARENA_LEN`] of it: no allocation for each short message, and
/// one that is kept for long keeps no more than that.
fn copied(data: &[u8], arena: &mut BytesMut) -> Bytes {
    if data.len() > ARENA_LEN / 4 {
        return Bytes::copy_from_slice(data);
    }
    if arena.capacity() < data.len() {
        *arena = BytesMut::with_capacity(ARENA_LEN);
    }
    arena.extend_from_slice(data);
    arena.split().freeze()
}

fn assemble(
    messages: &mut super::stream::RecvMessages,
    kind: Kind,
    msg: Msg,
    max: u64,
    run_len: usize,
    arena: &mut BytesMut,
) -> Step {
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
            let by_reference = is_large_part(msg.data.len(), run_len);
            return Step::Whole(if by_reference { msg.data } else { copied(&msg.data, arena) });
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
    assembly.data.extend_from_slice(&msg.data);
    if msg.last { Step::Whole(messages.assemblies.remove(at).data.freeze()) } else { Step::Part }
}
