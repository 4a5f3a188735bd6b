//! Network namespaces of a test's own. Each lives as long as a child process, so nothing is left behind, however the test
//! ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Protocol, Socket, Type};

/// Of `/usr/include/linux/if_ether.h`: packets of every protocol.
const ETH_P_ALL: u16 = 3;

pub(crate) struct Namespace {
    child: Child,
}

impl Namespace {
    /// A network with nothing but a loopback interface, which is up. `None`, said in one line, where this process may
    /// not make one; where CI runs as root, that is a failure.
    pub(crate) fn new() -> Option<Self> {
        // The child ends by itself if this process is killed.
        let spawned = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec sleep 300"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let made = spawned.ok().and_then(|mut child| {
            let mut line = String::new();
            BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
            let made = Self { child };
            (line == "ready\n" && made.try_ip("link set lo up")).then_some(made)
        });
        if let Some(made) = &made {
            made.wait_for("::1");
        } else {
            // Past the capture of the test harness, which hides what tests that pass print.
            let line =
                "SKIPPED: no network namespace; run as root or under `unshare -rn`, with util-linux and iproute2\n";
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            let must_run = std::env::var("CI").is_ok_and(|ci| ci == "true") && rustix::process::getuid().is_root();
            assert!(!must_run, "CI as root has to run this test");
        }
        made
    }

    /// Two networks, joined by a link: 10.9.0.1 and fd09::1 on `near`, 10.9.0.2 and fd09::2 on `far`.
    pub(crate) fn pair() -> Option<(Self, Self)> {
        let (near, far) = (Self::new()?, Self::new()?);
        near.ip(&format!("link add near type veth peer name far netns {}", far.child.id()));
        for (namespace, name, host) in [(&near, "near", 1), (&far, "far", 2)] {
            namespace.ip(&format!("address add 10.9.0.{host}/24 dev {name}"));
            namespace.ip(&format!("address add fd09::{host}/64 dev {name} nodad"));
            namespace.ip(&format!("link set {name} up"));
        }
        near.wait_for("fd09::1");
        far.wait_for("fd09::2");
        Some((near, far))
    }

    /// Runs `what` in a thread inside the namespace. What it opens stays there.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/proc/{}/ns/net", self.child.id())).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                what()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A program of iproute2 with `words` as arguments, inside.
    fn try_run(&self, program: &str, words: &str) -> bool {
        self.run(|| {
            let ran = Command::new(program).args(words.split(' ')).status();
            ran.is_ok_and(|status| status.success())
        })
    }

    fn try_ip(&self, words: &str) -> bool {
        self.try_run("ip", words)
    }

    pub(crate) fn ip(&self, words: &str) {
        assert!(self.try_ip(words), "ip {words}");
    }

    /// Gives the loopback interface one more address.
    pub(crate) fn add_address(&self, address: &str) {
        if address.contains(':') {
            self.ip(&format!("address add {address}/128 dev lo nodad"));
            self.wait_for(address);
        } else {
            self.ip(&format!("address add {address}/32 dev lo"));
        }
    }

    /// The system makes the route to an IPv6 address of its own some time after the address, and what comes before is lost.
    fn wait_for(&self, address: &str) {
        let route = format!("local {address} ");
        for _ in 0..500 {
            let shown =
                self.run(|| Command::new("ip").args(["-6", "route", "show", "table", "local"]).output()).unwrap();
            if String::from_utf8_lossy(&shown.stdout).contains(&route) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no route to {address}");
    }

    pub(crate) fn tc(&self, words: &str) {
        assert!(self.try_run("tc", words), "tc {words}");
    }

    /// Listens to every packet of every interface inside.
    pub(crate) fn capture(&self) -> Capture {
        self.run(|| {
            let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Capture { socket }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) struct Capture {
    socket: Socket,
}

impl Capture {
    /// The next packet, IP header first, that `is_it` says yes to.
    pub(crate) fn find(&mut self, is_it: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut packet = vec![0; 70_000];
        for _ in 0..1000 {
            let len = self.socket.read(&mut packet).unwrap();
            if is_it(&packet[..len]) {
                packet.truncate(len);
                return packet;
            }
        }
        panic!("a thousand packets, and not the one");
    }
}
