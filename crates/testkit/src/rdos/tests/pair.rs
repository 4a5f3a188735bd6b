//! Two machines with each other over links that delay, lose and double.

use super::*;
use crate::network::{DatagramConditions, DatagramLink};
use crate::{Rng, VirtualClock};

/// A as client, B with the mailslot `echo` that answers in upper case after a while.
struct World {
    clock: VirtualClock,
    a: Host,
    b: Host,
    to_a: DatagramLink,
    to_b: DatagramLink,
    local: LocalMailslot,
    service_time: Duration,
    in_service: Option<(Instant, RequestTicket, Vec<u8>)>,
    /// What B executed, in order.
    executed: Vec<Vec<u8>>,
    segment_count: usize,
}

impl World {
    fn new(conditions: &DatagramConditions, seed: u64) -> Self {
        let clock = VirtualClock::new();
        let [a, mut b] = [A, B].map(|address| Host::new(Config::new(address, clock.now())));
        let local = b.define(b"echo", 512);
        let link = |stream| DatagramLink::new(conditions.clone(), Rng::with_stream(seed, stream).next_u64());
        let (to_a, to_b) = (link(1), link(2));
        let (service_time, in_service, executed) = (Duration::ZERO, None, Vec::new());
        Self { clock, a, b, to_a, to_b, local, service_time, in_service, executed, segment_count: 0 }
    }

    fn perfect() -> Self {
        Self::new(&DatagramConditions::new(), 0)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn get(&mut self) -> RemoteMailslot {
        self.a.get(self.clock.now(), B, b"echo")
    }

    fn send(&mut self, remote: RemoteMailslot, data: &[u8]) -> SendTicket {
        self.a.send(self.clock.now(), remote, data, 512).unwrap()
    }

    /// Does all that is due now. B's application is at work between any two segments.
    fn settle(&mut self) {
        let now = self.now();
        self.a.handle_timeout(now);
        self.b.handle_timeout(now);
        while let Some(octets) = self.to_a.receive(now) {
            self.a.handle_datagram(now, B, A, &octets);
        }
        self.serve(now);
        while let Some(octets) = self.to_b.receive(now) {
            self.b.handle_datagram(now, A, B, &octets);
            self.serve(now);
        }
        while let Some((_, octets)) = self.a.poll_transmit() {
            self.to_b.send(now, &octets);
            self.segment_count += 1;
        }
        while let Some((_, octets)) = self.b.poll_transmit() {
            self.to_a.send(now, &octets);
            self.segment_count += 1;
        }
    }

    fn serve(&mut self, now: Instant) {
        loop {
            if let Some((ticket, message)) = self.b.receive(self.local) {
                self.executed.push(message.clone());
                self.in_service = Some((now + self.service_time, ticket, message.to_ascii_uppercase()));
            }
            let Some((_, ticket, reply)) = self.in_service.take_if(|(done_at, ..)| *done_at <= now) else { break };
            self.b.reply(now, ticket, &reply);
        }
    }

    /// Goes on until all of `tickets` have their replies, in their order. `None` where an hour is not enough.
    fn replies(&mut self, tickets: &[SendTicket]) -> Option<Vec<Vec<u8>>> {
        let until = self.now() + Duration::from_secs(3600);
        let mut replies: Vec<Option<Vec<u8>>> = vec![None; tickets.len()];
        while self.now() <= until {
            self.settle();
            for (reply, ticket) in replies.iter_mut().zip(tickets) {
                *reply = reply.take().or_else(|| self.a.poll_reply(*ticket));
            }
            if replies.iter().all(Option::is_some) {
                return replies.into_iter().collect();
            }
            self.step()?;
        }
        None
    }

    /// Goes on for `duration`, and stays where nothing more is to come.
    fn rest(&mut self, duration: Duration) {
        let until = self.now() + duration;
        self.settle();
        while self.step().is_some() && self.now() <= until {
            self.settle();
        }
    }

    fn step(&mut self) -> Option<()> {
        let done_at = self.in_service.as_ref().map(|(done_at, ..)| *done_at);
        let all = [self.a.poll_timeout(), self.b.poll_timeout(), self.to_a.next_at(), self.to_b.next_at(), done_at];
        self.clock.advance_to(all.into_iter().flatten().min()?);
        Some(())
    }

    #[track_caller]
    fn assert_sound(&self) {
        assert_eq!((self.a.crashes(), self.b.crashes()), (&[][..], &[][..]));
    }
}

#[test]
fn first_contact_takes_five_segments() {
    let mut world = World::perfect();
    let start = world.now();
    let remote = world.get();
    let ticket = world.send(remote, b"hello");
    assert_eq!(world.replies(&[ticket]).unwrap(), [b"HELLO"]);
    assert_eq!(world.now() - start, Duration::from_millis(4), "two round trips");
    world.rest(Duration::from_secs(60));
    assert_eq!(world.segment_count, 5, "the name and its reply, the request and its reply, the ACK");
    world.assert_sound();
}

#[test]
fn back_to_back_requests_take_two_segments_each() {
    let mut world = World::perfect();
    let remote = world.get();
    for serial in 0..100_u8 {
        let ticket = world.send(remote, &[serial]);
        assert_eq!(world.replies(&[ticket]).unwrap(), [[serial].to_ascii_uppercase()]);
    }
    world.rest(Duration::from_secs(60));
    assert_eq!(world.segment_count, 2 + 2 * 100 + 1);
    assert_eq!(world.executed.len(), 100);
    world.assert_sound();
}

#[test]
fn sixteen_outstanding_are_answered_in_order() {
    let mut world = World::perfect();
    let remote = world.get();
    let tickets: Vec<_> = (0..16_u8).map(|serial| world.send(remote, &[serial])).collect();
    let replies = world.replies(&tickets).unwrap();
    assert_eq!(replies, (0..16_u8).map(|serial| vec![serial]).collect::<Vec<_>>());
    assert_eq!(world.executed, replies);
    world.assert_sound();
}

#[test]
fn a_loss_of_a_tenth_costs_time_and_nothing_else() {
    let conditions = DatagramConditions { loss_per_mille: 100, ..DatagramConditions::new() };
    let mut lost_count = 0;
    for seed in 0..100 {
        let mut world = World::new(&conditions, seed);
        let remote = world.get();
        let mut sent = Vec::new();
        for round in 0..8_u8 {
            let messages: Vec<_> = (0..8).map(|serial| vec![b'm', round, serial]).collect();
            let tickets: Vec<_> = messages.iter().map(|message| world.send(remote, message)).collect();
            let replies = world.replies(&tickets);
            let expected: Vec<_> = messages.iter().map(|message| message.to_ascii_uppercase()).collect();
            assert_eq!(replies, Some(expected), "seed {seed}");
            sent.extend(messages);
        }
        assert_eq!(world.executed, sent, "seed {seed}: each once and in order");
        world.assert_sound();
        lost_count += world.to_a.counts().lost_count + world.to_b.counts().lost_count;
    }
    assert!(lost_count > 500, "{lost_count} lost");
}

#[test]
fn fact_7_a_name_request_that_comes_twice_costs_a_reset_and_heals() {
    let mut world = World::new(&DatagramConditions { duplicate_per_mille: 1000, ..DatagramConditions::new() }, 0);
    let remote = world.get();
    let ticket = world.send(remote, b"hello");
    world.settle();
    world.to_b.set_conditions(DatagramConditions::new());
    world.to_a.set_conditions(DatagramConditions::new());
    let start = world.now();
    assert_eq!(world.replies(&[ticket]).unwrap(), [b"HELLO"]);
    assert!((world.now() - start).as_secs() >= 4, "a RESET after 1 s, the octets 3 s after the new name");
    assert_eq!(world.executed, [b"hello"]);
    world.assert_sound();
}

#[test]
fn a_server_that_was_rebooted_is_found_again() {
    let mut world = World::perfect();
    let remote = world.get();
    let ticket = world.send(remote, b"before");
    world.replies(&[ticket]).unwrap();
    world.b.reboot(world.clock.now(), 0x7000_0000);
    world.local = world.b.define(b"echo", 512);
    let start = world.now();
    let ticket = world.send(remote, b"after");
    assert_eq!(world.replies(&[ticket]).unwrap(), [b"AFTER"]);
    // 1 s for the reset, then a segment without octets, then 3 s for the timer to send them.
    assert!((4..5).contains(&(world.now() - start).as_secs()), "{:?}", world.now() - start);
    assert_eq!(world.executed, [&b"before"[..], b"after"]);
    world.assert_sound();
}

#[test]
fn a_server_that_was_rebooted_gets_garbage_where_two_were_outstanding() {
    let mut world = World::perfect();
    let remote = world.get();
    let ticket = world.send(remote, b"before");
    world.replies(&[ticket]).unwrap();
    world.b.reboot(world.clock.now(), 0x7000_0000);
    world.local = world.b.define(b"echo", 512);
    let tickets = [world.send(remote, b"one"), world.send(remote, b"two")];
    let replies = world.replies(&tickets).unwrap();
    // The segments without octets stand in the window; once the first request is whole, the second goes along as it is. What the
    // second gets is the answer to that.
    assert_eq!(world.executed[..3], [b"before".to_vec(), b"one".to_vec(), vec![0xa5; 3]]);
    assert_eq!(replies, [b"ONE".to_vec(), vec![0xa5; 3]]);
    let garbage = world.b.crashes().iter().filter(|defect| matches!(defect, Defect::IncompleteRequest { .. }));
    assert_eq!((garbage.count(), world.a.crashes()), (1, &[][..]));
}

#[test]
fn a_client_that_was_rebooted_begins_anew_and_gets_nothing_of_before() {
    let mut world = World::perfect();
    world.service_time = Duration::from_secs(1);
    let remote = world.get();
    let old = world.send(remote, b"before");
    world.rest(Duration::from_millis(500));
    world.a.reboot(world.clock.now(), 0x7000_0000);
    let remote = world.get();
    let ticket = world.send(remote, b"after");
    assert_eq!(world.replies(&[ticket]).unwrap(), [b"AFTER"]);
    assert_eq!(world.a.poll_reply(old), None);
    assert_eq!(world.executed, [&b"before"[..], b"after"]);
    world.assert_sound();
}

#[test]
fn a_handler_slower_than_the_timer_runs_twice() {
    let mut world = World::perfect();
    world.service_time = Duration::from_secs(4);
    let remote = world.get();
    let ticket = world.send(remote, b"slow");
    assert_eq!(world.replies(&[ticket]).unwrap(), [b"SLOW"]);
    assert_eq!(world.executed, [b"slow", b"slow"]);
    world.assert_sound();
}

#[test]
fn an_unknown_mailslot_is_asked_for_for_ever() {
    let mut world = World::perfect();
    let remote = world.a.get(world.clock.now(), B, b"nobody");
    let ticket = world.send(remote, b"x");
    assert_eq!(world.replies(&[ticket]), None);
    assert_eq!(world.to_b.counts().sent_count, 4 + (3600 - 21) / 24);
    assert_eq!(world.to_a.counts().sent_count, 0);
}

/// Some requests at once over links that lose a tenth, 100 times: how often the replies are not what they should be, and what
/// went wrong.
fn wrong_count(outstanding_count: u8, service_time: Duration) -> (usize, Vec<Defect>) {
    let conditions = DatagramConditions { loss_per_mille: 100, ..DatagramConditions::new() };
    let (mut wrong_count, mut defects) = (0, Vec::new());
    for seed in 0..100 {
        let mut world = World { service_time, ..World::new(&conditions, seed) };
        let remote = world.get();
        let messages: Vec<_> = (0..outstanding_count).map(|serial| vec![b'm', serial]).collect();
        let tickets: Vec<_> = messages.iter().map(|message| world.send(remote, message)).collect();
        let replies = world.replies(&tickets).unwrap();
        wrong_count +=
            usize::from(replies != messages.iter().map(|message| message.to_ascii_uppercase()).collect::<Vec<_>>());
        defects.extend(world.a.crashes().iter().chain(world.b.crashes()));
    }
    (wrong_count, defects)
}

/// All that are in flight are resent together. The first makes those behind it complete, their own copies come while they are queued
/// and draw a RESET, and after that the segments without octets do their work.
#[test]
fn a_loss_with_eight_outstanding_makes_garbage_where_the_server_takes_any_time() {
    let (wrong_count_of_8, defects) = wrong_count(8, Duration::from_millis(1));
    assert!(wrong_count_of_8 > 20, "{wrong_count_of_8} of 100");
    assert!(defects.iter().all(|defect| matches!(defect, Defect::IncompleteRequest { .. })), "{defects:?}");
    assert_eq!(wrong_count(8, Duration::ZERO), (0, vec![]));
    assert_eq!(wrong_count(1, Duration::from_millis(1)), (0, vec![]), "one at a time is safe");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let conditions = DatagramConditions {
        loss_per_mille: 100,
        duplicate_per_mille: 100,
        reorder_per_mille: 100,
        corrupt_per_mille: 20,
        ..DatagramConditions::new()
    };
    let trace = |seed| {
        let mut world = World::new(&conditions, seed);
        let remote = world.get();
        let tickets: Vec<_> = (0..16).map(|serial| world.send(remote, &[serial])).collect();
        let replies = world.replies(&tickets);
        (replies, world.now(), world.segment_count, world.executed, world.a.crashes().to_vec())
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}
