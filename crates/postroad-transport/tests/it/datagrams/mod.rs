//! Datagram carriers: what holds for all of them, and what the network does to each.

pub(crate) mod every;
pub(crate) mod network;
mod privileges;
mod raw;
mod raw_path;
mod udp;

use std::future::poll_fn;

use wirekit::datagram::{DatagramSocket, ReceiveBatch};

use crate::support::soon;

/// Waits for the next batch.
pub(crate) async fn receive(socket: &impl DatagramSocket, batch: &mut ReceiveBatch) {
    soon(poll_fn(|cx| socket.poll_receive(cx, batch))).await.unwrap();
}
