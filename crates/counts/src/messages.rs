//! Messages of smp-framing over memory, on one thread.

use anyhow::Context as _;
use smp_framing::{Arguments, Config, Connection};
use std::hint::black_box;
use tokio::runtime::Builder;

/// 64 octets one way, fed.
pub(crate) fn smp(count: u64) -> anyhow::Result<()> {
    Builder::new_current_thread().enable_time().build()?.block_on(async {
        let (a, b) = tokio::io::duplex(1 << 20);
        let (mut near, mut far) = (Connection::new(a, Config::default()), Connection::new(b, Config::default()));
        let receiving = tokio::spawn(async move {
            for _ in 0..count {
                black_box(far.receive().await?.context("a message")?);
            }
            anyhow::Ok(())
        });
        let message: Arguments = bytes::Bytes::from_static(&[7; 64]).into();
        for _ in 0..count {
            near.feed(message.clone()).await?;
        }
        near.flush().await?;
        receiving.await?
    })
}
