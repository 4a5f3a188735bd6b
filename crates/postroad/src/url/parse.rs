//! The grammar, and what it means.

use super::options::SPECS;
use super::percent;
use super::{Address, Host, Node, Protocol, Stack, Transport, Url, UrlError, UrlErrorKind, UrlOptions};
use crate::words::nearest;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt, recognize, verify};
use nom::multi::{separated_list0, separated_list1};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};
use std::net::{IpAddr, Ipv6Addr};

/// Octets of a mailslot name.
const MAILSLOT_NAME_LEN_MAX: usize = 255;

type Options<'a> = Vec<(&'a str, Option<&'a str>)>;

/// A URL cut into its pieces, not yet understood.
struct Pieces<'a> {
    words: Vec<&'a str>,
    authority: &'a str,
    path: &'a str,
    options: Options<'a>,
}

impl<'a> Pieces<'a> {
    /// The place behind the authority, for errors.
    fn after_authority(&self) -> &'a str {
        self.authority.get(self.authority.len()..).unwrap_or_default()
    }

    /// Authority and path, which are neighbours in the text.
    fn rest(&self) -> String {
        format!("{}{}", self.authority, self.path)
    }
}

fn scheme(text: &str) -> IResult<&str, Vec<&str>> {
    let word = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.');
    terminated(separated_list1(char('+'), word), tag("://")).parse(text)
}

fn rest(text: &str) -> IResult<&str, (&str, &str, Option<Options<'_>>)> {
    let name = || take_till(|c| c == '=' || c == '&');
    let value = preceded(char('='), take_till(|c| c == '&'));
    let options = preceded(char('?'), separated_list0(char('&'), verify((name(), opt(value)), is_option)));
    (take_till(|c| c == '/' || c == '?'), take_till(|c| c == '?'), opt(options)).parse(text)
}

fn is_option((name, value): &(&str, Option<&str>)) -> bool {
    !name.is_empty() || value.is_some()
}

/// `[IPv6]:port`, `host:port`, or either without the port.
fn network(text: &str) -> IResult<&str, (&str, Option<&str>)> {
    let bracketed = recognize(delimited(char('['), take_till(|c| c == ']'), char(']')));
    let plain = take_till(|c| c == ':');
    let port = preceded(char(':'), nom::combinator::rest);
    all_consuming((alt((bracketed, plain)), opt(port))).parse(text)
}

/// Points at places in the text for errors.
#[derive(Clone, Copy)]
struct Source<'a>(&'a str);

impl<'a> Source<'a> {
    fn error(self, kind: UrlErrorKind, at: &str, remedy: impl Into<String>) -> UrlError {
        // `at` is a slice of the text, so the difference of the addresses is its offset.
        let offset = (at.as_ptr() as usize).saturating_sub(self.0.as_ptr() as usize);
        UrlError { kind, text: self.0.to_owned(), at: offset.min(self.0.len()), remedy: remedy.into() }
    }

    fn end(self) -> &'a str {
        self.0.get(self.0.len()..).unwrap_or_default()
    }
}

pub(super) fn url(text: &str) -> Result<Url, UrlError> {
    let source = Source(text);
    let pieces = cut(source)?;
    let stack = stack(source, &pieces)?;
    let mut options = UrlOptions::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &pieces.options {
        option(source, stack, (name, *value), &mut options, &mut seen)?;
    }
    let address = match (stack.protocol(), stack.transport()) {
        (Protocol::Smp121, _) => mailslot(source, stack, &pieces)?,
        (_, Transport::Unix) => socket_path(source, &pieces)?,
        (_, Transport::Mem) => {
            no_path(source, &pieces)?;
            Address::Name(memory_name(source, stack, &pieces)?)
        }
        _ => network_address(source, stack, &pieces)?,
    };
    Ok(Url { stack, address, options })
}

fn cut(source: Source<'_>) -> Result<Pieces<'_>, UrlError> {
    let text = source.0;
    let Ok((after, words)) = scheme(text) else {
        let (kind, remedy) = match text.find("://") {
            None => {
                let guess = if text.starts_with('/') { "smp+unix" } else { "smp+tcp" };
                let example = if text.is_empty() { "localhost:7001" } else { text };
                (UrlErrorKind::NoScheme, format!("did you mean `{guess}://{}`?", crate::escape::text(example)))
            }
            Some(end) => (UrlErrorKind::UnknownWord(text.get(..end).unwrap_or_default().to_owned()), which_exist()),
        };
        return Err(source.error(kind, text, remedy));
    };
    match rest(after) {
        Ok(("", (authority, path, options))) => {
            Ok(Pieces { words, authority, path, options: options.unwrap_or_default() })
        }
        Ok((left, _)) | Err(nom::Err::Error(nom::error::Error { input: left, .. })) if left.len() <= after.len() => {
            let remedy = "write options as ?name=value&name=value";
            Err(source.error(UrlErrorKind::UnknownOption(left.trim_start_matches('?').to_owned()), left, remedy))
        }
        _ => Err(source.error(UrlErrorKind::NoAuthority, after, "add a host, a path or a name")),
    }
}

fn which_exist() -> String {
    listed("these exist", &Stack::ALL)
}

fn listed(words: &str, stacks: &[Stack]) -> String {
    let stacks: Vec<String> = stacks.iter().map(|stack| format!("{stack}://")).collect();
    format!("{words}: {}", stacks.join(", "))
}

fn stacks_of(protocol: Protocol) -> Vec<Stack> {
    Stack::ALL.into_iter().filter(|stack| stack.protocol() == protocol).collect()
}

fn stack(source: Source<'_>, pieces: &Pieces<'_>) -> Result<Stack, UrlError> {
    let protocol_of = |word: &str| Protocol::ALL.into_iter().find(|protocol| protocol.word() == word);
    let transport_of = |word: &str| Transport::ALL.into_iter().find(|transport| transport.word() == word);
    let whole = pieces.words.join("+");
    if let Some(stack) = Stack::ALL.into_iter().find(|stack| stack.to_string() == whole) {
        return Ok(stack);
    }
    for (index, word) in pieces.words.iter().enumerate() {
        if protocol_of(word).is_some() || transport_of(word).is_some() {
            continue;
        }
        let known: Vec<&str> = match index {
            0 => Protocol::ALL.iter().map(|protocol| protocol.word()).collect(),
            _ => Transport::ALL.iter().map(|transport| transport.word()).collect(),
        };
        let remedy = nearest(word, known).map_or_else(which_exist, |meant| {
            let mut words = pieces.words.clone();
            if let Some(slot) = words.get_mut(index) {
                *slot = meant;
            }
            format!("did you mean `{}://`?", words.join("+"))
        });
        return Err(source.error(UrlErrorKind::UnknownWord((*word).to_owned()), word, remedy));
    }
    let meant = |stack: &str| format!("did you mean `{stack}://{}`?", crate::escape::text(&pieces.rest()));
    let (kind, remedy) = match pieces.words.as_slice() {
        [only] => match (transport_of(only), protocol_of(only)) {
            (Some(transport), _) => {
                let under = Stack::ALL.into_iter().find(|stack| stack.transport() == transport);
                let stack = under.map_or_else(|| "smp+tcp".to_owned(), |stack| stack.to_string());
                (UrlErrorKind::NoProtocol, meant(&stack))
            }
            // The first one of the protocol is the one that most people mean.
            (None, Some(protocol)) => match stacks_of(protocol).first() {
                Some(stack) => (UrlErrorKind::NoTransport, meant(&stack.to_string())),
                None => (UrlErrorKind::NoTransport, which_exist()),
            },
            (None, None) => (UrlErrorKind::NoTransport, meant(&format!("{only}+tcp"))),
        },
        ["smp121", "ip"] => (UrlErrorKind::NoSuchStack(whole), meant("smp121")),
        [outer, ..] => {
            let remedy = protocol_of(outer)
                .map_or_else(which_exist, |protocol| listed("it goes by one of these", &stacks_of(protocol)));
            (UrlErrorKind::NoSuchStack(whole), remedy)
        }
        [] => (UrlErrorKind::NoSuchStack(whole), which_exist()),
    };
    Err(source.error(kind, source.0, remedy))
}

fn option<'a>(
    source: Source<'a>,
    stack: Stack,
    (name, value): (&'a str, Option<&'a str>),
    options: &mut UrlOptions,
    seen: &mut Vec<&'a str>,
) -> Result<(), UrlError> {
    let here = || SPECS.iter().filter(|spec| (spec.goes_with)(stack)).map(|spec| spec.name);
    let Some(spec) = SPECS.iter().find(|spec| spec.name == name) else {
        let list = || format!("options of this stack: {}", here().collect::<Vec<_>>().join(", "));
        let remedy = nearest(name, here()).map_or_else(list, |meant| format!("did you mean `{meant}=`?"));
        return Err(source.error(UrlErrorKind::UnknownOption(name.to_owned()), name, remedy));
    };
    if !(spec.goes_with)(stack) {
        let others = Stack::ALL.iter().filter(|other| (spec.goes_with)(**other)).map(|other| format!("{other}://"));
        let remedy = format!("it goes with {}", others.collect::<Vec<_>>().join(", "));
        return Err(source.error(UrlErrorKind::OptionElsewhere(spec.name), name, remedy));
    }
    if seen.contains(&name) {
        return Err(source.error(UrlErrorKind::OptionTwice(spec.name), name, "leave one of them out"));
    }
    seen.push(name);
    let raw = value.unwrap_or_default();
    let octets = unescape(source, raw)?;
    if (spec.set)(options, octets.clone()).is_none() {
        let value = String::from_utf8_lossy(&octets).into_owned();
        let at = if value.is_empty() { name } else { raw };
        let kind = UrlErrorKind::OptionValue { option: spec.name, value };
        return Err(source.error(kind, at, format!("give {}", spec.example)));
    }
    Ok(())
}

fn unescape(source: Source<'_>, raw: &str) -> Result<Vec<u8>, UrlError> {
    percent::decode(raw).map_err(|at| {
        let at = raw.get(at..).unwrap_or_default();
        source.error(UrlErrorKind::Percent, at, "write a `%` itself as `%25`")
    })
}

fn socket_path(source: Source<'_>, pieces: &Pieces<'_>) -> Result<Address, UrlError> {
    // Authority and path are neighbours in the text, and here they are one path.
    let octets = [unescape(source, pieces.authority)?, unescape(source, pieces.path)?].concat();
    if octets.is_empty() {
        let remedy = "add the socket's path, as in smp+unix:///run/app.sock";
        return Err(source.error(UrlErrorKind::NoAuthority, source.end(), remedy));
    }
    if octets.contains(&0) {
        return Err(source.error(UrlErrorKind::Percent, pieces.authority, "a path cannot have a NUL in it"));
    }
    Ok(Address::Path(percent::path_from(octets)))
}

fn memory_name(source: Source<'_>, stack: Stack, pieces: &Pieces<'_>) -> Result<String, UrlError> {
    let name = String::from_utf8(unescape(source, pieces.authority)?)
        .map_err(|_| source.error(UrlErrorKind::Percent, pieces.authority, "a name must be text"))?;
    if name.is_empty() {
        let remedy = format!("add a name, as in {}", stack.example());
        return Err(source.error(UrlErrorKind::NoAuthority, pieces.authority, remedy));
    }
    Ok(name)
}

/// A node and the name of its mailslot.
fn mailslot(source: Source<'_>, stack: Stack, pieces: &Pieces<'_>) -> Result<Address, UrlError> {
    let node = match stack.transport() {
        Transport::Mem => Node::Memory(memory_name(source, stack, pieces)?),
        transport => {
            let (host, port) = host_and_port(source, stack, pieces)?;
            match (transport, port) {
                (Transport::Udp, port) => {
                    let port = port_or_default(source, stack, pieces, &host, port)?;
                    Node::Udp(host, port)
                }
                (_, None) => Node::Ip(host),
                (_, Some(digits)) => {
                    let rest = format!("{host}{}", crate::escape::text(pieces.path));
                    let remedy = format!(
                        "leave it out: `smp121://{rest}`; or go over UDP: `smp121+udp://{host}:{}`",
                        crate::escape::text(&format!("{digits}{}", pieces.path))
                    );
                    return Err(source.error(UrlErrorKind::PortOnIp(digits.to_owned()), digits, remedy));
                }
            }
        }
    };
    let raw = pieces.path.strip_prefix('/').unwrap_or_default();
    let name = unescape(source, raw)?;
    if name.is_empty() {
        let remedy = format!("add its name, as in {}", stack.example());
        let behind = if pieces.path.is_empty() { pieces.after_authority() } else { raw };
        return Err(source.error(UrlErrorKind::NoMailslot, behind, remedy));
    }
    if name.len() > MAILSLOT_NAME_LEN_MAX || name.contains(&0) {
        let remedy = "a name has 1 to 255 octets and no NUL";
        return Err(source.error(UrlErrorKind::MailslotName(name.len()), raw, remedy));
    }
    Ok(Address::Mailslot { node, name })
}

fn no_path(source: Source<'_>, pieces: &Pieces<'_>) -> Result<(), UrlError> {
    match pieces.path {
        "" | "/" => Ok(()),
        path => Err(source.error(UrlErrorKind::Path(path.to_owned()), path, "leave the path out")),
    }
}

fn network_address(source: Source<'_>, stack: Stack, pieces: &Pieces<'_>) -> Result<Address, UrlError> {
    let (host, port) = host_and_port(source, stack, pieces)?;
    let port = port_or_default(source, stack, pieces, &host, port)?;
    let path = if stack.transport().is_ws() || stack.has(Protocol::Smrp) {
        ws_path(source, stack, pieces.path)?
    } else {
        no_path(source, pieces)?;
        "/".to_owned()
    };
    Ok(Address::Network { host, port, path })
}

/// The host, and the digits behind its colon.
fn host_and_port<'a>(
    source: Source<'a>,
    stack: Stack,
    pieces: &Pieces<'a>,
) -> Result<(Host, Option<&'a str>), UrlError> {
    let authority = pieces.authority;
    let example = || format!("write it as {}", stack.example());
    if authority.is_empty() {
        return Err(source.error(UrlErrorKind::NoAuthority, authority, example()));
    }
    if authority.contains('@') {
        let remedy = match stack.protocol() {
            _ if stack.is_in_session() => {
                "leave it out: an initiator says who it is with `token=FILE`, or with a certificate"
            }
            Protocol::Smp => "leave it out: peers are told apart by their certificates",
            Protocol::Smp121 => "leave it out: the protocol knows hosts and no users",
            Protocol::Smrp => "leave it out: an initiator says who it is with `token=FILE`, or with a certificate",
            Protocol::Wrp => "leave it out: a device says who it is with `device=`, and is let in by `token=FILE`",
        };
        return Err(source.error(UrlErrorKind::UserInfo, authority, remedy));
    }
    let bare_v6 = authority.parse::<Ipv6Addr>().is_ok();
    let cut = network(authority).ok().filter(|_| !bare_v6);
    let Some((_, (host_text, port_text))) = cut else {
        let behind = if stack.protocol() == Protocol::Smp121 { "/printer" } else { ":7001" };
        let remedy = if bare_v6 { format!("put it in brackets: [{authority}]{behind}") } else { example() };
        return Err(source.error(UrlErrorKind::Host(authority.to_owned()), authority, remedy));
    };
    let Some(host) = host(host_text) else {
        let remedy = "give a host name, an IPv4 address, or an IPv6 address in brackets";
        return Err(source.error(UrlErrorKind::Host(host_text.to_owned()), host_text, remedy));
    };
    Ok((host, port_text))
}

fn port_or_default(
    source: Source<'_>,
    stack: Stack,
    pieces: &Pieces<'_>,
    host: &Host,
    digits: Option<&str>,
) -> Result<u16, UrlError> {
    match digits {
        None => stack.default_port().ok_or_else(|| {
            source.error(UrlErrorKind::NoPort, pieces.after_authority(), format!("add one: {stack}://{host}:7001"))
        }),
        Some(digits) => port(digits).ok_or_else(|| {
            let remedy = "give a number from 1 to 65535, or 0 to listen on any free port";
            source.error(UrlErrorKind::Port(digits.to_owned()), digits, remedy)
        }),
    }
}

fn port(digits: &str) -> Option<u16> {
    digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

fn host(text: &str) -> Option<Host> {
    fn inside(text: &str) -> IResult<&str, &str> {
        all_consuming(delimited(char('['), take_till(|c| c == ']'), char(']'))).parse(text)
    }
    if let Ok((_, inner)) = inside(text) {
        return inner.parse().ok().map(|ip: Ipv6Addr| Host::Ip(IpAddr::V6(ip)));
    }
    if let Ok(ip) = text.parse() {
        return Some(Host::Ip(IpAddr::V4(ip)));
    }
    let label = |label: &str| {
        let inner = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(inner)
    };
    let without_dot = text.strip_suffix('.').unwrap_or(text);
    // Digits and dots that are no address would go to the look-up, which has readings of its own.
    let numeric = without_dot.rsplit('.').next().is_some_and(|last| last.bytes().all(|octet| octet.is_ascii_digit()));
    let is_name = without_dot.len() <= 253 && !numeric && without_dot.split('.').all(label);
    is_name.then(|| Host::Name(text.to_ascii_lowercase()))
}

/// Kept as written, since it is the server's to read; only what HTTP cannot carry is refused.
fn ws_path(source: Source<'_>, stack: Stack, path: &str) -> Result<String, UrlError> {
    unescape(source, path)?;
    if let Some((at, _)) = path.char_indices().find(|(_, c)| !c.is_ascii_graphic() || *c == '#' || *c == '"') {
        let kind = UrlErrorKind::Path(path.to_owned());
        return Err(source.error(kind, path.get(at..).unwrap_or_default(), "percent-encode such characters"));
    }
    Ok(if path.is_empty() { stack.default_path().to_owned() } else { path.to_owned() })
}
