//! UDP by tokio alone, one call a datagram.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use wirekit::datagram::{DatagramSocket, Outgoing, ReceiveBatch, SendError};

#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl Socket {
    pub(super) fn bind(address: IpAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, local })
    }
}

impl DatagramSocket for Socket {
    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        batch.clear();
        let slot_len = batch.slot_len();
        let count = batch.room().len() / slot_len;
        for index in 0..count {
            let start = index * slot_len;
            let mut buffer = ReadBuf::new(batch.room().get_mut(start..start + slot_len).unwrap_or_default());
            match self.socket.poll_recv_from(cx, &mut buffer) {
                Poll::Ready(result) => {
                    let source = result?;
                    let len = buffer.filled().len();
                    batch.push(source, Some(self.local.ip()), start..start + len);
                }
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn try_receive(&self, _batch: &mut ReceiveBatch) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn try_send(&self, datagrams: &[Outgoing<'_>]) -> Result<usize, SendError> {
        for (index, datagram) in datagrams.iter().enumerate() {
            match self.socket.try_send_to(datagram.payload, datagram.destination) {
                Ok(_) => {}
                Err(_) if index > 0 => return Ok(index),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(SendError::WouldBlock),
                Err(error) => return Err(SendError::Io(error)),
            }
        }
        Ok(datagrams.len())
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(ready!(self.socket.poll_send_ready(cx)))
    }

    fn source_for(&self, _destination: SocketAddr) -> io::Result<IpAddr> {
        Ok(self.local.ip())
    }

    fn payload_len_max(&self, _destination: SocketAddr) -> usize {
        65_507
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn is_ip(&self) -> bool {
        false
    }
}
