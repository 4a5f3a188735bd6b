//! Receives as much as waits, in calls as large as what came last time.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::Socket;
use wirekit::datagram::ReceiveBatch;

use super::IsDrained;
use super::syscall::{self, CALL_COUNT_MAX, Came};

/// Up to so many are fetched one by one. A call for several costs more than two for one each.
const SINGLE_COUNT_MAX: usize = 2;
/// What the smaller of the calls for several asks for.
const FEW: usize = 8;

/// Receives what waits and has room, and hands each message to `each`. `expected` is what came last time, kept by the
/// caller between receives. Gives whether no more waits.
pub(super) fn receive(
    socket: &Socket,
    batch: &mut ReceiveBatch,
    expected: &AtomicUsize,
    with_control: bool,
    each: impl Fn(&mut ReceiveBatch, &Came<'_>),
) -> io::Result<IsDrained> {
    let (count, is_drained) = receive_all(socket, batch, expected.load(Ordering::Relaxed), with_control, each)?;
    expected.store(count, Ordering::Relaxed);
    Ok(is_drained)
}

fn receive_all(
    socket: &Socket,
    batch: &mut ReceiveBatch,
    expected: usize,
    with_control: bool,
    each: impl Fn(&mut ReceiveBatch, &Came<'_>),
) -> io::Result<(usize, IsDrained)> {
    let fd = socket.as_fd();
    let slot_count = batch.room().len() / batch.slot_len();
    let mut count = 0;
    let end = |count: usize, error: io::Error| match count {
        0 => Err(error),
        _ => Ok((count, error.kind() == io::ErrorKind::WouldBlock)),
    };
    if expected <= SINGLE_COUNT_MAX {
        while count < SINGLE_COUNT_MAX.min(slot_count) {
            // The second one is seldom there, and a message with control messages costs more to ask for than to see.
            let is_there = if count > 0 && with_control { syscall::peek(fd) } else { Ok(()) };
            match is_there.and_then(|()| syscall::receive_one(fd, batch, count, with_control, &each)) {
                Ok(()) => count += 1,
                Err(error) => return end(count, error),
            }
        }
    }
    let mut ask = expected;
    while count < slot_count {
        let (asked, result) = if ask <= FEW {
            (FEW, syscall::receive::<FEW>(fd, batch, count, &each))
        } else {
            (CALL_COUNT_MAX, syscall::receive::<CALL_COUNT_MAX>(fd, batch, count, &each))
        };
        let asked = asked.min(slot_count - count);
        match result {
            Ok(got) => {
                count += got;
                if got < asked {
                    return Ok((count, true));
                }
            }
            Err(error) => return end(count, error),
        }
        ask = CALL_COUNT_MAX;
    }
    Ok((count, false))
}
