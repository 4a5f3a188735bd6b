//! A link over anything that carries units: the machine, a clock and two queues.

mod clock;
mod handles;
mod run;

pub use handles::{Down, Incoming, Receiver, SendError, Sender, channel};
pub use run::{Driver, End};

use super::Backoff;
use bytes::Bytes;
use core::fmt::Display;
use core::time::Duration;
use futures_core::Stream;
use futures_sink::Sink;

/// What a road carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A message.
    Message(Bytes),
    /// Text, which is no message.
    Text(Bytes),
    /// A ping. Roads that have none drop it; the others answer it by themselves.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
}

/// Keeps a device connected: dials, runs the link until it ends, waits and dials again, until the senders are closed or
/// gone. `random` gives any number, each as likely as the others.
///
/// What waits to be sent waits for the next link. What was handed to the road when the link broke may be lost: nothing
/// says whether it arrived.
//= WRP-N12, WRP-N13
pub async fn keep_connected<D, F, R, E>(
    mut driver: Driver,
    mut backoff: Backoff,
    mut random: impl FnMut() -> u32,
    mut dial: D,
) where
    D: FnMut() -> F,
    F: Future<Output = Result<R, E>>,
    R: Stream<Item = Result<Unit, E>> + Sink<Unit, Error = E> + Unpin,
    E: Display,
{
    loop {
        let dialled = tokio::select! {
            dialled = dial() => dialled,
            () = driver.closing() => return,
        };
        let (up, why) = match dialled {
            Ok(road) => {
                driver.tell(Incoming::Up).await;
                let opened = clock::read();
                let end = driver.run(road).await;
                let why = match end {
                    End::Closed => return,
                    End::Ended => "the other end closed it".to_owned(),
                    End::Silent(silence) => format!("nothing was heard for {silence:?}"),
                    End::Failed(error) => error.to_string(),
                };
                (clock::read().saturating_duration_since(opened), why)
            }
            Err(error) => (Duration::ZERO, error.to_string()),
        };
        let retry_in = backoff.pause(up, random());
        driver.tell(Incoming::Down(Down { why, retry_in })).await;
        tokio::select! {
            () = tokio::time::sleep(retry_in) => {}
            () = driver.closing() => return,
        }
    }
}
