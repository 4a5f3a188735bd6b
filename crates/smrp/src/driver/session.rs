//! A session as an application sees it.

use super::acceptor::{Authenticate, Registry};
use super::carrier::{Carrier, Credentials, Redial};
use super::messages::{MessageReceiver, MessageSender};
use super::renewal::{self, Renewal};
use super::requests::{IncomingRequest, Reply};
use super::shared::{Queue, Shared, State, read_clock};
use super::streams::{Bidi, IncomingStream, RecvStream, SendStream};
use super::task::{Task, relink};
use super::waiting::{Line, Waiter};
use crate::config::Config;
use crate::error::{ConfigError, DatagramError, OpenError, SessionError};
use crate::{
    Code, Credential, Direction, Kind, Opened, Request, Role, SessionMachine, Settings, Stats, StreamId, Unsent,
};
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
    observers: Observers,
    credentials: Option<Arc<dyn Credentials>>,
}

impl core::fmt::Debug for Dial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut form = f.debug_struct("Dial");
        form.field("config", &self.config).field("redials", &self.redial.is_some());
        form.field("renews", &self.credentials.is_some()).finish()
    }
}

impl Dial {
    /// With this configuration.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, redial: None, observers: Observers::default(), credentials: None }
    }

    /// Writing traces of some of its sessions. It costs nothing where a session is not among them.
    #[cfg(feature = "qlog")]
    #[must_use]
    pub fn with_qlog(mut self, qlog: super::Qlog) -> Self {
        self.observers.qlog = Some(qlog);
        self
    }

    /// With a way to get another connection when the first one is lost: the session goes on over it.
    #[must_use]
    pub fn with_redial(mut self, redial: impl Redial + 'static) -> Self {
        self.redial = Some(Arc::new(redial));
        self
    }

    /// With a source of credentials: asked by [`connect`](Self::connect), when three quarters of what the acceptor granted have passed, and for
    /// each connection that takes the place of one that was lost. Where it fails, or what it gave is refused, the credential before stays good until
    /// its end.
    //= SMRP-A18
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl Credentials + 'static) -> Self {
        self.credentials = Some(Arc::new(credentials));
        self
    }

    /// Begins a session over a connection, with the credential of the configuration. Streams may be opened at once;
    /// [`Session::established`] tells when the peer has answered.
    ///
    /// # Errors
    /// [`ConfigError`] where configuration and carrier do not go together.
    pub fn begin(&self, carrier: Carrier) -> Result<Session, ConfigError> {
        self.begin_with(carrier, None)
    }

    fn begin_with(&self, carrier: Carrier, credential: Option<Credential>) -> Result<Session, ConfigError> {
        let mut config = over(&self.config, &carrier);
        config.credential = credential.unwrap_or(config.credential);
        let (session, mut task) = start(Role::Initiator, config, carrier, &self.observers)?;
        session.shared.lock().renewal = Renewal::of(self.credentials.clone());
        task.redial = self.redial.clone();
        tokio::spawn(task.run());
        Ok(session)
    }

    /// Begins a session and waits for the handshake. Not cancel-safe: dropping it drops the connection.
    ///
    /// # Errors
    /// [`SessionError`] where the handshake fails.
    pub async fn connect(&self, carrier: Carrier) -> Result<Session, SessionError> {
        let credential = match &self.credentials {
            Some(source) => renewal::ask(source.as_ref()).await,
            None => None,
        };
        let session = self.begin_with(carrier, credential).map_err(SessionError::Config)?;
        session.established().await?;
        Ok(session)
    }
}

/// What is told of what its sessions do, and to whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Observers {
    #[cfg(feature = "qlog")]
    pub(super) qlog: Option<super::Qlog>,
}

impl Observers {
    /// Begins the trace of a session, where it is to have one.
    #[cfg(feature = "qlog")]
    fn attach(&self, machine: &mut SessionMachine) {
        if let Some(observer) = self.qlog.as_ref().and_then(|qlog| qlog.session(machine.role())) {
            machine.set_observer(observer);
        }
    }

    #[cfg(not(feature = "qlog"))]
    #[allow(clippy::unused_self, reason = "without a feature there is nobody to tell")]
    fn attach(&self, _: &mut SessionMachine) {}
}

/// The configuration over this carrier.
fn over(config: &Config, carrier: &Carrier) -> Config {
    let mut config = config.clone();
    config.security = carrier.security;
    config.is_local = carrier.is_local;
    config.channel = carrier.channel.clone();
    config
}

fn start(role: Role, config: Config, carrier: Carrier, observers: &Observers) -> Result<(Session, Task), ConfigError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| ConfigError::Limit {
        field: "seed",
        reason: "cannot be had: the system gives no random octets",
    })?;
    let write_timeout = config.limits.write_timeout;
    let mut machine = SessionMachine::new(role, Arc::new(config), seed, Instant::EPOCH)?;
    observers.attach(&mut machine);
    // What stands in it is told with each event, so it says who, and nothing that lets anybody in.
    //= SMRP-A8
    let peer = carrier.peer.as_deref();
    let span = tracing::info_span!("session", ?role, peer);
    let shared = Shared::new(machine, read_clock());
    shared.lock().span = span;
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
        observers: &Observers,
    ) -> Self {
        let config = over(config, &carrier);
        let (session, mut task) = match start(Role::Acceptor, config, carrier, observers) {
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
        let mut state = shared.lock();
        state.end = Some(SessionError::Config(error));
        state.is_gone = true;
        drop(state);
        Self::of(shared)
    }

    /// Waits for the end of the handshake, authentication included. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] where it fails.
    pub async fn established(&self) -> Result<(), SessionError> {
        let mut waiter = Waiter::of(&self.shared, Line::State);
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(end) = &state.end {
                return Poll::Ready(Err(end.clone()));
            }
            if state.is_established {
                return Poll::Ready(Ok(()));
            }
            waiter.wait(&mut state, cx);
            Poll::Pending
        })
        .await
    }

    /// Waits for the end of the session. Cancel-safe.
    pub async fn closed(&self) -> SessionError {
        let mut waiter = Waiter::of(&self.shared, Line::State);
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(end) = &state.end {
                return Poll::Ready(end.clone());
            }
            waiter.wait(&mut state, cx);
            Poll::Pending
        })
        .await
    }

    /// Waits for the end of the session, and until the peer was told of it as far as it can be: 2 s more at most. For a program
    /// that ends then. Cancel-safe.
    pub async fn gone(&self) {
        let mut waiter = Waiter::of(&self.shared, Line::State);
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.is_gone {
                return Poll::Ready(());
            }
            waiter.wait(&mut state, cx);
            Poll::Pending
        })
        .await;
    }

    /// Waits until the peer says that it is going away. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] where the session ends before.
    pub async fn going_away(&self) -> Result<(), SessionError> {
        let mut waiter = Waiter::of(&self.shared, Line::State);
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if state.going_away {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = &state.end {
                return Poll::Ready(Err(end.clone()));
            }
            waiter.wait(&mut state, cx);
            Poll::Pending
        })
        .await
    }

    async fn open<T>(
        &self,
        direction: Direction,
        mut open: impl FnMut(&mut SessionMachine, Instant) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        let mut waiter = Waiter::of(&self.shared, Line::Open(direction));
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            let now = state.now();
            match open(&mut state.machine, now) {
                Err(OpenError::Blocked) => {
                    waiter.wait(&mut state, cx);
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

    async fn next_in(&self, line: Line, which: fn(&mut State) -> &mut Queue) -> Result<Opened, SessionError> {
        self.next(line, |state| state.next_in(which)).await
    }

    async fn next(
        &self,
        line: Line,
        next: impl Fn(&mut State) -> Option<Result<Opened, SessionError>>,
    ) -> Result<Opened, SessionError> {
        let mut waiter = Waiter::of(&self.shared, line);
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(next) = next(&mut state) {
                return Poll::Ready(next);
            }
            waiter.wait(&mut state, cx);
            Poll::Pending
        })
        .await
    }

    /// The next stream of octets that the peer opened. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] at the end of the session.
    pub async fn accept(&self) -> Result<IncomingStream, SessionError> {
        let opened = self.next_in(Line::Streams, |state| &mut state.streams).await?;
        Ok(IncomingStream::of(&self.shared, opened))
    }

    /// The next channel of messages that the peer opened; with a sender where it goes both ways. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] at the end of the session.
    pub async fn accept_messages(&self) -> Result<(MessageReceiver, Option<MessageSender>), SessionError> {
        let opened = self.next_in(Line::Channels, |state| &mut state.channels).await?;
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
        let opened = self.next(Line::Requests, State::next_request).await?;
        Ok(IncomingRequest::of(&self.shared, opened))
    }

    /// Waits until what was handed in so far, on any stream, has gone to the carrier; not for what comes later. Cancel-safe.
    ///
    /// # Errors
    /// [`SessionError`] where the session ends first.
    pub async fn flushed(&self) -> Result<(), SessionError> {
        let unsent = self.shared.lock().machine.unsent();
        self.sent(unsent).await
    }

    /// [`flushed`](Self::flushed) of one stream.
    ///
    /// # Errors
    /// As it.
    pub async fn flushed_of(&self, id: StreamId) -> Result<(), SessionError> {
        let unsent = self.shared.lock().machine.unsent_of(id);
        self.sent(unsent).await
    }

    async fn sent(&self, mut unsent: Unsent) -> Result<(), SessionError> {
        let mut waiter = Waiter::of(&self.shared, Line::Flush);
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            // A session that has ended knows no streams any more, so this comes first.
            if let Some(end) = &state.end {
                return Poll::Ready(if unsent.is_empty() { Ok(()) } else { Err(end.clone()) });
            }
            if state.machine.has_sent(&mut unsent) {
                return Poll::Ready(Ok(()));
            }
            waiter.wait(&mut state, cx);
            Poll::Pending
        })
        .await
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
        let mut waiter = Waiter::of(&self.shared, Line::Datagrams);
        poll_fn(|cx| {
            let mut state = self.shared.lock();
            if let Some(datagram) = state.machine.receive_datagram() {
                return Poll::Ready(Ok(datagram));
            }
            if let Some(end) = &state.end {
                return Poll::Ready(Err(end.clone()));
            }
            waiter.wait(&mut state, cx);
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
        tracing::info!(parent: &state.span, ?duration, redirect, "draining");
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

    /// Shows another credential before the one that was shown expires. [`Dial::with_credentials`] does so by itself.
    ///
    /// # Errors
    /// [`ConfigError`] where it must not be shown on the carrier that the session has; the one before stays.
    pub fn authenticate(&self, credential: Credential) -> Result<(), ConfigError> {
        let mut state = self.shared.lock();
        let shown = state.machine.authenticate(credential);
        state.wake_task();
        shown
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
