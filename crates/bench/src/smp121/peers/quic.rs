//! QUIC by quinn.

use crate::loopback::SMALL_LEN;
use crate::net;
use crate::smp121::road::{CLIENT, SERVER};
use anyhow::{Context as _, ensure};
use bytes::Bytes;
use postroad_transport::dev_certs::DevCa;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig};
use std::net::SocketAddr;
use std::sync::Arc;

/// What both ends need.
pub(super) struct Configs {
    client: ClientConfig,
    server: ServerConfig,
}

impl Configs {
    pub(super) fn new() -> anyhow::Result<Self> {
        let ca = DevCa::generate()?;
        let identity = ca.issue_server(&[&SERVER.to_string()])?;
        let (client, server) = net::rustls_ends(&ca, &identity)?;
        let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?));
        let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?));
        let mut transport = TransportConfig::default();
        // By default a hundred, so that the next stream would wait for leave; and what quinn advises for small streams.
        transport.max_concurrent_bidi_streams(1024_u32.into()).send_fairness(false);
        let transport = Arc::new(transport);
        client.transport_config(Arc::clone(&transport));
        server.transport_config(transport);
        Ok(Self { client, server })
    }

    /// A connection to a server of its own.
    pub(super) async fn connect(&self) -> anyhow::Result<Asker> {
        let server = Endpoint::server(self.server.clone(), SocketAddr::new(SERVER, 0))?;
        let address = server.local_addr()?;
        tokio::spawn(serve(server));
        let endpoint = Endpoint::client(SocketAddr::new(CLIENT, 0))?;
        let connection = endpoint.connect_with(self.client.clone(), address, &SERVER.to_string())?.await?;
        Ok(Asker { connection })
    }
}

/// Opens a stream for each request.
#[derive(Clone)]
pub(super) struct Asker {
    connection: Connection,
}

impl super::Asker for Asker {
    async fn ask(&self, message: Bytes) -> anyhow::Result<()> {
        let (mut sender, mut receiver) = self.connection.open_bi().await?;
        sender.write_chunk(message.clone()).await?;
        sender.finish()?;
        let reply = receiver.read_to_end(SMALL_LEN).await?;
        ensure!(reply == message, "another reply than was asked for");
        Ok(())
    }
}

async fn serve(endpoint: Endpoint) -> anyhow::Result<()> {
    let connection = endpoint.accept().await.context("the endpoint was closed")?.await?;
    loop {
        let (mut sender, mut receiver) = connection.accept_bi().await?;
        tokio::spawn(async move {
            let request = receiver.read_to_end(SMALL_LEN).await?;
            sender.write_chunk(request.into()).await?;
            sender.finish()?;
            anyhow::Ok(())
        });
    }
}
