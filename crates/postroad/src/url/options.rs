//! What stands behind the `?`.

use super::percent::{self, Keep};
use super::{Protocol, Stack, Transport, percent::path_from};
use core::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How strictly the protocol's rules are kept, and for which peers the sending rules are bent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// By the letter of the source.
    #[default]
    Strict,
    /// Takes what can be understood.
    Lenient,
    /// For peers that run the npm package of the 1.0 generation.
    Node10,
    /// For peers that run the npm package of the 1.1 generation.
    Node11,
}

impl Mode {
    const WORDS: [(&'static str, Self); 5] = [
        ("strict", Self::Strict),
        ("lenient", Self::Lenient),
        ("node-1.0", Self::Node10),
        ("node-1.1", Self::Node11),
        ("node", Self::Node11),
    ];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, mode)| *mode == self).map_or("strict", |(word, _)| word)
    }
}

/// How the peers of a mailslot endpoint are treated: which implementation they are taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// Peers that follow the source.
    #[default]
    Spec,
    /// RDOS: messages of one segment, and patience.
    Rdos,
}

impl Profile {
    const WORDS: [(&'static str, Self); 2] = [("spec", Self::Spec), ("rdos", Self::Rdos)];

    const fn word(self) -> &'static str {
        match self {
            Self::Spec => "spec",
            Self::Rdos => "rdos",
        }
    }
}

/// The options of a URL, each `None` where the URL does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UrlOptions {
    /// `mode=strict|lenient|node-1.0|node-1.1|node`.
    pub mode: Option<Mode>,
    /// `max_message_size=`: the longest message that goes out whole, in octets.
    pub max_message_size: Option<usize>,
    /// `message_len_max=`: the longest message that is taken whole, in octets.
    pub message_len_max: Option<usize>,
    /// `heartbeat=10s` or `heartbeat=off`.
    pub heartbeat: Option<Interval>,
    /// `peer_timeout=60s` or `peer_timeout=off`: silence after which the peer is given up; of what goes through a session of
    /// SMRP, after which the session looks for another connection.
    pub peer_timeout: Option<Interval>,
    /// `connect_timeout=5s`: for look-up, connection and handshakes together.
    pub connect_timeout: Option<Interval>,
    /// `request_timeout=30s` or `request_timeout=off`: how long a request waits for its reply.
    pub request_timeout: Option<Interval>,
    /// `profile=spec|rdos`: how the peers of a mailslot endpoint are treated.
    pub profile: Option<Profile>,
    /// `busy=on|off`: whether a peer that asks again is told that its request is at work.
    pub busy: Option<bool>,
    /// `max_size=`: the longest request that a mailslot takes, of a listener; the longest reply that is taken, of a client.
    pub max_size: Option<usize>,
    /// `segment=`: the longest segment in octets, without what IP and UDP put in front.
    pub segment: Option<usize>,
    /// `bind=ADDRESS`: the address of this host that a client speaks from.
    pub bind: Option<IpAddr>,
    /// `dscp=0` to `dscp=63`: the class of service of requests, or of a listener's replies.
    pub dscp: Option<u8>,
    /// `device=`: who this end is, a WRP locator as `mac:112233445566` or `mac:112233445566/config`.
    pub device: Option<String>,
    /// `dest=`: where messages go, a WRP locator.
    pub dest: Option<String>,
    /// `token=FILE`: the bearer token of a device, or of the initiator of a session; of a listener, the tokens that let others in, one a line.
    pub token: Option<PathBuf>,
    /// `jwks=FILE`: of a listener of sessions, the keys of the issuer whose JSON Web Tokens let others in.
    pub jwks: Option<PathBuf>,
    /// `issuer=`: who issues these tokens.
    pub issuer: Option<String>,
    /// `audience=`: whom these tokens must be for.
    pub audience: Option<String>,
    /// `reconnect=on|off`: whether a client that lost its connection connects again. On for sessions of SMRP, which go on where they were; off for links.
    pub reconnect: Option<bool>,
    /// `plaintext=on`: a session of SMRP may leave this host without TLS.
    pub plaintext: Option<bool>,
    /// `qlog=FOLDER`: where each session of SMRP writes a trace of what it does.
    pub qlog: Option<PathBuf>,
    /// `encoding=identity|gzip|deflate`, with `+none`, `+fastest`, `+best` or `+huffman`: how streams are compressed.
    pub encoding: Option<String>,
    /// `ca=FILE`: the authorities that the server's certificate must come from, instead of the platform's.
    pub ca: Option<PathBuf>,
    /// `cert=FILE`: one's own certificate chain.
    pub cert: Option<PathBuf>,
    /// `key=FILE`: the key of `cert`.
    pub key: Option<PathBuf>,
    /// `client_ca=FILE`: a listener asks for client certificates that come from these authorities.
    pub client_ca: Option<PathBuf>,
    /// `server_name=`: the name that the server's certificate must have, where it is not the host.
    pub server_name: Option<String>,
    /// `origin=`: of a WebSocket; what a client says, or the one origin that a listener lets browsers come from.
    pub origin: Option<String>,
}

/// A time, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interval {
    /// After this long.
    Every(Duration),
    /// Never.
    Off,
}

impl Interval {
    /// `None` for never.
    #[must_use]
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Every(duration) => Some(duration),
            Self::Off => None,
        }
    }
}

/// One option, as the parser needs it.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) example: &'static str,
    pub(super) goes_with: fn(Stack) -> bool,
    /// Takes the percent-decoded value; `None` where the option cannot have it.
    pub(super) set: fn(&mut UrlOptions, Vec<u8>) -> Option<()>,
    get: for<'a> fn(&'a UrlOptions) -> Option<Shown<'a>>,
}

/// A value on its way into a URL.
enum Shown<'a> {
    Text(&'a str),
    Path(&'a Path),
    Count(usize),
    Interval(Interval),
    Ip(IpAddr),
}

const ANY: fn(Stack) -> bool = |_| true;
const SMP: fn(Stack) -> bool = |stack| stack.has(Protocol::Smp);
const WRP: fn(Stack) -> bool = |stack| stack.has(Protocol::Wrp);
/// A link whose messages are those of a WebSocket.
const DEVICE_LINK: fn(Stack) -> bool = Stack::is_device_link;
const SMRP: fn(Stack) -> bool = |stack| stack.has(Protocol::Smrp);
const SMP121: fn(Stack) -> bool = |stack| matches!(stack.protocol(), Protocol::Smp121);
const TLS: fn(Stack) -> bool = |stack| stack.transport().is_tls();
const WS: fn(Stack) -> bool = |stack| stack.transport().is_ws();

pub(super) const SPECS: [Spec; 29] = [
    Spec {
        name: "mode",
        example: "strict, lenient, node-1.0 or node-1.1",
        goes_with: SMP,
        set: |options, value| word(&Mode::WORDS, value).map(|mode| options.mode = Some(mode)),
        get: |options| options.mode.map(|mode| Shown::Text(mode.word())),
    },
    Spec {
        name: "max_message_size",
        example: "octets, as in 1493 or 64KiB",
        goes_with: |stack| SMP(stack) || WRP(stack),
        set: |options, value| count(value).map(|count| options.max_message_size = Some(count)),
        get: |options| options.max_message_size.map(Shown::Count),
    },
    Spec {
        name: "message_len_max",
        example: "octets, as in 16MiB",
        goes_with: |stack| SMP(stack) || WRP(stack) || SMRP(stack),
        set: |options, value| count(value).map(|count| options.message_len_max = Some(count)),
        get: |options| options.message_len_max.map(Shown::Count),
    },
    Spec {
        name: "heartbeat",
        example: "a time as in 10s or 500ms, or off",
        goes_with: |stack| SMP(stack) || DEVICE_LINK(stack),
        set: |options, value| interval(value).map(|interval| options.heartbeat = Some(interval)),
        get: |options| options.heartbeat.map(Shown::Interval),
    },
    Spec {
        name: "peer_timeout",
        example: "a time as in 60s, or off",
        goes_with: |stack| SMP(stack) || DEVICE_LINK(stack) || SMRP(stack),
        set: |options, value| interval(value).map(|interval| options.peer_timeout = Some(interval)),
        get: |options| options.peer_timeout.map(Shown::Interval),
    },
    Spec {
        name: "connect_timeout",
        example: "a time as in 5s, or off",
        goes_with: ANY,
        set: |options, value| interval(value).map(|interval| options.connect_timeout = Some(interval)),
        get: |options| options.connect_timeout.map(Shown::Interval),
    },
    Spec {
        name: "request_timeout",
        example: "a time as in 30s, or off",
        goes_with: ANY,
        set: |options, value| interval(value).map(|interval| options.request_timeout = Some(interval)),
        get: |options| options.request_timeout.map(Shown::Interval),
    },
    Spec {
        name: "profile",
        example: "spec or rdos",
        goes_with: SMP121,
        set: |options, value| word(&Profile::WORDS, value).map(|profile| options.profile = Some(profile)),
        get: |options| options.profile.map(|profile| Shown::Text(profile.word())),
    },
    Spec {
        name: "busy",
        example: "on or off",
        goes_with: SMP121,
        set: |options, value| word(&SWITCH, value).map(|on| options.busy = Some(on)),
        get: |options| options.busy.map(|on| Shown::Text(if on { "on" } else { "off" })),
    },
    Spec {
        name: "max_size",
        example: "octets, as in 64000 or 1MiB",
        goes_with: SMP121,
        set: |options, value| count(value).map(|count| options.max_size = Some(count)),
        get: |options| options.max_size.map(Shown::Count),
    },
    Spec {
        name: "segment",
        example: "octets, 556 to 65515",
        goes_with: SMP121,
        set: |options, value| count(value).map(|count| options.segment = Some(count)),
        get: |options| options.segment.map(Shown::Count),
    },
    Spec {
        name: "bind",
        example: "an IP address of this host, as in 10.0.0.1",
        goes_with: |stack| SMP121(stack) && !matches!(stack.transport(), Transport::Mem),
        set: |options, value| text(value)?.parse().ok().map(|ip| options.bind = Some(ip)),
        get: |options| options.bind.map(Shown::Ip),
    },
    Spec {
        name: "dscp",
        example: "a number from 0 to 63",
        goes_with: |stack| SMP121(stack) && !matches!(stack.transport(), Transport::Mem),
        set: |options, value| dscp(value).map(|dscp| options.dscp = Some(dscp)),
        get: |options| options.dscp.map(|dscp| Shown::Count(dscp.into())),
    },
    Spec {
        name: "device",
        example: "a locator, as in mac:112233445566 or uuid:x/service",
        goes_with: WRP,
        set: |options, value| locator(value).map(|device| options.device = Some(device)),
        get: |options| options.device.as_deref().map(Shown::Text),
    },
    Spec {
        name: "dest",
        example: "a locator, as in event:status or mac:112233445566/service",
        goes_with: WRP,
        set: |options, value| locator(value).map(|dest| options.dest = Some(dest)),
        get: |options| options.dest.as_deref().map(Shown::Text),
    },
    Spec {
        name: "token",
        example: "a file",
        goes_with: |stack| DEVICE_LINK(stack) || SMRP(stack),
        set: |options, value| file(value).map(|file| options.token = Some(file)),
        get: |options| options.token.as_deref().map(Shown::Path),
    },
    Spec {
        name: "jwks",
        example: "a file with a JSON Web Key Set",
        goes_with: SMRP,
        set: |options, value| file(value).map(|file| options.jwks = Some(file)),
        get: |options| options.jwks.as_deref().map(Shown::Path),
    },
    Spec {
        name: "issuer",
        example: "the issuer as its tokens have it, as in https://issuer.example",
        goes_with: SMRP,
        set: |options, value| name(value).map(|name| options.issuer = Some(name)),
        get: |options| options.issuer.as_deref().map(Shown::Text),
    },
    Spec {
        name: "audience",
        example: "a name that the tokens are for, as in relay.example",
        goes_with: SMRP,
        set: |options, value| name(value).map(|name| options.audience = Some(name)),
        get: |options| options.audience.as_deref().map(Shown::Text),
    },
    Spec {
        name: "reconnect",
        example: "on or off",
        goes_with: |stack| WRP(stack) || SMRP(stack),
        set: |options, value| word(&SWITCH, value).map(|on| options.reconnect = Some(on)),
        get: |options| options.reconnect.map(|on| Shown::Text(if on { "on" } else { "off" })),
    },
    Spec {
        name: "plaintext",
        example: "on or off",
        goes_with: |stack| SMRP(stack) && !stack.transport().is_tls(),
        set: |options, value| word(&SWITCH, value).map(|on| options.plaintext = Some(on)),
        get: |options| options.plaintext.map(|on| Shown::Text(if on { "on" } else { "off" })),
    },
    Spec {
        name: "qlog",
        example: "a folder",
        goes_with: SMRP,
        set: |options, value| file(value).map(|dir| options.qlog = Some(dir)),
        get: |options| options.qlog.as_deref().map(Shown::Path),
    },
    Spec {
        name: "encoding",
        example: "identity, gzip or deflate, with +fastest or +best if wanted",
        goes_with: WRP,
        set: |options, value| encoding(value).map(|name| options.encoding = Some(name)),
        get: |options| options.encoding.as_deref().map(Shown::Text),
    },
    Spec {
        name: "ca",
        example: "a PEM file",
        goes_with: TLS,
        set: |options, value| file(value).map(|file| options.ca = Some(file)),
        get: |options| options.ca.as_deref().map(Shown::Path),
    },
    Spec {
        name: "cert",
        example: "a PEM file",
        goes_with: TLS,
        set: |options, value| file(value).map(|file| options.cert = Some(file)),
        get: |options| options.cert.as_deref().map(Shown::Path),
    },
    Spec {
        name: "key",
        example: "a PEM file",
        goes_with: TLS,
        set: |options, value| file(value).map(|file| options.key = Some(file)),
        get: |options| options.key.as_deref().map(Shown::Path),
    },
    Spec {
        name: "client_ca",
        example: "a PEM file",
        goes_with: TLS,
        set: |options, value| file(value).map(|file| options.client_ca = Some(file)),
        get: |options| options.client_ca.as_deref().map(Shown::Path),
    },
    Spec {
        name: "server_name",
        example: "a host name",
        goes_with: TLS,
        set: |options, value| name(value).map(|name| options.server_name = Some(name)),
        get: |options| options.server_name.as_deref().map(Shown::Text),
    },
    Spec {
        name: "origin",
        example: "as in https://app.example",
        goes_with: WS,
        set: |options, value| name(value).map(|name| options.origin = Some(name)),
        get: |options| options.origin.as_deref().map(Shown::Text),
    },
];

fn text(value: Vec<u8>) -> Option<String> {
    String::from_utf8(value).ok()
}

const SWITCH: [(&str, bool); 2] = [("on", true), ("off", false)];

fn word<T: Copy>(words: &[(&str, T)], value: Vec<u8>) -> Option<T> {
    let value = text(value)?;
    words.iter().find(|(word, _)| *word == value).map(|(_, meant)| *meant)
}

fn dscp(value: Vec<u8>) -> Option<u8> {
    count(value).and_then(|count| u8::try_from(count).ok()).filter(|dscp| *dscp < 64)
}

/// Printable text that is not empty.
fn name(value: Vec<u8>) -> Option<String> {
    text(value).filter(|name| !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic()))
}

fn locator(value: Vec<u8>) -> Option<String> {
    text(value).filter(|text| text.parse::<wrp::Locator>().is_ok())
}

fn encoding(value: Vec<u8>) -> Option<String> {
    text(value).filter(|name| !name.is_empty() && wrp_ssp::Encoding::parse(name).is_ok())
}

fn file(value: Vec<u8>) -> Option<PathBuf> {
    (!value.is_empty() && !value.contains(&0)).then(|| path_from(value))
}

fn count(value: Vec<u8>) -> Option<usize> {
    let value = text(value)?;
    let (number, unit) = split_unit(&value);
    let scale = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(scale)
}

fn interval(value: Vec<u8>) -> Option<Interval> {
    let value = text(value)?;
    if value == "off" {
        return Some(Interval::Off);
    }
    let (number, unit) = split_unit(&value);
    let scale = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(scale)?;
    Some(Interval::Every(Duration::from_millis(millis)))
}

fn split_unit(value: &str) -> (&str, &str) {
    value.split_at(value.bytes().take_while(u8::is_ascii_digit).count())
}

/// As in a URL, with the `?`; nothing where no option is set.
impl fmt::Display for UrlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mark = '?';
        for spec in &SPECS {
            let Some(value) = (spec.get)(self) else { continue };
            write!(f, "{mark}{}=", spec.name)?;
            mark = '&';
            match value {
                Shown::Text(text) => percent::encode(f, text.as_bytes(), Keep::Value)?,
                Shown::Path(path) => percent::encode(f, percent::path_octets(path), Keep::Value)?,
                Shown::Count(count) => write!(f, "{count}")?,
                Shown::Ip(ip) => write!(f, "{ip}")?,
                Shown::Interval(Interval::Off) => f.write_str("off")?,
                Shown::Interval(Interval::Every(every)) => match every.as_millis() {
                    millis if millis % 1_000 == 0 => write!(f, "{}s", millis / 1_000)?,
                    millis => write!(f, "{millis}ms")?,
                },
            }
        }
        Ok(())
    }
}
