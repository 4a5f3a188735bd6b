//! The registry of frames as data: section 6.1 of the specification.

/// What a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The link: lost with it.
    Link,
    /// The session: sent again on the next link.
    Session,
    /// A packet of a datagram carrier.
    Packet,
}

/// One type of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameType {
    /// Its number.
    pub number: u8,
    /// Its name in the specification.
    pub name: &'static str,
    /// What it belongs to.
    pub scope: Scope,
    /// Whether it may come on a carrier of octets.
    pub on_octets: bool,
    /// The flags that it defines.
    pub flags: u8,
    /// What it is for; the core acts on [`Service::Core`] alone.
    pub service: Service,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Sessions and streams.
    Core,
    /// Routing, later.
    Routing,
    /// Topics and names, later.
    Topics,
    /// Circuits, later.
    Circuits,
}

macro_rules! registry {
    ($($name:ident = $number:literal, $scope:ident, $octets:literal, $flags:literal, $service:ident;)*) => {
        /// Numbers of frame types.
        #[allow(missing_docs, reason = "the names are those of the registry in docs/smrp.md, which describes them")]
        pub mod number {
            $(pub const $name: u8 = $number;)*
        }

        /// All types, by number.
        pub const REGISTRY: &[FrameType] = &[$(FrameType {
            number: $number,
            name: stringify!($name),
            scope: Scope::$scope,
            on_octets: $octets,
            flags: $flags,
            service: Service::$service,
        }),*];
    };
}

registry! {
    PADDING = 0x00, Link, true, 0, Core;
    PING = 0x01, Link, true, 0x01, Core;
    ACK = 0x02, Packet, false, 0x01, Core;
    HANDSHAKE = 0x03, Link, true, 0, Core;
    HELLO = 0x04, Link, true, 0, Core;
    AUTH = 0x05, Link, true, 0, Core;
    AUTH_RESULT = 0x06, Link, true, 0, Core;
    GOAWAY = 0x07, Session, true, 0x01, Core;
    CLOSE = 0x08, Link, true, 0, Core;
    TICKET = 0x09, Session, true, 0, Core;
    REATTACH = 0x0A, Link, true, 0, Core;
    REATTACH_RESULT = 0x0B, Link, true, 0, Core;
    SESSION_ACK = 0x0C, Link, true, 0, Core;
    SETTINGS = 0x0D, Session, true, 0, Core;
    NEW_CID = 0x0E, Link, false, 0, Core;
    RETIRE_CID = 0x0F, Link, false, 0, Core;
    OPEN = 0x10, Session, true, 0x0F, Core;
    DATA = 0x11, Session, true, 0x03, Core;
    RESET = 0x12, Session, true, 0, Core;
    STOP = 0x13, Session, true, 0, Core;
    MAX_DATA = 0x14, Session, true, 0, Core;
    MAX_STREAM = 0x15, Session, true, 0x01, Core;
    MAX_STREAMS = 0x16, Session, true, 0, Core;
    BLOCKED = 0x17, Session, true, 0, Core;
    MSG = 0x18, Session, true, 0x1F, Core;
    MSG_SKIP = 0x19, Session, true, 0, Core;
    DGRAM = 0x1A, Link, true, 0x01, Core;
    META = 0x1B, Session, true, 0x01, Core;
    PRIORITY = 0x1C, Session, true, 0, Core;
    PATH_CHALLENGE = 0x1D, Link, false, 0, Core;
    PATH_RESPONSE = 0x1E, Link, false, 0, Core;
    PATH_STATUS = 0x1F, Link, false, 0, Core;
    ACK_FREQ = 0x20, Link, false, 0, Core;
    NEW_TOKEN = 0x21, Link, false, 0, Core;
    TIMESTAMP = 0x22, Link, false, 0, Core;
    NBR_HELLO = 0x30, Link, true, 0, Routing;
    LINK_STATE = 0x31, Link, true, 0, Routing;
    LS_DIGEST = 0x32, Link, true, 0, Routing;
    LS_REQUEST = 0x33, Link, true, 0, Routing;
    ROUTE_ADVERTISE = 0x34, Link, true, 0, Routing;
    ROUTE_WITHDRAW = 0x35, Link, true, 0, Routing;
    LABEL_BIND = 0x36, Link, true, 0x01, Routing;
    LABEL_RELEASE = 0x37, Link, true, 0, Routing;
    FORWARD = 0x38, Link, true, 0, Routing;
    FORWARD_SR = 0x39, Link, true, 0, Routing;
    ROUTE_ERROR = 0x3A, Link, true, 0, Routing;
    SUBSCRIBE = 0x40, Session, true, 0, Topics;
    SUB_RESULT = 0x41, Session, true, 0, Topics;
    UNSUBSCRIBE = 0x42, Session, true, 0, Topics;
    PUBLISH = 0x43, Session, true, 0, Topics;
    TOPIC_ALIAS = 0x44, Session, true, 0, Topics;
    MCAST_JOIN = 0x45, Link, true, 0x01, Topics;
    NAME_REGISTER = 0x48, Session, true, 0, Topics;
    NAME_QUERY = 0x49, Session, true, 0, Topics;
    NAME_REPLY = 0x4A, Session, true, 0, Topics;
    CIRC_CREATE = 0x50, Link, true, 0, Circuits;
    CIRC_CREATED = 0x51, Link, true, 0, Circuits;
    CELL = 0x52, Link, true, 0, Circuits;
    CIRC_DESTROY = 0x53, Link, true, 0, Circuits;
}

/// Behind this number the body begins with the type.
pub const EXTENSION: u8 = 0xFF;
/// The bit of the flags that says: who does not know this must not go on.
pub const CRITICAL: u8 = 0x80;

/// Where each number stands in the registry, one more than its place; 0 where it does not. Each frame that comes is looked up.
static PLACES: [u8; 256] = places();

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "at compile time, where a fault is an error"
)]
const fn places() -> [u8; 256] {
    let mut places = [0; 256];
    let mut at = 0;
    while at < REGISTRY.len() {
        places[REGISTRY[at].number as usize] = at as u8 + 1;
        at += 1;
    }
    places
}

/// The type of this number.
#[must_use]
#[inline]
pub fn frame_type(number: u64) -> Option<&'static FrameType> {
    let place = *PLACES.get(usize::try_from(number).ok()?)?;
    REGISTRY.get(usize::from(place).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_names_are_found() {
        assert!(REGISTRY.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert_eq!(frame_type(0x10).map(|entry| entry.name), Some("OPEN"));
        assert_eq!(frame_type(0x23), None);
        assert!(REGISTRY.iter().all(|entry| frame_type(entry.number.into()) == Some(entry)));
        let numbers = (0..=256).chain([u64::MAX]).filter(|number| frame_type(*number).is_some());
        assert_eq!(numbers.count(), REGISTRY.len());
        assert!(REGISTRY.iter().all(|entry| entry.flags & 0xC0 == 0));
    }
}
