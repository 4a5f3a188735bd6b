//! How long messages take on networks that lose some: in virtual time, so that figures can be held.

use bytes::Bytes;
use smp121::Config;
use smp121::machine::{EndpointMachine, Event, Input, MailslotId, SendOptions, TransmitBatch};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use testkit::network::{DatagramConditions, DatagramLink};
use testkit::{Rng, VirtualClock};
use wirekit::{Instant, Machine};

/// What is sent.
#[derive(Clone, Copy, Debug)]
struct Load {
    count: usize,
    /// Requests that are open at once.
    open_max: usize,
    request_len: usize,
    reply_len: usize,
}

struct World {
    clock: VirtualClock,
    machines: [EndpointMachine; 2],
    /// To each machine.
    links: [DatagramLink; 2],
    mailslot: MailslotId,
    load: Load,
    done_count: usize,
    batch: TransmitBatch,
}

fn address(index: usize) -> IpAddr {
    [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)][index].into()
}

impl World {
    fn new(conditions: &DatagramConditions, load: Load, seed: u64) -> Self {
        let machine = |octet| EndpointMachine::new(Config::builder([octet; 32]).build().unwrap());
        let link = |stream| DatagramLink::new(conditions.clone(), Rng::with_stream(seed, stream).next_u64());
        let mut machines = [machine(1), machine(2)];
        let mailslot = machines[1].define(b"work", 2 << 20).unwrap();
        let (clock, batch) = (VirtualClock::new(), TransmitBatch::new(32, 64 * 1024));
        Self { clock, machines, links: [link(1), link(2)], mailslot, load, done_count: 0, batch }
    }

    fn drive(&mut self, index: usize) {
        let now = self.clock.now();
        loop {
            let mut is_busy = false;
            while let Some(event) = self.machines[index].poll_event() {
                is_busy = true;
                if let Event::Done { outcome, .. } = event {
                    match outcome {
                        Ok(reply) => assert_eq!(reply.len(), self.load.reply_len),
                        Err(error) => println!("FAILED {error}"),
                    }
                    self.done_count += 1;
                }
            }
            while index == 1
                && let Some(request) = self.machines[1].receive(self.mailslot)
            {
                is_busy = true;
                assert_eq!(request.message.len(), self.load.request_len);
                self.machines[1].reply(now, request.id, vec![5; self.load.reply_len].into()).unwrap();
            }
            while self.machines[index].poll_transmit(now, &mut self.batch) {
                is_busy = true;
                for datagram in self.batch.iter() {
                    self.links[1 - index].send(now, datagram.payload);
                }
                self.batch.clear();
            }
            if !is_busy {
                return;
            }
        }
    }

    /// Until all is done; how long that took.
    fn run(&mut self) -> Duration {
        let start = self.clock.now();
        let remote = self.machines[0].get(SocketAddr::new(address(1), 0), address(0), b"work").unwrap();
        let mut sent_count = 0;
        let message = Bytes::from(vec![7; self.load.request_len]);
        while self.done_count < self.load.count {
            let now = self.clock.now();
            while sent_count < self.load.count && sent_count - self.done_count < self.load.open_max {
                self.machines[0].send(now, remote, message.clone(), SendOptions::default()).unwrap();
                sent_count += 1;
            }
            for index in [0, 1] {
                if self.machines[index].poll_timeout().is_some_and(|deadline| deadline.is_due(now)) {
                    self.machines[index].handle_timeout(now);
                }
                // As from a socket: up to 32 at once.
                while self.links[index].next_at().is_some_and(|at| at <= now) {
                    for _ in 0..32 {
                        let Some(datagram) = self.links[index].receive(now) else { break };
                        let (source, destination) = (SocketAddr::new(address(1 - index), 0), address(index));
                        let input = Input::Datagram { source, destination, payload: &datagram };
                        let Ok(()) = self.machines[index].handle(now, input);
                    }
                    self.drive(index);
                }
                self.drive(index);
            }
            let deadlines =
                self.machines.iter().filter_map(|machine| machine.poll_timeout()).map(|deadline| deadline.at);
            let links = self.links.iter().filter_map(DatagramLink::next_at);
            let next: Instant = deadlines.chain(links).min().expect("something is to happen");
            self.clock.advance_to(next.max(now));
            assert!(self.clock.now() - start < Duration::from_secs(10_000), "{} done", self.done_count);
        }
        self.clock.now() - start
    }
}

#[test]
#[ignore = "a measurement"]
fn table() {
    let mib = Load { count: 16, open_max: 8, request_len: 1 << 20, reply_len: 16 };
    let one = Load { count: 4, open_max: 1, request_len: 1 << 20, reply_len: 16 };
    let reply = Load { count: 16, open_max: 8, request_len: 16, reply_len: 1 << 20 };
    let small = Load { count: 1000, open_max: 16, request_len: 8192, reply_len: 8192 };
    for (name, load) in [("1 MiB x 8", mib), ("1 MiB x 1", one), ("reply 1 MiB", reply), ("8 KiB", small)] {
        for delay_us in [50u64, 1000, 10_000, 100_000] {
            for loss_per_mille in [0, 10, 50, 100, 200] {
                let delay = Duration::from_micros(delay_us);
                let conditions = DatagramConditions {
                    loss_per_mille,
                    delay: delay..delay + Duration::from_micros(delay_us / 10 + 1),
                    ..DatagramConditions::new()
                };
                let mut world = World::new(&conditions, load, 1);
                let took = world.run();
                let octets = load.count * (load.request_len + load.reply_len);
                let rate = octets as f64 / took.as_secs_f64() / f64::from(1 << 20);
                let [a, b] = world.machines.each_ref().map(EndpointMachine::counters);
                println!(
                    "{name:12} {delay_us:6} us {loss_per_mille:3} per mille: {took:9.2?} {rate:8.2} MiB/s; resent {} fast {} timeouts {}; server resent {} fast {} timeouts {}",
                    a.resent_count,
                    a.fast_resent_count,
                    a.timeouts_count,
                    b.resent_count,
                    b.fast_resent_count,
                    b.timeouts_count
                );
            }
        }
    }
}
