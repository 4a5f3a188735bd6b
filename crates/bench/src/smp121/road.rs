//! Pairs of datagram sockets on the loopback interface.

use anyhow::Context as _;
use postroad_transport::{raw, udp};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use wirekit::datagram::DatagramSocket;

/// The receive buffer of every datagram socket in this group, as far as the system gives it.
pub(super) const RECEIVE_BUFFER_LEN: usize = 4 << 20;

/// What carries the datagrams.
#[derive(Clone, Copy, Debug)]
pub(super) enum Road {
    Udp,
    Raw,
}

/// Addresses of our own in the loopback network, one for each end.
pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 121, 0, 1));
pub(super) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 121, 0, 2));

/// The protocol number of the Simple Messaging Protocol.
const PROTOCOL: u8 = 121;

impl Road {
    /// Two sockets, the client's first, as they come.
    pub(super) fn sockets(self) -> anyhow::Result<[Arc<dyn DatagramSocket>; 2]> {
        self.sockets_with(true)
    }

    /// Two sockets, the client's first. `joins` where UDP datagrams of one length travel through the system as one.
    pub(super) fn sockets_with(self, joins: bool) -> anyhow::Result<[Arc<dyn DatagramSocket>; 2]> {
        let bind = |address| -> anyhow::Result<Arc<dyn DatagramSocket>> {
            Ok(match self {
                Self::Udp => Arc::new(
                    udp::Config::new((address, 0).into())
                        .with_offload(joins)
                        .with_receive_buffer_len(Some(RECEIVE_BUFFER_LEN))
                        .open()?
                        .start()?,
                ),
                Self::Raw => Arc::new(
                    raw::Config::new(PROTOCOL)
                        .with_address(address)
                        .with_receive_buffer_len(Some(RECEIVE_BUFFER_LEN))
                        .open()
                        .context("raw sockets need CAP_NET_RAW")?
                        .start()?,
                ),
            })
        };
        Ok([bind(CLIENT)?, bind(SERVER)?])
    }
}
