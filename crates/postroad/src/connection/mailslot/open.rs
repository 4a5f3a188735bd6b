//! From URLs to mailslots.

use super::node::{self, Node, Place};
use super::{End, Remote, Slot, errors};
use crate::options::{self, ConnectOptions, ListenOptions, MailslotSettings, config};
use crate::url::{Address, Host, Node as UrlNode, Url};
use crate::{Error, ErrorKind};
use core::time::Duration;
use smp121::{ExchangeError, SendError};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Where an endpoint of a peer is.
#[derive(Clone, Copy)]
struct Target {
    address: SocketAddr,
    /// The address of this host to speak from.
    local: IpAddr,
}

/// Finds the mailslot of `url` and resolves its name, so that what is wrong is known here.
pub(crate) async fn connect(url: Url, options: &ConnectOptions) -> Result<Slot, Error> {
    let limits = options::limits(&url, options.limits);
    let settings = MailslotSettings::of(&url, &limits)?;
    let Address::Mailslot { node, name } = url.address().clone() else { return Err(no_mailslot(&url)) };
    let time = options::connect_timeout(&url, options);
    let started = tokio::time::Instant::now();
    let mut failure = None;
    for address in within(time, &url, addresses(&url, &node)).await? {
        let left = time.map(|time| time.saturating_sub(started.elapsed()));
        match at(&url, &node, &name, address, &settings, left, options).await {
            Ok(slot) => return Ok(slot),
            // A host may have an address that leads nowhere from here.
            Err(error) if error.kind() == ErrorKind::Connect => failure = failure.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| {
        let why = "the host has no address of the family of `bind=`";
        Error::new(ErrorKind::Config, format!("could not connect to {url}"), why)
            .with_remedy("change or leave out `bind=`")
    }))
}

async fn at(
    url: &Url,
    node: &UrlNode,
    name: &[u8],
    address: SocketAddr,
    settings: &MailslotSettings,
    time: Option<Duration>,
    options: &ConnectOptions,
) -> Result<Slot, Error> {
    let what = || format!("could not connect to {url}");
    let node = match node {
        UrlNode::Memory(_) => {
            let socket = node::memory_socket().map_err(|error| Error::carrier(what(), error))?;
            Node::private(socket, url, settings)?
        }
        UrlNode::Udp(..) => {
            let local = url.options().bind.unwrap_or_else(|| unspecified(address.ip()));
            let socket = node::udp_socket(SocketAddr::new(local, 0), url).map_err(|error| error.with_what(what()))?;
            Node::private(socket, url, settings)?
        }
        UrlNode::Ip(_) => {
            let target = Target { address, local: local_for(url, address.ip())? };
            let place = Place::Ip(target.local);
            // Within this process the way is short.
            if !Node::is_open(&place) {
                refuse_own_address(url, target)?;
            }
            Node::at(place, url, settings).map_err(|error| error.with_what(what()))?
        }
    };
    let mailslot = node.endpoint().get(address, name).map_err(|error| errors::open(url, what(), error))?;
    if url.options().profile.is_some() {
        mailslot.set_profile(settings.profile).map_err(|error| errors::open(url, what(), error))?;
    }
    let resolving = mailslot.resolve();
    let resolved = match time {
        None => resolving.await,
        Some(time) => {
            tokio::time::timeout(time, resolving).await.unwrap_or(Err(SendError::Exchange(ExchangeError::NotResolved)))
        }
    };
    let resolved = resolved.map_err(|error| errors::resolve(url, error))?;
    let places_max = options.limits.requests_in_flight_max;
    let remote = Remote {
        mailslot,
        request_len_max: resolved.request_len_max,
        reply_len_max: url.options().max_size.unwrap_or(options.limits.message_len_max),
        dscp: url.options().dscp.unwrap_or(0),
        places: Semaphore::new(places_max),
        places_max,
    };
    let timeout = options::request_timeout(url, options.request_timeout);
    Ok(Slot::new(url.clone(), peer_words(url, address, name), timeout, End::Remote(remote), node))
}

/// Defines the mailslot of `url`; the URL that comes back has the real port.
pub(crate) async fn listen(url: Url, options: &ListenOptions) -> Result<(Slot, Url), Error> {
    let for_clients = [
        ("bind", url.options().bind.is_some(), "the host of the URL is the address to listen at"),
        ("request_timeout", url.options().request_timeout.is_some(), "leave it out"),
    ];
    if let Some((name, _, remedy)) = for_clients.into_iter().find(|(_, is_there, _)| *is_there) {
        return Err(config(format!("`{name}=` is for clients"), remedy));
    }
    let limits = options::limits(&url, options.limits);
    let settings = MailslotSettings::of(&url, &limits)?;
    let Address::Mailslot { node, name } = url.address().clone() else { return Err(no_mailslot(&url)) };
    let what = || format!("could not listen at {url}");
    let place = match &node {
        UrlNode::Memory(name) => Place::Memory(name.clone()),
        UrlNode::Udp(..) => Place::Udp(first(&url, &node).await?),
        UrlNode::Ip(_) => Place::Ip(first(&url, &node).await?.ip()),
    };
    let node = Node::at(place, &url, &settings).map_err(|error| error.with_what(what()))?;
    let mailslot =
        node.endpoint().define(&name, settings.max_size).map_err(|error| errors::open(&url, what(), error))?;
    mailslot.set_dscp(url.options().dscp.unwrap_or(0));
    let url = url.with_port(node.endpoint().local_addr().port());
    let end = End::Own(Mutex::new(Some(Arc::new(mailslot))));
    let slot = Slot::new(url.clone(), "any peer".to_owned(), Duration::MAX, end, node);
    Ok((slot, url))
}

fn no_mailslot(url: &Url) -> Error {
    Error::new(ErrorKind::Usage, format!("`{url}` cannot be"), "it names no mailslot")
}

async fn within<T>(
    time: Option<Duration>,
    url: &Url,
    looking: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match time {
        None => looking.await,
        Some(time) => tokio::time::timeout(time, looking).await.unwrap_or_else(|_| {
            let why = format!("looking up the host took longer than {time:?}");
            Err(Error::new(ErrorKind::Timeout, format!("could not connect to {url}"), why)
                .with_remedy("give its address, or more time with `connect_timeout=`"))
        }),
    }
}

/// Where the host is, in the order of the look-up.
async fn addresses(url: &Url, node: &UrlNode) -> Result<Vec<SocketAddr>, Error> {
    let (host, port) = match node {
        UrlNode::Ip(host) => (host, 0),
        UrlNode::Udp(host, port) => (host, *port),
        UrlNode::Memory(name) => {
            let address = Node::in_memory(name).ok_or_else(|| {
                let why = "nobody listens there in this process";
                Error::new(ErrorKind::Connect, format!("could not connect to {url}"), why)
                    .with_remedy("listen there first; smp121+mem is inside one process")
            })?;
            return Ok(vec![address]);
        }
    };
    let fits = |address: &SocketAddr| url.options().bind.is_none_or(|bind| bind.is_ipv4() == address.is_ipv4());
    match host {
        Host::Ip(ip) => Ok(Some(SocketAddr::new(*ip, port)).filter(fits).into_iter().collect()),
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            let found = found.map_err(|error| unknown_host(url, &error))?;
            Ok(found.filter(fits).collect())
        }
    }
}

fn unknown_host(url: &Url, error: &io::Error) -> Error {
    let why = format!("looking up the host failed: {error}");
    Error::new(ErrorKind::Connect, format!("could not open {url}"), why).with_remedy("see how the host is spelled")
}

/// The address to listen at.
async fn first(url: &Url, node: &UrlNode) -> Result<SocketAddr, Error> {
    let found = addresses(url, node).await?;
    found.first().copied().ok_or_else(|| unknown_host(url, &io::ErrorKind::NotFound.into()))
}

const fn unspecified(family: IpAddr) -> IpAddr {
    match family {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The address of this host to speak to `peer` from, over raw IP.
fn local_for(url: &Url, peer: IpAddr) -> Result<IpAddr, Error> {
    if let Some(bind) = url.options().bind {
        return Ok(bind);
    }
    // A server at 127.0.0.1 is met from another address of the loopback network, since it has that one to itself.
    if peer == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return Ok(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
    }
    // Connecting a UDP socket sends nothing: it asks the system for the way.
    let asked = UdpSocket::bind(SocketAddr::new(unspecified(peer), 0)).and_then(|socket| {
        socket.connect(SocketAddr::new(peer, 9))?;
        socket.local_addr()
    });
    asked.map(|local| local.ip()).map_err(|error| {
        let why = format!("there is no way to {peer}: {error}");
        Error::new(ErrorKind::Connect, format!("could not connect to {url}"), why)
            .with_remedy("see the address, and the routes to it")
    })
}

/// Over raw IP there is one endpoint for an address: this process cannot meet another one at its own.
fn refuse_own_address(url: &Url, target: Target) -> Result<(), Error> {
    if target.address.ip() != target.local {
        return Ok(());
    }
    let why = format!(
        "{} is the address of this host that it would be asked from, and IP protocol 121 has no ports",
        target.local
    );
    let remedy = "give another address of this host with `bind=`, as in ?bind=127.0.0.1, or go over UDP: smp121+udp://";
    Err(Error::new(ErrorKind::Connect, format!("could not connect to {url}"), why).with_remedy(remedy))
}

/// The peer, for people.
fn peer_words(url: &Url, address: SocketAddr, name: &[u8]) -> String {
    let node = match url.address() {
        Address::Mailslot { node: UrlNode::Memory(endpoint), .. } => crate::escape::text(endpoint),
        Address::Mailslot { node: UrlNode::Ip(_), .. } => address.ip().to_string(),
        _ => address.to_string(),
    };
    format!("{node}/{}", crate::escape::octets(name))
}
