//! The fields of each frame by name, as the table in section 6.1 of docs/smrp.md has them.
//!
//! Apart from [`wire`](crate::wire) on purpose: what is shown does not depend on what is accepted.

use crate::wire::{FrameType, number, parameter};

/// What a field is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A number of 1, 2, 4 or 8 octets.
    Varint,
    /// A number of this many octets.
    Fixed(usize),
    /// A varint that is a code.
    Code,
    /// This many octets.
    Octets(usize),
    /// As many octets as the field in front says.
    Counted,
    /// What is left.
    Rest,
    /// What is left, and never shown.
    Secret,
    /// As many octets as the field in front says, and never shown.
    SecretOctets(usize),
    /// A list of parameters to the end; none of these ids is shown.
    Parameters(Names),
    /// A list of parameters as long as the field in front says.
    CountedParameters(Names),
}

/// What the parameters of a list are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Settings,
    /// Credentials: nothing of them is shown.
    Auth,
    AuthResult,
    Metadata,
    None,
}

impl Names {
    pub(super) fn of(self, id: u64) -> Option<&'static str> {
        let names: &[(u64, &'static str)] = match self {
            Self::Settings => &SETTINGS,
            Self::Auth => &[(parameter::TOKEN, "token"), (parameter::SIGNATURE, "signature")],
            Self::AuthResult => {
                &[(parameter::SUBJECT, "subject"), (parameter::SCOPE, "scope"), (parameter::EXPIRES_MS, "expires_ms")]
            }
            Self::Metadata => &[
                (parameter::NAME, "name"),
                (parameter::CONTENT_TYPE, "content_type"),
                (parameter::HEADER, "header"),
                (parameter::STATUS, "status"),
            ],
            Self::None => &[],
        };
        names.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
    }

    /// Whether the parameter is a number.
    pub(super) fn is_number(self, id: u64) -> bool {
        match self {
            Self::Settings => !matches!(id, parameter::PREFACE_HASH | parameter::REATTACHING | parameter::AGENT),
            Self::AuthResult => id == parameter::EXPIRES_MS,
            Self::Metadata => id == parameter::STATUS,
            Self::Auth | Self::None => false,
        }
    }
}

const SETTINGS: [(u64, &str); 16] = [
    (parameter::PREFACE_HASH, "preface_hash"),
    (parameter::REATTACHING, "reattaching"),
    (parameter::MAX_FRAME, "max_frame"),
    (parameter::INIT_MAX_DATA, "init_max_data"),
    (parameter::INIT_MAX_STREAM, "init_max_stream"),
    (parameter::MAX_STREAMS_BIDI, "max_streams_bidi"),
    (parameter::MAX_STREAMS_UNI, "max_streams_uni"),
    (parameter::IDLE_MS, "idle_ms"),
    (parameter::MAX_DATAGRAM, "max_datagram"),
    (parameter::MAX_META, "max_meta"),
    (parameter::RESUMABLE_MS, "resumable_ms"),
    (parameter::MIN_PING_MS, "min_ping_ms"),
    (parameter::INIT_MAX_MSGS, "init_max_msgs"),
    (parameter::MAX_MESSAGE, "max_message"),
    (parameter::ACK_EVERY, "ack_every"),
    (parameter::AGENT, "agent"),
];

/// A field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// The flag with which it is there; 0 for always.
    pub(super) flag: u8,
}

const fn f(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, flag: 0 }
}

const fn when(flag: u8, name: &'static str, shape: Shape) -> Field {
    Field { name, shape, flag }
}

/// How often fields are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Never,
    /// As often as the field `count` says.
    Count,
    ToEnd,
}

/// The fields of a body: some, some that are repeated, and some behind them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) fields: &'static [Field],
    pub(super) repeat: Repeat,
    pub(super) repeated: &'static [Field],
    pub(super) behind: &'static [Field],
}

const fn plain(fields: &'static [Field]) -> Layout {
    Layout { fields, repeat: Repeat::Never, repeated: &[], behind: &[] }
}

/// What the flags of a type are called, lowest bit first.
pub(super) fn flag_names(entry: &FrameType) -> &'static [&'static str] {
    match entry.number {
        number::PING => &["ACK"],
        number::ACK => &["ECN"],
        number::GOAWAY => &["FINAL"],
        number::OPEN => &["FIN", "META", "CREDIT", "TTL"],
        number::DATA => &["FIN", "OFF"],
        number::MAX_STREAM => &["MSGS"],
        number::MSG => &["FIRST", "LAST", "OFF", "TTL", "ID"],
        number::DGRAM => &["TTL"],
        number::META => &["TRAILER"],
        number::LABEL_BIND => &["REQ"],
        number::MCAST_JOIN => &["PRUNE"],
        _ => &[],
    }
}

/// Fields, in the memory of the program.
macro_rules! fields {
    ($($field:expr),* $(,)?) => { const { &[$($field),*] } };
}

use Names as N;
use Shape::{Code, Counted, CountedParameters, Fixed, Octets, Parameters, Rest, Secret, SecretOctets, Varint};

/// The layout of a type of the registry.
pub(super) fn layout(number: u8) -> Layout {
    if let Some(repeating) = repeating(number) {
        return repeating;
    }
    plain(match number {
        number::PADDING => fields![f("zeros", Rest)],
        number::PING | number::PATH_CHALLENGE | number::PATH_RESPONSE => fields![f("data", Fixed(8))],
        number::HANDSHAKE => fields![f("offset", Varint), f("TLS", Rest)],
        number::HELLO | number::SETTINGS => fields![f("parameters", Parameters(N::Settings))],
        number::AUTH => fields![f("method", Fixed(1)), f("parameters", Parameters(N::Auth))],
        number::AUTH_RESULT => fields![f("code", Code), f("parameters", Parameters(N::AuthResult))],
        number::GOAWAY => {
            fields![f("bidi", Varint), f("uni", Varint), f("drain_ms", Varint), f("code", Code), f("redirect", Rest)]
        }
        number::CLOSE => fields![f("code", Code), f("frame type", Varint), f("reason", Rest)],
        number::TICKET => fields![f("lifetime_s", Varint), f("offline_ms", Varint), f("handle", Secret)],
        number::REATTACH => fields![f("epoch", Varint), f("received", Varint), f("handle", Secret)],
        number::REATTACH_RESULT => fields![f("code", Code), f("epoch", Varint), f("received", Varint)],
        number::SESSION_ACK => fields![f("received", Varint)],
        number::NEW_CID => fields![
            f("seq", Varint),
            f("retire prior", Varint),
            f("length", Fixed(1)),
            f("cid", Counted),
            f("reset token", SecretOctets(16)),
        ],
        number::RETIRE_CID => fields![f("seq", Varint)],
        number::OPEN => fields![
            f("stream", Varint),
            f("kind and priority", Fixed(1)),
            when(4, "credit", Varint),
            when(8, "ttl_ms", Varint),
            when(2, "length", Varint),
            when(2, "parameters", CountedParameters(N::Metadata)),
            f("data", Rest),
        ],
        number::DATA => fields![f("stream", Varint), when(2, "offset", Varint), f("data", Rest)],
        number::RESET => fields![f("stream", Varint), f("code", Code), f("final", Varint), f("reliable", Varint)],
        number::STOP => fields![f("stream", Varint), f("code", Code)],
        number::MAX_DATA => fields![f("octets", Varint)],
        number::MAX_STREAM => fields![f("stream", Varint), f("octets", Varint), when(1, "messages", Varint)],
        number::MAX_STREAMS => fields![f("class", Fixed(1)), f("count", Varint)],
        number::BLOCKED => fields![f("scope", Fixed(1)), f("stream", Varint), f("at", Varint)],
        number::MSG => fields![
            f("stream", Varint),
            when(16, "id", Varint),
            when(4, "offset", Varint),
            when(8, "ttl_ms", Varint),
            f("data", Rest),
        ],
        number::MSG_SKIP => fields![f("stream", Varint), f("first id", Varint), f("count", Varint)],
        number::DGRAM => fields![f("flow", Varint), when(1, "ttl_ms", Varint), f("data", Rest)],
        number::META => fields![f("stream", Varint), f("parameters", Parameters(N::Metadata))],
        number::PRIORITY => fields![f("stream", Varint), f("priority", Fixed(1))],
        number::PATH_STATUS => fields![f("path", Varint), f("state", Fixed(1))],
        number::ACK_FREQ => fields![f("threshold", Varint), f("max delay_us", Varint), f("reorder", Varint)],
        number::NEW_TOKEN => fields![f("token", Secret)],
        number::TIMESTAMP => fields![f("sender_us", Varint)],
        other => later(other),
    })
}

/// Fields of types that are not acted upon yet.
fn later(number: u8) -> &'static [Field] {
    match number {
        number::NBR_HELLO => fields![
            f("node", Octets(32)),
            f("domain", Fixed(4)),
            f("area", Fixed(2)),
            f("cost", Fixed(2)),
            f("parameters", Parameters(N::None)),
        ],
        number::LINK_STATE => fields![f("LSA", Rest)],
        number::ROUTE_WITHDRAW => fields![f("length", Fixed(1)), f("prefix", Fixed(8))],
        number::LABEL_BIND => fields![
            f("forward", Fixed(4)),
            f("reverse", Fixed(4)),
            f("lifetime_s", Varint),
            f("quota", Varint),
            f("fec", Rest),
        ],
        number::LABEL_RELEASE => fields![f("label", Fixed(4)), f("code", Code)],
        number::FORWARD => fields![
            f("label", Fixed(4)),
            f("ttl", Fixed(1)),
            f("class", Fixed(1)),
            f("deadline_ms", Fixed(2)),
            f("payload", Rest),
        ],
        number::ROUTE_ERROR => fields![f("code", Code), f("label", Fixed(4)), f("mtu", Varint), f("retry_ms", Varint)],
        number::SUBSCRIBE => fields![
            f("sub", Varint),
            f("urgency", Fixed(1)),
            f("mode", Fixed(1)),
            f("octets", Varint),
            f("messages", Varint),
            f("length", Varint),
            f("pattern", Counted),
            f("parameters", Parameters(N::None)),
        ],
        number::SUB_RESULT => fields![f("sub", Varint), f("code", Code), f("parameters", Parameters(N::None))],
        number::UNSUBSCRIBE => fields![f("sub", Varint), f("code", Code)],
        number::PUBLISH => {
            fields![f("alias", Varint), f("group", Varint), f("seq", Varint), f("ttl_ms", Varint), f("payload", Rest)]
        }
        number::TOPIC_ALIAS => fields![f("alias", Varint), f("topic", Rest)],
        number::MCAST_JOIN => fields![f("group", Octets(16)), f("label", Fixed(4))],
        number::NAME_REGISTER => {
            fields![
                f("length", Varint),
                f("name", Counted),
                f("eid", Octets(16)),
                f("lease_s", Varint),
                f("signature", Rest)
            ]
        }
        number::NAME_QUERY => fields![f("query", Varint), f("name", Rest)],
        number::CIRC_CREATE | number::CIRC_CREATED => fields![f("circuit", Fixed(4)), f("handshake", Rest)],
        number::CELL => fields![f("circuit", Fixed(4)), f("cell", Octets(1_024))],
        number::CIRC_DESTROY => fields![f("circuit", Fixed(4)), f("code", Code)],
        _ => fields![f("body", Rest)],
    }
}

/// Types with fields that are repeated.
fn repeating(number: u8) -> Option<Layout> {
    let of = |fields, repeat, repeated, behind| Some(Layout { fields, repeat, repeated, behind });
    match number {
        number::ACK => of(
            fields![
                f("path", Varint),
                f("largest", Varint),
                f("delay", Varint),
                f("count", Varint),
                f("first", Varint)
            ],
            Repeat::Count,
            fields![f("gap", Varint), f("length", Varint)],
            fields![when(1, "ce", Varint)],
        ),
        number::LS_DIGEST => of(&[], Repeat::ToEnd, fields![f("origin", Octets(16)), f("seq", Varint)], &[]),
        number::LS_REQUEST => of(&[], Repeat::ToEnd, fields![f("origin", Octets(16))], &[]),
        number::ROUTE_ADVERTISE => of(
            fields![f("length", Fixed(1)), f("prefix", Fixed(8)), f("count", Fixed(1))],
            Repeat::Count,
            fields![f("domain", Fixed(4))],
            fields![f("parameters", Parameters(N::None))],
        ),
        number::FORWARD_SR => of(
            fields![f("ttl", Fixed(1)), f("class", Fixed(1)), f("count", Fixed(1)), f("index", Fixed(1))],
            Repeat::Count,
            fields![f("label", Fixed(4)), f("mac", Octets(8))],
            fields![f("payload", Rest)],
        ),
        number::NAME_REPLY => of(
            fields![f("query", Varint), f("code", Code), f("ttl_s", Varint)],
            Repeat::ToEnd,
            fields![f("eid", Octets(16)), f("locator", Fixed(8))],
            &[],
        ),
        _ => None,
    }
}
