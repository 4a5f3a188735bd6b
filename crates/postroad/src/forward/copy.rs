//! One connection and one stream: what comes on the one goes out on the other, until both directions have ended.

use super::BROKEN;
use super::socket::{Halves, Socket};
use bytes::BytesMut;
use core::pin::pin;
use smrp::{Bidi, Code, ReceiveError, RecvStream, SendError, SendStream, SessionError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets taken from a socket at once, and from a stream.
const SOCKET_LEN: usize = 64 << 10;
const STREAM_LEN: usize = 256 << 10;

/// Why a direction ended before its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// The socket broke.
    Socket(std::io::Error),
    /// The other end gave the stream up, or wants no more of it.
    Stream(Code),
    /// The session is over.
    Session(SessionError),
}

impl From<SendError> for Fault {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Stopped(code) => Self::Stream(code),
            SendError::Session(end) => Self::Session(end),
            _ => Self::Stream(Code::CANCELLED),
        }
    }
}

impl From<ReceiveError> for Fault {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Reset(code) => Self::Stream(code),
            ReceiveError::Session(end) => Self::Session(end),
            _ => Self::Stream(Code::CANCELLED),
        }
    }
}

/// Carries one connection to its end. An end of one direction crosses and leaves the other as it is; a fault of one ends both,
/// except where the other can still bring what was said before.
pub(super) async fn join(socket: Socket, stream: Bidi) -> Result<(), Fault> {
    match socket.split() {
        Halves::Tcp(read, write) => {
            let (ended, read, write) = copy(read, write, stream).await;
            finish(ended, Socket::Tcp(read.unsplit(write)))
        }
        Halves::Unix(read, write) => {
            let (ended, read, write) = copy(read, write, stream).await;
            finish(ended, Socket::Unix(read.unsplit(write)))
        }
    }
}

fn finish(ended: Result<(), Fault>, socket: Socket) -> Result<(), Fault> {
    if ended.is_err() {
        socket.abort();
    }
    ended
}

async fn copy<R, W>(mut read: R, mut write: W, stream: Bidi) -> (Result<(), Fault>, R, W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Bidi { mut send, mut recv } = stream;
    let (mut out, mut back) = (None, None);
    {
        let mut outward = pin!(outward(&mut read, &mut send));
        let mut inward = pin!(inward(&mut recv, &mut write));
        while out.is_none() || back.is_none() {
            tokio::select! {
                ended = &mut outward, if out.is_none() => {
                    // What the other end wants no more of may still be answered.
                    let is_over = matches!(ended, Err(Fault::Socket(_) | Fault::Session(_)));
                    out = Some(ended);
                    if is_over {
                        break;
                    }
                }
                ended = &mut inward, if back.is_none() => {
                    // Nobody reads here any more, and there may still be something to say.
                    let is_over = matches!(ended, Err(Fault::Stream(_) | Fault::Session(_)));
                    back = Some(ended);
                    if is_over {
                        break;
                    }
                }
            }
        }
    }
    let ended = match (out, back) {
        (Some(Err(fault)), _) | (_, Some(Err(fault))) => Err(fault),
        _ => Ok(()),
    };
    if matches!(ended, Err(Fault::Socket(_))) {
        send.reset(BROKEN, 0);
        recv.stop(BROKEN);
    }
    (ended, read, write)
}

async fn outward(read: &mut (impl AsyncRead + Unpin), send: &mut SendStream) -> Result<(), Fault> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(SOCKET_LEN);
        if read.read_buf(&mut buffer).await.map_err(Fault::Socket)? == 0 {
            return send.finish().map_err(Fault::from);
        }
        send.write_bytes(buffer.split().freeze()).await?;
    }
}

async fn inward(recv: &mut RecvStream, write: &mut (impl AsyncWrite + Unpin)) -> Result<(), Fault> {
    while let Some(piece) = recv.read_chunk(STREAM_LEN).await? {
        if let Err(error) = write.write_all(&piece).await {
            recv.stop(BROKEN);
            return Err(Fault::Socket(error));
        }
    }
    // A socket that is gone has no end to be told of.
    drop(write.shutdown().await);
    Ok(())
}
