//! Sessions of SMRP with their drivers, over memory, on one thread.

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use smrp::{Accepted, Acceptor, Carrier, Config, Dial, Request, Security, Session};
use std::future::Future;
use std::hint::black_box;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Builder;

const IN_FLIGHT: u64 = 100;
const BULK_LEN: usize = 64 << 10;

/// Runs both ends of a session; `near` ends it.
fn over<F, N>(far: impl FnOnce(Session) -> F, near: impl FnOnce(Session) -> N) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
    N: Future<Output = anyhow::Result<()>>,
{
    // Windows are as wide as time says: with a clock that stands still while anything runs, each run takes the same way.
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let config = || Config::new(Security::Plaintext, true);
        let carrier = |io| Carrier::new(io, Security::Plaintext, true);
        let (a, b) = tokio::io::duplex(1 << 20);
        let (acceptor, dial) = (Acceptor::new(config())?, Dial::new(config()));
        let (session, accepted) = tokio::join!(dial.connect(carrier(a)), acceptor.accept(carrier(b)));
        let Accepted::Session(accepted) = accepted? else { bail!("not a session of its own") };
        let far = tokio::spawn(far(accepted));
        near(session?).await?;
        far.abort();
        Ok(())
    })
}

/// 64 octets there and back, 100 at once.
pub(crate) fn requests(count: u64) -> anyhow::Result<()> {
    let far = |session: Session| async move {
        while let Ok(request) = session.accept_request().await {
            let body = request.body.clone();
            request.reply(body)?;
        }
        Ok(())
    };
    over(far, |session| async move {
        let mut workers = Vec::new();
        for _ in 0..IN_FLIGHT {
            let session = session.clone();
            workers.push(tokio::spawn(async move {
                for _ in 0..count / IN_FLIGHT {
                    let body = Bytes::from_static(&[7; 64]);
                    black_box(session.request(body, Request::default()).await?.await?);
                }
                anyhow::Ok(())
            }));
        }
        for worker in workers {
            worker.await??;
        }
        Ok(())
    })
}

/// 64 octets one way, fed.
pub(crate) fn messages(count: u64) -> anyhow::Result<()> {
    let far = |session: Session| async move {
        let (mut receiver, sender) = session.accept_messages().await?;
        while let Some(message) = receiver.receive().await? {
            black_box(message);
        }
        let mut sender = sender.context("both ways")?;
        sender.send(Bytes::from_static(b"done")).await?;
        std::future::pending().await
    };
    over(far, |session| async move {
        let (mut sender, mut receiver) = session.open_channel(true, Request::default()).await?;
        for _ in 0..count {
            sender.feed(Bytes::from_static(&[7; 64])).await?;
        }
        sender.finish()?;
        receiver.receive().await?.context("an answer")?;
        Ok(())
    })
}

/// 64 octets there and back on an open stream, one after the other.
pub(crate) fn echo(count: u64) -> anyhow::Result<()> {
    let far = |session: Session| async move {
        let mut stream = session.accept().await?.into_bidi().context("both ways")?;
        let mut octets = [0; 64];
        loop {
            stream.read_exact(&mut octets).await?;
            stream.write_all(&octets).await?;
        }
    };
    over(far, |session| async move {
        let mut stream = session.open_bidi(Request::default()).await?;
        let mut octets = [7; 64];
        for _ in 0..count {
            stream.write_all(&octets).await?;
            stream.read_exact(&mut octets).await?;
        }
        Ok(())
    })
}

/// Pieces of 64 KiB by reference.
pub(crate) fn bulk(count: u64) -> anyhow::Result<()> {
    let far = |session: Session| async move {
        let mut stream = session.accept().await?.into_bidi().context("both ways")?;
        let mut len = 0;
        while let Some(piece) = stream.recv.read_chunk(1 << 20).await? {
            len += black_box(piece).len() as u64;
        }
        stream.write_u64(len).await?;
        std::future::pending().await
    };
    over(far, |session| async move {
        let mut stream = session.open_bidi(Request::default()).await?;
        let piece = Bytes::from(vec![7; BULK_LEN]);
        for _ in 0..count {
            stream.send.write_bytes(piece.clone()).await?;
        }
        stream.send.finish()?;
        let len = stream.read_u64().await?;
        ensure!(len == count * BULK_LEN as u64, "{len} octets came");
        Ok(())
    })
}
