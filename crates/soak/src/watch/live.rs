//! One stack while it runs: its processes, what they say, and what is done to them.

use super::{Clock, Plan};
use crate::client::now_ms;
use crate::faults::{self, Fault};
use crate::judge::RESUME_WITHIN;
use crate::record::{Counts, Failure, Injected, KEPT_MAX, Record, Series};
use crate::relay::Relay;
use crate::stacks::{Place, Setup};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testkit::process::{Process, Serving};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const SAMPLE_EVERY: Duration = Duration::from_millis(500);
/// How long a server may take to start where another one was a moment ago.
const START_MAX: Duration = Duration::from_secs(10);
/// How long the client may take to end its last requests.
const STOP_MAX: Duration = Duration::from_secs(20);

/// What the tasks of a stack share.
#[derive(Debug)]
struct Seen {
    clock: Clock,
    record: Mutex<Record>,
    /// The server that has to live now.
    server: Mutex<Option<Process>>,
}

/// What the client said last.
#[derive(Clone, Copy, Debug, Default)]
struct Tick {
    counts: Counts,
    fresh_ms: u64,
    is_last: bool,
}

/// One stack.
#[derive(Debug)]
pub(super) struct Live {
    setup: Setup,
    binary: PathBuf,
    seen: Arc<Seen>,
    server: Option<Serving>,
    /// Where the server is, and what stands before it.
    place: Place,
    relay: Option<Relay>,
    client: Child,
    orders: ChildStdin,
    ticks: watch::Receiver<Tick>,
    _tasks: JoinSet<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn record(&self) -> MutexGuard<'_, Record> {
        locked(&self.record)
    }

    fn say(&self, who: &str, line: &str) {
        let at = self.clock.now();
        let mut record = self.record();
        if record.said.len() < KEPT_MAX {
            record.said.push((at, format!("{who}: {line}")));
        }
    }

    fn ended(&self, what: impl Into<String>) {
        let mut record = self.record();
        if record.ended.len() < KEPT_MAX {
            record.ended.push(what.into());
        }
    }

    /// A line that the client told.
    fn take_line(&self, line: &str) -> Option<Tick> {
        let value: Value = serde_json::from_str(line).ok()?;
        let at = self.clock.now();
        if let Some(why) = value.get("failure").and_then(Value::as_str) {
            let mut record = self.record();
            if record.failures.len() < KEPT_MAX {
                record.failures.push(Failure { at, why: why.to_owned() });
            }
            return None;
        }
        if let Some(what) = value.get("ended").and_then(Value::as_str) {
            self.ended(what);
            return None;
        }
        let of = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
        let counts = Counts {
            asked: of("asked"),
            answered: of("answered"),
            failed: of("failed"),
            wrong: of("wrong"),
            lost: of("lost"),
        };
        let mut record = self.record();
        record.counts = counts;
        record.tasks.push((at, of("tasks")));
        let is_last = value.get("last").and_then(Value::as_bool).unwrap_or_default();
        Some(Tick { counts, fresh_ms: of("fresh_ms"), is_last })
    }

    async fn sample(self: Arc<Self>, client: Process) {
        loop {
            sleep(SAMPLE_EVERY).await;
            let server = *locked(&self.server);
            let (of_client, of_server) = (client.sample(), server.map(Process::sample));
            let at = self.clock.now();
            let mut record = self.record();
            if let Some(sample) = of_client {
                record.client.samples.push((at, sample));
            }
            match of_server {
                Some(Some(sample)) => {
                    if let Some(last) = record.servers.last_mut() {
                        last.samples.push((at, sample));
                    }
                }
                // Unless it was killed between the two looks.
                Some(None) if *locked(&self.server) == server => {
                    *locked(&self.server) = None;
                    record.ended.push("the server ended by itself".to_owned());
                }
                _ => {}
            }
        }
    }
}

impl Live {
    pub(super) async fn start(plan: &Plan, setup: Setup, clock: Clock, number: usize) -> Result<Self, String> {
        let outlives_connections = setup.outlives_connections();
        let record = Record { stack: setup.stack.to_string(), outlives_connections, ..Record::default() };
        let seen = Arc::new(Seen { clock, record: Mutex::new(record), server: Mutex::new(None) });
        let mut place = setup.first_place();
        let (mut server, mut relay) = (None, None);
        let mut front = place.clone();
        if !setup.is_in_memory() {
            let started = serve(&plan.binary, &setup.server_url(&place), &seen).await?;
            place = setup.place_of(&started.url).ok_or(format!("{}: no address", started.url))?;
            server = Some(started);
            let socket = setup.socket("relay");
            let made =
                Relay::start(place.clone(), socket, plan.seed).await.map_err(|error| format!("relay: {error}"))?;
            front = made.1;
            relay = Some(made.0);
        }
        let mut tasks = JoinSet::new();
        let (tick, ticks) = watch::channel(Tick::default());
        let mut client = start_client(plan, &setup, &front, number)?;
        let orders = client.stdin.take().ok_or("the client has no standard input")?;
        tasks.spawn(hear(client.stdout.take(), Arc::clone(&seen), tick));
        tasks.spawn(listen(client.stderr.take(), Arc::clone(&seen)));
        tasks.spawn(Arc::clone(&seen).sample(Process(client.id().unwrap_or_default())));
        let binary = plan.binary.clone();
        Ok(Self { setup, binary, seen, server, place, relay, client, orders, ticks, _tasks: tasks })
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(super) fn answered(&self) -> u64 {
        self.ticks.borrow().counts.answered
    }

    async fn order(&mut self, line: &str) {
        if self.orders.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            self.seen.ended("the client ended by itself");
        }
    }

    pub(super) async fn pace(&mut self, measured: f64, planned: f64) {
        {
            let mut record = self.seen.record();
            record.measured = measured;
            record.planned = planned;
            record.from = self.seen.clock.now();
        }
        self.order(&format!("pace {planned}")).await;
    }

    /// Injects a fault, and waits until the stack goes on.
    pub(super) async fn meet(&mut self, fault: Fault) {
        let from = self.seen.clock.now();
        if let Err(why) = self.inject(fault).await {
            let mut record = self.seen.record();
            record.not_injected.push(format!("{}: {why}", fault.name()));
        }
        let (to, to_ms) = (self.seen.clock.now(), now_ms());
        let went_on = self.ticks.wait_for(|tick| tick.fresh_ms > to_ms);
        let went_on = timeout(RESUME_WITHIN, went_on).await.is_ok_and(|tick| tick.is_ok());
        let resumed = went_on.then(|| self.seen.clock.now() - to);
        self.seen.record().faults.push(Injected { fault, from, to, resumed });
    }

    async fn inject(&mut self, fault: Fault) -> Result<(), String> {
        let pid = self.server.as_ref().map_or_else(|| self.client.id(), |server| Some(server.child.id()));
        let pid = pid.ok_or("the process is gone")?;
        let relay = self.relay.as_ref().ok_or("there is no relay");
        match fault {
            Fault::Kill => self.kill().await?,
            Fault::Freeze => faults::freeze(pid).await,
            Fault::Cut => relay?.cut(),
            Fault::Stall => faults::stall(relay?).await,
            Fault::Slow => faults::slow(relay?).await,
            Fault::NoDescriptors => {
                let log = self.setup.socket("strace");
                faults::no_descriptors(pid, relay?, &self.place, &log).await?;
            }
            Fault::Restart => {
                self.order("restart").await;
                // It has ended what there was by then.
                sleep(Duration::from_millis(100)).await;
            }
            Fault::Abandon => {
                self.order("abandon").await;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Ok(())
    }

    async fn kill(&mut self) -> Result<(), String> {
        *locked(&self.seen.server) = None;
        self.server = None;
        let begun = Instant::now();
        loop {
            match serve(&self.binary, &self.setup.server_url(&self.place), &self.seen).await {
                Ok(server) => {
                    self.server = Some(server);
                    return Ok(());
                }
                Err(why) if begun.elapsed() > START_MAX => {
                    self.seen.ended(format!("could not start again: {why}"));
                    return Err(why);
                }
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Ends the load, and tells what was seen.
    pub(super) async fn stop(mut self) -> Record {
        self.seen.record().to = self.seen.clock.now();
        self.order("stop").await;
        if !timeout(STOP_MAX, self.ticks.wait_for(|tick| tick.is_last)).await.is_ok_and(|tick| tick.is_ok()) {
            self.seen.ended("the client did not end its requests");
        }
        *locked(&self.seen.server) = None;
        self.seen.record().clone()
    }
}

/// Starts a server, and puts it among what is watched.
async fn serve(binary: &Path, url: &str, seen: &Arc<Seen>) -> Result<Serving, String> {
    let mut command = Command::new(binary);
    command.args(["serve", url, "--echo"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let started = tokio::task::spawn_blocking(move || Serving::start(&mut command));
    let mut serving = started.await.map_err(|error| error.to_string())??;
    if let Some(stderr) =
        serving.child.stderr.take().and_then(|stderr| tokio::process::ChildStderr::from_std(stderr).ok())
    {
        tokio::spawn(listen_to("server", Some(stderr), Arc::clone(seen)));
    }
    seen.record().servers.push(Series::default());
    *locked(&seen.server) = Some(serving.process());
    Ok(serving)
}

fn start_client(plan: &Plan, setup: &Setup, front: &Place, number: usize) -> Result<Child, String> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let how = if setup.is_in_memory() { "--client-and-server" } else { "--client" };
    let seed = plan.seed.wrapping_mul(1_000).wrapping_add(number as u64);
    let mut command = tokio::process::Command::new(myself);
    command.args([how, &setup.client_url(front), "--seed", &seed.to_string()]);
    if !plan.plant.is_empty() {
        let names: Vec<&str> = plan.plant.iter().map(|plant| plant.name()).collect();
        command.args(["--plant", &names.join(",")]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|error| format!("could not start the client: {error}"))
}

async fn hear(stdout: Option<tokio::process::ChildStdout>, seen: Arc<Seen>, ticks: watch::Sender<Tick>) {
    let Some(stdout) = stdout else { return };
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(tick) = seen.take_line(&line) {
            ticks.send_replace(tick);
        }
    }
}

async fn listen(stderr: Option<tokio::process::ChildStderr>, seen: Arc<Seen>) {
    listen_to("client", stderr, seen).await;
}

async fn listen_to(who: &str, stderr: Option<tokio::process::ChildStderr>, seen: Arc<Seen>) {
    let Some(stderr) = stderr else { return };
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        seen.say(who, &line);
    }
}
