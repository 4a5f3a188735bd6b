//! From URLs to links, at both ends.

use super::road::Road;
use super::router::{Names, Router, Table};
use super::{Linked, REFUSALS_MAX};
use crate::carrier::{self, Octets};
use crate::connect::in_time;
use crate::connection::bodies::Bodies;
use crate::connection::sessioned::tunnel;
use crate::options::{self, ConnectOptions, ListenOptions, config};
use crate::url::{Address, Host, Protocol, Transport, Url};
use crate::{Error, ErrorKind, Limits};
use core::error::Error as _;
use core::time::Duration;
use postroad_transport::{Carrier, CarrierError, ErrorKind as CarrierKind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use wrp::link::{Backoff, BackoffConfig, Config, DEVICE_NAME, Driver, End, MISDIRECTED_MAX, keep_connected};
use wrp_ssp::{Encoding, Level};

/// Connects as a device, or whatever speaks like one.
pub(crate) async fn connect(url: Url, options: &ConnectOptions) -> Result<Linked, Error> {
    let own = match url.options.device.clone() {
        Some(device) => device,
        None => random_device()?,
    };
    // On the way the server may lead elsewhere, and later again: it is always the same device.
    let options = &ConnectOptions { device: Some(own.clone()), ..options.clone() };
    let names = Names { own, dest: url.options.dest.clone(), other: Some(server_name(&url)) };
    let config = link_config(&url, Config::device)?;
    let len_max = config.message_len_max;
    let endings = Arc::<Bodies>::default();
    let carrier = dial(&url, options, &endings).await?;
    let peer = carrier.peer().unwrap_or_else(|| url.clone().without_options().to_string());
    let road = Road::new(carrier, &url, len_max).await?;
    let limits = options::limits(&url, options.limits);
    let request_timeout = options::request_timeout(&url, options.request_timeout);
    let start =
        Start { url: url.clone(), peer, limits, request_timeout, names, config, endings: endings.clone(), place: None };
    if url.options.reconnect != Some(true) {
        return start.over(road);
    }
    let options = options.clone();
    let mut first = Some(road);
    let redial = move || {
        let (first, url, options, endings) = (first.take(), url.clone(), options.clone(), endings.clone());
        // The futures of the handshakes are large; here they are on the heap once.
        Box::pin(async move {
            match first {
                Some(road) => Ok(road),
                None => Road::new(in_time(&url, &options, dial(&url, &options, &endings)).await?, &url, len_max).await,
            }
        })
    };
    start.kept(redial)
}

/// A link over a carrier that was accepted.
pub(crate) async fn accept(
    carrier: Octets,
    url: Url,
    options: &ListenOptions,
    place: OwnedSemaphorePermit,
) -> Result<Linked, Error> {
    let device = match &carrier {
        Octets::Carrier(Carrier::Ws(stream)) => stream.request_header(DEVICE_NAME).map(str::to_owned),
        Octets::Carrier(Carrier::Wss(stream)) => stream.request_header(DEVICE_NAME).map(str::to_owned),
        _ => None,
    };
    let address = carrier.peer().unwrap_or_else(|| url.clone().without_options().to_string());
    let peer = match &device {
        Some(device) => format!("{} at {address}", crate::escape::text(device)),
        None => address,
    };
    let own = url.options.device.clone().unwrap_or_else(|| server_name(&url));
    let config = link_config(&url, || Config::cloud(device.as_deref().unwrap_or_default()))?;
    let names = Names { own, dest: url.options.dest.clone(), other: device };
    let road = Road::new(carrier, &url, config.message_len_max).await?;
    let limits = options::limits(&url, options.limits);
    let request_timeout = options::request_timeout(&url, options.request_timeout);
    let endings = Arc::default();
    Start { url, peer, limits, request_timeout, names, config, endings, place: Some(place) }.over(road)
}

/// How the link of `url` behaves.
fn link_config(url: &Url, of_device_link: impl FnOnce() -> Config) -> Result<Config, Error> {
    let options = url.options();
    let mut link = if url.stack().is_device_link() { of_device_link() } else { Config::without_pings() };
    if url.stack().is_device_link() {
        if let Some(heartbeat) = options.heartbeat {
            link.ping_interval = heartbeat.duration();
        }
        if let Some(timeout) = options.peer_timeout {
            link.silence_max = timeout.duration();
        }
    }
    if !url.stack().has(Protocol::Smp)
        && let Some(len) = options.max_message_size
    {
        if !(1024..=16 << 20).contains(&len) {
            let why = format!("`max_message_size={len}` is not between 1KiB and 16MiB");
            return Err(config(why, "a link of WRP takes 256KiB unless both ends agree on another size"));
        }
        link.message_len_max = len;
    }
    Ok(link)
}

/// Connects, and goes where it is sent.
//= WRP-N14
async fn dial(url: &Url, options: &ConnectOptions, endings: &Arc<Bodies>) -> Result<Octets, Error> {
    if url.stack().is_in_session() {
        return tunnel::connect(url, options, endings).await;
    }
    let mut at = url.clone();
    for _ in 0..=MISDIRECTED_MAX {
        let error = match carrier::open(&at, options).await {
            Ok(carrier) => return Ok(carrier.into()),
            Err(error) => error,
        };
        let carrier_error = error.source().and_then(|source| source.downcast_ref::<CarrierError>());
        let location =
            carrier_error.filter(|error| error.kind() == CarrierKind::Redirected).and_then(CarrierError::location);
        let Some(location) = location else { return Err(error) };
        at = redirected(&at, location).map_err(|why| {
            let what = format!("could not connect to {url}");
            let shown = crate::escape::text(location);
            Error::new(ErrorKind::Peer, what, format!("the server leads to {shown}, {why}"))
        })?;
        tracing::debug!(to = %at.clone().without_options(), "the server leads elsewhere");
    }
    let why = format!("it was led on {} times", MISDIRECTED_MAX + 1);
    Err(Error::new(ErrorKind::Peer, format!("could not connect to {url}"), why)
        .with_remedy("the servers lead to each other: tell those who run them"))
}

/// Where a redirect leads; what lets the device in goes there too, so it must not be out in the open where it was not.
fn redirected(from: &Url, location: &str) -> Result<Url, &'static str> {
    let mut to = from.clone();
    let Address::Network { path, .. } = &mut to.address else { return Err("which is no WebSocket") };
    if location.starts_with('/') && !location.starts_with("//") {
        location.clone_into(path);
        return Ok(to);
    }
    let (scheme, rest) = location.split_once("://").ok_or("which is no URL")?;
    let transport = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => Transport::Ws,
        "wss" | "https" => Transport::Wss,
        _ => return Err("which is no WebSocket"),
    };
    if from.transport() == Transport::Wss && transport == Transport::Ws {
        return Err("where everybody could read the token");
    }
    let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    let wanted: Url = format!("wrp+{}://{address}", transport.word()).parse().map_err(|_| "which is no URL")?;
    to.stack = wanted.stack;
    to.address = wanted.address;
    if let (Address::Network { path, .. }, Some(query)) = (&mut to.address, query) {
        path.push('?');
        path.push_str(query);
    }
    Ok(to)
}

/// Who a server is where nobody says so.
fn server_name(url: &Url) -> String {
    match url.address() {
        Address::Network { host: Host::Name(name), .. } => format!("dns:{name}"),
        Address::Network { host: Host::Ip(ip), .. } => format!("dns:{ip}"),
        _ => "dns:localhost".to_owned(),
    }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).map_err(|error| {
        Error::new(ErrorKind::Config, "could not get random numbers from the system", error.to_string())
    })?;
    Ok(octets)
}

/// A device that has no name of its own.
fn random_device() -> Result<String, Error> {
    let value = u128::from_be_bytes(random()?);
    // Version 4, variant 1 of RFC 9562.
    let value = value & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{value:032x}");
    let cut = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    Ok(format!("uuid:{}-{}-{}-{}-{}", cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32)))
}

/// What a link is started with.
struct Start {
    url: Url,
    peer: String,
    limits: Limits,
    request_timeout: Duration,
    names: Names,
    config: Config,
    endings: Arc<Bodies>,
    place: Option<OwnedSemaphorePermit>,
}

impl Start {
    /// Over one road, until it ends.
    fn over(self, road: Road) -> Result<Linked, Error> {
        let smp_sender = road.smp_sender();
        self.run(smp_sender, |mut driver, table| async move {
            let end = driver.run(road).await;
            let _first = table.end.set(end_of(&table.peer, end));
        })
    }

    /// Over one road after another.
    fn kept<D, F>(self, dial: D) -> Result<Linked, Error>
    where
        D: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<Road, Error>> + Send,
    {
        self.run(None, |driver, _| async move {
            // Only how they are spread over time depends on it.
            let chance = || random().map_or(u32::MAX / 2, u32::from_be_bytes);
            keep_connected(driver, Backoff::new(BackoffConfig::default()), chance, dial).await;
        })
    }

    fn run<F>(
        self,
        smp_sender: Option<smp_framing::Sender>,
        drive: impl FnOnce(Driver, Arc<Table>) -> F,
    ) -> Result<Linked, Error>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let encoding = match self.url.options().encoding.as_deref() {
            Some(name) => Encoding::parse(name).map_err(|error| config(error.to_string(), "change `encoding=`"))?,
            None => (Encoding::Gzip, Level::Default),
        };
        let (sender, receiver, driver) = wrp::link::channel(self.config);
        let (queue_sender, queue) = mpsc::channel(self.limits.incoming_count_max);
        let table = Table::new(self.limits, self.peer.clone(), self.names, u64::from_be_bytes(random()?));
        tokio::spawn(Router::new(Arc::clone(&table), queue_sender).run(receiver));
        let driving = tokio::spawn(drive(driver, Arc::clone(&table))).abort_handle();
        Ok(Linked(Arc::new(super::Inner {
            url: self.url,
            peer: self.peer,
            request_timeout: self.request_timeout,
            sender,
            smp_sender,
            table,
            encoding,
            next_stream: AtomicU64::new(0),
            requests: Arc::new(Semaphore::new(self.limits.requests_in_flight_max)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            queue: Mutex::new(queue),
            bodies: Arc::default(),
            endings: self.endings,
            driving,
            _place: self.place,
        })))
    }
}

/// How a connection ended whose link ended so.
fn end_of(peer: &str, end: End<Error>) -> Option<Error> {
    let what = format!("the connection to {peer} broke");
    match end {
        End::Closed | End::Ended => None,
        End::Silent(silence) => {
            let why = format!("nothing was heard for {} s", silence.as_secs());
            Some(Error::new(ErrorKind::Lost, what, why).with_remedy("connect again"))
        }
        End::Failed(error) => Some(error.with_what(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= WRP-N14
    #[test]
    fn redirects_lead_anywhere_but_from_the_closed_into_the_open() {
        let from: Url = "wrp+wss://a.example/x?token=t".parse().unwrap();
        for (location, wanted) in [
            ("/y?z=1", "wrp+wss://a.example/y?z=1?token=t"),
            ("https://b.example:7/y", "wrp+wss://b.example:7/y?token=t"),
            ("WSS://b.example", "wrp+wss://b.example?token=t"),
        ] {
            assert_eq!(redirected(&from, location).map(|to| to.to_string()), Ok(wanted.to_owned()), "{location}");
        }
        for location in ["http://b.example/y", "ws://b.example/y", "ftp://b.example/", "//b.example/", "b", ""] {
            assert!(redirected(&from, location).is_err(), "{location}");
        }
        let open: Url = "wrp+ws://a.example".parse().unwrap();
        assert_eq!(redirected(&open, "wss://a.example").unwrap().to_string(), "wrp+wss://a.example");
    }

    #[test]
    fn a_device_without_a_name_has_one_that_nobody_else_has() {
        let (one, other) = (random_device().unwrap(), random_device().unwrap());
        assert_ne!(one, other);
        let digits: Vec<usize> = one.trim_start_matches("uuid:").split('-').map(str::len).collect();
        assert_eq!(digits, [8, 4, 4, 4, 12]);
        assert!(one.parse::<wrp::Locator>().unwrap().device_id().is_some());
    }
}
