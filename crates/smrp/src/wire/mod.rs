//! What the octets say: prefaces, frames, parameters. Nothing here knows what may be said when.

mod code;
mod decode;
mod encode;
mod frame;
mod parameters;
mod preface;
mod registry;
mod varint;

pub use code::Code;
pub use decode::{Header, WireError, WireErrorKind};
pub use encode::header_len;
pub(crate) use encode::put_header;
pub use frame::{Ack, CELL_LEN, Frame, HANDLE_LEN_MAX, HANDLE_LEN_MIN, Msg, Open, REASON_LEN_MAX, Subscribe};
pub(crate) use parameters::number_of;
pub use parameters::{Parameters, ParametersBuilder, ParametersError, Rules};
pub use preface::{
    MAGIC, OtherProtocol, PREFACE_LEN_MAX, Preface, PrefaceError, Security, VERSION_1, VERSION_COUNT_MAX, is_grease,
    preface_hash,
};
pub use registry::{CRITICAL, EXTENSION, FrameType, REGISTRY, Scope, Service, frame_type, number};
pub use varint::{VARINT_MAX, put_varint, take_varint, varint_len};

/// Ids of parameters, by where they occur.
pub mod parameter {
    /// In HELLO: SHA-256 of the prefaces.
    pub const PREFACE_HASH: u64 = 0x01;
    /// In HELLO of the initiator: REATTACH follows.
    pub const REATTACHING: u64 = 0x03;
    /// In HELLO and SETTINGS.
    pub const MAX_FRAME: u64 = 0x02;
    /// In HELLO.
    pub const INIT_MAX_DATA: u64 = 0x04;
    /// In HELLO and SETTINGS.
    pub const INIT_MAX_STREAM: u64 = 0x06;
    /// In HELLO.
    pub const MAX_STREAMS_BIDI: u64 = 0x08;
    /// In HELLO.
    pub const MAX_STREAMS_UNI: u64 = 0x0A;
    /// In HELLO.
    pub const IDLE_MS: u64 = 0x0C;
    /// In HELLO and SETTINGS.
    pub const MAX_DATAGRAM: u64 = 0x0E;
    /// In HELLO and SETTINGS.
    pub const MAX_META: u64 = 0x14;
    /// In HELLO.
    pub const RESUMABLE_MS: u64 = 0x16;
    /// In HELLO.
    pub const MIN_PING_MS: u64 = 0x20;
    /// In HELLO.
    pub const INIT_MAX_MSGS: u64 = 0x22;
    /// In HELLO and SETTINGS.
    pub const MAX_MESSAGE: u64 = 0x24;
    /// In HELLO.
    pub const ACK_EVERY: u64 = 0x26;
    /// In HELLO.
    pub const AGENT: u64 = 0x28;

    /// In AUTH: the token.
    pub const TOKEN: u64 = 0x02;
    /// In AUTH: a signature over the channel.
    pub const SIGNATURE: u64 = 0x04;
    /// In AUTH: the key that made the signature.
    pub const KEY: u64 = 0x06;

    /// In AUTH_RESULT: who the peer is taken for.
    pub const SUBJECT: u64 = 0x02;
    /// In AUTH_RESULT: what the peer may do; may repeat.
    pub const SCOPE: u64 = 0x04;
    /// In AUTH_RESULT: for how long.
    pub const EXPIRES_MS: u64 = 0x06;

    /// In metadata: where the stream wants to go.
    pub const NAME: u64 = 0x02;
    /// In metadata: what the data is.
    pub const CONTENT_TYPE: u64 = 0x04;
    /// In metadata: a header of the application; may repeat.
    pub const HEADER: u64 = 0x06;
    /// In metadata: how it went.
    pub const STATUS: u64 = 0x08;
}

const SETTINGS_RULES: Rules = Rules {
    known: &[
        parameter::PREFACE_HASH,
        parameter::REATTACHING,
        parameter::MAX_FRAME,
        parameter::INIT_MAX_DATA,
        parameter::INIT_MAX_STREAM,
        parameter::MAX_STREAMS_BIDI,
        parameter::MAX_STREAMS_UNI,
        parameter::IDLE_MS,
        parameter::MAX_DATAGRAM,
        parameter::MAX_META,
        parameter::RESUMABLE_MS,
        parameter::MIN_PING_MS,
        parameter::INIT_MAX_MSGS,
        parameter::MAX_MESSAGE,
        parameter::ACK_EVERY,
        parameter::AGENT,
    ],
    repeatable: &[],
    text: &[parameter::AGENT],
};
const AUTH_RULES: Rules = Rules {
    known: &[parameter::TOKEN, parameter::SIGNATURE, parameter::KEY],
    repeatable: &[],
    text: &[parameter::TOKEN],
};
const AUTH_RESULT_RULES: Rules = Rules {
    known: &[parameter::SUBJECT, parameter::SCOPE, parameter::EXPIRES_MS],
    repeatable: &[(parameter::SCOPE, 64)],
    text: &[parameter::SUBJECT, parameter::SCOPE],
};
const METADATA_RULES: Rules = Rules {
    known: &[parameter::NAME, parameter::CONTENT_TYPE, parameter::HEADER, parameter::STATUS],
    repeatable: &[(parameter::HEADER, usize::MAX)],
    text: &[parameter::NAME, parameter::CONTENT_TYPE],
};
const NO_RULES: Rules = Rules { known: &[], repeatable: &[], text: &[] };
