//! Fan-out against a slow model, and against what a strict receiver takes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use smp_framing::fanout::{
    Dropped, FanOut, FanOutConfig, FanOutError, FanOutLimits, Item, MessageId, Policy, ReceiverId,
};
use smp_framing::reassembler::{Outcome, Reassembler};
use smp_framing::{Arguments, Code, Config, Delivery};
use std::collections::{BTreeMap, BTreeSet};
use wirekit::Instant;

const SIZE: usize = 33;
const COUNT_MAX: usize = 4;
const LEN_MAX: usize = 100;

#[derive(Clone, Debug)]
enum Op {
    Join(Policy),
    Leave(usize),
    Begin(u8, u32),
    Write(usize, u8, usize),
    Flush(usize),
    Finish(usize),
    Abandon(usize),
    Send(usize),
    Poll(usize, usize),
    Rejoin(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let policy = prop_oneof![Just(Policy::Drop), Just(Policy::Wait), Just(Policy::Disconnect)];
    let at = || 0..6usize;
    prop_oneof![
        2 => policy.prop_map(Op::Join),
        1 => at().prop_map(Op::Leave),
        2 => (0..4u8, prop_oneof![Just(0), Just(u32::MAX - 2), any::<u32>()]).prop_map(|(count, first)| Op::Begin(count, first)),
        8 => (at(), 0..4u8, 0..70usize).prop_map(|(message, index, len)| Op::Write(message, index, len)),
        5 => at().prop_map(Op::Flush),
        2 => at().prop_map(Op::Finish),
        1 => at().prop_map(Op::Abandon),
        3 => (0..SIZE).prop_map(Op::Send),
        12 => (at(), 1..4usize).prop_map(|(receiver, count)| Op::Poll(receiver, count)),
        2 => (at(), at()).prop_map(|(receiver, message)| Op::Rejoin(receiver, message)),
    ]
}

/// What a receiver is sent: `None` for a whole message, else message, number, is it the opening one, is it the last.
type Sent = (Option<(MessageId, u32, bool, bool)>, Arguments);

/// The model of one receiver: everything it was ever to get in one list, and how far it was polled.
#[derive(Debug)]
struct Model {
    policy: Policy,
    waiting: Vec<Sent>,
    told_of: BTreeSet<MessageId>,
    over: BTreeSet<MessageId>,
    words: Vec<MessageId>,
    is_out: bool,
    lost_units: u64,
    lost_octets: u64,
}

fn wire_len((frame, arguments): &Sent) -> usize {
    arguments.arguments_len() + if frame.is_some() { 7 } else { 1 }
}

impl Model {
    fn has_room(&self, sent: &Sent) -> bool {
        let len: usize = self.waiting.iter().map(wire_len).sum();
        self.waiting.len() + self.words.len() < COUNT_MAX && len + wire_len(sent) <= LEN_MAX
    }

    fn takes(&self, sent: &Sent) -> bool {
        !self.is_out && !sent.0.is_some_and(|(message, ..)| self.over.contains(&message))
    }

    fn lose(&mut self, sent: &Sent) {
        self.lost_units += 1;
        self.lost_octets += wire_len(sent) as u64;
    }

    fn take_back(&mut self, message: MessageId, is_lost: bool) {
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|sent| sent.0.is_some_and(|frame| frame.0 == message));
        self.waiting = kept;
        if is_lost {
            gone.iter().for_each(|sent| self.lose(sent));
        }
        if self.told_of.remove(&message) {
            self.words.push(message);
        }
    }

    fn offer(&mut self, mut sent: Sent) {
        if !self.takes(&sent) {
            self.lose(&sent);
        } else if self.has_room(&sent) {
            if let Some((message, _, opens, _)) = &mut sent.0 {
                let is_waiting = self.waiting.iter().any(|(frame, _)| frame.is_some_and(|frame| frame.0 == *message));
                *opens = !is_waiting && !self.told_of.contains(message);
            }
            self.waiting.push(sent);
        } else {
            self.lose(&sent);
            if let Some((message, ..)) = sent.0 {
                self.take_back(message, true);
                self.over.insert(message);
            }
            if self.policy == Policy::Disconnect {
                self.is_out = true;
                self.words.clear();
                for sent in std::mem::take(&mut self.waiting) {
                    self.lose(&sent);
                }
            }
        }
    }

    fn poll(&mut self) -> Option<Result<Sent, MessageId>> {
        if !self.words.is_empty() {
            return Some(Err(self.words.remove(0)));
        }
        let sent = (!self.waiting.is_empty()).then(|| self.waiting.remove(0))?;
        if let Some((message, _, _, is_last)) = sent.0 {
            if is_last {
                self.told_of.remove(&message);
            } else {
                self.told_of.insert(message);
            }
        }
        Some(Ok(sent))
    }
}

struct World {
    fan_out: FanOut,
    /// Has one receiver that is always polled: what it gets is what is sent.
    witness: (FanOut, ReceiverId),
    messages: Vec<(MessageId, MessageId)>,
    receivers: Vec<ReceiverId>,
    models: BTreeMap<ReceiverId, (Model, Reassembler)>,
    left: (u64, u64),
}

fn fan_out(queue_count_max: usize, queue_len_max: usize) -> FanOut {
    let mut limits = FanOutLimits::default();
    (limits.queue_count_max, limits.queue_len_max) = (queue_count_max, queue_len_max);
    limits.receiver_count_max = 6;
    limits.open_messages_max = 3;
    FanOut::new(FanOutConfig::builder().with_max_message_size(SIZE).with_limits(limits).build().unwrap())
}

impl World {
    fn new() -> Self {
        let mut witness = fan_out(10_000, 1 << 20);
        let receiver = witness.join(Policy::Drop).unwrap();
        let (messages, receivers, models) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self {
            fan_out: fan_out(COUNT_MAX, LEN_MAX),
            witness: (witness, receiver),
            messages,
            receivers,
            models,
            left: (0, 0),
        }
    }

    fn message(&self, at: usize) -> Option<(MessageId, MessageId)> {
        self.messages.get(at % self.messages.len().max(1)).copied()
    }

    fn receiver(&self, at: usize) -> Option<ReceiverId> {
        self.receivers.get(at % self.receivers.len().max(1)).copied()
    }

    /// What the witness has seen since the last call, as message of the real fan-out.
    fn sent(&mut self) -> Vec<Sent> {
        let (witness, receiver) = &mut self.witness;
        std::iter::from_fn(|| witness.poll(*receiver))
            .filter_map(|item| match item {
                Item::Message(arguments) => Some((None, arguments)),
                Item::Frame(frame) => {
                    let message = self.messages.iter().find(|(_, other)| *other == frame.message).unwrap().0;
                    let is_last = frame.code == Code::LastFrame;
                    Some((Some((message, frame.ident.number, false, is_last)), frame.arguments))
                }
                _ => None,
            })
            .collect()
    }

    /// Does to both what makes one unit at most, and to the models what follows from it. `false` where it has to wait.
    fn step(&mut self, act: impl Fn(&mut FanOut, bool) -> Result<(), FanOutError>) -> bool {
        let result = act(&mut self.fan_out, true);
        if let Err(FanOutError::Blocked(receiver)) = result {
            let (model, _) = &self.models[&receiver];
            assert_eq!(model.policy, Policy::Wait, "only who waits blocks");
            return false;
        }
        result.unwrap();
        act(&mut self.witness.0, false).unwrap();
        for sent in self.sent() {
            for (model, _) in self.models.values_mut() {
                let blocks = model.policy == Policy::Wait && model.takes(&sent) && !model.has_room(&sent);
                assert!(!blocks, "who waits has room for all that is sent");
                model.offer(sent.clone());
                if let Some((message, _, _, true)) = sent.0 {
                    model.over.remove(&message);
                }
            }
        }
        true
    }

    fn poll(&mut self, receiver: ReceiverId) -> Option<Item> {
        let item = self.fan_out.poll(receiver);
        let (model, reassembler) = self.models.get_mut(&receiver).unwrap();
        if model.is_out {
            assert!(matches!(item, None | Some(Item::Disconnect)));
            return item;
        }
        match (model.poll(), &item) {
            (None, None) => {}
            (Some(Err(message)), Some(Item::Abandoned { message: told, id })) => {
                assert_eq!(message, *told);
                assert!(reassembler.abandon(*id), "the receiver has a part of it");
            }
            (Some(Ok((None, expected))), Some(Item::Message(arguments))) => assert_eq!(expected, *arguments),
            (Some(Ok((Some((message, number, opens, is_last)), expected))), Some(Item::Frame(frame))) => {
                let code = match (is_last, opens) {
                    (true, _) => Code::LastFrame,
                    (_, true) => Code::NewFrame,
                    _ => Code::ContinuingFrame,
                };
                assert_eq!((message, number, code), (frame.message, frame.ident.number, frame.code));
                assert_eq!(expected, frame.arguments);
                assert!(!reassembler.abandons(frame.code, frame.ident.id), "one opening for each message");
                let taken = reassembler.accept(Instant::EPOCH, frame.code, frame.ident, expected);
                assert!(matches!(taken, Outcome::Deliver(_)), "a strict receiver takes it: {taken:?}");
            }
            (expected, got) => panic!("expected {expected:?}, got {got:?}"),
        }
        item
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Join(policy) => match self.fan_out.join(policy) {
                Ok(receiver) => {
                    let config = Config::builder().with_delivery(Delivery::Frames).build().unwrap();
                    let (waiting, words) = (Vec::new(), Vec::new());
                    let (told_of, over) = (BTreeSet::new(), BTreeSet::new());
                    let model =
                        Model { policy, waiting, told_of, over, words, is_out: false, lost_units: 0, lost_octets: 0 };
                    self.models.insert(receiver, (model, Reassembler::new(&config)));
                    self.receivers.push(receiver);
                }
                Err(error) => assert_eq!((error, self.receivers.len()), (FanOutError::TooManyReceivers { max: 6 }, 6)),
            },
            Op::Begin(count, first) => match self.fan_out.begin(count, first) {
                Ok(message) => self.messages.push((message, self.witness.0.begin(count, first).unwrap())),
                Err(error) => assert_eq!((error, self.messages.len()), (FanOutError::TooManyMessages { max: 3 }, 3)),
            },
            Op::Send(len) => {
                let message: Arguments = vec![1; len.min(SIZE - 2)].into();
                self.step(|fan_out, _| fan_out.send(&message));
            }
            Op::Leave(at) => {
                if let Some(receiver) = self.receiver(at) {
                    self.check(receiver);
                    self.fan_out.leave(receiver).unwrap();
                    self.receivers.retain(|other| *other != receiver);
                    let (model, _) = self.models.remove(&receiver).unwrap();
                    self.left = (self.left.0 + model.lost_units, self.left.1 + model.lost_octets);
                }
            }
            Op::Poll(at, count) => {
                if let Some(receiver) = self.receiver(at) {
                    (0..count).for_each(|_| drop(self.poll(receiver)));
                }
            }
            Op::Rejoin(at, message) => {
                if let (Some(receiver), Some((message, _))) = (self.receiver(at), self.message(message)) {
                    let (model, _) = self.models.get_mut(&receiver).unwrap();
                    let was_over = model.over.remove(&message) && !model.is_out;
                    assert_eq!(self.fan_out.rejoin(receiver, message), Ok(was_over));
                }
            }
            Op::Write(at, ..) | Op::Flush(at) | Op::Finish(at) | Op::Abandon(at) => {
                if let Some(pair) = self.message(at) {
                    self.run_on_message(op, pair);
                }
            }
        }
    }

    fn run_on_message(&mut self, op: &Op, (message, other): (MessageId, MessageId)) {
        let of = |is_real: bool| if is_real { message } else { other };
        match *op {
            Op::Write(_, index, len) => {
                let probe = self.witness.0.write(other, index, &mut Bytes::new());
                if matches!(probe, Err(FanOutError::NoSuchArgument { .. })) {
                    return;
                }
                // Octet by octet, so that no write makes more than one frame.
                for octet in (0..=u8::MAX).cycle().take(len) {
                    let payload = Bytes::from(vec![octet]);
                    if !self.step(|fan_out, is_real| fan_out.write(of(is_real), index, &mut payload.clone())) {
                        return;
                    }
                }
            }
            Op::Flush(_) => drop(self.step(|fan_out, is_real| fan_out.flush(of(is_real)))),
            Op::Finish(_) => {
                if self.step(|fan_out, is_real| fan_out.finish(of(is_real))) {
                    self.messages.retain(|pair| pair.0 != message);
                }
            }
            _ => {
                self.step(|fan_out, is_real| fan_out.abandon(of(is_real)));
                for (model, _) in self.models.values_mut() {
                    model.over.remove(&message);
                    model.take_back(message, false);
                    if model.is_out {
                        model.words.clear();
                    }
                }
                self.messages.retain(|pair| pair.0 != message);
            }
        }
    }

    /// What was dropped is counted, and the queue is within its limits.
    fn check(&self, receiver: ReceiverId) {
        let (model, _) = &self.models[&receiver];
        let dropped = self.fan_out.dropped_of(receiver).unwrap();
        assert_eq!((dropped.messages + dropped.frames, dropped.octets), (model.lost_units, model.lost_octets));
        let queued: usize = model.waiting.iter().map(wire_len).sum();
        assert_eq!(self.fan_out.queued_len(receiver), Some(queued));
        assert!(queued <= LEN_MAX);
        assert_eq!(dropped.disconnections, u64::from(model.is_out));
    }

    /// Everything is read, every message is finished, every receiver that was not told otherwise has its end.
    fn end(&mut self) {
        let drain = |world: &mut Self| {
            for receiver in world.receivers.clone() {
                while world.poll(receiver).is_some() {}
                world.check(receiver);
            }
        };
        drain(self);
        for (message, _) in self.messages.clone() {
            let at = self.messages.iter().position(|pair| pair.0 == message).unwrap();
            self.run(&Op::Finish(at));
            drain(self);
        }
        assert!(self.messages.is_empty() && self.fan_out.open_messages().next().is_none());
        let mut sum = self.left;
        for (model, reassembler) in self.models.values() {
            sum = (sum.0 + model.lost_units, sum.1 + model.lost_octets);
            assert!(model.is_out || reassembler.open_ids().next().is_none(), "every message has an end");
        }
        let Dropped { messages, frames, octets, .. } = self.fan_out.dropped();
        assert_eq!((messages + frames, octets), sum, "everything dropped is counted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    //= SMPF-CONV-3 SMPF-B-FANOUT SMPF-B-SLOW-RECEIVER
    #[test]
    fn each_receiver_gets_one_opening_and_no_gap_in_any_interleaving(ops in vec(op(), 1..200)) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
        }
        world.end();
    }
}
