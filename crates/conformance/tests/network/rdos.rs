//! RDOS behind a raw socket, as `testkit::rdos` emulates it, against our endpoint with the profile for it.

use super::child::Child;
use super::clean::{run, serve};
use super::namespace::Namespace;
use super::roles::{Load, Place, Report, Role, Traffic, id_of, lines, reply_to, request, say, served};
use super::{alone, raw};
use postroad_transport::raw as carrier;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use testkit::rdos::{Config, Host, LocalMailslot, RemoteMailslot, RequestTicket, SendTicket};
use wirekit::Instant;
use wirekit::datagram::{DatagramSocket, Outgoing};

fn v4(address: SocketAddr) -> Ipv4Addr {
    match address.ip() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => panic!("RDOS has no IPv6"),
    }
}

/// The machine and its application.
struct Machine {
    host: Host,
    mailslot: LocalMailslot,
    executed: HashMap<u64, u64>,
    /// What the application works at, and when it is done.
    slow: Option<(Instant, RequestTicket, Vec<u8>)>,
    faults: Vec<String>,
    load: Option<(Load, RemoteMailslot)>,
    open: Option<(SendTicket, Vec<u8>)>,
    asked_count: u64,
}

impl Machine {
    /// Serves all that waits, and asks for one thing after the other.
    fn act(&mut self, now: Instant) {
        if let Some((_, ticket, message)) = self.slow.take_if(|(done_at, ..)| *done_at <= now) {
            self.host.reply(now, ticket, &reply_to(&message));
        }
        while let Some((ticket, message)) = self.host.receive(self.mailslot) {
            *self.executed.entry(id_of(&message)).or_default() += 1;
            // Long enough for a copy of the request to come, and for the reset of that to leave, where it comes too soon.
            if id_of(&message) % 400 == 7 {
                self.slow = Some((now + Duration::from_millis(2500), ticket, message));
                return;
            }
            self.host.reply(now, ticket, &reply_to(&message));
        }
        if let Some((ticket, message)) = &self.open
            && let Some(reply) = self.host.poll_reply(*ticket)
        {
            if reply != reply_to(message) {
                self.faults.push(format!("the reply to {} is wrong", id_of(message)));
            }
            self.open = None;
            self.asked_count += 1;
        }
        if let Some((load, remote)) = &self.load
            && self.open.is_none()
            && self.asked_count < load.count
        {
            let message = request(load.first_id + self.asked_count, load.len, load.reply_len).to_vec();
            let ticket = self.host.send(now, *remote, &message, load.reply_len).unwrap();
            self.open = Some((ticket, message));
        }
    }

    fn report(&self) -> Report {
        let crashes = self.host.crashes().iter().map(|defect| format!("{defect:?}"));
        let faults = crashes.chain(self.faults.iter().cloned()).collect();
        served(&self.executed, Traffic::default(), faults, self.asked_count)
    }
}

/// The process: waits for datagrams, the machine's clock, and the parent.
pub(crate) async fn run_machine(local: SocketAddr, load: Option<Load>) {
    let begun = std::time::Instant::now();
    let now = || Instant::from_epoch(Duration::from_secs(1) + begun.elapsed());
    let socket = carrier::Config::new(121).with_address(local.ip()).open().unwrap().start().unwrap();
    let mut host = Host::new(Config::new(v4(local), now()));
    let mailslot = host.define(b"work", 4000);
    let load = load.map(|load| {
        let remote = host.get(now(), v4(load.peer), load.mailslot.as_bytes());
        (load, remote)
    });
    let (executed, slow, faults, open, asked_count) = (HashMap::new(), None, Vec::new(), None, 0);
    let mut machine = Machine { host, mailslot, executed, slow, faults, load, open, asked_count };
    let mut batch = socket.receive_batch(16, 65_535);
    let mut asked = lines();
    say(&Report::Ready);
    loop {
        machine.host.handle_timeout(now());
        machine.act(now());
        while let Some((peer, datagram)) = machine.host.poll_transmit() {
            let destination = SocketAddr::new(peer.into(), 0);
            // What cannot go now is lost.
            drop(socket.try_send(&[Outgoing::new(destination, &datagram)]));
        }
        tokio::select! {
            received = std::future::poll_fn(|cx| socket.poll_receive(cx, &mut batch)) => {
                received.unwrap();
                for datagram in batch.datagrams() {
                    machine.host.handle_datagram(now(), v4(datagram.source), v4(local), datagram.payload);
                    machine.act(now());
                }
            }
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            asked = asked.recv() => match asked {
                Some(()) => say(&machine.report()),
                None => return,
            },
        }
    }
}

/// Waits until the machine has made so many requests, and checks what it says.
#[track_caller]
fn check(machine: &mut Child, asked: u64, executed: u64) {
    let begun = std::time::Instant::now();
    loop {
        let Report::Served { asked_count, distinct_count, most_count, crashes, .. } = machine.ask() else {
            panic!("not asked for")
        };
        assert_eq!(crashes, Vec::<String>::new());
        if asked_count == asked {
            assert_eq!((distinct_count, most_count), (executed, u64::from(executed > 0)), "each once");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{asked_count} of {asked} after a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const OURS: &str = "10.9.0.1";
const THEIRS: &str = "10.9.0.2";

//= SMP121-O4
#[test]
fn we_ask_it_serves() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    let mut machine = Child::start(Some(&far), &Role::Rdos { local: raw(THEIRS), load: None });
    let load = Load { in_flight: 8, ..Load::new(raw(THEIRS), 1000, 900) };
    let (traffic, took) = run(Some(&near), &mut machine, Place::rdos(raw(OURS)), load);
    println!("1,000 exchanges of 900 octets with RDOS in {took:?}, {traffic:?}");
    check(&mut machine, 0, 1000);
}

//= SMP121-O4
#[test]
fn it_asks_we_serve() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    let mut server = serve(Some(&near), Place::rdos(raw(OURS)));
    let load = Load::new(raw(OURS), 1000, 900);
    let mut machine = Child::start(Some(&far), &Role::Rdos { local: raw(THEIRS), load: Some(load) });
    check(&mut machine, 1000, 0);
    let Report::Served { executed_count, most_count, .. } = server.ask() else { panic!("not asked for") };
    assert_eq!((executed_count, most_count), (1000, 1));
}

/// Both at once, while one in forty of what arrives here is lost.
//= SMP121-O4
#[test]
fn both_ask_both_and_a_little_is_lost() {
    let _alone = alone();
    let Some((near, far)) = Namespace::pair() else { return };
    near.run("ip address add 10.9.0.3/24 dev near");
    let lossy = near.try_run("iptables -A INPUT -p 121 -m statistic --mode nth --every 40 --packet 20 -j DROP");
    if let Err(why) = lossy {
        eprintln!("SKIPPED: nothing is lost, {why}");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has to have iptables with statistic");
        return;
    }
    let mut server = serve(Some(&near), Place::rdos(raw(OURS)));
    let load = Load::new(raw(OURS), 80, 300);
    let mut machine = Child::start(Some(&far), &Role::Rdos { local: raw(THEIRS), load: Some(load) });
    // The address of another process of ours: all on one host have the same protocol.
    let (_, took) = run(Some(&near), &mut machine, Place::rdos(raw("10.9.0.3")), Load::new(raw(THEIRS), 80, 300));
    println!("80 exchanges with RDOS at a loss of one in forty in {took:?}");
    check(&mut machine, 80, 80);
    let Report::Served { executed_count, most_count, .. } = server.ask() else { panic!("not asked for") };
    assert_eq!((executed_count, most_count), (80, 1));
}
