//! Ports of this host that lead to another one, through a session: what people use `ssh -L` for.
//!
//! One end listens for connections ([`Forward`]), the other one reaches the target ([`Exit`]), and each connection is a stream of
//! one session of SMRP. Ends of one direction, resets, back-pressure and refusals cross. When the connection below the session
//! is lost, the session goes on over another one, and what it carries goes on where it was.
//!
//! ```no_run
//! use postroad::forward::{Exit, Forward, Options};
//! use postroad::{ConnectOptions, ListenOptions};
//!
//! # async fn there() -> Result<(), postroad::Error> {
//! // Over there; nothing is reachable but what is named.
//! let targets = ["127.0.0.1:80".parse()?];
//! let exit = Exit::listen("smrp+tcp://127.0.0.1:7443", targets, ListenOptions::new(), Options::default()).await?;
//! exit.run().await
//! # }
//! # async fn here() -> Result<(), postroad::Error> {
//! // Here: what connects to port 8080 talks to port 80 over there.
//! let (local, target) = ("127.0.0.1:8080".parse()?, "127.0.0.1:80".parse()?);
//! let connect = ConnectOptions::new();
//! let forward = Forward::open(&local, "smrp+tcp://127.0.0.1:7443", target, connect, Options::default()).await?;
//! forward.run().await
//! # }
//! ```

mod copy;
mod far;
mod near;
mod place;
mod socket;

pub use far::Exit;
pub(crate) use far::Targets;
pub use near::Forward;
pub use place::Place;

use crate::Error;
use crate::options::config;
use smrp::Code;
use std::time::Duration;

/// The content type of a stream that carries a forwarded connection; its name is the target.
const CONTENT_TYPE: &str = "application/vnd.postroad.forward";

/// The target itself refused the connection.
const TARGET_REFUSED: Code = Code::new(0x1010);
/// The forwarded connection broke at the other end.
const BROKEN: Code = Code::new(0x1011);

/// Bounds of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Forwarded connections at the same time. Default 1,000. At the end that listens more wait in the kernel; at the other
    /// one more are refused.
    pub connections_max: usize,
    /// How long a connection may take to get through: to a stream at the end that listens, to the target at the other one.
    /// Default 10 s.
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections_max: 1_000, connect_timeout: Duration::from_secs(10) }
    }
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this many forwarded connections at most.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// With this long for a connection to get through.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    fn check(&self) -> Result<(), Error> {
        if self.connections_max == 0 || self.connections_max > tokio::sync::Semaphore::MAX_PERMITS {
            return Err(config(format!("connections_max is {}", self.connections_max), "give at least 1"));
        }
        if self.connect_timeout.is_zero() {
            return Err(config("connect_timeout is 0", "give it some time, as in 10s"));
        }
        Ok(())
    }
}

/// Why a connection did not get through, or no further, as its code says.
fn words(code: Code, target: &Place) -> String {
    match code {
        TARGET_REFUSED => format!("{target} refused the connection over there"),
        BROKEN => format!("the connection to {target} broke over there"),
        Code::FORBIDDEN => format!("the other end does not let us reach {target}: see its `--forward-to`"),
        Code::NOT_FOUND => format!("the other end finds no address for {target}"),
        Code::UNREACHABLE => format!("the other end cannot reach {target}"),
        Code::QUOTA => "the other end has as many connections as it allows".to_owned(),
        code => crate::connection::sessioned::codes::words(code),
    }
}

/// Sessions alone have streams to forward on.
fn check_url(url: &crate::Url) -> Result<(), Error> {
    use crate::url::{Address, Protocol};
    let what = format!("could not forward over {url}");
    let stack = url.stack();
    if stack.protocol() != Protocol::Smrp {
        let why = format!("{stack} has no streams for it");
        return Err(Error::new(crate::ErrorKind::Usage, what, why).with_remedy("use a URL that begins with `smrp+`"));
    }
    match url.address() {
        Address::Network { path, .. } if path != "/" && !stack.transport().is_ws() => {
            Err(Error::new(crate::ErrorKind::Usage, what, format!("its path `{path}` would go nowhere"))
                .with_remedy("leave the path out: the target says where connections go"))
        }
        _ => Ok(()),
    }
}
