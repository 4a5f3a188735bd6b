//! What the protocol and its driver say, as errors for people.

use crate::url::{Profile, Transport, Url};
use crate::{Error, ErrorKind};
use smp121::{ExchangeError, OpenError, ReceiveError, ReplyError, SendError, StartError, UsageError};
use std::time::Duration;
use wirekit::datagram::PathErrorKind;

pub(super) fn no_bodies(what: String) -> Error {
    Error::new(ErrorKind::Unsupported, what, "a mailslot takes whole messages and no streams").with_remedy(
        "send what fits as a request; files go with `transfer::send_file`, on the command line `postroad copy`",
    )
}

pub(super) fn one_way(peer: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("could not ask {peer}"),
        "this end is the mailslot, and mailslots only answer",
    )
    .with_remedy("connect to a mailslot of the peer")
}

pub(super) fn closed(peer: &str) -> Error {
    Error::new(ErrorKind::Closed, format!("could not ask {peer}"), "this end was closed").with_remedy("connect again")
}

pub(super) fn no_place(peer: &str, max: usize, timeout: Duration) -> Error {
    let why = format!("limit requests_in_flight_max reached: {max} requests were under way for {timeout:?}");
    Error::new(ErrorKind::Timeout, format!("no reply from {peer}"), why)
        .with_remedy("send fewer at a time, or raise the limit")
}

/// Why an exchange has no reply.
pub(super) fn send(url: &Url, peer: &str, error: SendError, timeout: Duration) -> Error {
    let what = format!("no reply from {peer}");
    match &error {
        SendError::Exchange(ExchangeError::Timeout) => {
            let why = format!("none came within {timeout:?}; the request may have been served");
            Error::new(ErrorKind::Timeout, what, why)
                .with_remedy("see whether the peer answers, or give it more time with `request_timeout=`")
        }
        _ => of_send(url, what, error),
    }
}

/// Why a name was not resolved while connecting.
pub(super) fn resolve(url: &Url, error: SendError) -> Error {
    of_send(url, format!("could not connect to {url}"), error)
}

fn of_send(url: &Url, what: String, error: SendError) -> Error {
    match error {
        SendError::Usage(error) => usage(url, what, error),
        SendError::Exchange(error) => exchange(url, what, error),
        SendError::Closed => Error::new(ErrorKind::Closed, what, "this end was closed").with_remedy("connect again"),
        other => Error::new(ErrorKind::Lost, what, other.to_string()).with_remedy("connect again").with_source(other),
    }
}

fn exchange(url: &Url, what: String, error: ExchangeError) -> Error {
    use ExchangeError as E;
    let on_ip = url.transport() == Transport::Ip;
    let (kind, why, remedy) = match error {
        E::NoSuchMailslot => {
            let name = crate::escape::octets(url.mailslot().unwrap_or_default());
            let remedy = "see how the server spells it: names are octets, and case matters; \
                          over raw IP two programs at one address of the peer would answer for each other";
            (ErrorKind::Connect, format!("the host has no mailslot `{name}`"), if on_ip { remedy } else { NAME_REMEDY })
        }
        E::NotResolved => (ErrorKind::Timeout, error.to_string(), if on_ip { SILENT_IP } else { SILENT_UDP }),
        E::RequestTooLarge { .. } => (
            ErrorKind::Limit,
            error.to_string(),
            "send less at a time, or raise `max_size=` where the mailslot listens",
        ),
        E::ReplyTooLarge { .. } => (ErrorKind::Limit, error.to_string(), "raise `max_size=` at this end"),
        E::PeerGone => {
            (ErrorKind::Lost, error.to_string(), "see whether the host is up, and ask again if that does no harm")
        }
        E::Unreachable(kind) => return unreachable(url, what, kind),
        E::Reset => {
            let ip = "it restarts again and again, or another program of this host speaks to it: over raw IP give each \
                      an address of its own with `bind=`";
            (
                ErrorKind::Lost,
                error.to_string(),
                if on_ip { ip } else { "see whether the server restarts again and again" },
            )
        }
        E::MailslotGone => (ErrorKind::Closed, error.to_string(), "listen again"),
        _ => (ErrorKind::Lost, error.to_string(), "ask again if that does no harm"),
    };
    Error::new(kind, what, why).with_remedy(remedy).with_source(error)
}

const NAME_REMEDY: &str = "see how the server spells it: names are octets, and case matters";
const SILENT_IP: &str = "see that the host is up and serves there (postroad serve smp121://ADDRESS/NAME), and that no \
                         firewall drops IP protocol 121; through NAT and most clouds only smp121+udp:// gets";
const SILENT_UDP: &str = "see that the host is up and serves at that port (postroad serve smp121+udp://ADDRESS:PORT/NAME), and the firewalls";

fn unreachable(url: &Url, what: String, kind: PathErrorKind) -> Error {
    let (why, remedy) = match kind {
        PathErrorKind::ProtocolUnreachable => (
            "the host is there and speaks no IP protocol 121".to_owned(),
            "start a server there (postroad serve smp121://ADDRESS/NAME), or go over UDP if it serves that: smp121+udp://",
        ),
        PathErrorKind::PortUnreachable => {
            let remedy = match url.transport() {
                Transport::Mem => "listen there first",
                _ => "start a server there: postroad serve URL --echo",
            };
            (kind.to_string(), remedy)
        }
        PathErrorKind::Prohibited => (kind.to_string(), "let the firewall pass it, or go another way"),
        _ => (kind.to_string(), "see the address, and the routes to it"),
    };
    Error::new(ErrorKind::Connect, what, why).with_remedy(remedy)
}

/// What the caller or this end's settings got wrong.
pub(super) fn usage(url: &Url, what: String, error: UsageError) -> Error {
    let rdos = url.options().profile == Some(Profile::Rdos);
    let (kind, remedy) = match error {
        UsageError::Name { .. } => (ErrorKind::Usage, "give another name"),
        UsageError::NameTaken => (ErrorKind::Connect, "take another name, or close the other one"),
        UsageError::MailslotLen { .. } => (
            ErrorKind::Config,
            "give a smaller `max_size=`; of several mailslots at one address, name the largest first",
        ),
        UsageError::TooLarge { .. } if rdos => {
            (ErrorKind::Limit, "with profile=rdos a message is one segment: send less at a time")
        }
        UsageError::TooLarge { .. } => {
            (ErrorKind::Limit, "send less at a time, or raise `max_size=` where the mailslot listens")
        }
        UsageError::Family { .. } => (ErrorKind::Config, "give `bind=` an address of the peer's family"),
        UsageError::Limit(_) => (ErrorKind::Limit, "send fewer at a time, or raise the limit"),
        _ => (ErrorKind::Closed, "connect again"),
    };
    Error::new(kind, what, error.to_string()).with_remedy(remedy).with_source(error)
}

/// Why a mailslot or handle was not given.
pub(super) fn open(url: &Url, what: String, error: OpenError) -> Error {
    match error {
        OpenError::Usage(error) => usage(url, what, error),
        OpenError::NoRoute { .. } => Error::new(ErrorKind::Connect, what, error.to_string())
            .with_remedy("see the address, and the routes to it")
            .with_source(error),
        other => Error::new(ErrorKind::Lost, what, other.to_string()).with_remedy("try again").with_source(other),
    }
}

/// Why no endpoint was started.
pub(super) fn start(url: &Url, error: StartError) -> Error {
    let what = format!("`{url}` cannot be");
    match error {
        StartError::Config(setting) => {
            let remedy = match setting.field {
                "segment_len_max" => "change or leave out `segment=`",
                "peer_assembly_len_max" => "give a smaller `max_size=`",
                _ => "change or leave out that option",
            };
            Error::new(ErrorKind::Config, what, setting.to_string()).with_remedy(remedy).with_source(setting)
        }
        other => Error::new(ErrorKind::Connect, what, other.to_string()).with_source(other),
    }
}

pub(super) fn receive(url: &Url, error: ReceiveError) -> Error {
    Error::new(ErrorKind::Lost, format!("listens no more at {url}"), error.to_string()).with_source(error)
}

/// Why a reply went nowhere.
pub(super) fn reply(peer: &str, error: ReplyError) -> Error {
    let what = format!("could not reply to {peer}");
    match error {
        ReplyError::TooLarge { .. } => Error::new(ErrorKind::Limit, what, error.to_string())
            .with_remedy("reply with less; with profile=rdos a message is one segment"),
        other => Error::new(ErrorKind::Lost, what, other.to_string()),
    }
    .with_source(error)
}
