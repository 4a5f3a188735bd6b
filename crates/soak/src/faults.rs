//! What is done to a stack while it works.

use crate::relay::{Mode, Relay, connect};
use crate::stacks::{Place, Setup};
use postroad::url::Transport;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::sleep;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The server is killed, and started again at the same address.
    Kill,
    /// The process stands still: SIGSTOP, then SIGCONT.
    Freeze,
    /// All connections are cut; of datagrams, the client gets another address.
    Cut,
    /// Nothing passes.
    Stall,
    /// The client seems to read slowly; datagrams are lost.
    Slow,
    /// Every second `accept` fails with EMFILE, while connections are cut again and again.
    NoDescriptors,
    /// In memory: all tasks of the server end at once.
    Restart,
    /// Other connections of the client are dropped with requests under way.
    Abandon,
}

const FREEZE: Duration = Duration::from_millis(1_500);
const STALL: Duration = Duration::from_millis(1_500);
const SLOW: Duration = Duration::from_secs(2);
const ATTACH_MAX: Duration = Duration::from_secs(5);
const CUT_COUNT: usize = 6;
const CUT_EVERY: Duration = Duration::from_millis(300);

impl Fault {
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Kill, "kill"),
        (Self::Freeze, "freeze"),
        (Self::Cut, "cut"),
        (Self::Stall, "stall"),
        (Self::Slow, "slow"),
        (Self::NoDescriptors, "emfile"),
        (Self::Restart, "restart"),
        (Self::Abandon, "abandon"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(fault, _)| *fault == self).map_or("", |(_, name)| name)
    }

    /// Those that this stack can meet.
    pub(crate) fn of(setup: &Setup) -> Vec<Self> {
        match setup.stack.transport() {
            Transport::Mem => vec![Self::Restart, Self::Freeze, Self::Abandon],
            Transport::Ip => vec![Self::Kill, Self::Freeze, Self::Abandon],
            Transport::Udp => vec![Self::Kill, Self::Freeze, Self::Cut, Self::Stall, Self::Slow, Self::Abandon],
            _ => vec![Self::Kill, Self::Freeze, Self::Cut, Self::Stall, Self::Slow, Self::Abandon, Self::NoDescriptors],
        }
    }

    /// Whether requests may end with an error for it. Never without one.
    pub(crate) fn may_fail(self, outlives_connections: bool) -> bool {
        match self {
            Self::Kill | Self::Restart => true,
            Self::Cut | Self::NoDescriptors => !outlives_connections,
            Self::Freeze | Self::Stall | Self::Slow | Self::Abandon => false,
        }
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _may_be_gone = kill_process(pid, signal);
    }
}

pub(crate) async fn freeze(pid: u32) {
    signal(pid, Signal::STOP);
    sleep(FREEZE).await;
    signal(pid, Signal::CONT);
}

pub(crate) async fn stall(relay: &Relay) {
    relay.set(Mode::Stall);
    sleep(STALL).await;
    relay.set(Mode::Pass);
}

pub(crate) async fn slow(relay: &Relay) {
    relay.set(Mode::Slow);
    sleep(SLOW).await;
    relay.set(Mode::Pass);
}

/// Every second `accept` fails while clients come again and again. An error where this machine cannot do it.
pub(crate) async fn no_descriptors(pid: u32, relay: &Relay, server: &Place, log: &Path) -> Result<(), String> {
    let mut strace = tokio::process::Command::new("strace")
        .args(["-f", "-e", "trace=accept4", "-e", "inject=accept4:error=EMFILE:when=2+2", "-o"])
        .arg(log)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("strace: {error}"))?;
    if let Err(why) = attached(pid, &mut strace).await {
        drop(strace.kill().await);
        return Err(why);
    }
    for _ in 0..CUT_COUNT {
        relay.cut();
        // Others who come, are let in or not, and go.
        for _ in 0..4 {
            drop(connect(server).await);
        }
        sleep(CUT_EVERY).await;
    }
    // It lets go of the process when it is interrupted; killed it would too.
    if let Some(id) = strace.id() {
        signal(id, Signal::INT);
    }
    drop(strace.wait().await);
    let text = std::fs::read_to_string(log).unwrap_or_default();
    drop(std::fs::remove_file(log));
    if text.contains("(INJECTED)") { Ok(()) } else { Err("strace injected nothing".to_owned()) }
}

/// Waits until strace has taken hold of the process.
async fn attached(pid: u32, strace: &mut tokio::process::Child) -> Result<(), String> {
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < ATTACH_MAX {
        if let Ok(Some(status)) = strace.try_wait() {
            return Err(format!("strace may not: {status}"));
        }
        let is_traced = |status: String| !status.contains("TracerPid:\t0\n");
        if std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(is_traced) {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(format!("strace did not take hold within {ATTACH_MAX:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stack_meets_a_fault_that_ends_it_and_one_that_must_cost_nothing() {
        for (number, stack) in crate::stacks::all().into_iter().enumerate() {
            let faults = Fault::of(&Setup::new(stack, Path::new("/folder"), number));
            assert!(faults.iter().any(|fault| fault.may_fail(false)), "{stack}");
            assert!(faults.iter().any(|fault| !fault.may_fail(false)), "{stack}");
        }
    }
}
