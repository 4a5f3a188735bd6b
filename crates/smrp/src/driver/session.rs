//! A session as an application sees it.

use super::acceptor::{Authenticate, Registry};
use super::carrier::{Carrier, Redial};
use super::messages::{MessageReceiver, MessageSender};
use super::requests::{IncomingRequest, Reply};
use super::shared::{Shared, read_clock};
use super::streams::{Bidi, IncomingStream, RecvStream, SendStream};
use super::task::{Task, relink};
use crate::config::Config;
use crate::error::{ConfigError, DatagramError, OpenError, SessionError};
use crate::{Code, Direction, Kind, Request, Role, SessionMachine, Settings, Stats, StreamId};
use bytes::Bytes;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;
use wirekit::Instant;

/// One end of a session. Clones are the same session; when the last one is gone, and the last stream, it closes in good order.
pub struct Session {
    shared: Arc<Shared>,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self::of(self.shared.clone())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.handles -= 1;
        if state.handles == 0 {
            let now = state.refresh();
            // What was handed in still goes out: CLOSE comes behind it. What nobody took was not processed, and nobody will.
            state.refuse_untaken(now);
            state.machine.close_when_sent(now);
            state.wake_task();
        }
    }
}

/// How to connect.
#[derive(Clone)]
#[non_exhaustive]
pub struct Dial {
    /// How this end behaves. What the carrier is comes with it.
    pub config: Config,
    redial: Option<Arc<dyn Redial>>,
}

impl core::fmt::Debug for Dial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Dial").field("config", &self.config).field("redials", &self.redial.is_some()).finish()
    }
}

impl Dial {
    /// With this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, redial: None }
    }

    /// With a way to get another connection when the first one is lost: the session goes on over it.
    #[must_use]
    pub fn with_redial(mut self, redial: impl Redial + 'static) -> Self {
        self.redial = Some(Arc::new(redial));
        self
    }

    /// Begins a session over a connection. Streams may be opened at once; [`Session::established`] tells when the peer has answered.
    ///
    /// # Errors
    /// [`ConfigError`] where configuration and carrier do not go together.
    pub fn begin(&self, carrier: Carrier) -> Result<Session, ConfigError> {
        let mut config = self.config.clone();
        config.security = carrier.security;
        config.is_local = carrier.is_local;
        let (session, mut task) = start(Role::Initiator, config, carrier)?;
        task.redial = self.redial.clone();
        tokio::spawn(task.run());
        Ok(session)
    }

    /// Begins a session and waits for the handshake. Not cancel-safe: dropping it drops the connection.
    ///
    /// # Errors
    /// [`SessionError`] where the handshake fails.
    pub async fn connect(&self, carrier: Carrier) -> Result<Session, SessionError> {
        let session = self.begin(carrier).map_err(SessionError::Config)?;
        session.established().await?;
        Ok(session)
    }
}

fn start(role: Role, config: Config, carrier: Carrier) -> Result<(Session, Task), ConfigError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| ConfigError::Limit {
        field: "seed",
        reason: "cannot be had: the system gives no random octets",
    })?;
    let write_timeout = config.limits.write_timeout;
    let machine = SessionMachine::new(role, Arc::new(config), seed, Instant::EPOCH)?;
    let shared = Shared::new(machine, read_clock());
    let task = Task::new(shared.clone(), carrier.io, write_timeout);
    Ok((Session::of(shared), task))
}

impl Session {
    fn of(shared: Arc<Shared>) -> Self {
        shared.lock().handles += 1;
        Self { shared }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    pub(super) fn begin_accepting(
        config: &Config,
        carrier: Carrier,
        registry: Arc<Registry>,
        authenticate: Option<Arc<dyn Authenticate>>,
    ) -> Self {
        let mut config = config.clone();
        config.security = carrier.security;
        config.is_local = carrier.is_local;
        let (session, mut task) = match start(Role::Acceptor, config, carrier) {
            Ok(started) => started,
            Err(error) => return Self::failed(error),
        };
        task.registry = Some(registry.clone());
        task.authenticate = authenticate;
        let shared = session.shared.clone();
        tokio::spawn(async move {
            task.run().await;
            registry.forget(&shared);
        });
        session
    }

    /// A session that never was.
    fn failed(error: ConfigError) -> Self {
        let config = Arc::new(Config::new(crate::Security::Plaintext, true));
        #[allow(clippy::expect_used, reason = "the default configuration is checked by a test")]
        let machine =
            SessionMachine::new(Role::Acceptor, config, [0; 32], Instant::EPOCH).expect("the default configuration");
        let shared = Shared::new(machine, read_clock());
        shared.lock().end = Some(SessionError::Config(error));
        Self::of(shared)
    }

    /// Waits for the end of the handshake, authentication included. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] where it fails.
    pub async fn established(&self) -> Result<(), SessionError> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(end) = &state.end {
                return Poll::Ready(Err(end.clone()));
            }
            if state.is_established {
                return Poll::Ready(Ok(()));
            }
            state.wait_for_state(cx);
            Poll::Pending
        })
        .await
    }

    /// Waits for the end of the session. Cancel-safe.
    pub async fn closed(&self) -> SessionError {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(end) = &state.end {
                return Poll::Ready(end.clone());
            }
            state.wait_for_state(cx);
            Poll::Pending
        })
        .await
    }

    /// Waits until the peer says that it is going away. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] where the session ends before.
    pub async fn going_away(&self) -> Result<(), SessionError> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.going_away {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = &state.end {
                return Poll::Ready(Err(end.clone()));
            }
            state.wait_for_state(cx);
            Poll::Pending
        })
        .await
    }

    async fn open<T>(
        &self,
        direction: Direction,
        mut open: impl FnMut(&mut SessionMachine, Instant) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            let now = state.now();
            match open(&mut state.machine, now) {
                Err(OpenError::Blocked) => {
                    state.wait_to_open(direction, cx);
                    Poll::Pending
                }
                result => {
                    state.wake_task();
                    Poll::Ready(result)
                }
            }
        })
        .await
    }

    /// Opens a stream of octets both ways, waiting while the peer allows no more. Cancel-safe: a stream that nobody got is given up.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_bidi(&self, request: Request) -> Result<Bidi, OpenError> {
        let id = self.open_kind(Kind::Bytes, Direction::Bidi, request).await?;
        Ok(Bidi { send: SendStream::of(self.shared.clone(), id), recv: RecvStream::of(self.shared.clone(), id) })
    }

    /// Opens a stream of octets one way. As [`open_bidi`](Self::open_bidi).
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_uni(&self, request: Request) -> Result<SendStream, OpenError> {
        let id = self.open_kind(Kind::Bytes, Direction::Uni, request).await?;
        Ok(SendStream::of(self.shared.clone(), id))
    }

    /// Opens a channel of messages one way. As [`open_bidi`](Self::open_bidi).
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_messages(&self, in_order: bool, request: Request) -> Result<MessageSender, OpenError> {
        let id = self.open_kind(kind_of(in_order), Direction::Uni, request).await?;
        Ok(MessageSender::of(self.shared.clone(), id))
    }

    /// Opens a channel of messages both ways. As [`open_bidi`](Self::open_bidi).
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_channel(
        &self,
        in_order: bool,
        request: Request,
    ) -> Result<(MessageSender, MessageReceiver), OpenError> {
        let id = self.open_kind(kind_of(in_order), Direction::Bidi, request).await?;
        Ok((MessageSender::of(self.shared.clone(), id), MessageReceiver::of(self.shared.clone(), id, None)))
    }

    async fn open_kind(&self, kind: Kind, direction: Direction, request: Request) -> Result<StreamId, OpenError> {
        self.open(direction, |machine, now| machine.open(now, kind, direction, request.clone())).await
    }

    /// Sends a request, waiting while the peer allows no more. The reply is a future of its own. Cancel-safe: before it is
    /// ready nothing was sent.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn request(&self, body: Bytes, request: Request) -> Result<Reply, OpenError> {
        let id = self.open(Direction::Bidi, |machine, now| machine.request(now, body.clone(), request.clone())).await?;
        Ok(Reply::of(self.shared.clone(), id))
    }

    /// The next stream of octets that the peer opened. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] at the end of the session.
    pub async fn accept(&self) -> Result<IncomingStream, SessionError> {
        let opened = poll_fn(|cx| self.shared.lock().poll_queue(|state| &mut state.streams, cx)).await?;
        Ok(IncomingStream::of(&self.shared, opened))
    }

    /// The next channel of messages that the peer opened; with a sender where it goes both ways. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] at the end of the session.
    pub async fn accept_messages(&self) -> Result<(MessageReceiver, Option<MessageSender>), SessionError> {
        let opened = poll_fn(|cx| self.shared.lock().poll_queue(|state| &mut state.channels, cx)).await?;
        let id = opened.stream;
        let sender = (id.direction() == Direction::Bidi).then(|| MessageSender::of(self.shared.clone(), id));
        Ok((MessageReceiver::of(self.shared.clone(), id, Some(opened)), sender))
    }

    /// The next request of the peer, whole. Cancel-safe. It waits while more than [`Limits::replies_len_max`](crate::Limits::replies_len_max)
    /// octets of replies wait to be sent.
    ///
    /// # Errors
    /// [`SessionError`] at the end of the session.
    pub async fn accept_request(&self) -> Result<IncomingRequest, SessionError> {
        let opened = poll_fn(|cx| self.shared.lock().poll_request(cx)).await?;
        Ok(IncomingRequest::of(&self.shared, opened))
    }

    /// Sends a datagram: once, in no order, and not at all where it waits longer than `ttl`.
    ///
    /// # Errors
    /// [`DatagramError`].
    pub fn send_datagram(&self, flow: u64, data: Bytes, ttl: Option<Duration>) -> Result<(), DatagramError> {
        let mut state = self.shared.lock();
        let now = state.refresh();
        state.machine.send_datagram(now, flow, data, ttl)?;
        state.wake_task();
        Ok(())
    }

    /// The next datagram: its flow and its octets. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] at the end of the session.
    pub async fn receive_datagram(&self) -> Result<(u64, Bytes), SessionError> {
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(datagram) = state.machine.receive_datagram() {
                return Poll::Ready(Ok(datagram));
            }
            if let Some(end) = &state.end {
                return Poll::Ready(Err(end.clone()));
            }
            state.wait_for_datagrams(cx);
            Poll::Pending
        })
        .await
    }

    /// Moves the session to another connection, of any kind. Only the initiator can.
    ///
    /// # Errors
    /// The connection, where the session cannot move: it is over, the peer does not resume, or the new carrier is less safe. The session
    /// goes on over the one it has.
    pub fn migrate(&self, carrier: Carrier) -> Result<(), Carrier> {
        relink(&mut self.shared.lock(), carrier)
    }

    /// Takes no new streams, gives those that are open this long to end, and closes. `redirect` says where to go instead.
    pub fn drain(&self, duration: Duration, redirect: Option<&str>) {
        let mut state = self.shared.lock();
        let now = state.refresh();
        state.machine.drain(now, duration, redirect);
        state.wake_task();
    }

    /// True once a drain of this end is final and everything that the peer opened has come and was accepted: nothing new is to come.
    #[must_use]
    pub fn has_all(&self) -> bool {
        let state = self.shared.lock();
        state.machine.has_all() && !state.has_untaken()
    }

    /// Where the peer says to go instead, once it [goes away](Self::going_away): what it says, escaped.
    #[must_use]
    pub fn redirect(&self) -> Option<String> {
        self.shared.lock().machine.redirect().map(str::to_owned)
    }

    /// Closes the session now; what was not sent is lost.
    pub fn close(&self, code: Code, reason: &str) {
        let mut state = self.shared.lock();
        let now = state.refresh();
        state.machine.close(now, code, reason);
        state.wake_task();
    }

    /// Shows another credential before the one that was shown expires.
    pub fn authenticate(&self, token: &str) {
        let mut state = self.shared.lock();
        state.machine.authenticate(token);
        state.wake_task();
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lock().machine.stats()
    }

    /// Who the initiator is, where it was asked.
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        self.shared.lock().machine.subject().map(str::to_owned)
    }

    /// What the peer declared.
    #[must_use]
    pub fn peer_settings(&self) -> Settings {
        self.shared.lock().machine.peer_settings().clone()
    }

    /// True while it has no link and waits for one.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.shared.lock().machine.is_detached()
    }
}

fn kind_of(in_order: bool) -> Kind {
    if in_order { Kind::Messages } else { Kind::UnorderedMessages }
}

/// Lets go of our direction of a stream: nobody waits for room in it any more.
pub(super) fn release_send(shared: &Shared, id: StreamId) {
    let mut state = shared.lock();
    let now = state.now();
    state.machine.release_send(now, id);
    state.forget_writer(id);
    state.wake_task();
}

/// Lets go of the peer's direction of a stream: nobody waits for it, or will ask for its metadata.
pub(super) fn release_receive(shared: &Shared, id: StreamId) {
    let mut state = shared.lock();
    let now = state.now();
    state.machine.release_receive(now, id);
    state.forget_reader(id);
    state.wake_task();
}
