//! Endpoints of `smp121`.

use super::road::Road;
use super::{LARGE_LEN, bare};
use crate::harness::{Stopwatch, Timing, clock};
use crate::loopback::small;
use anyhow::ensure;
use bytes::Bytes;
use smp121::{Endpoint, Limits, Mailslot, RemoteMailslot};

/// Enough for a hundred requests of which sixteen at once go to each.
const MAILSLOT_COUNT: u64 = 7;

/// Replies with what came, or with nothing where `is_sink`.
fn serve(mailslot: Mailslot, is_sink: bool) {
    tokio::spawn(async move {
        while let Ok(mut request) = mailslot.receive().await {
            let message = request.take_message();
            if request.reply(if is_sink { Bytes::new() } else { message }).is_err() {
                return;
            }
        }
    });
}

/// Two endpoints.
struct Ends {
    client: Endpoint,
    server: Endpoint,
}

impl Ends {
    fn new(road: Road, segment_len_max: usize) -> anyhow::Result<Self> {
        let [client, server] = road.sockets()?;
        let mut limits = Limits::default();
        limits.peer_assembly_len_max = 4 * LARGE_LEN;
        limits.assembly_len_max = 4 * LARGE_LEN;
        let builder = Endpoint::builder().with_limits(limits).with_segment_len_max(segment_len_max);
        Ok(Self { client: builder.clone().start_shared(client)?, server: builder.start_shared(server)? })
    }

    async fn mailslot(&self, name: &str, len_max: usize, is_sink: bool) -> anyhow::Result<RemoteMailslot> {
        serve(self.server.define(name, len_max)?, is_sink);
        let remote = self.client.get(self.server.local_addr(), name)?;
        remote.resolve().await?;
        Ok(remote)
    }
}

/// One request after another.
pub(super) async fn ping(road: Road, count: u64) -> anyhow::Result<Timing> {
    let ends = Ends::new(road, super::SEGMENT_LEN)?;
    let remote = ends.mailslot("echo", 1000, false).await?;
    let message = small();
    // In a task, as everything in a server is.
    tokio::spawn(async move {
        for _ in 0..bare::warm_up(count) {
            remote.send(message.clone()).await?;
        }
        let mut laps = bare::Laps::begin(count)?;
        for _ in 0..count {
            let start = clock();
            let reply = remote.send(message.clone()).await?;
            laps.add(start);
            ensure!(reply.len() == message.len(), "a reply of {} octets", reply.len());
        }
        Ok(laps.end())
    })
    .await?
}

/// A hundred at once.
pub(super) async fn many(road: Road, count: u64) -> anyhow::Result<Timing> {
    let ends = Ends::new(road, super::SEGMENT_LEN)?;
    let mut remotes = Vec::new();
    for index in 0..MAILSLOT_COUNT {
        remotes.push(ends.mailslot(&format!("echo {index}"), 1000, false).await?);
    }
    let each = count / bare::OUTSTANDING + 1;
    let watch = Stopwatch::start();
    let mut tasks = Vec::new();
    for (_, remote) in (0..bare::OUTSTANDING).zip(remotes.iter().cycle()) {
        let remote = remote.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..each {
                remote.send(small()).await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(bare::scaled(watch.stop(), count, each * bare::OUTSTANDING))
}

/// Large messages, one after another.
pub(super) async fn large(road: Road, segment_len: usize, count: u64) -> anyhow::Result<Timing> {
    let ends = Ends::new(road, segment_len)?;
    let remote = ends.mailslot("sink", LARGE_LEN, true).await?;
    let message = Bytes::from(vec![0x5a; LARGE_LEN]);
    let task = tokio::spawn(async move {
        remote.send(message.clone()).await?;
        let watch = Stopwatch::start();
        for _ in 0..count {
            remote.send(message.clone()).await?;
        }
        anyhow::Ok(watch.stop())
    });
    let timing = task.await?;
    if std::env::var_os("SMP121_COUNTERS").is_some() {
        crate::progress(&format!("client {:?}\nserver {:?}", ends.client.counters(), ends.server.counters()));
    }
    timing
}
