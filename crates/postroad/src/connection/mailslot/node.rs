//! Endpoints of this process, one for each address.
//!
//! The protocol tells peers apart by addresses alone: two endpoints at one address would answer for each other, and each
//! reset what the other began. So mailslots and handles at the same address share one endpoint, which lives as long as one
//! of them does.

use super::errors;
use super::locked;
use crate::Error;
use crate::options::MailslotSettings;
use crate::url::Url;
use core::fmt;
use postroad_transport::CarrierError;
use postroad_transport::memory::datagram::Hub;
use postroad_transport::udp;
use smp121::Endpoint;
use smp121::wire::PROTOCOL;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use wirekit::datagram::DatagramSocket;

/// What an endpoint is known by in this process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A local address, or all of a family.
    Ip(IpAddr),
    /// A local address and port, of one who listens.
    Udp(SocketAddr),
    /// The name of an endpoint in memory.
    Memory(String),
    /// Nobody else finds it.
    Private,
}

/// An endpoint, and what it was started with.
pub(super) struct Node {
    endpoint: Endpoint,
    settings: MailslotSettings,
    place: Place,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The endpoints that are open.
static NODES: Mutex<Option<HashMap<Place, Weak<Node>>>> = Mutex::new(None);

/// The network of `smp121+mem://`.
fn hub() -> &'static Hub {
    static HUB: OnceLock<Hub> = OnceLock::new();
    HUB.get_or_init(Hub::default)
}

impl Node {
    /// The endpoint at `place`; opened where there is none yet.
    pub(super) fn at(place: Place, url: &Url, settings: &MailslotSettings) -> Result<Arc<Self>, Error> {
        let mut nodes = locked(&NODES);
        let nodes = nodes.get_or_insert_default();
        nodes.retain(|_, node| node.strong_count() > 0);
        if let Some(node) = find(nodes, &place) {
            node.settings.check_same(&node.endpoint.local_addr().to_string(), settings)?;
            return Ok(node);
        }
        let node = Self::open(place, url, settings)?;
        nodes.insert(node.place.clone(), Arc::downgrade(&node));
        Ok(node)
    }

    /// Whether there is one at `place`.
    pub(super) fn is_open(place: &Place) -> bool {
        locked(&NODES).as_ref().is_some_and(|nodes| find(nodes, place).is_some())
    }

    /// An endpoint that nobody else finds.
    pub(super) fn private(
        socket: impl DatagramSocket + 'static,
        url: &Url,
        settings: &MailslotSettings,
    ) -> Result<Arc<Self>, Error> {
        Self::start(socket, Place::Private, url, settings)
    }

    /// Where the endpoint of this name is in memory.
    pub(super) fn in_memory(name: &str) -> Option<SocketAddr> {
        let nodes = locked(&NODES);
        let node = find(nodes.as_ref()?, &Place::Memory(name.to_owned()))?;
        Some(node.endpoint.local_addr())
    }

    fn open(place: Place, url: &Url, settings: &MailslotSettings) -> Result<Arc<Self>, Error> {
        let failed = |error: CarrierError| Error::carrier(format!("could not open {url}"), error);
        match place {
            Place::Ip(address) => Self::start(raw_socket(address, url)?, place, url, settings),
            Place::Udp(address) => {
                let socket = udp_socket(address, url)?;
                let place = Place::Udp(socket.local_addr());
                Self::start(socket, place, url, settings)
            }
            Place::Memory(_) | Place::Private => Self::start(memory_socket().map_err(failed)?, place, url, settings),
        }
    }

    fn start(
        socket: impl DatagramSocket + 'static,
        place: Place,
        url: &Url,
        settings: &MailslotSettings,
    ) -> Result<Arc<Self>, Error> {
        let endpoint = Endpoint::builder()
            .with_profile(settings.profile)
            .with_limits(settings.limits)
            .with_segment_len_max(settings.segment_len_max)
            .start(socket)
            .map_err(|error| errors::start(url, error))?;
        Ok(Arc::new(Self { endpoint, settings: settings.clone(), place }))
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Closes the endpoint, and waits until its address is free.
    pub(super) async fn close(self) {
        self.endpoint.close().await;
    }
}

/// What is open at `place`, or at all addresses of its family.
fn find(nodes: &HashMap<Place, Weak<Node>>, place: &Place) -> Option<Arc<Node>> {
    let open = |place: &Place| nodes.get(place).and_then(Weak::upgrade);
    let wider = match place {
        Place::Private => return None,
        Place::Ip(IpAddr::V4(_)) => Some(Place::Ip(Ipv4Addr::UNSPECIFIED.into())),
        Place::Ip(IpAddr::V6(_)) => Some(Place::Ip(Ipv6Addr::UNSPECIFIED.into())),
        // A new port is never one that is open.
        Place::Udp(address) if address.port() == 0 => return None,
        Place::Udp(_) | Place::Memory(_) => None,
    };
    open(place).or_else(|| wider.and_then(|wider| open(&wider)))
}

/// Room for datagrams that wait to be received, as far as the system gives it: a peer may have 1 MiB in flight, and the
/// kernel charges up to twice a datagram's length.
const RECEIVE_BUFFER_LEN: usize = 4 << 20;

pub(super) fn memory_socket() -> Result<impl DatagramSocket + 'static, CarrierError> {
    hub().bind()
}

pub(super) fn udp_socket(address: SocketAddr, url: &Url) -> Result<udp::Socket, Error> {
    let config = udp::Config::new(address).with_receive_buffer_len(Some(RECEIVE_BUFFER_LEN));
    let opened = config.open().and_then(udp::Opened::start);
    opened.map_err(|error| Error::carrier(format!("could not open {url}"), error))
}

#[cfg(target_os = "linux")]
fn raw_socket(address: IpAddr, url: &Url) -> Result<impl DatagramSocket + 'static, Error> {
    use postroad_transport::raw;
    let config = raw::Config::new(PROTOCOL).with_address(address).with_receive_buffer_len(Some(RECEIVE_BUFFER_LEN));
    let opened = config.open().and_then(raw::Opened::start);
    opened.map_err(|error| Error::carrier(format!("could not open {url}"), error))
}

#[cfg(not(target_os = "linux"))]
fn raw_socket(_address: IpAddr, url: &Url) -> Result<udp::Socket, Error> {
    Err(no_raw_ip(format!("could not open {url}")))
}

/// Whether this process may use raw IP.
#[cfg(target_os = "linux")]
pub(crate) fn raw_ip_available() -> Result<(), Error> {
    let what = format!("could not use IP protocol {}", PROTOCOL);
    postroad_transport::raw::available().map_err(|error| Error::carrier(what, error))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn raw_ip_available() -> Result<(), Error> {
    Err(no_raw_ip(format!("could not use IP protocol {}", PROTOCOL)))
}

#[cfg(not(target_os = "linux"))]
fn no_raw_ip(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, what, "raw IP is for Linux only, so far")
        .with_remedy("go over UDP: smp121+udp://")
}
