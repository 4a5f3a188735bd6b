//! Other protocols within a session: each connection of theirs is one stream of octets.
//!
//! The opener says what is inside by a content type, and where it goes by a name; the other end answers with the same content
//! type, or refuses the stream.

use super::codes::{self, OTHER_CONTENT};
use super::{CLOSE_TIMEOUT, name_of, open, parts};
use crate::carrier::Octets;
use crate::connection::bodies::{Bodies, OpenBody};
use crate::options::{ConnectOptions, ListenOptions};
use crate::url::{Protocol, Url};
use crate::{Connection, Error, ErrorKind};
use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use smrp::{Bidi, Code, IncomingStream, OpenError, ReceiveError, SendError, Session};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Connections that one session may have at the same time, those that wait for their place counted.
pub(super) const STREAMS_MAX: u64 = 256;

/// How long connections of a session may go on once nobody listens any more.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a session that is drained is looked at: whether it still has a connection.
const DETACHED_CHECK: Duration = Duration::from_millis(500);

const SMP: &str = "application/vnd.postroad.smp";
const WRP: &str = "application/vnd.postroad.wrp";

/// What the stream of a stack is said to carry.
fn content_type(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Wrp { WRP } else { SMP }
}

/// True for what is no message, request or body.
pub(super) fn is_tunnel(content_type: Option<&[u8]>) -> bool {
    [SMP, WRP].iter().any(|known| content_type == Some(known.as_bytes()))
}

/// A stream of a session as a byte stream.
#[derive(Debug)]
pub(crate) struct Tunnel {
    stream: Bidi,
    peer: String,
    /// Of the end that opened the session for this stream alone; behind the stream, so that it goes last.
    ending: Option<Ending>,
}

/// Ends the session in good order when its only stream is gone.
#[derive(Debug)]
struct Ending {
    session: Session,
    endings: Arc<Bodies>,
    open: Option<OpenBody>,
}

impl Ending {
    fn new(session: Session, endings: &Arc<Bodies>) -> Self {
        Self { session, endings: Arc::clone(endings), open: Some(endings.open()) }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.session.drain(CLOSE_TIMEOUT, None);
        let (session, open) = (self.session.clone(), self.open.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _in_time = tokio::time::timeout(CLOSE_TIMEOUT, session.gone()).await;
                drop(open);
            });
        }
    }
}

impl Tunnel {
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    pub(crate) fn endings(&self) -> Option<Arc<Bodies>> {
        self.ending.as_ref().map(|ending| Arc::clone(&ending.endings))
    }
}

/// Opens a session for one connection, and the stream that carries it.
pub(crate) async fn connect(url: &Url, options: &ConnectOptions, endings: &Arc<Bodies>) -> Result<Octets, Error> {
    let (session, peer) = open::dial(url, options).await?;
    let ending = Ending::new(session.clone(), endings);
    let inside = content_type(url.protocol());
    let request = smrp::Request::default().with_metadata(parts::metadata(name_of(url), inside));
    let mut stream = session.open_bidi(request).await.map_err(|error| open_error(url, error))?;
    let head = stream.recv.head().await.map_err(|error| refused(url, error))?;
    if parts::content_type(head.as_ref()).as_deref() != Some(inside.as_bytes()) {
        let why = format!("the other end does not say that it takes `{inside}`");
        return Err(Error::new(ErrorKind::Mismatch, format!("could not connect to {url}"), why)
            .with_remedy("use the same stack at both ends"));
    }
    Ok(Octets::Tunnel(Box::new(Tunnel { stream, peer, ending: Some(ending) })))
}

fn open_error(url: &Url, error: OpenError) -> Error {
    let kind = if matches!(error, OpenError::GoingAway { .. }) { ErrorKind::Closed } else { ErrorKind::Lost };
    Error::new(kind, format!("could not connect to {url}"), error.to_string()).with_source(error)
}

fn refused(url: &Url, error: ReceiveError) -> Error {
    let what = format!("could not connect to {url}");
    let ReceiveError::Reset(code) = error else {
        return Error::new(ErrorKind::Lost, what, error.to_string()).with_source(error);
    };
    let (kind, remedy) = match code {
        OTHER_CONTENT => (ErrorKind::Mismatch, "use the same stack at both ends".to_owned()),
        Code::NOT_FOUND => (ErrorKind::Connect, "use the path that the listener has in its URL".to_owned()),
        Code::REFUSED => (ErrorKind::Closed, "connect again: nothing was done".to_owned()),
        _ => (ErrorKind::Peer, String::new()),
    };
    Error::new(kind, what, codes::words(code)).with_remedy(remedy).with_source(error)
}

/// The words for a stream that was given up, behind the error of a reader or a writer.
fn in_words(error: io::Error) -> io::Error {
    let inner = error.get_ref();
    let reset = inner.and_then(|inner| match inner.downcast_ref::<ReceiveError>() {
        Some(ReceiveError::Reset(code)) => Some(*code),
        _ => None,
    });
    let stopped = inner.and_then(|inner| match inner.downcast_ref::<SendError>() {
        Some(SendError::Stopped(code)) => Some(*code),
        _ => None,
    });
    match reset.or(stopped) {
        Some(code) => io::Error::new(error.kind(), codes::words(code)),
        None => error,
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer).map_err(in_words)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets).map_err(in_words)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx).map_err(in_words)
    }
}

/// Takes nothing new on a session whose listener is gone, and waits until what is open has ended.
pub(crate) async fn drain(session: &Session) {
    session.drain(DRAIN_TIMEOUT, None);
    loop {
        tokio::select! {
            stream = session.accept() => match stream {
                Ok(stream) => stream.refuse(Code::REFUSED),
                Err(_) => break,
            },
            // Nobody listens, so it finds no other connection.
            () = tokio::time::sleep(DETACHED_CHECK) => if session.is_detached() {
                session.close(Code::SHUTDOWN, "");
            },
        }
    }
    session.gone().await;
}

/// What a listener has for the streams of its sessions.
#[derive(Clone, Debug)]
pub(crate) struct Accepting {
    pub(crate) url: Url,
    pub(crate) options: Arc<ListenOptions>,
    /// Places for connections; a stream waits for one.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) ready: mpsc::Sender<Result<Connection, Error>>,
    pub(crate) failed_count: Arc<AtomicU64>,
}

impl Accepting {
    /// Makes a connection of every stream that comes on one session. Once nobody listens any more, nothing new is taken, and
    /// the session ends with the last of its connections.
    pub(crate) async fn run(self, session: Session, peer: String, place: OwnedSemaphorePermit) {
        if !self.take(&session, &peer).await {
            return;
        }
        drain(&session).await;
        drop(place);
    }

    /// `false` where the session is over.
    async fn take(&self, session: &Session, peer: &str) -> bool {
        loop {
            let stream = tokio::select! {
                biased;
                () = self.ready.closed() => return true,
                stream = session.accept() => match stream {
                    Ok(stream) => stream,
                    Err(_) => return false,
                },
                request = session.accept_request() => {
                    request.into_iter().for_each(|request| request.fail(OTHER_CONTENT));
                    continue;
                }
                // Dropped, it is stopped.
                _ = session.accept_messages() => continue,
            };
            let stream = match self.judge(stream, peer) {
                Ok(stream) => stream,
                Err(error) => {
                    self.failed(&error);
                    continue;
                }
            };
            let place = tokio::select! {
                biased;
                () = self.ready.closed() => return true,
                _ = session.closed() => return false,
                Ok(place) = Arc::clone(&self.places).acquire_owned() => place,
            };
            match self.begin(stream, peer, place).await {
                Ok(connection) => drop(self.ready.send(Ok(connection)).await),
                Err(error) => self.failed(&error),
            }
        }
    }

    fn failed(&self, error: &Error) {
        self.failed_count.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("{error}");
    }

    /// Refuses what has no place here.
    fn judge(&self, stream: IncomingStream, peer: &str) -> Result<Bidi, Error> {
        let what = format!("refused a stream of {peer}");
        let inside = parts::content_type(stream.opened.metadata.as_ref()).unwrap_or_default();
        let wanted = content_type(self.url.protocol());
        if stream.send.is_none() || inside != Bytes::from_static(wanted.as_bytes()) {
            stream.refuse(OTHER_CONTENT);
            let shown = crate::escape::octets(&inside);
            return Err(Error::new(ErrorKind::Mismatch, what, format!("it carries `{shown}`, and not `{wanted}`")));
        }
        let name = stream.name();
        if name.as_deref().unwrap_or("/") != name_of(&self.url).unwrap_or("/") {
            stream.refuse(Code::NOT_FOUND);
            let shown = crate::escape::text(name.as_deref().unwrap_or("/"));
            return Err(Error::new(ErrorKind::Connect, what, format!("it goes to `{shown}`, which is not here")));
        }
        let given_up = || Error::new(ErrorKind::Lost, "a stream went before it was taken", "it goes one way");
        stream.into_bidi().ok_or_else(given_up)
    }

    async fn begin(&self, mut stream: Bidi, peer: &str, place: OwnedSemaphorePermit) -> Result<Connection, Error> {
        let answer = parts::metadata(None, content_type(self.url.protocol()));
        stream.send.send_metadata(answer).map_err(|error| {
            Error::new(ErrorKind::Lost, format!("a stream of {peer} did not get in"), error.to_string())
        })?;
        let octets = Octets::Tunnel(Box::new(Tunnel { stream, peer: peer.to_owned(), ending: None }));
        crate::listen::begin(octets, self.url.clone(), &self.options, place).await
    }
}
