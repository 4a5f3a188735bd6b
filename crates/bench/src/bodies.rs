//! Long bodies: messages that go as frames while they are made, and are taken frame by frame.

use crate::streams::{Carrier, End};
use anyhow::{bail, ensure};
use bytes::Bytes;
use smp_framing::machine::Event;
use smp_framing::{Code, Config, Connection, Delivery};
use std::hint::black_box;

/// Octets that the application hands over, or writes, at once.
pub(crate) const PIECE_LEN: usize = 64 * 1024;

/// Frames of up to 65,535 octets, delivered one by one.
pub(crate) fn config() -> anyhow::Result<Config> {
    Ok(Config::builder().with_max_message_size(2 + 65_535).with_delivery(Delivery::Frames).build()?)
}

/// A piece of a body that is free to clone.
pub(crate) fn piece() -> Bytes {
    Bytes::from_static(Box::leak(vec![0x5a; PIECE_LEN].into_boxed_slice()))
}

/// A connection of ours whose items are pieces of one body.
pub(crate) struct SmpBody<C> {
    connection: Connection<C>,
    piece: Bytes,
}

impl<C: Carrier> SmpBody<C> {
    pub(crate) fn new(carrier: C, config: Config, piece: Bytes) -> Self {
        Self { connection: Connection::new(carrier, config), piece }
    }
}

impl<C: Carrier> End for SmpBody<C> {
    async fn send(&mut self, count: u64) -> anyhow::Result<()> {
        let body = self.connection.open_body(1)?;
        for _ in 0..count {
            self.connection.feed_body(body, 0, self.piece.clone()).await?;
        }
        self.connection.finish_body(body)?;
        Ok(self.connection.flush().await?)
    }

    async fn receive(&mut self, count: u64) -> anyhow::Result<()> {
        let mut len = 0;
        loop {
            match self.connection.receive().await? {
                Some(Event::Frame(frame)) => {
                    len += black_box(&frame).arguments.payload_len() as u64;
                    if frame.code == Code::LastFrame {
                        break;
                    }
                }
                other => bail!("{other:?} instead of a frame"),
            }
        }
        ensure!(len == count * self.piece.len() as u64, "{len} octets came, {count} pieces were sent");
        Ok(())
    }
}
