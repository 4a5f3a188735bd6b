//! Endpoints on tokio: over memory, over sockets, over a carrier that does as it is told.

mod allocations;
mod cancel;
mod carrier;
mod close;
mod exchange;
mod scripted;
mod sockets;

use bytes::Bytes;
use postroad_transport::memory::datagram::{Hub, HubConfig};
use smp121::{Endpoint, Mailslot, RemoteMailslot, Request};
use std::time::Duration;

/// Two endpoints in one memory hub.
pub(crate) struct Pair {
    pub(crate) hub: Hub,
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let hub = HubConfig::default().build().unwrap();
        let [client, server] = [(); 2].map(|()| Endpoint::builder().start(hub.bind().unwrap()).unwrap());
        Self { hub, client, server }
    }

    /// A mailslot of the server, and the client's handle to it.
    pub(crate) fn mailslot(&self, name: &str) -> (Mailslot, RemoteMailslot) {
        let mailslot = self.server.define(name, 1 << 20).unwrap();
        (mailslot, self.client.get(self.server.local_addr(), name).unwrap())
    }
}

/// Answers every request with what `answer` makes of its message, until the endpoint ends.
pub(crate) fn serve(mailslot: Mailslot, answer: impl Fn(&Request) -> Bytes + Send + 'static) {
    tokio::spawn(async move {
        while let Ok(mut request) = mailslot.receive().await {
            let reply = answer(&request);
            request.reply(reply).unwrap();
        }
    });
}

pub(crate) fn echo(mailslot: Mailslot) {
    serve(mailslot, |request| request.message().clone());
}

/// Fails instead of hanging.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("still waiting after 20 s")
}
