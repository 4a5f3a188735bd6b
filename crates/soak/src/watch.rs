//! A run: servers, relays and clients for all stacks at once, a calibration, the load, the faults, and what was seen of it.

mod live;

use crate::client::Plant;
use crate::faults::Fault;
use crate::record::Record;
use crate::stacks::Setup;
use live::Live;
use postroad::dev_certs::DevCa;
use postroad::url::Stack;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Share of what was measured that is asked for then.
pub(crate) const SHARE: f64 = 0.7;
/// All that a short run has place for.
pub(crate) const TIME_MIN: Duration = Duration::from_secs(8);
/// Time in which each stack answers as fast as it can, all at once; a part of a short run.
const CALIBRATION: Duration = Duration::from_secs(6);
/// Between two faults of a stack.
const GAP: core::ops::Range<Duration> = Duration::from_secs(2)..Duration::from_secs(4);
/// At the end there are no faults for so long.
const QUIET: Duration = Duration::from_secs(5);
/// Servers are killed in this part of the run alone, so that the last ones live long enough for their memory to be judged.
const KILLING_PART: u32 = 4;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) stacks: Vec<Stack>,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) binary: PathBuf,
    pub(crate) plant: Vec<Plant>,
}

/// Time since the beginning of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep_until(self, at: Duration) {
        tokio::time::sleep_until(self.0 + at).await;
    }
}

/// Runs it, and tells what was seen of each stack.
pub(crate) async fn run(plan: &Plan) -> Result<Vec<Record>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    certificates(folder.path())?;
    let clock = Clock(Instant::now());
    let mut records = Vec::new();
    let mut all = Vec::new();
    for (number, stack) in plan.stacks.iter().enumerate() {
        let setup = Setup::new(*stack, folder.path(), number);
        match Live::start(plan, setup, clock, number).await {
            Ok(live) => all.push(live),
            Err(why) => records.push(unable(*stack, why)),
        }
    }
    eprintln!("{} stacks; calibrating ...", all.len());
    let calibration = CALIBRATION.min(plan.time / 8);
    sleep(calibration / 3).await;
    let before: Vec<u64> = all.iter().map(Live::answered).collect();
    let measuring = Instant::now();
    sleep(calibration * 2 / 3).await;
    let seconds = measuring.elapsed().as_secs_f64();
    for (live, before) in all.iter_mut().zip(before) {
        let measured = live.answered().saturating_sub(before) as f64 / seconds;
        live.pace(measured, (measured * SHARE).max(1.0)).await;
    }
    let end = clock.now() + plan.time.saturating_sub(calibration);
    eprintln!("load and faults for {:.0} s ...", (end - clock.now()).as_secs_f64());
    let mut running = JoinSet::new();
    for (number, mut live) in all.into_iter().enumerate() {
        let rng = Rng::with_stream(plan.seed, number as u64);
        running.spawn(async move {
            torment(&mut live, rng, clock, end).await;
            clock.sleep_until(end).await;
            live.stop().await
        });
    }
    while let Some(record) = running.join_next().await {
        records.push(record.map_err(|error| error.to_string())?);
    }
    let place = |record: &Record| plan.stacks.iter().position(|stack| stack.to_string() == record.stack);
    records.sort_by_key(place);
    Ok(records)
}

/// One fault after the other, each round in another order, the deadly ones first.
async fn torment(live: &mut Live, mut rng: Rng, clock: Clock, end: Duration) {
    let begun = clock.now();
    let mut round = Vec::new();
    let mut is_killed = false;
    loop {
        if round.is_empty() {
            round = Fault::of(live.setup());
            rng.shuffle(&mut round);
            round.sort_by_key(|fault| matches!(fault, Fault::Kill | Fault::Restart));
        }
        sleep(rng.duration(GAP)).await;
        let now = clock.now();
        if now + QUIET >= end {
            return;
        }
        let Some(fault) = round.pop() else { return };
        let is_late = now - begun > (end - begun) / KILLING_PART;
        if fault == Fault::Kill && is_late && is_killed {
            continue;
        }
        is_killed |= fault == Fault::Kill;
        live.meet(fault).await;
    }
}

/// A stack that this machine cannot run is no fault where it is for want of a privilege.
fn unable(stack: Stack, why: String) -> Record {
    let mut record = Record { stack: stack.to_string(), ..Record::default() };
    if stack.transport() == postroad::url::Transport::Ip && why.contains("CAP_NET_RAW") {
        record.skipped = Some(why);
    } else {
        record.ended.push(why);
    }
    record
}

fn certificates(folder: &Path) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| format!("certificates: {error}");
    let ca = DevCa::generate().map_err(|error| said(&error))?;
    let server = ca.issue_server(&["localhost", "127.0.0.1"]).map_err(|error| said(&error))?;
    let files = [
        ("ca.pem", ca.certificate_pem()),
        ("server.pem", &server.certificate_pem),
        ("server-key.pem", &server.key_pem),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).map_err(|error| said(&error))?;
    }
    Ok(())
}
