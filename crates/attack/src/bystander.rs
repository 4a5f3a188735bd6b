//! Somebody who has nothing to do with it, and a peer who asks as much as it gets answered.

use crate::field::Field;
use postroad::{ConnectOptions, Connection, connect_with};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Between two requests of the bystander.
const EVERY: Duration = Duration::from_millis(4);
/// Requests that the honest peer has under way.
const UNDER_WAY: usize = 64;

/// A session with one small request at a time.
pub(crate) struct Bystander {
    runtime: Runtime,
    connection: Connection,
}

/// Latencies of one phase.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latencies {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) count: usize,
    pub(crate) failed: usize,
}

fn runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().map_err(|error| error.to_string())
}

impl Bystander {
    pub(crate) fn connect(url: &str) -> Result<Self, String> {
        let runtime = runtime()?;
        let connection = runtime.block_on(connect_with(url, ConnectOptions::new()));
        let connection = connection.map_err(|error| format!("the bystander: {error}"))?;
        Ok(Self { runtime, connection })
    }

    /// Asks for as long as `goes_on` says.
    pub(crate) fn ask(&self, mut goes_on: impl FnMut() -> bool) -> Latencies {
        let mut times = Vec::new();
        let mut failed = 0;
        while goes_on() {
            let begun = Instant::now();
            let answered =
                self.runtime.block_on(self.connection.request_within(vec![5_u8; 64], Duration::from_secs(10)));
            failed += usize::from(answered.is_err());
            times.push(begun.elapsed());
            std::thread::sleep(EVERY.saturating_sub(begun.elapsed()));
        }
        times.sort_unstable();
        let at = |share: usize| times.get((times.len().saturating_sub(1)) * share / 100).copied().unwrap_or_default();
        Latencies { p50: at(50), p99: at(99), count: times.len(), failed }
    }
}

/// Not an attack: as many requests as are answered. What it does to the bystander, any peer may do.
pub(crate) fn honest(field: &mut Field, stack: &str) {
    let Ok(runtime) = runtime() else { return };
    let url = if stack.starts_with("smp121") {
        format!("{stack}://{}/box", field.address)
    } else {
        format!("{stack}://{}", field.address)
    };
    runtime.block_on(async {
        let Ok(connection) = postroad::connect(url).await else { return };
        field.outcome.connection_count += 1;
        let until = tokio::time::Instant::now() + field.left();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..UNDER_WAY {
            let connection = connection.clone();
            asking.spawn(async move {
                let mut sent = 0;
                while tokio::time::Instant::now() < until && connection.request(vec![5_u8; 64]).await.is_ok() {
                    sent += 64;
                }
                sent
            });
        }
        while let Some(sent) = asking.join_next().await {
            field.outcome.sent_len += sent.unwrap_or(0);
        }
    });
}
