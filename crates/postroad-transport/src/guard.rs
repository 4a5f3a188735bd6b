//! Names a peer that speaks something else, from its first bytes, without delaying or changing a byte of a good stream.
//!
//! A plain port that gets a TLS hello, or a plain client that gets a TLS alert or an HTTP answer, would otherwise report
//! "bad frame" at best and hang at worst. [`Guarded`] watches the first bytes that are read and turns such a stream into
//! [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch). After the first bytes it costs one comparison per read.
//!
//! Signatures are whole structures, not single bytes (a TLS hello must have two lengths that agree, an HTTP request a
//! whole request line), because a plain protocol may begin with any byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::address::PeerAddr;
use crate::error::{CarrierError, Speaks};
use crate::forward::forward_writes;

/// Longest request line that is followed to its end.
const LINE_LEN_MAX: usize = 2048;
/// Bytes that the fixed signatures need at most ("HTTP/1.1 200").
const SIGNATURE_LEN_MAX: usize = 12;
const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"PATCH ", b"TRACE "];

/// A plain byte stream whose first bytes are watched.
#[derive(Debug)]
pub struct Guarded<S> {
    io: S,
    peer: PeerAddr,
    watch: Watch,
}

impl<S> Guarded<S> {
    /// Watches the first bytes read from `io`; `peer` is for the error message.
    pub fn new(io: S, peer: PeerAddr) -> Self {
        Self { io, peer, watch: Watch::new() }
    }

    /// The same without watching, for streams whose bytes are somebody else's (a tunnel).
    pub fn unwatched(io: S, peer: PeerAddr) -> Self {
        Self { io, peer, watch: Watch::Clear }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &PeerAddr {
        &self.peer
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The stream below; the watching ends.
    pub fn into_inner(self) -> S {
        self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if !matches!(this.watch, Watch::Clear)
            && let Some(theirs) = this.watch.feed(buf.filled().get(before..).unwrap_or_default())
        {
            buf.set_filled(before);
            return Poll::Ready(Err(CarrierError::mismatch(Speaks::Plain, Some(theirs)).at(&this.peer).into()));
        }
        Poll::Ready(Ok(()))
    }
}

forward_writes!([S: AsyncWrite + Unpin] Guarded<S>);

/// What is known of the first bytes.
#[derive(Debug)]
enum Watch {
    /// Too few bytes to tell.
    First { seen: [u8; SIGNATURE_LEN_MAX], len: usize },
    /// It began like an HTTP request; the end of the line decides. `tail` holds its last bytes, the newest last.
    Line { len: usize, tail: [u8; 10] },
    /// Nothing suspicious; no more looking.
    Clear,
}

impl Watch {
    fn new() -> Self {
        Self::First { seen: [0; SIGNATURE_LEN_MAX], len: 0 }
    }

    /// Takes the next bytes of the stream; tells what the peer speaks when that is certain.
    fn feed(&mut self, mut bytes: &[u8]) -> Option<Speaks> {
        if let Self::First { seen, len } = self {
            let (used, verdict) = feed_first(seen, len, bytes);
            match verdict {
                Verdict::Undecided => return None,
                Verdict::Clear => *self = Self::Clear,
                Verdict::Found(speaks) => return Some(speaks),
                Verdict::RequestLine => {
                    let mut tail = [0; 10];
                    for byte in seen.iter().take(*len) {
                        push(&mut tail, *byte);
                    }
                    *self = Self::Line { len: *len, tail };
                    bytes = bytes.get(used..).unwrap_or_default();
                }
            }
        }
        let Self::Line { len, tail } = self else { return None };
        for &byte in bytes {
            if byte == b'\n' {
                let found = matches!(tail, [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b'\r']);
                *self = Self::Clear;
                return found.then_some(Speaks::Http);
            }
            *len += 1;
            if *len > LINE_LEN_MAX || !(byte == b'\r' || byte == b'\t' || (b' '..0x7f).contains(&byte)) {
                *self = Self::Clear;
                return None;
            }
            push(tail, byte);
        }
        None
    }
}

fn push(tail: &mut [u8; 10], byte: u8) {
    tail.rotate_left(1);
    tail[9] = byte;
}

enum Verdict {
    Undecided,
    Clear,
    Found(Speaks),
    RequestLine,
}

/// Adds bytes one by one until the signatures decide; returns how many were used.
fn feed_first(seen: &mut [u8; SIGNATURE_LEN_MAX], len: &mut usize, bytes: &[u8]) -> (usize, Verdict) {
    for (used, &byte) in bytes.iter().enumerate() {
        let Some(slot) = seen.get_mut(*len) else { return (used, Verdict::Clear) };
        *slot = byte;
        *len += 1;
        match judge(seen.get(..*len).unwrap_or_default()) {
            Verdict::Undecided => {}
            decided => return (used + 1, decided),
        }
    }
    (bytes.len(), Verdict::Undecided)
}

fn judge(seen: &[u8]) -> Verdict {
    let tries = [tls_hello(seen), tls_alert(seen), http_answer(seen), http_request(seen)];
    let mut undecided = false;
    for verdict in tries {
        match verdict {
            Verdict::Undecided => undecided = true,
            Verdict::Clear => {}
            found => return found,
        }
    }
    if undecided { Verdict::Undecided } else { Verdict::Clear }
}

/// A handshake record that holds a whole hello: `16 03 0x LL LL 01 00 HH HH 03 03` with `HHHH + 4 == LLLL`.
fn tls_hello(seen: &[u8]) -> Verdict {
    let shape: [fn(u8) -> bool; 11] = [
        |b| b == 0x16,
        |b| b == 3,
        |b| b <= 4,
        |_| true,
        |_| true,
        |b| b == 1,
        |b| b == 0,
        |_| true,
        |_| true,
        |b| b == 3,
        |b| b == 3,
    ];
    if !seen.iter().zip(shape).all(|(byte, fits)| fits(*byte)) {
        return Verdict::Clear;
    }
    match *seen {
        [_, _, _, r1, r0, _, _, h1, h0, _, _, ..] => {
            let record = u16::from_be_bytes([r1, r0]);
            let hello = u16::from_be_bytes([h1, h0]);
            if u32::from(hello) + 4 == u32::from(record) { Verdict::Found(Speaks::Tls) } else { Verdict::Clear }
        }
        _ => Verdict::Undecided,
    }
}

/// A plaintext alert record: `15 03 0x 00 02`, level 1 or 2, a description.
fn tls_alert(seen: &[u8]) -> Verdict {
    let shape: [fn(u8) -> bool; 7] =
        [|b| b == 0x15, |b| b == 3, |b| b <= 4, |b| b == 0, |b| b == 2, |b| b == 1 || b == 2, |_| true];
    if !seen.iter().zip(shape).all(|(byte, fits)| fits(*byte)) {
        Verdict::Clear
    } else if seen.len() >= shape.len() {
        Verdict::Found(Speaks::Tls)
    } else {
        Verdict::Undecided
    }
}

/// A status line: `HTTP/1.x NNN`.
fn http_answer(seen: &[u8]) -> Verdict {
    let fixed = b"HTTP/1.";
    let fits = seen.iter().enumerate().all(|(at, &byte)| match at {
        0..7 => fixed.get(at) == Some(&byte),
        7 => byte == b'0' || byte == b'1',
        8 => byte == b' ',
        _ => byte.is_ascii_digit(),
    });
    match (fits, seen.len() >= SIGNATURE_LEN_MAX) {
        (false, _) => Verdict::Clear,
        (true, true) => Verdict::Found(Speaks::Http),
        (true, false) => Verdict::Undecided,
    }
}

fn http_request(seen: &[u8]) -> Verdict {
    if METHODS.iter().any(|method| seen.starts_with(method)) {
        Verdict::RequestLine
    } else if METHODS.iter().any(|method| method.starts_with(seen)) {
        Verdict::Undecided
    } else {
        Verdict::Clear
    }
}

/// What a peer that should speak `ours` speaks, judged by the first bytes of its first read; `None` if it may be right.
///
/// For the ends that know exactly what must come first: a TLS record, or an HTTP head.
#[cfg(any(feature = "tls", feature = "ws", test))]
pub(crate) fn first_bytes_mismatch(ours: Speaks, bytes: &[u8]) -> Option<Speaks> {
    let first = *bytes.first()?;
    match ours {
        Speaks::Tls if matches!(first, 0x14..=0x17) => None,
        Speaks::Tls if looks_like_http(bytes) => Some(Speaks::Http),
        Speaks::Http if looks_like_http(bytes) => None,
        Speaks::Http if matches!(first, 0x15 | 0x16) => Some(Speaks::Tls),
        Speaks::Tls | Speaks::Http => Some(Speaks::Plain),
        Speaks::Plain => None,
    }
}

#[cfg(any(feature = "tls", feature = "ws", test))]
fn looks_like_http(bytes: &[u8]) -> bool {
    let answer: &[u8] = b"HTTP/1.";
    let alike = |known: &[u8]| bytes.starts_with(known) || known.starts_with(bytes);
    alike(answer) || METHODS.iter().any(|method| alike(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: [u8; 13] = [0x16, 3, 1, 2, 4, 1, 0, 2, 0, 3, 3, 7, 7];

    fn whole(bytes: &[u8]) -> Option<Speaks> {
        Watch::new().feed(bytes)
    }

    fn byte_by_byte(bytes: &[u8]) -> Option<Speaks> {
        let mut watch = Watch::new();
        bytes.iter().find_map(|byte| watch.feed(&[*byte]))
    }

    #[test]
    fn foreign_beginnings_are_named_in_any_cutting() {
        let cases: [(&[u8], Speaks); 6] = [
            (&HELLO, Speaks::Tls),
            (&[0x15, 3, 3, 0, 2, 2, 50], Speaks::Tls),
            (b"GET / HTTP/1.1\r\n", Speaks::Http),
            (b"POST /a/b?c HTTP/1.0\r\n", Speaks::Http),
            (b"HTTP/1.1 400 Bad Request\r\n", Speaks::Http),
            (b"OPTIONS * HTTP/1.1\r\n", Speaks::Http),
        ];
        for (bytes, expected) in cases {
            assert_eq!(whole(bytes), Some(expected), "{bytes:?}");
            assert_eq!(byte_by_byte(bytes), Some(expected), "{bytes:?}");
        }
    }

    #[test]
    fn what_only_begins_alike_passes() {
        let mut odd_lengths = HELLO;
        odd_lengths[4] = 5;
        let long_line = [b"GET /".to_vec(), vec![b'x'; LINE_LEN_MAX], b" HTTP/1.1\r\n".to_vec()].concat();
        let cases: [&[u8]; 8] = [
            &odd_lengths,
            &[0x15, 3, 3, 0, 2, 3, 50],
            b"GET me a coffee\r\n",
            b"GET \x00 HTTP/1.1\r\n",
            b"HTTP/1.1 is old",
            b"\x21\x00\x05hello",
            b"GETTING",
            &long_line,
        ];
        for bytes in cases {
            assert_eq!(whole(bytes), None, "{bytes:?}");
            assert_eq!(byte_by_byte(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn the_first_byte_tells_tls_from_the_rest() {
        assert_eq!(first_bytes_mismatch(Speaks::Tls, &[0x16]), None);
        assert_eq!(first_bytes_mismatch(Speaks::Tls, b"G"), Some(Speaks::Http));
        assert_eq!(first_bytes_mismatch(Speaks::Tls, &[0x21, 0]), Some(Speaks::Plain));
        assert_eq!(first_bytes_mismatch(Speaks::Http, b"HTTP/1.1 2"), None);
        assert_eq!(first_bytes_mismatch(Speaks::Http, &HELLO), Some(Speaks::Tls));
        assert_eq!(first_bytes_mismatch(Speaks::Http, &[0x21, 0]), Some(Speaks::Plain));
    }
}
