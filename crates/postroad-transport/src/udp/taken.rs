//! Receives through quinn-udp.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use wirekit::datagram::ReceiveBatch;

use super::Message;

/// Receives as much as waits and has room. Fewer than asked for do not mean that no more wait.
pub(super) fn receive<S>(state: &UdpSocketState, socket: &S, batch: &mut ReceiveBatch) -> io::Result<()>
where
    for<'s> UdpSockRef<'s>: From<&'s S>,
{
    let slot_count = batch.room().len() / batch.slot_len();
    let mut first = 0;
    while first < slot_count {
        match some::<{ quinn_udp::BATCH_SIZE }>(state, socket.into(), batch, first) {
            Ok(count) => first += count,
            // Whatever it is, the next receive says it again.
            Err(_) if first > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One call for at most `N` slots from slot `first` on.
fn some<const N: usize>(
    state: &UdpSocketState,
    socket: UdpSockRef<'_>,
    batch: &mut ReceiveBatch,
    first: usize,
) -> io::Result<usize> {
    let slot_len = batch.slot_len();
    let mut metas = [RecvMeta::default(); N];
    let mut slots = batch.room().chunks_exact_mut(slot_len).skip(first).take(N);
    let count = slots.len();
    let mut slices: [IoSliceMut<'_>; N] = array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
    let (Some(slices), Some(asked)) = (slices.get_mut(..count), metas.get_mut(..count)) else { return Ok(0) };
    let received = state.recv(socket, slices, asked)?;
    for (index, meta) in metas.iter().take(received).enumerate() {
        let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
        let message = Message {
            source: if source.is_ipv6() { meta.addr } else { source },
            destination: meta.dst_ip.map(|ip| ip.to_canonical()),
            start: (first + index) * slot_len,
            len: meta.len,
            datagram_len: meta.stride,
            // A slot that is full to its end where several were joined; one alone is seen to be too long anyway.
            is_truncated: meta.len == slot_len && meta.stride < meta.len,
        };
        message.take_apart(batch);
    }
    Ok(received)
}
