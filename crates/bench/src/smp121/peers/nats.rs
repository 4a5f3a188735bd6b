//! NATS: two clients and a broker between them.

use crate::machine::Helper;
use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};

const SUBJECT: &str = "echo";

/// What nats-server says once it listens, before the address.
const LISTENS: &str = "Listening for client connections on ";

/// A nats-server on a port of its own; killed when dropped.
pub(super) struct Broker {
    process: Child,
    address: SocketAddr,
    /// Kept open: writing to a closed one would kill it.
    _log: BufReader<ChildStderr>,
    _counted: Helper,
}

/// Kills and awaits a process, whatever became of it.
fn end(process: &mut Child) {
    drop(process.kill());
    drop(process.wait());
}

impl Broker {
    /// `None` where the program is missing.
    pub(super) fn start() -> anyhow::Result<Option<Self>> {
        // Where Debian has it, only root looks.
        for program in ["nats-server", "/usr/sbin/nats-server"] {
            let mut command = Command::new(program);
            // The port is any that is free.
            command.args(["--addr", "127.0.0.1", "--port", "-1"]);
            match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn() {
                Ok(mut process) => {
                    let listening = listening(&mut process);
                    if listening.is_err() {
                        end(&mut process);
                    }
                    let (address, log) = listening?;
                    let counted = Helper::count(process.id());
                    return Ok(Some(Self { process, address, _log: log, _counted: counted }));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).context("start nats-server"),
            }
        }
        Ok(None)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Waits until it listens, and reads where.
fn listening(process: &mut Child) -> anyhow::Result<(SocketAddr, BufReader<ChildStderr>)> {
    let mut log = BufReader::new(process.stderr.take().context("no standard error of nats-server")?);
    let mut text = String::new();
    loop {
        let read_len = text.len();
        if log.read_line(&mut text)? == 0 {
            bail!("nats-server ended: {}", text.trim());
        }
        if let Some((_, address)) = text.get(read_len..).and_then(|line| line.split_once(LISTENS)) {
            return Ok((address.trim().parse().context("the address of nats-server")?, log));
        }
    }
}

/// A client to which another one replies, each on a connection of its own to the broker.
#[derive(Clone)]
pub(super) struct Asker {
    client: async_nats::Client,
}

impl Asker {
    pub(super) async fn connect(broker: SocketAddr) -> anyhow::Result<Self> {
        let url = format!("nats://{broker}");
        let replier = async_nats::connect(&url).await?;
        let mut requests = replier.subscribe(SUBJECT).await?;
        // The broker knows of it from here on.
        replier.flush().await?;
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let inbox = request.reply.context("a request without a place for the reply")?;
                replier.publish(inbox, request.payload).await?;
            }
            anyhow::Ok(())
        });
        Ok(Self { client: async_nats::connect(&url).await? })
    }
}

impl super::Asker for Asker {
    async fn ask(&self, message: Bytes) -> anyhow::Result<()> {
        let reply = self.client.request(SUBJECT, message.clone()).await?;
        ensure!(reply.payload == message, "another reply than was asked for");
        Ok(())
    }
}
