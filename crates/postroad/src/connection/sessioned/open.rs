//! From URLs to sessions, at both ends.

use super::{Sessioned, access, router, tunnel};
use crate::carrier;
use crate::connect::in_time;
use crate::options::{self, ConnectOptions, ListenOptions, config};
use crate::url::{Address, Transport, Url};
use crate::{Error, ErrorKind, Limits};
use postroad_transport::{Carrier, CarrierError, ErrorKind as CarrierKind};
use smrp::{Accepted, Acceptor, Config, Dial, Security, Session, SessionError};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// What an acceptor came to.
pub(crate) enum Accepting {
    Session(Sessioned),
    /// A session that was there before goes on.
    Resumed,
}

/// What is said about the carrier of `url`: its security, and whether it stays on this host.
//= SMRP-P9
fn carrier_of(url: &Url) -> Result<(Security, bool), Error> {
    let security = if url.transport().is_tls() { Security::Tls } else { Security::Plaintext };
    let is_local = match &url.address {
        Address::Path(_) | Address::Name(_) => true,
        Address::Mailslot { .. } => false,
        Address::Network { host, .. } => host.is_loopback(),
    };
    if security == Security::Plaintext && !is_local && url.options().plaintext != Some(true) {
        let why = format!("{} leaves this host in plaintext: anybody on the way can read and change it", url.stack());
        let safe = if url.transport() == Transport::Ws { Transport::Wss } else { Transport::Tls };
        let tls = url.stack().with_transport(safe).unwrap_or_else(|| url.stack());
        let remedy = format!("use {tls}://, or say that you know with `?plaintext=on`");
        return Err(config(why, remedy));
    }
    Ok((security, is_local))
}

/// How an end of the session of `url` behaves.
fn settings(url: &Url, limits: &Limits) -> Result<Config, Error> {
    let (security, is_local) = carrier_of(url)?;
    let mut config = Config::new(security, is_local);
    config.settings.max_message = (limits.message_len_max as u64).clamp(1, 1 << 32);
    config.settings.max_streams_bidi = if url.stack().is_in_session() { tunnel::STREAMS_MAX } else { 1_024 };
    // All of it at once: what one stream holds that nobody reads leaves room for the others.
    config.settings.init_max_data = config.limits.session_window_max;
    // Half messages of one peer: the longest one, and no more than the session would hold by itself.
    let assembly_len_max = config.limits.assembly_len_max.max(limits.message_len_max as u64);
    config.limits.assembly_len_max = assembly_len_max.min(limits.assembly_len_max as u64);
    config.limits.handshake_timeout = limits.handshake_timeout;
    config.limits.preface_timeout = config.limits.preface_timeout.min(limits.handshake_timeout);
    if let Some(timeout) = url.options().peer_timeout {
        let after = timeout.duration().map_or(0, |after| after.as_millis());
        config.settings.idle_ms = u64::try_from(after).unwrap_or(u64::MAX);
    }
    if url.options().reconnect == Some(false) {
        config.settings.resumable_ms = 0;
    }
    Ok(config)
}

/// The carrier as the session wants it, and who is at its other end.
//= SMRP-K2
fn over(
    carrier: Carrier,
    (security, is_local): (Security, bool),
    accepts: bool,
) -> Result<(smrp::Carrier, Option<String>), Error> {
    if let Carrier::Tls(stream) = &carrier
        && stream.alpn() != Some(carrier::SMRP_ALPN.as_bytes())
    {
        let why = format!("the other end did not agree on `{}` in its TLS handshake", carrier::SMRP_ALPN);
        return Err(Error::new(ErrorKind::Mismatch, "could not begin a session", why)
            .with_remedy("see what listens there, and that both ends use the same stack"));
    }
    let peer = carrier.peer().map(|peer| peer.to_string());
    let channel = access::channel_of(&carrier, accepts);
    let carrier = smrp::Carrier::new(carrier, security, is_local).with_channel(channel);
    Ok((
        match &peer {
            Some(peer) => carrier.with_peer(peer.clone()),
            None => carrier,
        },
        peer,
    ))
}

/// Connects, for messages, requests and bodies.
pub(crate) async fn connect(url: Url, options: &ConnectOptions) -> Result<Sessioned, Error> {
    let (session, peer) = dial(&url, options).await?;
    let limits = options::limits(&url, options.limits);
    let request_timeout = options::request_timeout(&url, options.request_timeout);
    Ok(start(url, peer, limits, request_timeout, session, None))
}

/// A session that is kept when its connection is lost, and who is at its other end.
pub(crate) async fn dial(url: &Url, options: &ConnectOptions) -> Result<(Session, String), Error> {
    let limits = options::limits(url, options.limits);
    let config = settings(url, &limits)?.with_credential(access::credential(url, options).await?);
    config.check().map_err(|error| options::config(error.to_string(), "see what the URL and the options say"))?;
    let carrier = carrier::open(url, options).await?;
    let at = (config.security, config.is_local);
    let (carrier, peer) = over(carrier, at, false)?;
    let peer = peer.unwrap_or_else(|| url.clone().without_options().to_string());
    let mut dial = access::renewing(Dial::new(config), url, options);
    if let Some(qlog) = options::Traces::of(url, options.traces.as_ref())? {
        dial = dial.with_qlog(qlog);
    }
    if url.options().reconnect != Some(false) {
        let (url, options) = (url.clone(), options.clone());
        dial = dial.with_redial(move || {
            let (url, options) = (url.clone(), options.clone());
            // The futures of the handshakes are large; here they are on the heap once.
            Box::pin(async move {
                let carrier = in_time(&url, &options, carrier::open(&url, &options)).await;
                carrier.and_then(|carrier| over(carrier, at, false)).map(|(carrier, _)| carrier).map_err(redial_error)
            })
        });
    }
    let session = dial.connect(carrier).await.map_err(|error| handshake_error(url, error))?;
    Ok((session, peer))
}

/// Why there is no other connection: a session has to know where nobody listens any more.
//= SMRP-R19
fn redial_error(error: Error) -> std::io::Error {
    use core::error::Error as _;
    let carrier = error.source().and_then(|source| source.downcast_ref::<CarrierError>());
    // A unix socket whose file is gone has no listener either.
    let io = carrier.and_then(|carrier| carrier.source()?.downcast_ref::<std::io::Error>());
    let is_gone = io.is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound);
    let is_refused = is_gone || carrier.is_some_and(|carrier| carrier.kind() == CarrierKind::Refused);
    let kind = if is_refused { std::io::ErrorKind::ConnectionRefused } else { std::io::ErrorKind::Other };
    std::io::Error::new(kind, error)
}

/// What accepts the sessions of a listener, those that come back among them.
pub(crate) async fn acceptor(url: &Url, options: &ListenOptions) -> Result<Acceptor, Error> {
    let limits = options::limits(url, options.limits);
    let acceptor = Acceptor::new(settings(url, &limits)?);
    let acceptor = acceptor.map_err(|error| config(error.to_string(), "see what the URL and the options say"))?;
    let acceptor = match options::Traces::of(url, options.traces.as_ref())? {
        Some(qlog) => acceptor.with_qlog(qlog),
        None => acceptor,
    };
    access::guarded(acceptor, url, options).await
}

/// A session over a carrier that was accepted.
pub(crate) async fn accept(
    acceptor: &Acceptor,
    carrier: Carrier,
    url: Url,
    options: &ListenOptions,
    place: OwnedSemaphorePermit,
) -> Result<Accepting, Error> {
    let Some((session, peer)) = accept_session(acceptor, carrier, &url).await? else { return Ok(Accepting::Resumed) };
    let limits = options::limits(&url, options.limits);
    let request_timeout = options::request_timeout(&url, options.request_timeout);
    Ok(Accepting::Session(start(url, peer, limits, request_timeout, session, Some(place))))
}

/// A session over a carrier that was accepted, and who is at its other end; `None` where one that was there before goes on.
pub(crate) async fn accept_session(
    acceptor: &Acceptor,
    carrier: Carrier,
    url: &Url,
) -> Result<Option<(Session, String)>, Error> {
    let (carrier, peer) = over(carrier, carrier_of(url)?, true)?;
    let peer = peer.unwrap_or_else(|| url.clone().without_options().to_string());
    match acceptor.accept(carrier).await {
        Ok(Accepted::Session(session)) => Ok(Some((session, peer))),
        Ok(Accepted::Resumed) => Ok(None),
        Err(error) => Err(handshake_error(url, error).with_what(format!("{peer} did not get in"))),
    }
}

fn handshake_error(url: &Url, error: SessionError) -> Error {
    let what = format!("could not connect to {url}");
    let (kind, remedy) = match &error {
        SessionError::Fault(_) => {
            (ErrorKind::Mismatch, "see what listens there, and that both ends use the same stack")
        }
        SessionError::HandshakeTimeout { .. } => (ErrorKind::Timeout, "see whether the other end speaks SMRP"),
        SessionError::AuthRefused => {
            (ErrorKind::Peer, "see whether `token=` names the right file, and whether its token has expired")
        }
        SessionError::ClosedByPeer { code, .. }
            if *code == smrp::Code::AUTH_REQUIRED || *code == smrp::Code::AUTH_FAILED =>
        {
            (
                ErrorKind::Peer,
                "give a token with `token=FILE`, or a certificate with `cert=` and `key=`, as the other end wants it",
            )
        }
        // TLS 1.3 refuses a client only after its handshake.
        SessionError::LinkLost if url.transport().is_tls() && url.options().cert.is_none() => (
            ErrorKind::Mismatch,
            "see whether the other end speaks SMRP, and whether it wants a certificate: `cert=` and `key=`",
        ),
        SessionError::LinkLost => (ErrorKind::Mismatch, "see whether the other end speaks SMRP"),
        _ => (ErrorKind::Connect, ""),
    };
    Error::new(kind, what, error.to_string()).with_remedy(remedy).with_source(error)
}

fn start(
    url: Url,
    peer: String,
    limits: Limits,
    request_timeout: core::time::Duration,
    session: Session,
    place: Option<OwnedSemaphorePermit>,
) -> Sessioned {
    let handle = session.clone();
    router::start(&handle, limits.incoming_count_max, |queue, router| super::Inner {
        url,
        peer,
        limits,
        request_timeout,
        session,
        sender: Mutex::new(None),
        queue: Mutex::new(queue),
        requests: Arc::new(Semaphore::new(limits.requests_in_flight_max)),
        waiting: Arc::default(),
        refused: Arc::default(),
        bodies: Arc::default(),
        is_draining: AtomicBool::new(false),
        draining: Arc::default(),
        router,
        _place: place,
    })
}
