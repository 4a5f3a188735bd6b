//! Frames: one variant for each type of the registry.

use super::code::Code;
use super::parameters::Parameters;
use super::registry::number;
use crate::StreamId;
use bytes::Bytes;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are those of the registry in docs/smrp.md")]
pub enum Frame {
    Padding {
        len: usize,
    },
    Ping {
        ack: bool,
        data: u64,
    },
    Ack(Box<Ack>),
    Handshake {
        offset: u64,
        data: Bytes,
    },
    Hello(Parameters),
    Auth {
        method: u8,
        parameters: Parameters,
    },
    AuthResult {
        code: Code,
        parameters: Parameters,
    },
    GoAway {
        is_final: bool,
        bidi: u64,
        uni: u64,
        drain_ms: u64,
        code: Code,
        redirect: Bytes,
    },
    Close {
        code: Code,
        frame_type: u64,
        reason: Bytes,
    },
    Ticket {
        lifetime_s: u64,
        offline_ms: u64,
        handle: Bytes,
    },
    Reattach {
        epoch: u64,
        received: u64,
        handle: Bytes,
    },
    ReattachResult {
        code: Code,
        epoch: u64,
        received: u64,
    },
    SessionAck {
        received: u64,
    },
    Settings(Parameters),
    NewCid {
        seq: u64,
        retire_prior: u64,
        cid: Bytes,
        reset_token: [u8; 16],
    },
    RetireCid {
        seq: u64,
    },
    Open(Open),
    Data {
        stream: StreamId,
        offset: Option<u64>,
        fin: bool,
        data: Bytes,
    },
    Reset {
        stream: StreamId,
        code: Code,
        final_len: u64,
        reliable_len: u64,
    },
    Stop {
        stream: StreamId,
        code: Code,
    },
    MaxData {
        octets: u64,
    },
    MaxStream {
        stream: StreamId,
        octets: u64,
        messages: Option<u64>,
    },
    MaxStreams {
        class: u8,
        count: u64,
    },
    Blocked {
        scope: u8,
        stream: StreamId,
        at: u64,
    },
    Msg(Msg),
    MsgSkip {
        stream: StreamId,
        first: u64,
        count: u64,
    },
    Dgram {
        flow: u64,
        ttl_ms: Option<u64>,
        data: Bytes,
    },
    Meta {
        stream: StreamId,
        is_trailer: bool,
        parameters: Parameters,
    },
    Priority {
        stream: StreamId,
        priority: u8,
    },
    PathChallenge {
        data: u64,
    },
    PathResponse {
        data: u64,
    },
    PathStatus {
        path: u64,
        state: u8,
    },
    AckFreq {
        threshold: u64,
        max_delay_us: u64,
        reorder: u64,
    },
    NewToken {
        token: Bytes,
    },
    Timestamp {
        sender_us: u64,
    },
    NbrHello {
        node: [u8; 32],
        domain: u32,
        area: u16,
        cost: u16,
        parameters: Parameters,
    },
    LinkState {
        lsa: Bytes,
    },
    LsDigest {
        entries: Vec<([u8; 16], u64)>,
    },
    LsRequest {
        origins: Vec<[u8; 16]>,
    },
    RouteAdvertise {
        prefix_len: u8,
        prefix: u64,
        path: Vec<u32>,
        parameters: Parameters,
    },
    RouteWithdraw {
        prefix_len: u8,
        prefix: u64,
    },
    LabelBind {
        is_request: bool,
        forward: u32,
        reverse: u32,
        lifetime_s: u64,
        quota: u64,
        fec: Bytes,
    },
    LabelRelease {
        label: u32,
        code: Code,
    },
    Forward {
        label: u32,
        ttl: u8,
        class: u8,
        deadline_ms: u16,
        payload: Bytes,
    },
    ForwardSr {
        ttl: u8,
        class: u8,
        index: u8,
        hops: Vec<(u32, [u8; 8])>,
        payload: Bytes,
    },
    RouteError {
        code: Code,
        label: u32,
        mtu: u64,
        retry_ms: u64,
    },
    Subscribe(Box<Subscribe>),
    SubResult {
        sub: u64,
        code: Code,
        parameters: Parameters,
    },
    Unsubscribe {
        sub: u64,
        code: Code,
    },
    Publish {
        alias: u64,
        group: u64,
        seq: u64,
        ttl_ms: u64,
        payload: Bytes,
    },
    TopicAlias {
        alias: u64,
        topic: Bytes,
    },
    McastJoin {
        prune: bool,
        group: [u8; 16],
        label: u32,
    },
    NameRegister {
        name: Bytes,
        eid: [u8; 16],
        lease_s: u64,
        signature: Bytes,
    },
    NameQuery {
        query: u64,
        name: Bytes,
    },
    NameReply {
        query: u64,
        code: Code,
        ttl_s: u64,
        places: Vec<([u8; 16], u64)>,
    },
    CircCreate {
        circuit: u32,
        handshake: Bytes,
    },
    CircCreated {
        circuit: u32,
        handshake: Bytes,
    },
    Cell {
        circuit: u32,
        cell: Bytes,
    },
    CircDestroy {
        circuit: u32,
        code: Code,
    },
    /// A type that is not in the registry.
    Unknown {
        number: u64,
        flags: u8,
        body: Bytes,
    },
}

/// An acknowledgement of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the registry in docs/smrp.md")]
pub struct Ack {
    pub path: u64,
    pub largest: u64,
    pub delay: u64,
    pub first: u64,
    /// Pairs of gap and length.
    pub ranges: Vec<(u64, u64)>,
    pub ecn_ce: Option<u64>,
}

/// The beginning of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Which one.
    pub stream: StreamId,
    /// Kind and priority, as on the wire.
    pub kind_and_priority: u8,
    /// Credit for the other direction, where it is not the one of the settings.
    pub credit: Option<u64>,
    /// How long the stream may take.
    pub ttl_ms: Option<u64>,
    /// Its metadata.
    pub metadata: Option<Parameters>,
    /// Its first octets.
    pub data: Bytes,
    /// Whether they are the last.
    pub fin: bool,
}

/// A fragment of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msg {
    /// On which channel.
    pub stream: StreamId,
    /// Which message, where it is not the next or the one under way.
    pub id: Option<u64>,
    /// Where in the message, on datagram carriers.
    pub offset: Option<u64>,
    /// How long it is still of use.
    pub ttl_ms: Option<u64>,
    /// The first fragment.
    pub first: bool,
    /// The last fragment.
    pub last: bool,
    /// Its octets.
    pub data: Bytes,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the registry in docs/smrp.md")]
pub struct Subscribe {
    pub sub: u64,
    pub urgency: u8,
    pub mode: u8,
    pub octets: u64,
    pub messages: u64,
    pub pattern: Bytes,
    pub parameters: Parameters,
}

/// The longest reason of a CLOSE.
//= SMRP-L5
pub const REASON_LEN_MAX: usize = 256;
/// The longest handle of a ticket.
pub const HANDLE_LEN_MAX: usize = 512;
/// The shortest one.
pub const HANDLE_LEN_MIN: usize = 16;
/// Octets of a cell.
pub const CELL_LEN: usize = 1_024;

impl Frame {
    /// The number of its type.
    #[must_use]
    pub fn number(&self) -> u64 {
        let number = match self {
            Self::Padding { .. } => number::PADDING,
            Self::Ping { .. } => number::PING,
            Self::Ack(_) => number::ACK,
            Self::Handshake { .. } => number::HANDSHAKE,
            Self::Hello(_) => number::HELLO,
            Self::Auth { .. } => number::AUTH,
            Self::AuthResult { .. } => number::AUTH_RESULT,
            Self::GoAway { .. } => number::GOAWAY,
            Self::Close { .. } => number::CLOSE,
            Self::Ticket { .. } => number::TICKET,
            Self::Reattach { .. } => number::REATTACH,
            Self::ReattachResult { .. } => number::REATTACH_RESULT,
            Self::SessionAck { .. } => number::SESSION_ACK,
            Self::Settings(_) => number::SETTINGS,
            Self::NewCid { .. } => number::NEW_CID,
            Self::RetireCid { .. } => number::RETIRE_CID,
            Self::Open(_) => number::OPEN,
            Self::Data { .. } => number::DATA,
            Self::Reset { .. } => number::RESET,
            Self::Stop { .. } => number::STOP,
            Self::MaxData { .. } => number::MAX_DATA,
            Self::MaxStream { .. } => number::MAX_STREAM,
            Self::MaxStreams { .. } => number::MAX_STREAMS,
            Self::Blocked { .. } => number::BLOCKED,
            Self::Msg(_) => number::MSG,
            Self::MsgSkip { .. } => number::MSG_SKIP,
            Self::Dgram { .. } => number::DGRAM,
            Self::Meta { .. } => number::META,
            Self::Priority { .. } => number::PRIORITY,
            Self::PathChallenge { .. } => number::PATH_CHALLENGE,
            Self::PathResponse { .. } => number::PATH_RESPONSE,
            Self::PathStatus { .. } => number::PATH_STATUS,
            Self::AckFreq { .. } => number::ACK_FREQ,
            Self::NewToken { .. } => number::NEW_TOKEN,
            Self::Timestamp { .. } => number::TIMESTAMP,
            Self::NbrHello { .. } => number::NBR_HELLO,
            Self::LinkState { .. } => number::LINK_STATE,
            Self::LsDigest { .. } => number::LS_DIGEST,
            Self::LsRequest { .. } => number::LS_REQUEST,
            Self::RouteAdvertise { .. } => number::ROUTE_ADVERTISE,
            Self::RouteWithdraw { .. } => number::ROUTE_WITHDRAW,
            Self::LabelBind { .. } => number::LABEL_BIND,
            Self::LabelRelease { .. } => number::LABEL_RELEASE,
            Self::Forward { .. } => number::FORWARD,
            Self::ForwardSr { .. } => number::FORWARD_SR,
            Self::RouteError { .. } => number::ROUTE_ERROR,
            Self::Subscribe(_) => number::SUBSCRIBE,
            Self::SubResult { .. } => number::SUB_RESULT,
            Self::Unsubscribe { .. } => number::UNSUBSCRIBE,
            Self::Publish { .. } => number::PUBLISH,
            Self::TopicAlias { .. } => number::TOPIC_ALIAS,
            Self::McastJoin { .. } => number::MCAST_JOIN,
            Self::NameRegister { .. } => number::NAME_REGISTER,
            Self::NameQuery { .. } => number::NAME_QUERY,
            Self::NameReply { .. } => number::NAME_REPLY,
            Self::CircCreate { .. } => number::CIRC_CREATE,
            Self::CircCreated { .. } => number::CIRC_CREATED,
            Self::Cell { .. } => number::CELL,
            Self::CircDestroy { .. } => number::CIRC_DESTROY,
            Self::Unknown { number, .. } => return *number,
        };
        u64::from(number)
    }
}
