//! Requests and replies of `smp121` beside those of other protocols.

mod nats;
mod quic;
mod tcp;

use super::bare::{Laps, OUTSTANDING, scaled, warm_up};
use super::road::Road;
use super::{SMP_RAW, SMP_UDP, contender, ours};
use crate::args::Settings;
use crate::figure::{Aim, Bound, Figure, Unit};
use crate::harness::{Contender, Plan, Stopwatch, Timing, clock};
use crate::loopback::small;
use crate::machine::Noise;
use bytes::Bytes;
use std::future::Future;

const TCP_EACH: &str = "TCP, a connection per request";
const TCP_KEPT: &str = "TCP, one kept connection";
const QUIC: &str = "QUIC (quinn), a stream per request";
const NATS: &str = "NATS";

/// Whom to be ahead of. The kept TCP connection is there for orientation.
const AHEAD_OF: [&[&str]; 3] = [&[TCP_EACH], &[QUIC], &[NATS]];

const ONE_NAME: &str = "request and reply of 64 B beside other protocols";
const MANY_NAME: &str = "request and reply of 64 B beside other protocols, 100 at once";

const PLACEMENT: &str = "Client and server are tasks on one tokio current-thread runtime. Of NATS, both clients are; its \
    broker, nats-server, is by nature a process of its own, on whatever processor the system gives it, and its processor time \
    is counted in. TCP: TCP_NODELAY; a connection per request is made, written to, read from and closed by the client. QUIC: \
    one connection, AES-256-GCM as rustls chooses it; nothing else here is encrypted.";
const TASKS: &str = "A hundred tasks, each with one request at a time, of smp121 to seven mailslots. Of the kept TCP \
    connection, one task with a hundred requests in flight, which come back as octets that nobody looks at.";
const WITHOUT_NATS: &str = "The rows of NATS are skipped: there is no nats-server here (Debian: nats-server).";

/// The client of a server that replies with what came.
trait Asker: Clone + Send + 'static {
    /// Sends a request, takes the reply and checks it.
    fn ask(&self, message: Bytes) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// One request after another.
async fn one(asker: impl Asker, count: u64) -> anyhow::Result<Timing> {
    // In a task, as everything in a server is.
    tokio::spawn(async move {
        for _ in 0..warm_up(count) {
            asker.ask(small()).await?;
        }
        let mut laps = Laps::begin(count)?;
        for _ in 0..count {
            let start = clock();
            asker.ask(small()).await?;
            laps.add(start);
        }
        Ok(laps.end())
    })
    .await?
}

/// A hundred at once.
async fn many(asker: impl Asker, count: u64) -> anyhow::Result<Timing> {
    asker.ask(small()).await?;
    let each = count / OUTSTANDING + 1;
    let watch = Stopwatch::start();
    let mut tasks = Vec::new();
    for _ in 0..OUTSTANDING {
        let asker = asker.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..each {
                asker.ask(small()).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(scaled(watch.stop(), count, each * OUTSTANDING))
}

fn one_at_a_time<'a>(quic: &'a quic::Configs, nats: Option<&nats::Broker>) -> Vec<Contender<'a>> {
    let mut contenders = vec![
        contender(SMP_UDP, |count| ours::ping(Road::Udp, count)),
        contender(SMP_RAW, |count| ours::ping(Road::Raw, count)),
        contender(TCP_EACH, async |count| one(tcp::Asker::start().await?, count).await),
        contender(TCP_KEPT, tcp::ping_kept),
        contender(QUIC, async |count| one(quic.connect().await?, count).await),
    ];
    if let Some(address) = nats.map(nats::Broker::address) {
        contenders
            .push(contender(NATS, move |count| async move { one(nats::Asker::connect(address).await?, count).await }));
    }
    contenders
}

fn many_at_once<'a>(quic: &'a quic::Configs, nats: Option<&nats::Broker>) -> Vec<Contender<'a>> {
    let mut contenders = vec![
        contender(SMP_UDP, |count| ours::many(Road::Udp, count)),
        contender(SMP_RAW, |count| ours::many(Road::Raw, count)),
        contender(TCP_EACH, async |count| many(tcp::Asker::start().await?, count).await),
        contender(TCP_KEPT, tcp::many_kept),
        contender(QUIC, async |count| many(quic.connect().await?, count).await),
    ];
    if let Some(address) = nats.map(nats::Broker::address) {
        contenders
            .push(contender(NATS, move |count| async move { many(nats::Asker::connect(address).await?, count).await }));
    }
    contenders
}

/// Those figures of the group that stand beside other protocols.
pub(super) fn figures(settings: &Settings, noise: &mut Noise) -> anyhow::Result<Vec<Figure>> {
    if ![ONE_NAME, MANY_NAME].into_iter().any(|name| settings.wants(name)) {
        return Ok(Vec::new());
    }
    let nats = nats::Broker::start()?;
    let note = |text: &str| -> &'static str {
        let skipped = if nats.is_some() { "" } else { WITHOUT_NATS };
        format!("{text} {skipped}").trim_end().to_owned().leak()
    };
    if nats.is_none() {
        crate::progress(&format!("  {WITHOUT_NATS}"));
    }
    let quic = quic::Configs::new()?;
    let plan = |name: &str, note, unit, contenders| Plan {
        group: "smp121",
        name: name.into(),
        note,
        unit,
        contenders,
        aims: [SMP_UDP, SMP_RAW]
            .into_iter()
            .flat_map(|ours| AHEAD_OF.map(|peers| Aim { ours, peers, bound: Bound::RateAtLeast(1.0) }))
            .collect(),
    };
    let plans = [
        plan(ONE_NAME, note(PLACEMENT), Unit::Micros, one_at_a_time(&quic, nats.as_ref())),
        plan(MANY_NAME, note(TASKS), Unit::Messages, many_at_once(&quic, nats.as_ref())),
    ];
    let wanted = plans.into_iter().filter(|plan| settings.wants(&plan.name));
    wanted.map(|plan| plan.measure(settings, noise)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smp121::alone;
    use std::time::Duration;

    /// On a runtime of its own, and not for ever where an answer is missing.
    fn run(run: impl Future<Output = anyhow::Result<Timing>>) -> Timing {
        alone(async { tokio::time::timeout(Duration::from_secs(20), run).await? }).unwrap()
    }

    /// Checks each reply, as the figures do.
    fn asks_and_is_answered<A: Asker>(start: impl AsyncFn() -> anyhow::Result<A>) {
        let timing = run(async { one(start().await?, 20).await });
        assert!(timing.percentiles.is_some_and(|(median, p99)| 0.0 < median && median <= p99), "{timing:?}");
        run(async { many(start().await?, 200).await });
    }

    #[test]
    fn a_tcp_connection_per_request_is_answered() {
        asks_and_is_answered(tcp::Asker::start);
    }

    #[test]
    fn a_kept_tcp_connection_is_answered() {
        run(tcp::ping_kept(20));
        run(tcp::many_kept(1000));
    }

    #[test]
    fn quic_streams_are_answered() {
        let configs = quic::Configs::new().unwrap();
        asks_and_is_answered(async || configs.connect().await);
    }
}
