//! Both ask both, on a bad network, as a seed decides. A failing seed is printed; `SMP121_SEED=n` runs that one alone, and
//! `SMP121_SEEDS` says how many.

use super::world::{Setup, World};
use super::{ms, secs};
use smp121::ExchangeError;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use testkit::Rng;
use testkit::network::DatagramConditions;
use wirekit::Instant;

#[derive(Clone, Debug)]
struct Plan {
    setup: Setup,
    /// Requests that each end sends.
    our_count: u64,
    their_count: u64,
    /// Threads of theirs that ask one mailslot, each one request at a time.
    their_threads: usize,
    pause_max: Duration,
    message_len_max: usize,
    /// How long the network is bad.
    chaos_time: Duration,
    our_reboots: Vec<Duration>,
    their_reboots: Vec<Duration>,
}

fn any_plan(seed: u64) -> Plan {
    let mut rng = Rng::with_stream(seed, 7);
    let mut often = |max: u64| if rng.chance(400) { 0 } else { u32::try_from(rng.below(max + 1)).unwrap() };
    let (loss, duplicate, corrupt, reorder) = (often(200), often(150), often(50), often(300));
    let delay = [ms(0)..ms(1), ms(1)..ms(5), ms(20)..ms(60), ms(100)..ms(900)];
    let service = [ms(0)..ms(0), ms(0)..ms(0), ms(0)..ms(50), ms(0)..ms(4000)];
    let chaos_time = ms(500 + rng.below(60_000));
    let reboots = |rng: &mut Rng| -> Vec<Duration> {
        let count = if rng.chance(700) { 0 } else { 1 + rng.below(2) };
        let mut all: Vec<_> = (0..count).map(|_| rng.duration(Duration::ZERO..chaos_time)).collect();
        all.sort();
        all
    };
    let (our_reboots, their_reboots) = (reboots(&mut rng), reboots(&mut rng));
    let kind = rng.below(3);
    let count = |rng: &mut Rng| 1 + rng.below(30);
    let message_len_max = *rng.pick(&[1, 65, 600, 1384]).unwrap();
    Plan {
        our_count: if kind == 0 { 0 } else { count(&mut rng) },
        their_count: if kind == 1 { 0 } else { count(&mut rng) },
        pause_max: *rng.pick(&[ms(1), ms(50), ms(2000)]).unwrap(),
        message_len_max,
        their_threads: 1 + rng.range(0..8),
        setup: Setup {
            network: DatagramConditions {
                loss_per_mille: loss,
                duplicate_per_mille: duplicate,
                corrupt_per_mille: corrupt,
                reorder_per_mille: reorder,
                reorder: ms(1)..ms(100),
                delay: rng.pick(&delay).unwrap().clone(),
                mtu: 1480,
                ..DatagramConditions::new()
            },
            our_service: rng.pick(&service).unwrap().clone(),
            their_service: rng.pick(&service).unwrap().clone(),
            mailslot_count: 1 + rng.range(0..3),
            reply_len_max: *rng.pick(&[0, 65, 1384]).unwrap(),
            ..Setup::new()
        },
        chaos_time,
        our_reboots,
        their_reboots,
    }
}

/// What is to be sent by one end, and when next.
struct Sender {
    left_count: u64,
    next_at: Instant,
    sent_count: u64,
}

struct Run {
    plan: Plan,
    world: World,
    start: Instant,
    heal_at: Option<Instant>,
    ours: Sender,
    theirs: Sender,
    /// Messages of before a restart of either end: they may run again, or not at all.
    excused: Vec<Vec<u8>>,
    their_messages: Vec<Vec<u8>>,
    our_messages: Vec<Vec<u8>>,
}

impl Run {
    fn new(plan: Plan, seed: u64) -> Self {
        let world = World::new(plan.setup.clone(), seed);
        let start = world.now();
        let sender = |left_count| Sender { left_count, next_at: start, sent_count: 0 };
        Self {
            start,
            heal_at: Some(start + plan.chaos_time),
            ours: sender(plan.our_count),
            theirs: sender(plan.their_count),
            excused: Vec::new(),
            their_messages: Vec::new(),
            our_messages: Vec::new(),
            world,
            plan,
        }
    }

    fn message(&mut self, from: u8, serial: u64) -> Vec<u8> {
        let mut message = vec![from];
        message.extend(serial.to_be_bytes());
        let len = self.world.rng.range(0..self.plan.message_len_max);
        let more = self.world.rng.bytes(len.saturating_sub(message.len()));
        message.extend(more);
        message
    }

    fn send(&mut self) {
        let now = self.world.now();
        while self.ours.left_count > 0 && self.ours.next_at <= now {
            let message = self.message(b'o', self.ours.sent_count);
            let mailslot = self.world.rng.range(0..self.plan.setup.mailslot_count);
            self.world.ask_theirs(mailslot, &message);
            self.our_messages.push(message);
            self.ours.left_count -= 1;
            self.ours.sent_count += 1;
            self.ours.next_at = now + self.world.rng.duration(Duration::ZERO..self.plan.pause_max);
        }
        while self.theirs.left_count > 0 && self.theirs.next_at <= now {
            let mailslot = self.world.rng.range(0..self.plan.setup.mailslot_count);
            self.theirs.next_at = now + ms(1) + self.world.rng.duration(Duration::ZERO..self.plan.pause_max);
            if self.world.their_open(mailslot).count() >= self.plan.their_threads {
                continue;
            }
            let message = self.message(b't', self.theirs.sent_count);
            self.world.ask_ours(mailslot, &message);
            self.their_messages.push(message);
            self.theirs.left_count -= 1;
            self.theirs.sent_count += 1;
        }
    }

    fn is_due(times: &mut Vec<Duration>, start: Instant, now: Instant) -> bool {
        let is_due = times.first().is_some_and(|at| start + *at <= now);
        if is_due {
            times.remove(0);
        }
        is_due
    }

    fn act(&mut self) {
        let now = self.world.now();
        if self.heal_at.is_some_and(|at| at <= now) {
            self.heal_at = None;
            self.world.set_network(&DatagramConditions { mtu: 1480, ..DatagramConditions::new() });
        }
        // A host that starts anew keeps quiet for as long as an old datagram may live.
        if Self::is_due(&mut self.plan.our_reboots, self.start, now) {
            self.excuse();
            self.world.reboot_ours();
            self.ours.next_at = now + secs(3);
        }
        if Self::is_due(&mut self.plan.their_reboots, self.start, now) {
            self.excuse();
            self.world.reboot_theirs();
            self.theirs.next_at = now + secs(3);
        }
        self.send();
    }

    fn excuse(&mut self) {
        self.excused.extend(self.our_messages.iter().chain(&self.their_messages).cloned());
    }

    fn next_at(&self) -> Option<Instant> {
        let reboots = [self.plan.our_reboots.first(), self.plan.their_reboots.first()].into_iter().flatten();
        let senders = [&self.ours, &self.theirs].into_iter().filter(|sender| sender.left_count > 0);
        let at = senders.map(|sender| sender.next_at).chain(reboots.map(|after| self.start + *after));
        at.chain(self.heal_at).chain(self.world.next_at()).min().map(|at| at.max(self.world.now()))
    }

    fn run(&mut self) -> Result<(), String> {
        let end = self.start + self.plan.chaos_time + secs(7200);
        for _ in 0..1_000_000 {
            self.act();
            self.world.settle();
            if !self.world.theirs.crashes().is_empty() {
                let since = self.world.now() - self.start;
                return Err(format!("RDOS is broken after {since:?}: {:?}", self.world.theirs.crashes()));
            }
            let open_count = self.world.our_open_count() + self.world.their_open_count();
            let left_count = self.ours.left_count + self.theirs.left_count;
            match self.next_at() {
                Some(at) if at > end => return Err(format!("{open_count} open two hours after the chaos")),
                Some(at) => _ = self.world.clock.advance_to(at),
                None if open_count > 0 || left_count > 0 => return Err(format!("at rest with {open_count} open")),
                None => return self.check(),
            }
        }
        Err("no end in 1,000,000 steps".to_owned())
    }

    fn check(&self) -> Result<(), String> {
        self.world.assert_sound();
        for (message, outcome) in &self.world.our_outcomes {
            match outcome {
                // Of a mailslot whose handler takes longer than the timeout each resend is reset.
                Err(ExchangeError::Reset) if self.plan.setup.their_service.end > secs(2) => {}
                Err(error) => return Err(format!("{message:x?}: {error}")),
                Ok(_) => {}
            }
        }
        let counters = self.world.ours.counters();
        if (counters.assembly_len, counters.replies_len) != (0, 0) {
            return Err(format!("something is left at rest: {counters:?}"));
        }
        self.check_executed()
    }

    /// We execute each request once and in order. So does RDOS where no copy of it arrives while it is at work.
    fn check_executed(&self) -> Result<(), String> {
        let network = &self.plan.setup.network;
        let is_gentle = network.duplicate_per_mille == 0 && self.plan.setup.their_service.end.is_zero();
        let ends = [
            ("we", &self.world.our_executed, &self.their_messages, true),
            ("they", &self.world.their_executed, &self.our_messages, is_gentle),
        ];
        for (who, executed, sent, is_once) in ends {
            let mut counts = BTreeMap::new();
            for message in executed {
                *counts.entry(message).or_insert(0u32) += 1;
            }
            if let Some(message) = counts.keys().find(|message| !sent.contains(message)) {
                return Err(format!("{who} executed {message:x?}, which nobody sent"));
            }
            for message in sent.iter().filter(|message| !self.excused.contains(message)) {
                let count = counts.get(message).copied().unwrap_or(0);
                if count == 0 || (is_once && count > 1) {
                    return Err(format!("{who} executed {:x?} {count} times", &message[..9.min(message.len())]));
                }
            }
        }
        Ok(())
    }
}

fn seeds(default: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match (number("SMP121_SEED"), number("SMP121_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..default,
    }
}

//= SMP121-O1, SMP121-A14
#[test]
fn rdos_meets_none_of_its_defects_and_every_request_is_served_whatever_the_network_does() {
    let (mut exchange_count, mut failures) = (0, Vec::new());
    for seed in seeds(3000) {
        let plan = any_plan(seed);
        let mut run = Run::new(plan.clone(), seed);
        if let Err(fault) = run.run() {
            failures.push(format!("SMP121_SEED={seed}: {fault}\n{plan:?}"));
        }
        exchange_count += run.world.our_outcomes.len() + run.world.their_replies.len();
    }
    println!("{exchange_count} exchanges");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(exchange_count > 0);
}
