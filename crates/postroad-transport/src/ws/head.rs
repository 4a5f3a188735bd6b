//! The HTTP head of a WebSocket handshake: read whole, however it is cut, and never past its limit.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{CarrierError, ErrorKind, Speaks};
use crate::guard::first_bytes_mismatch;

const END: &[u8] = b"\r\n\r\n";
/// Bytes after which the beginning is settled ("CONNECT " is the longest).
const BEGINNING_LEN: usize = 8;
/// Room for a read; most heads fit into one.
const CHUNK_LEN: usize = 1024;

/// A head with its empty line, and what came after it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

/// Reads up to and with the empty line; `len_max` limits the head.
pub(super) async fn read<S: AsyncRead + Unpin>(io: &mut S, len_max: usize) -> Result<Head, CarrierError> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let known = bytes.len();
        bytes.reserve(CHUNK_LEN);
        match io.read_buf(&mut bytes).await {
            Ok(0) => return Err(hung_up(&bytes, None)),
            Ok(_) => {}
            Err(error) if is_hang_up(&error) => return Err(hung_up(&bytes, Some(error))),
            Err(error) => return Err(CarrierError::io("shake hands (WebSocket) with", error)),
        }
        if known < BEGINNING_LEN
            && let Some(theirs) = first_bytes_mismatch(Speaks::Http, &bytes)
        {
            return Err(CarrierError::mismatch(Speaks::Http, Some(theirs)));
        }
        // The empty line may have begun in what was read before.
        let from = known.saturating_sub(END.len() - 1);
        let found = bytes.get(from..).unwrap_or_default().windows(END.len()).position(|window| window == END);
        let head_len = found.map(|at| from + at + END.len());
        if head_len.unwrap_or(bytes.len()) > len_max {
            return Err(CarrierError::new(
                ErrorKind::Limit,
                "shake hands (WebSocket) with",
                format!("the HTTP head of the peer is longer than head_len_max = {len_max}"),
            ));
        }
        if let Some(head_len) = head_len {
            let tail = bytes.split_off(head_len);
            return Ok(Head { bytes, tail });
        }
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    CarrierError::from_io(error).is_none()
        && matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
}

fn hung_up(so_far: &[u8], error: Option<io::Error>) -> CarrierError {
    let failed = if so_far.is_empty() {
        CarrierError::mismatch(Speaks::Http, None)
    } else {
        let cause = "peer hung up in the middle of the WebSocket handshake";
        CarrierError::new(ErrorKind::Handshake, "shake hands (WebSocket) with", cause)
    };
    match error {
        Some(error) => failed.caused_by(error),
        None => failed,
    }
}
