//! Listening.

use crate::carrier::{self, Octets};
use crate::connection::framed::Framed;
use crate::connection::sessioned::{self, tunnel};
use crate::connection::{linked, mailslot};
use crate::forward::Targets;
use crate::options::{self, ListenOptions};
use crate::url::Protocol;
use crate::{Connection, Error, ErrorKind, Url};
use postroad_transport::{CarrierListener, Pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// Connections that are ready and wait for [`Listener::accept`].
const READY_COUNT_MAX: usize = 64;

/// Takes connections at a URL. Handshakes run side by side and never hold up others. Dropping it stops listening;
/// connections that were accepted go on.
///
/// Over `smp121` it takes one connection, which is the mailslot: it receives the requests of all peers, and is there until
/// it is closed or dropped, whatever becomes of the listener.
#[derive(Debug)]
pub struct Listener {
    url: Url,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Framed(Accepting),
    Mailslot {
        /// Until it is accepted.
        connection: Option<Connection>,
        /// Told when it is closed or gone.
        end: watch::Receiver<bool>,
    },
}

/// A task that accepts, and what it has for us.
#[derive(Debug)]
struct Accepting {
    ready: mpsc::Receiver<Result<Connection, Error>>,
    failed_count: Arc<AtomicU64>,
    /// Ends with the listener.
    _tasks: JoinSet<()>,
}

/// Listens at `url`, with default options.
///
/// # Errors
/// As [`listen_with`].
pub async fn listen<U>(url: U) -> Result<Listener, Error>
where
    U: TryInto<Url>,
    Error: From<U::Error>,
{
    listen_with(url, ListenOptions::default()).await
}

/// Listens at `url`; port 0 takes a free one, see [`Listener::url`]. Must be called within a tokio runtime.
///
/// # Errors
/// `Usage` for a text that is no URL, `Config` for settings that cannot be (TLS without a certificate among them),
/// `Connect` where the address or the mailslot's name is taken or not of this machine, `Privilege` (raw IP). All name the
/// URL.
pub async fn listen_with<U>(url: U, options: ListenOptions) -> Result<Listener, Error>
where
    U: TryInto<Url>,
    Error: From<U::Error>,
{
    Box::pin(open(url.try_into()?, options, None)).await
}

/// Listens for sessions whose streams go to targets: no connections come of it.
pub(crate) async fn listen_for(url: Url, options: ListenOptions, targets: Arc<Targets>) -> Result<Listener, Error> {
    Box::pin(open(url, options, Some(targets))).await
}

async fn open(url: Url, options: ListenOptions, targets: Option<Arc<Targets>>) -> Result<Listener, Error> {
    options.check()?;
    if url.options().connect_timeout.is_some() {
        return Err(options::config("`connect_timeout=` is for clients", "leave it out"));
    }
    if url.protocol() == Protocol::Smp121 {
        let (slot, url) = mailslot::listen(url, &options).await?;
        let kind = Kind::Mailslot { connection: Some((&slot).into()), end: slot.end() };
        return Ok(Listener { url, kind });
    }
    if url.options().reconnect.is_some() && !url.stack().has(Protocol::Smrp) {
        return Err(options::config("`reconnect=` is for clients", "leave it out"));
    }
    if url.stack().has(Protocol::Smp) {
        options::smp_config(&url)?;
    }
    // Settings are checked before anything is opened.
    let sessions = match url.stack().has(Protocol::Smrp) {
        true => Some(sessioned::acceptor(&url, &options).await?),
        false => None,
    };
    let (listener, url) = carrier::bind(&url, &options).await?;
    let (ready_sender, ready) = mpsc::channel(READY_COUNT_MAX);
    let failed_count = Arc::new(AtomicU64::new(0));
    let places = || Arc::new(Semaphore::new(options.connections_max));
    let (places, stream_places, options) = (places(), places(), Arc::new(options));
    let inside = match targets {
        Some(targets) => Some(Inside::Targets(targets)),
        None if url.stack().is_in_session() => Some(Inside::Connections(Box::new(tunnel::Accepting {
            url: url.clone(),
            options: Arc::clone(&options),
            places: stream_places,
            ready: ready_sender.clone(),
            failed_count: Arc::clone(&failed_count),
        }))),
        None => None,
    };
    let acceptor = Acceptor {
        listener,
        url: url.clone(),
        places,
        options,
        sessions,
        inside,
        ready: ready_sender,
        failed_count: Arc::clone(&failed_count),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(acceptor.run());
    Ok(Listener { url, kind: Kind::Framed(Accepting { ready, failed_count, _tasks: tasks }) })
}

impl Listener {
    /// Where it listens, with the real port.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The next connection that is ready for messages. Peers that fail in their handshakes are counted and logged, and
    /// never an error here. Cancel-safe.
    ///
    /// Over `smp121` the first call gives the mailslot at once, and later ones wait until it is closed.
    ///
    /// # Errors
    /// Only where it listens no more.
    pub async fn accept(&mut self) -> Result<Connection, Error> {
        let ended = |why| Err(Error::new(ErrorKind::Closed, format!("listens no more at {}", self.url), why));
        match &mut self.kind {
            Kind::Framed(accepting) => {
                accepting.ready.recv().await.unwrap_or_else(|| ended("the listening task has ended"))
            }
            Kind::Mailslot { connection, end } => {
                if let Some(connection) = connection.take() {
                    return Ok(connection);
                }
                // Closed, or gone with its last user: it is over either way.
                let _over = end.wait_for(|closed| *closed).await;
                ended("the mailslot was closed")
            }
        }
    }

    /// Peers that connected and failed in their handshakes. None over `smp121`, which has no handshakes.
    #[must_use]
    pub fn failed_count(&self) -> u64 {
        match &self.kind {
            Kind::Framed(accepting) => accepting.failed_count.load(Ordering::Relaxed),
            Kind::Mailslot { .. } => 0,
        }
    }
}

/// What becomes of the streams of sessions, where the session itself is no connection.
#[derive(Clone)]
enum Inside {
    /// Connections of another protocol.
    Connections(Box<tunnel::Accepting>),
    /// Connections to targets.
    Targets(Arc<Targets>),
}

/// The task behind a listener.
struct Acceptor {
    listener: CarrierListener,
    url: Url,
    options: Arc<ListenOptions>,
    /// Of SMRP: what keeps the sessions of all connections.
    sessions: Option<smrp::Acceptor>,
    inside: Option<Inside>,
    places: Arc<Semaphore>,
    ready: mpsc::Sender<Result<Connection, Error>>,
    failed_count: Arc<AtomicU64>,
}

impl Acceptor {
    async fn run(self) {
        let mut handshakes = JoinSet::new();
        loop {
            // The place comes first: without one nothing is accepted, and the kernel's queue fills.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let accepted = loop {
                tokio::select! {
                    accepted = self.listener.accept() => break accepted,
                    Some(_) = handshakes.join_next() => {}
                    () = self.ready.closed() => return,
                }
            };
            match accepted {
                Ok(pending) => drop(handshakes.spawn(self.handshake(pending, place))),
                Err(error) => {
                    let error = Error::carrier(format!("listens no more at {}", self.url), error);
                    let _nobody_accepts = self.ready.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    fn handshake(&self, pending: Pending, place: OwnedSemaphorePermit) -> impl Future<Output = ()> + Send + 'static {
        let (url, ready, failed_count) = (self.url.clone(), self.ready.clone(), Arc::clone(&self.failed_count));
        let options = Arc::clone(&self.options);
        let (sessions, inside) = (self.sessions.clone(), self.inside.clone());
        async move {
            let connection: Result<Connection, Error> = match (pending.handshake().await, sessions, inside) {
                (Ok(carrier), Some(sessions), Some(inside)) => {
                    match sessioned::accept_session(&sessions, carrier, &url).await {
                        Ok(Some((session, peer))) => {
                            // It ends with its connections, not with the listener.
                            match inside {
                                Inside::Connections(accepting) => {
                                    drop(tokio::spawn(accepting.run(session, peer, place)));
                                }
                                Inside::Targets(targets) => drop(tokio::spawn(async move {
                                    targets.run(session, peer, place, ready.closed()).await;
                                })),
                            }
                            return;
                        }
                        Ok(None) => return,
                        Err(error) => Err(error),
                    }
                }
                (Ok(carrier), Some(sessions), None) => {
                    match sessioned::accept(&sessions, carrier, url, &options, place).await {
                        Ok(sessioned::Accepting::Session(session)) => Ok((&session).into()),
                        // Whoever accepted it has it already.
                        Ok(sessioned::Accepting::Resumed) => return,
                        Err(error) => Err(error),
                    }
                }
                (Ok(carrier), None, _) => begin(carrier.into(), url, &options, place).await,
                (Err(error), ..) => Err(Error::carrier("a peer did not get in", error)),
            };
            match connection {
                Ok(connection) => {
                    let _nobody_accepts = ready.send(Ok(connection)).await;
                }
                Err(error) => {
                    failed_count.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!("{error}");
                }
            }
        }
    }
}

/// A connection over what was accepted for it.
pub(crate) async fn begin(
    octets: Octets,
    url: Url,
    options: &ListenOptions,
    place: OwnedSemaphorePermit,
) -> Result<Connection, Error> {
    if url.protocol() == Protocol::Wrp {
        return linked::accept(octets, url, options, place).await.map(|linked| (&linked).into());
    }
    let limits = options::limits(&url, options.limits);
    let request_timeout = options::request_timeout(&url, options.request_timeout);
    Framed::start(octets, url, limits, request_timeout, Some(place)).map(|framed| (&framed).into())
}
