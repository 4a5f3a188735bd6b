//! The system calls that no safe library has in the shape needed here. The only `unsafe` of the project.
//!
//! Everything that the kernel writes lands in memory that was initialized before, of a length that the kernel is told;
//! what it means is read by safe code (`control.rs`).
#![allow(
    unsafe_code,
    reason = "recvmmsg, sendmmsg, the error queue and their options have no safe interface that fits"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::unnecessary_cast,
    reason = "lengths here are small constants and those of small buffers, in types that differ between C libraries"
)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wirekit::datagram::{Outgoing, ReceiveBatch};

use super::control::{CAME_CONTROL_LEN, Control, NAME_LEN, Name};

/// Datagrams that one call moves at most: 64. Bounds the stack that a call takes to 20 KiB.
pub(super) const CALL_COUNT_MAX: usize = 64;

/// Types that own one descriptor for as long as they live, and always the same.
pub(super) trait Owned: AsRawFd {}
impl Owned for Socket {}
impl Owned for OwnedFd {}

/// Lets the runtime watch `owned`.
pub(super) fn watch<T: Owned>(owned: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: `register_with_interest` asks that `as_raw_fd` always gives the same descriptor and that it stays open
    // while the `AsyncFd` lives. `Owned` is private and implemented for `Socket` and `OwnedFd` alone: both own their
    // descriptor, never exchange it and close it in their own drop, which the `AsyncFd` that has them runs last.
    unsafe { AsyncFd::register_with_interest(owned, interest) }.map_err(io::Error::from)
}

/// Sets a socket option that is a C `int`.
pub(super) fn set_option(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open while `socket` is borrowed; the kernel reads `len` octets at `value`, which is an
    // `int` of that size and lives until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads a socket option that is a C `int`.
pub(super) fn option(socket: &Socket, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open while `socket` is borrowed; the kernel writes at most `len` octets at `value`, which
    // is an initialized `int` of that size, and any octets there are a valid `int`.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, ptr::from_mut(&mut value).cast(), &raw mut len) };
    if result == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel tells about one received message.
pub(super) struct Came<'a> {
    /// Where in the room it begins.
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) is_truncated: bool,
    pub(super) name: &'a [u8],
    pub(super) control: &'a [u8],
}

/// A message header without address, payload and control.
fn blank() -> libc::msghdr {
    // SAFETY: `msghdr` is integers and raw pointers, for which all zero is a valid value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Receives into `N` slots of the room of `batch` at most, from slot `first` on, and hands each message to `each`, in order.
/// Gives how many came. Never waits.
pub(super) fn receive<const N: usize>(
    socket: BorrowedFd<'_>,
    batch: &mut ReceiveBatch,
    first: usize,
    mut each: impl FnMut(&mut ReceiveBatch, &Came<'_>),
) -> io::Result<usize> {
    const { assert!(N > 0 && N <= CALL_COUNT_MAX) };
    let slot_len = batch.slot_len();
    let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; N];
    let mut names = [[0u64; NAME_LEN.div_ceil(8)]; N];
    let mut controls = [[0u64; CAME_CONTROL_LEN / 8]; N];
    let mut headers = [libc::mmsghdr { msg_hdr: blank(), msg_len: 0 }; N];
    let mut count = 0;
    let slots = batch.room().chunks_exact_mut(slot_len).skip(first);
    for ((((slot, part), name), control), header) in
        slots.zip(&mut parts).zip(&mut names).zip(&mut controls).zip(&mut headers)
    {
        part.iov_base = slot.as_mut_ptr().cast();
        part.iov_len = slot.len();
        let header = &mut header.msg_hdr;
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = NAME_LEN as libc::socklen_t;
        header.msg_iov = ptr::from_mut(part);
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = CAME_CONTROL_LEN as _;
        count += 1;
    }
    let received = again(|| {
        // SAFETY: the descriptor is open while it is borrowed. `count` is at most `N`, and the first `count` of `headers`
        // were filled above with pointers to one element each of `parts`, `names` and `controls`, and each part with
        // one slot of the room; the lengths given are at most those of what they point to. All of it is initialized,
        // distinct, not touched by others meanwhile (locals, and a batch borrowed mutably), and outlives the call.
        let result = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut::<libc::timespec>(),
            )
        };
        result as libc::ssize_t
    })?;
    for (index, ((header, name), control)) in headers.iter().zip(&names).zip(&controls).take(received).enumerate() {
        let (name_len, control_len) = (header.msg_hdr.msg_namelen as usize, header.msg_hdr.msg_controllen as usize);
        let came = Came {
            start: (first + index) * slot_len,
            len: header.msg_len as usize,
            is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            name: octets(name).get(..name_len).unwrap_or_default(),
            control: octets(control).get(..control_len).unwrap_or_default(),
        };
        each(batch, &came);
    }
    Ok(received)
}

/// As [`receive`] for one message into slot `index`, without control messages unless `with_control`: several times cheaper
/// than a call for several.
pub(super) fn receive_one(
    socket: BorrowedFd<'_>,
    batch: &mut ReceiveBatch,
    index: usize,
    with_control: bool,
    each: impl FnOnce(&mut ReceiveBatch, &Came<'_>),
) -> io::Result<()> {
    let slot_len = batch.slot_len();
    let start = index * slot_len;
    let mut name = [0u64; NAME_LEN.div_ceil(8)];
    let mut control = [0u64; CAME_CONTROL_LEN / 8];
    let Some(slot) = batch.room().get_mut(start..start + slot_len) else {
        return Err(io::ErrorKind::WouldBlock.into());
    };
    let mut header = blank();
    let mut part = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = NAME_LEN as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = CAME_CONTROL_LEN as _;
    // Asks for the full length of what does not fit.
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    let len = again(|| {
        if with_control {
            // SAFETY: the descriptor is open while it is borrowed. `header` points to `part`, `name` and `control` with at
            // most their lengths, and `part` to the slot with its own; all are initialized, distinct, not touched by
            // others meanwhile (locals, and a batch borrowed mutably), and outlive the call.
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) }
        } else {
            // SAFETY: as above; the kernel writes at most the slot's length, and at most `msg_namelen` octets of `name`.
            unsafe {
                libc::recvfrom(
                    socket.as_raw_fd(),
                    part.iov_base,
                    part.iov_len,
                    flags,
                    header.msg_name.cast(),
                    &raw mut header.msg_namelen,
                )
            }
        }
    })?;
    let control_len = if with_control { header.msg_controllen as usize } else { 0 };
    let came = Came {
        start,
        len: len.min(slot_len),
        is_truncated: len > slot_len,
        name: octets(&name).get(..header.msg_namelen as usize).unwrap_or_default(),
        control: octets(&control).get(..control_len).unwrap_or_default(),
    };
    each(batch, &came);
    Ok(())
}

/// Whether a message waits; `WouldBlock` where none does. Cheaper than to try and receive one.
pub(super) fn peek(socket: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    again(|| {
        // SAFETY: the descriptor is open while it is borrowed; with a length of 0 and without addresses the kernel
        // writes nothing.
        unsafe { libc::recvfrom(socket.as_raw_fd(), ptr::null_mut(), 0, flags, ptr::null_mut(), ptr::null_mut()) }
    })
    .map(drop)
}

/// Repeats a call that a signal interrupted; its result, or the error that it left.
fn again(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        if let Ok(result) = usize::try_from(call()) {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The same memory as octets.
fn octets(words: &[u64]) -> &[u8] {
    // SAFETY: the pointer and the length are those of an initialized slice, borrowed for as long as the result; an octet
    // needs no alignment, and every octet of a `u64` is a valid `u8`.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

/// Takes one message off the error queue: how many octets of `quoted` it filled, and lengths of name and control.
pub(super) struct Report {
    pub(super) quoted_len: usize,
    pub(super) name_len: usize,
    pub(super) control_len: usize,
}

/// Reads the oldest report of the error queue of `socket`. `WouldBlock` where there is none.
pub(super) fn receive_report(
    socket: BorrowedFd<'_>,
    quoted: &mut [u8],
    name: &mut [u8],
    control: &mut [u64],
) -> io::Result<Report> {
    let mut part = libc::iovec { iov_base: quoted.as_mut_ptr().cast(), iov_len: quoted.len() };
    let mut header = blank();
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = name.len() as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(control) as _;
    let quoted_len = again(|| {
        // SAFETY: the descriptor is open while it is borrowed. `header` points to `part` and to `name` and `control` with
        // their own lengths, and `part` to `quoted` with its own; all are initialized, distinct, borrowed mutably by
        // this function, and outlive the call.
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) }
    })?;
    let (name_len, control_len) = (header.msg_namelen as usize, header.msg_controllen as usize);
    Ok(Report { quoted_len, name_len, control_len })
}

/// One datagram made ready for the kernel.
struct Prepared {
    name: Name,
    control: Control,
    part: libc::iovec,
}

impl Prepared {
    fn new(datagram: &Outgoing<'_>, on_v6: bool) -> Self {
        Self {
            name: Name::new(datagram.destination, on_v6),
            control: Control::new(datagram.destination.ip().to_canonical(), datagram.source, datagram.dscp),
            // The kernel only reads it; the type is mutable because receiving shares it.
            part: libc::iovec {
                iov_base: datagram.payload.as_ptr().cast_mut().cast(),
                iov_len: datagram.payload.len(),
            },
        }
    }

    /// A header that points into `self`, which must not move while it is used.
    fn header(&mut self) -> libc::msghdr {
        let mut header = blank();
        header.msg_name = self.name.bytes.as_mut_ptr().cast();
        header.msg_namelen = self.name.len as libc::socklen_t;
        header.msg_iov = &raw mut self.part;
        header.msg_iovlen = 1;
        if self.control.len > 0 {
            header.msg_control = self.control.bytes.as_mut_ptr().cast();
            header.msg_controllen = self.control.len as _;
        }
        header
    }
}

/// Sends the first [`CALL_COUNT_MAX`] of `datagrams` at most; how many went, at least one. Never waits. The kernel
/// ignores the port on raw IPv4 and wants it 0 on raw IPv6.
pub(super) fn send(socket: BorrowedFd<'_>, datagrams: &[Outgoing<'_>], on_v6: bool) -> io::Result<usize> {
    match datagrams {
        [] => Ok(0),
        [one] => send_one(socket, one, on_v6).map(|()| 1),
        many => send_many(socket, many, on_v6),
    }
}

fn send_one(socket: BorrowedFd<'_>, datagram: &Outgoing<'_>, on_v6: bool) -> io::Result<()> {
    let mut prepared = Prepared::new(datagram, on_v6);
    let header = prepared.header();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    again(|| {
        if header.msg_controllen > 0 {
            // SAFETY: the descriptor is open while it is borrowed. `header` points into `prepared`, which is a local that
            // stays where it is, and its part to the payload, borrowed by `datagram`; all lengths are theirs. The
            // kernel only reads.
            unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) }
        } else {
            // SAFETY: as above; the payload and the address with their own lengths, only read.
            unsafe {
                libc::sendto(
                    socket.as_raw_fd(),
                    datagram.payload.as_ptr().cast(),
                    datagram.payload.len(),
                    flags,
                    header.msg_name.cast_const().cast(),
                    header.msg_namelen,
                )
            }
        }
    })
    .map(drop)
}

fn send_many(socket: BorrowedFd<'_>, datagrams: &[Outgoing<'_>], on_v6: bool) -> io::Result<usize> {
    let mut prepared = [const { MaybeUninit::<Prepared>::uninit() }; CALL_COUNT_MAX];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; CALL_COUNT_MAX];
    let mut count = 0;
    for ((datagram, place), header) in datagrams.iter().zip(&mut prepared).zip(&mut headers) {
        let msg_hdr = place.write(Prepared::new(datagram, on_v6)).header();
        header.write(libc::mmsghdr { msg_hdr, msg_len: 0 });
        count += 1;
    }
    again(|| {
        // SAFETY: the descriptor is open while it is borrowed. `count` headers were written above, at the front of
        // `headers`; each points into its element of `prepared`, a local that stays where it is and is not touched
        // between, and that to a payload borrowed by `datagrams`; all lengths are theirs. The kernel only writes
        // `msg_len` of the headers.
        let result = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                count,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        result as libc::ssize_t
    })
}

/// The descriptor of a watched socket.
pub(super) fn fd<T: Owned + AsFd>(watched: &AsyncFd<T>) -> BorrowedFd<'_> {
    watched.get_ref().as_fd()
}
