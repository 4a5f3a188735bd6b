//! The end that reaches targets.

use super::copy::{Fault, join};
use super::socket::Socket;
use super::{CONTENT_TYPE, Options, Place, check_url};
use crate::connection::bodies::Bodies;
use crate::connection::sessioned::{codes::OTHER_CONTENT, parts, tunnel};
use crate::{Error, ListenOptions, Listener, Url};
use smrp::{Bidi, Code, IncomingStream, Session};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Listens for sessions, and takes the connections that come through them to targets that are on its list.
#[derive(Debug)]
pub struct Exit {
    listener: Listener,
    targets: Arc<Targets>,
}

/// What may be reached, and what is.
#[derive(Debug)]
pub(crate) struct Targets {
    allowed: HashSet<Place>,
    options: Options,
    places: Arc<Semaphore>,
    open: Arc<Bodies>,
}

impl Exit {
    /// Listens at `url` for sessions whose peers may reach `targets`, exactly as they are written, and nothing else. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// As [`listen_with`](crate::listen_with); `Usage` for a URL that is not of `smrp`.
    pub async fn listen<U>(
        url: U,
        targets: impl IntoIterator<Item = Place>,
        listen: ListenOptions,
        options: Options,
    ) -> Result<Self, Error>
    where
        U: TryInto<Url>,
        Error: From<U::Error>,
    {
        let url = url.try_into()?;
        options.check()?;
        check_url(&url)?;
        let targets = Arc::new(Targets {
            allowed: targets.into_iter().collect(),
            options,
            places: Arc::new(Semaphore::new(options.connections_max)),
            open: Arc::default(),
        });
        let listener = crate::listen::listen_for(url, listen, Arc::clone(&targets)).await?;
        Ok(Self { listener, targets })
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub const fn url(&self) -> &Url {
        self.listener.url()
    }

    /// Serves until it listens no more. Connections that do not get to their target are logged with the reason, and no error
    /// here.
    ///
    /// # Errors
    /// Why it listens no more.
    pub async fn run(self) -> Result<(), Error> {
        self.run_until(core::future::pending()).await
    }

    /// [`run`](Self::run) until `stop` is ready; then nothing new is taken, and it ends with the last connection
    /// and the last session.
    ///
    /// # Errors
    /// As it.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            // No session becomes a connection, so all that this can say is that it is over.
            ended = self.listener.accept() => return ended.map(drop),
            () = stop => {}
        }
        drop(self.listener);
        self.targets.open.wait_for_none().await;
        Ok(())
    }
}

impl Targets {
    /// Takes the streams of one session to their targets, until the session ends; once nobody listens, nothing new.
    pub(crate) async fn run(
        self: Arc<Self>,
        session: Session,
        peer: String,
        place: OwnedSemaphorePermit,
        stopped: impl Future<Output = ()>,
    ) {
        // Whoever stops waits for the session too, which says goodbye.
        let _open = self.open.open();
        let mut connections = JoinSet::new();
        let mut stopped = core::pin::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                stream = session.accept() => match stream {
                    Ok(stream) => self.take(stream, &peer, &mut connections),
                    Err(_) => break,
                },
                request = session.accept_request() => {
                    request.into_iter().for_each(|request| request.fail(OTHER_CONTENT));
                }
                // Dropped, it is stopped.
                _ = session.accept_messages() => {}
                Some(_) = connections.join_next() => {}
            }
        }
        tunnel::drain(&session).await;
        // With the session their streams have ended, and each of them sees that.
        while connections.join_next().await.is_some() {}
        drop(place);
    }

    fn take(self: &Arc<Self>, stream: IncomingStream, peer: &str, connections: &mut JoinSet<()>) {
        let name = stream.name().unwrap_or_default();
        let inside = parts::content_type(stream.opened.metadata.as_ref()).unwrap_or_default();
        let refuse = |stream: IncomingStream, code, why: &str| {
            stream.refuse(code);
            tracing::warn!("{peer} did not get to `{}`: {why}", crate::escape::text(&name));
        };
        if inside != CONTENT_TYPE.as_bytes() || stream.send.is_none() {
            return refuse(stream, OTHER_CONTENT, "its stream carries something else than a forwarded connection");
        }
        let target = name.parse::<Place>().ok().filter(|target| self.allowed.contains(target));
        let Some(target) = target else {
            return refuse(stream, Code::FORBIDDEN, "it is not on the list of what peers may reach");
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let why = format!("limit connections_max reached: {} are open", self.options.connections_max);
            return refuse(stream, Code::QUOTA, &why);
        };
        let (targets, peer, open) = (Arc::clone(self), peer.to_owned(), self.open.open());
        connections.spawn(async move {
            if let Some(stream) = stream.into_bidi() {
                targets.carry(stream, &target, &peer).await;
            }
            drop((place, open));
        });
    }

    async fn carry(&self, mut stream: Bidi, target: &Place, peer: &str) {
        let connecting = Socket::connect(target, &self.options);
        let socket = match connecting.await {
            Ok(socket) => socket,
            Err((code, error)) => {
                stream.send.reset(code, 0);
                stream.recv.stop(code);
                tracing::warn!("{peer} did not get through: {error}");
                return;
            }
        };
        match join(socket, stream).await {
            Ok(()) | Err(Fault::Stream(_)) => {}
            Err(Fault::Socket(error)) => tracing::debug!(%target, %error, "a forwarded connection broke"),
            Err(Fault::Session(error)) => tracing::debug!(%target, %error, "a session ended with a connection"),
        }
    }
}
