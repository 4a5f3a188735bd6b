//! Network namespaces. Each lives as long as a child process that waits for the end of this one, so nothing is left behind,
//! however a test ends.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

#[derive(Debug)]
pub(crate) struct Namespace {
    keeper: Child,
}

impl Namespace {
    /// A network with nothing but a loopback interface, which is up. `None`, said in one line, where this process may not
    /// make one; where CI runs as root, that is a failure.
    pub(crate) fn new() -> Option<Self> {
        let spawned = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let made = spawned.ok().and_then(|mut keeper| {
            let mut line = String::new();
            BufReader::new(keeper.stdout.take()?).read_line(&mut line).ok()?;
            let made = Self { keeper };
            (line == "ready\n" && made.try_run("ip link set lo up").is_ok()).then_some(made)
        });
        if made.is_none() {
            eprintln!(
                "SKIPPED: no network namespace; run as root or under `unshare -rn`, with util-linux and iproute2"
            );
            let must_run = std::env::var("CI").is_ok_and(|ci| ci == "true") && rustix::process::getuid().is_root();
            assert!(!must_run, "CI as root has to run this test");
        }
        made
    }

    /// Two networks, joined by a link: 10.9.0.1 and fd09::1 on `near`, 10.9.0.2 and fd09::2 on `far`.
    pub(crate) fn pair() -> Option<(Self, Self)> {
        let (near, far) = (Self::new()?, Self::new()?);
        near.join(&far);
        Some((near, far))
    }

    /// Joins two networks by a link: this end is `near`, with the addresses that end in 1, the other `far`, with 2.
    pub(crate) fn join(&self, far: &Self) {
        for namespace in [self, far] {
            // Addresses that are looked for twice are no addresses for a second.
            _ = namespace.try_run("sysctl -qw net.ipv6.conf.default.accept_dad=0");
        }
        self.run(&format!("ip link add near type veth peer name far netns {}", far.keeper.id()));
        for (namespace, name, host) in [(self, "near", 1), (far, "far", 2)] {
            namespace.run(&format!("ip address add 10.9.0.{host}/24 dev {name}"));
            namespace.run(&format!("ip address add fd09::{host}/64 dev {name} nodad"));
            namespace.run(&format!("ip link set {name} up"));
        }
    }

    /// Where the system finds it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.keeper.id())
    }

    /// Runs a program inside, or says what it said.
    pub(crate) fn try_run(&self, command: &str) -> Result<String, String> {
        let mut words = command.split(' ');
        let inside = Command::new("nsenter")
            .arg(format!("--net={}", self.path()))
            .arg(words.next().unwrap_or_default())
            .args(words)
            .output();
        let output = inside.map_err(|error| format!("{command}: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }

    #[track_caller]
    pub(crate) fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap()
    }

    /// Makes something, such as a socket, inside. It stays there.
    pub(crate) fn open<T: Send>(&self, open: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(self.path()).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                open()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Counts packets of protocol 121, both ways. `None`, said in one line, without iptables.
    pub(crate) fn counter(&self) -> Option<Counter<'_>> {
        let counted = ["INPUT", "OUTPUT"].map(|chain| self.try_run(&format!("iptables -A {chain} -p 121 -j ACCEPT")));
        match counted.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(_) => Some(Counter { namespace: self }),
            Err(why) => {
                eprintln!("SKIPPED: packets are not counted, {why}");
                assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI has to have iptables");
                None
            }
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
    }
}

pub(crate) struct Counter<'a> {
    namespace: &'a Namespace,
}

impl Counter<'_> {
    /// Packets since the last call.
    pub(crate) fn take(&self) -> u64 {
        let chain = |name| {
            let listed = self.namespace.run(&format!("iptables -L {name} -v -x -n -Z"));
            let rule = listed.lines().find(|line| line.contains("ACCEPT") && line.contains("121")).unwrap();
            rule.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        chain("INPUT") + chain("OUTPUT")
    }
}
