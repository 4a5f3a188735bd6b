//! Takes what the system received, and apart what it joined.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use wirekit::datagram::{DropReason, ReceiveBatch};

/// Slots that one call fills at most.
const CALL_COUNT_MAX: usize = quinn_udp::BATCH_SIZE;
/// Whether fewer messages than asked for mean that no more wait: where one call gives several.
const SHOWS_EMPTY: bool = cfg!(target_os = "linux");

/// Receives as much as waits and has room, beginning with a call for about `expected` slots. Gives how many slots were
/// filled, and whether no more waits.
pub(super) fn receive<S>(
    state: &UdpSocketState,
    socket: &S,
    batch: &mut ReceiveBatch,
    expected: usize,
) -> io::Result<(usize, bool)>
where
    for<'s> UdpSockRef<'s>: From<&'s S>,
{
    let slot_count = batch.room().len() / batch.slot_len();
    let mut first = 0;
    let mut ask = expected;
    while first < slot_count {
        let room_count = slot_count - first;
        let once = socket.into();
        // One more than one: the same call then also shows that no more is there.
        let (asked, result) = match ask {
            0..=2 => (2, some::<2>(state, once, batch, first)),
            3..=8 => (8, some::<8>(state, once, batch, first)),
            _ => (CALL_COUNT_MAX, some::<CALL_COUNT_MAX>(state, once, batch, first)),
        };
        let count = match result {
            Ok(count) => count,
            Err(error) if first > 0 => return Ok((first, error.kind() == io::ErrorKind::WouldBlock)),
            Err(error) => return Err(error),
        };
        first += count;
        if count < asked.min(room_count) {
            return Ok((first, SHOWS_EMPTY));
        }
        ask = ask.max(2).saturating_mul(4);
    }
    Ok((first, false))
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
        take(batch, meta, (first + index) * slot_len, slot_len);
    }
    Ok(received)
}

/// Puts the datagrams of one slot, which begins at `start`, into the batch.
fn take(batch: &mut ReceiveBatch, meta: &RecvMeta, start: usize, slot_len: usize) {
    let source = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
    let source = if source.is_ipv6() { meta.addr } else { source };
    let destination = meta.dst_ip.map(|ip: IpAddr| ip.to_canonical());
    let mut at = 0usize;
    loop {
        let end = at.saturating_add(meta.stride).min(meta.len);
        if source.port() == 0 {
            // Nobody can be answered at port 0.
            batch.drop_one(DropReason::NotUnicast);
        } else if end == slot_len && at > 0 {
            // The slot is full to its end, so the last of what was joined may have lost its own.
            batch.drop_one(DropReason::Truncated);
        } else {
            batch.push(source, destination, start.saturating_add(at)..start.saturating_add(end));
        }
        if end >= meta.len || meta.stride == 0 {
            break;
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(len: usize, stride: usize) -> RecvMeta {
        let mut meta = RecvMeta::default();
        meta.addr = "[::ffff:10.0.0.1]:7".parse().unwrap();
        meta.dst_ip = Some("::ffff:10.0.0.2".parse().unwrap());
        meta.len = len;
        meta.stride = stride;
        meta
    }

    #[test]
    fn what_was_joined_comes_apart_with_plain_addresses() {
        let mut batch = ReceiveBatch::with_slots(2, 1000, 100);
        for (index, octet) in batch.room().iter_mut().enumerate() {
            *octet = u8::try_from(index / 100).unwrap();
        }
        take(&mut batch, &meta(250, 100), 1000, 1000);
        let lens: Vec<_> = batch.datagrams().map(|came| (came.payload[0], came.payload.len())).collect();
        assert_eq!(lens, [(10, 100), (11, 100), (12, 50)]);
        let came = batch.get(0).unwrap();
        assert_eq!((came.source, came.destination), ("10.0.0.1:7".parse().unwrap(), Some([10, 0, 0, 2].into())));
        take(&mut batch, &meta(0, 0), 0, 1000);
        assert_eq!((batch.len(), batch.get(3).unwrap().payload.len()), (4, 0));
    }

    #[test]
    fn what_may_have_lost_its_end_and_what_has_no_answer_is_dropped() {
        let mut batch = ReceiveBatch::with_slots(1, 164, 100);
        take(&mut batch, &meta(164, 100), 0, 164);
        take(&mut batch, &meta(164, 164), 0, 164);
        assert_eq!((batch.len(), batch.dropped().truncated_count), (1, 2));
        let mut no_port = meta(1, 1);
        no_port.addr.set_port(0);
        let mut to_all = meta(1, 1);
        to_all.dst_ip = Some([224, 0, 0, 1].into());
        take(&mut batch, &no_port, 0, 164);
        take(&mut batch, &to_all, 0, 164);
        assert_eq!((batch.len(), batch.dropped().not_unicast_count), (1, 2));
    }
}
