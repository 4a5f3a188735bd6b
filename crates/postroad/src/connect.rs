//! Connecting.

use crate::carrier::{self, Octets};
use crate::connection::framed::Framed;
use crate::connection::sessioned::{self, tunnel};
use crate::connection::{linked, mailslot};
use crate::options::{self, ConnectOptions};
use crate::url::Protocol;
use crate::{Connection, Error, ErrorKind, Url};
use std::sync::Arc;

/// Connects to `url`, with default options.
///
/// ```no_run
/// # async fn example() -> Result<(), postroad::Error> {
/// let connection = postroad::connect("smp+tcp://127.0.0.1:7001").await?;
/// let reply = connection.request("ping").await?;
/// connection.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`connect_with`].
pub async fn connect<U>(url: U) -> Result<Connection, Error>
where
    U: TryInto<Url>,
    Error: From<U::Error>,
{
    connect_with(url, ConnectOptions::default()).await
}

/// Connects to `url`. Must be called within a tokio runtime.
///
/// Over `smp121` there are no connections: the name of the mailslot is resolved, so that one that is not there is known
/// at once.
///
/// # Errors
/// `Usage` for a text that is no URL, `Config` for settings that cannot be, `Unsupported` for a capability that was
/// required, `Connect`, `Timeout`, `Certificate`, `Mismatch`, `Privilege` (raw IP). All name the URL.
pub async fn connect_with<U>(url: U, options: ConnectOptions) -> Result<Connection, Error>
where
    U: TryInto<Url>,
    Error: From<U::Error>,
{
    // The futures of the handshakes are large; here they are on the heap once.
    Box::pin(open(url.try_into()?, options)).await
}

async fn open(url: Url, options: ConnectOptions) -> Result<Connection, Error> {
    options.check(&url)?;
    if url.port() == Some(0) {
        let what = format!("could not connect to {url}");
        return Err(Error::new(ErrorKind::Usage, what, "port 0 is for listening at any free port")
            .with_remedy("give the port that the listener printed"));
    }
    if url.protocol() == Protocol::Smp121 {
        return mailslot::connect(url, &options).await.map(|slot| (&slot).into());
    }
    let limits = options::limits(&url, options.limits);
    // Settings are checked before anything is opened.
    if url.stack().has(Protocol::Smp) {
        options::smp_config(&url)?;
    }
    if url.protocol() == Protocol::Wrp {
        let opening = Box::pin(linked::connect(url.clone(), &options));
        return in_time(&url, &options, opening).await.map(|linked| (&linked).into());
    }
    if url.protocol() == Protocol::Smrp {
        let opening = Box::pin(sessioned::connect(url.clone(), &options));
        return in_time(&url, &options, opening).await.map(|sessioned| (&sessioned).into());
    }
    let carrier = in_time(&url, &options, octets(&url, &options)).await?;
    let request_timeout = options::request_timeout(&url, options.request_timeout);
    Framed::start(carrier, url, limits, request_timeout, None).map(|framed| (&framed).into())
}

/// What carries the octets of `url`.
async fn octets(url: &Url, options: &ConnectOptions) -> Result<Octets, Error> {
    if url.stack().is_in_session() {
        return Box::pin(tunnel::connect(url, options, &Arc::default())).await;
    }
    carrier::open(url, options).await.map(Octets::from)
}

/// What `opening` comes to, where it does within the time that options and URL give it.
pub(crate) async fn in_time<T>(
    url: &Url,
    options: &ConnectOptions,
    opening: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(timeout) = options::connect_timeout(url, options) else { return opening.await };
    tokio::time::timeout(timeout, opening).await.unwrap_or_else(|_| {
        let what = format!("could not connect to {url}");
        Err(Error::new(ErrorKind::Timeout, what, format!("it took longer than {timeout:?}"))
            .with_remedy("see whether the host is up, or give it more time with `connect_timeout=`"))
    })
}
