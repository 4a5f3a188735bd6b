//! Settings of connections and listeners beside what the URL says.

use crate::url::{Interval, Mode, Profile, Url};
use crate::{Capability, Error, ErrorKind};
use smp_framing::NodeGeneration;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest message that goes out whole, unless the URL says another: 16 KiB.
///
/// More than the 1,493 octets of the protocol's source, which has an Ethernet frame in mind: over a byte stream larger
/// frames cost the peer less work, and 16 KiB still let a small message through between two frames.
pub const MAX_MESSAGE_SIZE_DEFAULT: usize = 16 * 1024;

/// The longest request that a mailslot takes, unless the URL says another: 1,000,000 octets.
///
/// Deployed peers read the low 16 bits of that number alone, so it is none in which those are all zero.
pub const MAX_SIZE_DEFAULT: usize = 1_000_000;

/// Bounds on everything that a peer or the application could make grow. Reaching one is an error that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of a message that is delivered whole. Default 16 MiB. A longer one is dropped and
    /// [`Incoming::Refused`](crate::Incoming::Refused) says so; larger things travel as bodies. Over `smp121` this is for
    /// replies; what a mailslot takes is said by `max_size=`, or is [`MAX_SIZE_DEFAULT`].
    pub message_len_max: usize,
    /// Octets of all messages that are being put together on one connection; over `smp121`, of the requests of all peers.
    /// Default 64 MiB.
    pub assembly_len_max: usize,
    /// Requests that wait for their reply on one connection. Default 1,024. One more waits for a place, within its
    /// time-out.
    pub requests_in_flight_max: usize,
    /// Messages that came and wait for [`receive`](crate::Connection::receive). Default 64. Then nothing more is read.
    pub incoming_count_max: usize,
    /// Octets of a body's head, and of its trailer. Default 64 KiB.
    pub body_head_len_max: usize,
    /// How long an accepted peer or a new connection may take for its handshakes. Default 10 s.
    pub handshake_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_len_max: 16 << 20,
            assembly_len_max: 64 << 20,
            requests_in_flight_max: 1024,
            incoming_count_max: 64,
            body_head_len_max: 64 << 10,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), Error> {
        let zero = [
            ("message_len_max", self.message_len_max),
            ("assembly_len_max", self.assembly_len_max),
            ("requests_in_flight_max", self.requests_in_flight_max),
            ("incoming_count_max", self.incoming_count_max),
            ("body_head_len_max", self.body_head_len_max),
        ]
        .into_iter()
        .find(|(_, value)| *value == 0);
        let most = tokio::sync::Semaphore::MAX_PERMITS;
        let huge = [self.requests_in_flight_max, self.incoming_count_max].into_iter().find(|count| *count > most);
        match (zero, huge) {
            (Some((name, _)), _) => Err(config(format!("{name} is 0"), "give at least 1")),
            (_, Some(count)) => Err(config(format!("a limit of {count} is beyond {most}"), "give a smaller one")),
            _ => Ok(()),
        }
    }
}

pub(crate) fn config(why: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "the settings cannot be", why).with_remedy(remedy)
}

/// A certificate chain and its key, both PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// Shows no key.
impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Identity")
    }
}

/// What lets a device in. Shows nothing of itself.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) String);

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Token")
    }
}

/// Where traces of sessions go, and how many of them.
#[derive(Clone, Debug)]
pub(crate) struct Traces {
    dir: PathBuf,
    one_in: u64,
}

impl Traces {
    /// What writes them, where the URL or an option asks for any.
    pub(crate) fn of(url: &Url, options: Option<&Self>) -> Result<Option<smrp::Qlog>, Error> {
        let of_url = url.options().qlog.as_ref().map(|dir| Self { dir: dir.clone(), one_in: 1 });
        let Some(Self { dir, one_in }) = of_url.as_ref().or(options) else { return Ok(None) };
        let qlog = smrp::Qlog::to_dir(dir, smrp::QlogOptions::default().with_one_in(*one_in));
        let why = |error: std::io::Error| {
            let what =
                format!("no traces can be written into `{}`: {error}", crate::escape::text(&dir.to_string_lossy()));
            config(what, "give a folder that can be written to with `qlog=`")
        };
        qlog.map(Some).map_err(why)
    }
}

/// How to connect.
///
/// What the URL says goes before what is set here.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    pub(crate) limits: Limits,
    pub(crate) request_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) required: Vec<Capability>,
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) token: Option<Token>,
    pub(crate) traces: Option<Traces>,
    pub(crate) headers: Vec<(String, String)>,
    /// Who this end is, where the URL does not say so.
    pub(crate) device: Option<String>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(15),
            required: Vec::new(),
            ca: None,
            identity: None,
            token: None,
            traces: None,
            headers: Vec::new(),
            device: None,
        }
    }
}

impl ConnectOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes [`connect_with`](crate::connect_with) fail where the stack cannot do this, instead of a later call.
    #[must_use]
    pub fn require(mut self, capability: Capability) -> Self {
        self.required.push(capability);
        self
    }

    /// Other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a request waits for its reply, unless it says so itself. Default 30 s.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long look-up, connection and handshakes may take together. Default 15 s; `connect_timeout=` in the URL goes
    /// before it.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Trusts the authorities in this PEM text instead of the platform's; `ca=` in the URL goes before it.
    #[must_use]
    pub fn with_ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Shows this certificate to servers that ask for one, chain and key as PEM; `cert=` in the URL goes before it.
    #[must_use]
    pub fn with_identity_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Identity { chain: chain.into(), key: key.into() });
        self
    }

    /// Shows this bearer token to servers of devices (`wrp` on a WebSocket), and to acceptors of sessions (`smrp`); `token=` in the URL goes before
    /// it, and is read anew each time.
    #[must_use]
    pub fn with_bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token(token.into()));
        self
    }

    /// Writes traces of sessions of SMRP into files of this folder, as `docs/smrp-qlog.md` has them: of one session of `one_in`, the first one among them.
    /// `qlog=` in the URL goes before it, with each session. Default: none.
    #[must_use]
    pub fn with_qlog(mut self, dir: impl Into<PathBuf>, one_in: u64) -> Self {
        self.traces = Some(Traces { dir: dir.into(), one_in });
        self
    }

    /// Sends one more header with the request for a WebSocket, as `X-Webpa-Convey` of devices
    /// ([`wrp::link::convey`](wrp::link::convey) writes its value). Other carriers have no headers.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn check(&self, url: &Url) -> Result<(), Error> {
        self.limits.check()?;
        for capability in &self.required {
            if let Some((why, remedy)) = capability.missing(url) {
                let what = format!("{} cannot carry {capability}", url.stack());
                return Err(Error::new(ErrorKind::Unsupported, what, why).with_remedy(remedy));
            }
        }
        Ok(())
    }
}

/// How to listen.
///
/// What the URL says goes before what is set here.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    pub(crate) limits: Limits,
    pub(crate) request_timeout: Duration,
    pub(crate) connections_max: usize,
    pub(crate) identity: Option<Identity>,
    pub(crate) client_ca: Option<Vec<u8>>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) traces: Option<Traces>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            request_timeout: Duration::from_secs(30),
            connections_max: 10_000,
            identity: None,
            client_ca: None,
            tokens: Vec::new(),
            traces: None,
        }
    }
}

impl ListenOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Other limits, for each connection.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a request of this end waits for its reply, unless it says so itself. Default 30 s.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Connections that may be open at once, handshakes counted. Default 10,000. More wait in the kernel until one ends.
    #[must_use]
    pub fn with_connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Shows this certificate, chain and key as PEM; `cert=` and `key=` in the URL go before it.
    #[must_use]
    pub fn with_identity_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Identity { chain: chain.into(), key: key.into() });
        self
    }

    /// Demands client certificates from the authorities in this PEM text; `client_ca=` in the URL goes before it. Sessions of SMRP have the name in
    /// them: [`Connection::subject`](crate::Connection::subject).
    #[must_use]
    pub fn with_client_ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_ca = Some(pem.into());
        self
    }

    /// Writes traces of sessions of SMRP into files of this folder, as `docs/smrp-qlog.md` has them: of one session of `one_in`, the first one among them.
    /// `qlog=` in the URL goes before it, with each session. Default: none.
    #[must_use]
    pub fn with_qlog(mut self, dir: impl Into<PathBuf>, one_in: u64) -> Self {
        self.traces = Some(Traces { dir: dir.into(), one_in });
        self
    }

    /// Lets devices in (`wrp` on a WebSocket) that show one of these bearer tokens; `token=` in the URL goes before them.
    /// Default: none, and everybody is let in.
    #[must_use]
    pub fn with_bearer_tokens<T: Into<String>>(mut self, tokens: impl IntoIterator<Item = T>) -> Self {
        self.tokens = tokens.into_iter().map(|token| Token(token.into())).collect();
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.connections_max == 0 || self.connections_max > tokio::sync::Semaphore::MAX_PERMITS {
            return Err(config(format!("connections_max is {}", self.connections_max), "give at least 1"));
        }
        self.limits.check()
    }
}

/// What a PEM file holds.
pub(crate) async fn read_pem(option: &str, path: &Path) -> Result<Vec<u8>, Error> {
    read_file(option, path, "give the path of a PEM file; `postroad cert` makes such files for development").await
}

/// What the file of an option holds.
pub(crate) async fn read_file(option: &str, path: &Path, remedy: &str) -> Result<Vec<u8>, Error> {
    tokio::fs::read(path).await.map_err(|error| {
        let what =
            format!("could not read `{}`, the file of `{option}=`", crate::escape::text(&path.to_string_lossy()));
        Error::new(ErrorKind::Config, what, error.to_string()).with_remedy(remedy).with_source(error)
    })
}

/// The settings of the Streaming Message Protocol.
pub(crate) fn smp_config(url: &Url) -> Result<smp_framing::Config, Error> {
    let options = url.options();
    let mode = match options.mode {
        None | Some(Mode::Strict) => smp_framing::Mode::Strict,
        Some(Mode::Lenient) => smp_framing::Mode::Lenient,
        Some(Mode::Node10) => smp_framing::Mode::Node(NodeGeneration::V1_0),
        Some(Mode::Node11) => smp_framing::Mode::Node(NodeGeneration::V1_1),
    };
    let mut builder = smp_framing::Config::builder()
        .with_mode(mode)
        .with_max_message_size(options.max_message_size.unwrap_or(MAX_MESSAGE_SIZE_DEFAULT));
    if let Some(heartbeat) = options.heartbeat {
        builder = builder.with_heartbeat_interval(heartbeat.duration());
    }
    if url.stack().is_in_session() {
        // The session watches over its connection and gets another one: meanwhile silence means nothing.
        builder = builder.with_peer_timeout(None);
    } else if let Some(timeout) = options.peer_timeout {
        builder = builder.with_peer_timeout(timeout.duration());
    }
    builder.build().map_err(|error| {
        Error::new(ErrorKind::Config, format!("`{url}` cannot be"), format!("{}: {}", error.field, error.reason))
            .with_remedy("change or leave out that option")
            .with_source(error)
    })
}

/// How a mailslot endpoint is started.
#[derive(Clone, Debug)]
pub(crate) struct MailslotSettings {
    pub(crate) profile: smp121::Profile,
    pub(crate) limits: smp121::Limits,
    pub(crate) segment_len_max: usize,
    /// The longest request of the mailslot, of one who listens.
    pub(crate) max_size: usize,
    /// What the URL says, as far as it is of the whole endpoint.
    said: (Option<Profile>, Option<bool>, Option<usize>),
}

impl MailslotSettings {
    /// The settings of `url`, checked together.
    pub(crate) fn of(url: &Url, limits: &Limits) -> Result<Self, Error> {
        let options = url.options();
        let profile = match options.profile {
            None | Some(Profile::Spec) => smp121::Profile::SPEC,
            Some(Profile::Rdos) => smp121::Profile::RDOS,
        };
        if options.profile == Some(Profile::Rdos) && options.busy == Some(true) {
            return Err(config(
                "`busy=on` goes with no `profile=rdos`: RDOS stops when it is told so",
                "leave one of them out",
            ));
        }
        let max_size = options.max_size.unwrap_or(MAX_SIZE_DEFAULT);
        let mut bounds = smp121::Limits::default();
        // A mailslot takes half of what one peer may have in the making.
        bounds.peer_assembly_len_max = bounds.peer_assembly_len_max.max(max_size.saturating_mul(2));
        bounds.assembly_len_max = limits.assembly_len_max.max(bounds.peer_assembly_len_max);
        bounds.mailslot_queue_max = limits.incoming_count_max;
        bounds.waiting_count_max = limits.requests_in_flight_max;
        let segment_len_max = options.segment.unwrap_or(smp121::SEGMENT_LEN_DEFAULT);
        // Built once without a secret, to learn what is wrong before anything is opened.
        smp121::Config::builder([0; 32])
            .with_profile(profile)
            .with_limits(bounds)
            .with_segment_len_max(segment_len_max)
            .build()
            .map_err(|error| {
                let what = format!("`{url}` cannot be");
                Error::new(ErrorKind::Config, what, format!("{}: {}", error.field, error.reason))
                    .with_remedy("change or leave out that option")
                    .with_source(error)
            })?;
        let profile = profile.with_busy(options.busy.unwrap_or(profile.sends_busy));
        let said = (options.profile, options.busy, options.segment);
        Ok(Self { profile, limits: bounds, segment_len_max, max_size, said })
    }

    /// An endpoint that is there already at `address` keeps its settings: `other` may ask for the same or for none.
    pub(crate) fn check_same(&self, address: &str, other: &Self) -> Result<(), Error> {
        let (profile, busy, segment) = other.said;
        let differs = [
            ("profile", profile.is_some_and(|profile| profile != self.said.0.unwrap_or_default())),
            ("busy", busy.is_some_and(|busy| busy != self.profile.sends_busy)),
            ("segment", segment.is_some_and(|segment| segment != self.segment_len_max)),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((name, _)) => Err(config(
                format!("this process has an endpoint at {address} already, with another `{name}=`"),
                "give all mailslots at one address the same, or another address",
            )),
        }
    }
}

/// How long a request waits for its reply.
pub(crate) fn request_timeout(url: &Url, set: Duration) -> Duration {
    url.options().request_timeout.map_or(set, |said| said.duration().unwrap_or(Duration::MAX))
}

/// How long connecting may take; `None` for as long as it likes.
pub(crate) fn connect_timeout(url: &Url, options: &ConnectOptions) -> Option<Duration> {
    url.options().connect_timeout.map_or(Some(options.connect_timeout), Interval::duration)
}

/// The limits with what the URL says.
pub(crate) fn limits(url: &Url, mut limits: Limits) -> Limits {
    if let Some(len) = url.options().message_len_max {
        limits.message_len_max = len;
        limits.assembly_len_max = limits.assembly_len_max.max(len);
    }
    limits
}
