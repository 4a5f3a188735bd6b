//! Sending a peer away so that it hears why.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a refused peer may take to read why, and how much of what it still sends is thrown away meanwhile.
const LINGER: Duration = Duration::from_millis(300);
const LINGER_LEN_MAX: u64 = 64 * 1024;

/// Tells the peer why and hangs up. Reads on for a moment: closing with unread bytes would reset the connection and take
/// the answer with it.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, answer: &[u8]) {
    let refusing = async {
        io.write_all(answer).await?;
        io.shutdown().await?;
        tokio::io::copy(&mut io.take(LINGER_LEN_MAX), &mut tokio::io::sink()).await
    };
    // The peer is being sent away; whether it hears why is its own affair.
    let _ = timeout(LINGER, refusing).await;
}
