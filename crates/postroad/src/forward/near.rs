//! The end that listens for connections.

use super::copy::{Fault, join};
use super::socket::{Door, Socket};
use super::{CONTENT_TYPE, Options, Place, check_url, words};
use crate::connection::sessioned::{self, parts};
use crate::{ConnectOptions, Error, ErrorKind, Url};
use smrp::{Code, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long connections may take to end once they are cut off, and the other end to hear of it.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(3);

/// A port of this host that leads to a target at the other end of a session. Dropped, it ends all of its connections.
#[derive(Debug)]
pub struct Forward {
    local: Place,
    door: Door,
    far: Far,
    session: Session,
    peer: String,
    options: Options,
}

/// What each connection needs.
#[derive(Clone, Debug)]
struct Far {
    target: Place,
    failed_count: Arc<AtomicU64>,
}

impl core::fmt::Debug for Door {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Door")
    }
}

impl Forward {
    /// Begins a session with the [`Exit`](super::Exit) at `url`, then listens at `local`: for connections that go to `target`, as
    /// seen from there. Nothing is asked of the target before there is a connection. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`connect_with`](crate::connect_with) for the session; `Usage` for a URL that is not of `smrp`; `Connect` where
    /// nobody can listen at `local`.
    pub async fn open<U>(
        local: &Place,
        url: U,
        target: Place,
        connect: ConnectOptions,
        options: Options,
    ) -> Result<Self, Error>
    where
        U: TryInto<Url>,
        Error: From<U::Error>,
    {
        let url = url.try_into()?;
        options.check()?;
        check_url(&url)?;
        connect.check(&url)?;
        let (door, local) = Door::open(local).await?;
        let opening = Box::pin(sessioned::dial(&url, &connect));
        let (session, peer) = crate::connect::in_time(&url, &connect, opening).await?;
        let far = Far { target, failed_count: Arc::default() };
        Ok(Self { local, door, far, session, peer, options })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub const fn local(&self) -> &Place {
        &self.local
    }

    /// Forwards connections until the session is over. Those that do not get through are reset, logged with the reason, and
    /// no error here.
    ///
    /// # Errors
    /// Why it is over: `Lost` where the session could not be kept, `Closed` where the other end ended it.
    pub async fn run(self) -> Result<(), Error> {
        self.run_until(core::future::pending()).await
    }

    /// [`run`](Self::run) until `stop` is ready; then the connections that are open are cut off, and the other end is told.
    ///
    /// # Errors
    /// As it.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(self.options.connections_max));
        let mut stop = core::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => {
                    self.session.close(Code::NO_ERROR, "");
                    // Each sees that the session is over, and resets its socket.
                    let ending = async {
                        while connections.join_next().await.is_some() {}
                        self.session.gone().await;
                    };
                    let _in_time = tokio::time::timeout(FAREWELL_TIMEOUT, ending).await;
                    return Ok(());
                }
                _ = self.session.going_away() => break,
                Some(_) = connections.join_next() => continue,
                accepted = async {
                    // The place comes first: without one nothing is accepted, and the kernel's queue fills.
                    let place = Arc::clone(&places).acquire_owned().await;
                    (place, self.door.accept().await)
                } => accepted,
            };
            let (Ok(place), Ok((socket, from))) = accepted else {
                let why = "no more connections are accepted here";
                return Err(Error::new(ErrorKind::Lost, format!("listens no more at {}", self.local), why));
            };
            let (session, far, timeout) = (self.session.clone(), self.far.clone(), self.options.connect_timeout);
            connections.spawn(async move {
                far.carry(&session, socket, &from, timeout).await;
                drop(place);
            });
        }
        drop(self.door);
        // The other end lets what is open come to its end.
        while connections.join_next().await.is_some() {}
        let end = self.session.closed().await;
        let kind = match &end {
            smrp::SessionError::ClosedByPeer { .. } | smrp::SessionError::Closed { .. } => ErrorKind::Closed,
            _ => ErrorKind::Lost,
        };
        let what = format!("the session with {} is over", self.peer);
        Err(Error::new(kind, what, end.to_string()).with_remedy("start it again").with_source(end))
    }

    /// Connections that did not get through, or broke.
    #[must_use]
    pub fn failed_count(&self) -> u64 {
        self.far.failed_count.load(Ordering::Relaxed)
    }
}

impl Far {
    async fn carry(&self, session: &Session, socket: Socket, from: &str, timeout: Duration) {
        let name = self.target.to_string();
        let request = smrp::Request::default().with_metadata(parts::metadata(Some(&name), CONTENT_TYPE));
        let why = match tokio::time::timeout(timeout, session.open_bidi(request)).await {
            Ok(Ok(stream)) => match join(socket, stream).await {
                Ok(()) => return,
                Err(Fault::Socket(error)) => {
                    // Its own end broke it, and knows.
                    tracing::debug!(from, %error, "a forwarded connection broke");
                    self.failed_count.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Err(Fault::Stream(code)) => words(code, &self.target),
                Err(Fault::Session(end)) => end.to_string(),
            },
            Ok(Err(error)) => {
                socket.abort();
                error.to_string()
            }
            Err(_) => {
                socket.abort();
                format!("the other end allowed no further stream within {timeout:?}")
            }
        };
        self.failed_count.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("the connection from {from} was cut off: {why}");
    }
}
