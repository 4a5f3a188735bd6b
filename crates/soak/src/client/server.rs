//! The echo for stacks in memory, which only this process can reach.

use postroad::{Connection, Incoming, Listener};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long there is none when it starts again.
const GONE: Duration = Duration::from_millis(200);

/// A listener and all that it accepted.
pub(super) struct Server {
    url: String,
    tasks: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(url: &str) -> Result<Self, String> {
        let listener = postroad::listen(without_options(url)).await.map_err(|error| error.to_string())?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener));
        Ok(Self { url: url.to_owned(), tasks })
    }

    /// Ends all of it in the middle of whatever it does.
    pub(super) async fn restart(&mut self) -> Result<(), String> {
        self.tasks.shutdown().await;
        tokio::time::sleep(GONE).await;
        *self = Self::start(&self.url).await?;
        Ok(())
    }
}

/// Those of a client are none of a listener.
fn without_options(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

async fn accept(mut listener: Listener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(connection) => drop(connections.spawn(echo(connection))),
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn echo(connection: Connection) {
    let mut replies = JoinSet::new();
    loop {
        tokio::select! {
            incoming = connection.receive() => match incoming {
                Ok(Some(Incoming::Request(request))) => {
                    let message = request.message().clone();
                    replies.spawn(async move { drop(request.reply(message).await) });
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            },
            Some(_) = replies.join_next() => {}
        }
    }
}
