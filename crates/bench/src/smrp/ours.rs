//! Sessions of SMRP.

use super::link::Link;
use super::work::{BULK_LEN, Beside, IN_FLIGHT, PING, Peer, SMALL_LEN, Work, ping, shares, small, timed};
use anyhow::{Context as _, bail};
use smrp::{
    Accepted, Acceptor, Bidi, Carrier, Config, Dial, MessageReceiver, MessageSender, Priority, Request, Security,
    Session,
};
use std::hint::black_box;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

pub(super) struct Ours;

pub(super) struct Client {
    session: Session,
    stream: Option<Bidi>,
    channel: Option<(MessageSender, MessageReceiver)>,
}

fn config() -> Config {
    Config::new(Security::Plaintext, true)
}

fn carrier(mut links: Vec<Link>) -> anyhow::Result<Carrier> {
    Ok(Carrier::new(links.pop().context("a connection")?, Security::Plaintext, true))
}

impl Peer for Ours {
    type Client = Client;

    async fn serve(links: Vec<Link>, work: Work) -> anyhow::Result<()> {
        let Accepted::Session(session) = Acceptor::new(config())?.accept(carrier(links)?).await? else {
            bail!("resumed")
        };
        match work {
            Work::Requests => {
                while let Ok(request) = session.accept_request().await {
                    let body = request.body.clone();
                    request.reply(body)?;
                }
            }
            Work::Messages { .. } => {
                let (mut receiver, sender) = session.accept_messages().await?;
                let mut sender = sender.context("both ways")?;
                while let Some(message) = receiver.receive().await? {
                    if message.is_empty() {
                        sender.send(message).await?;
                    } else {
                        black_box(message);
                    }
                }
            }
            Work::Bulk { .. } => {
                while let Ok(stream) = session.accept().await {
                    tokio::spawn(async move {
                        let mut stream = stream.into_bidi().context("both ways")?;
                        while let Some(piece) = stream.recv.read_chunk(1 << 20).await? {
                            black_box(piece);
                        }
                        stream.write_all(b"x").await?;
                        stream.send.finish()?;
                        anyhow::Ok(())
                    });
                }
            }
            Work::Ping => {
                while let Ok(stream) = session.accept().await {
                    tokio::spawn(async move {
                        let urgent = stream.opened.priority;
                        let mut stream = stream.into_bidi().context("both ways")?;
                        if urgent != Priority::new(0) {
                            while let Some(piece) = stream.recv.read_chunk(1 << 20).await? {
                                black_box(piece);
                            }
                            return anyhow::Ok(());
                        }
                        stream.send.set_priority(urgent);
                        let mut octets = PING;
                        while stream.read_exact(&mut octets).await.is_ok() {
                            stream.write_all(&octets).await?;
                        }
                        Ok(())
                    });
                }
            }
            Work::Echo | Work::OpenEchoClose => {
                while let Ok(stream) = session.accept().await {
                    tokio::spawn(async move {
                        let mut stream = stream.into_bidi().context("both ways")?;
                        let mut octets = [0; SMALL_LEN];
                        loop {
                            let len = stream.read(&mut octets).await?;
                            let Some(octets) = octets.get(..len).filter(|octets| !octets.is_empty()) else { break };
                            stream.write_all(octets).await?;
                        }
                        stream.send.finish()?;
                        anyhow::Ok(())
                    });
                }
            }
        }
        Ok(())
    }

    async fn connect(links: Vec<Link>, work: Work) -> anyhow::Result<Client> {
        let session = Dial::new(config()).connect(carrier(links)?).await?;
        let stream = match work {
            Work::Echo => Some(session.open_bidi(Request::default()).await?),
            Work::Ping => Some(session.open_bidi(Request::default().with_priority(Priority::new(0))).await?),
            _ => None,
        };
        let channel = match work {
            Work::Messages { .. } => Some(session.open_channel(true, Request::default()).await?),
            _ => None,
        };
        Ok(Client { session, stream, channel })
    }

    async fn work(client: &mut Client, work: Work, count: u64, nanos: &mut Vec<f64>) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        match work {
            Work::Bulk { streams } => {
                let piece = vec![7; BULK_LEN];
                for share in shares(count, streams).into_iter().filter(|share| *share > 0) {
                    let mut stream = client.session.open_bidi(Request::default()).await?;
                    let piece = piece.clone();
                    tasks.spawn(async move {
                        for _ in 0..share {
                            stream.write_all(&piece).await?;
                        }
                        stream.send.finish()?;
                        stream.read_u8().await?;
                        anyhow::Ok(())
                    });
                }
            }
            Work::Echo => {
                let stream = client.stream.as_mut().context("a stream")?;
                let mut octets = [7; SMALL_LEN];
                for _ in 0..count {
                    timed(nanos, async {
                        stream.write_all(&octets).await?;
                        Ok(stream.read_exact(&mut octets).await?)
                    })
                    .await?;
                }
            }
            Work::Requests => {
                for share in shares(count, IN_FLIGHT) {
                    let (session, body) = (client.session.clone(), small(SMALL_LEN));
                    tasks.spawn(async move {
                        for _ in 0..share {
                            black_box(session.request(body.clone(), Request::default()).await?.await?);
                        }
                        Ok(())
                    });
                }
            }
            Work::OpenEchoClose => {
                for share in shares(count, IN_FLIGHT) {
                    let session = client.session.clone();
                    tasks.spawn(async move {
                        let mut octets = [7; 8];
                        for _ in 0..share {
                            let mut stream = session.open_bidi(Request::default()).await?;
                            stream.write_all(&octets).await?;
                            stream.send.finish()?;
                            stream.read_exact(&mut octets).await?;
                            if stream.read(&mut octets).await? != 0 {
                                bail!("more than was sent");
                            }
                        }
                        Ok(())
                    });
                }
            }
            Work::Ping => {
                let mut bulk = client.session.open_bidi(Request::default()).await?;
                let bulk = async move {
                    let piece = vec![7; BULK_LEN];
                    loop {
                        bulk.write_all(&piece).await?;
                    }
                };
                let stream = client.stream.as_mut().context("a stream")?;
                let beside = Beside::start(bulk);
                for _ in 0..count {
                    ping(nanos, async {
                        stream.write_all(&PING).await?;
                        stream.read_exact(&mut [0; 8]).await?;
                        Ok(())
                    })
                    .await?;
                }
                beside.end()?;
            }
            Work::Messages { len } => {
                let (sender, receiver) = client.channel.as_mut().context("a channel")?;
                let message = small(len);
                for _ in 0..count {
                    sender.feed(message.clone()).await?;
                }
                sender.send(small(0)).await?;
                receiver.receive().await?;
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }
}
