//! Who sends and who receives.

use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// How an authority is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// A device by its hardware address: 12 hexadecimal digits.
    Mac,
    /// A device by a UUID; any text.
    Uuid,
    /// A device by its serial number; any text.
    Serial,
    /// A host by its name.
    Dns,
    /// A kind of event.
    Event,
    /// The device at this end.
    SelfDevice,
}

impl Scheme {
    const ALL: [Self; 6] = [Self::Mac, Self::Uuid, Self::Serial, Self::Dns, Self::Event, Self::SelfDevice];

    /// As it is written, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mac => "mac",
            Self::Uuid => "uuid",
            Self::Serial => "serial",
            Self::Dns => "dns",
            Self::Event => "event",
            Self::SelfDevice => "self",
        }
    }

    /// True where it names a device, which can have services.
    #[must_use]
    pub const fn is_device(self) -> bool {
        !matches!(self, Self::Dns | Self::Event)
    }
}

/// A source or destination: `scheme:authority/service/ignored`.
///
/// Hosts and events have no service: all from the first `/` on is ignored. `self:` has no authority.
//= WRP-D1, WRP-D2, WRP-D3
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Locator {
    scheme: Scheme,
    authority: String,
    /// `None` where there is no `/` behind the authority.
    service: Option<String>,
    /// From its `/` on.
    ignored: String,
}

/// A device: `scheme:authority`, for `mac`, `uuid`, `serial`, `dns`, `event`; or `self:`.
//= WRP-D6
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    scheme: Scheme,
    authority: String,
}

/// Why a text is no locator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} names nobody: {reason}")]
pub struct LocatorError {
    text: String,
    reason: Reason,
}

/// Why a text is no device id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no device: {reason}")]
pub struct DeviceIdError {
    text: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum Reason {
    #[error("it is empty")]
    Empty,
    #[error("it begins with none of mac:, uuid:, serial:, dns:, event:, self:")]
    Scheme,
    #[error("nothing is behind the scheme")]
    Authority,
    #[error("a hardware address has 12 hexadecimal digits, with - : . or , between them at will")]
    Mac,
    #[error("self: has no authority; a service is behind a `/`")]
    SelfAuthority,
}

/// Texts shown in errors end here.
const SHOWN_LEN_MAX: usize = 100;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_LEN_MAX).collect()
}

/// A text taken apart, nothing copied yet.
struct Parts<'a> {
    scheme: Scheme,
    authority: &'a str,
    /// What is behind the authority, from its `/` on.
    rest: &'a str,
}

//= WRP-D1
fn split(text: &str) -> Result<Parts<'_>, Reason> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Reason::Empty);
    }
    let (name, behind) = text.split_once(':').ok_or(Reason::Scheme)?;
    let scheme =
        Scheme::ALL.into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name)).ok_or(Reason::Scheme)?;
    let at = behind.find('/').unwrap_or(behind.len());
    let (authority, rest) = behind.split_at_checked(at).unwrap_or((behind, ""));
    let authority = authority.trim();
    match scheme {
        Scheme::SelfDevice if !authority.is_empty() => return Err(Reason::SelfAuthority),
        Scheme::SelfDevice => {}
        _ if authority.is_empty() => return Err(Reason::Authority),
        Scheme::Mac if !is_mac(authority) => return Err(Reason::Mac),
        _ => {}
    }
    Ok(Parts { scheme, authority, rest })
}

const fn is_separator(octet: u8) -> bool {
    matches!(octet, b'-' | b':' | b'.' | b',')
}

//= WRP-D4
fn is_mac(authority: &str) -> bool {
    let digits = || authority.bytes().filter(|octet| !is_separator(*octet));
    digits().count() == 12 && digits().all(|octet| octet.is_ascii_hexdigit())
}

fn canonical(scheme: Scheme, authority: &str) -> String {
    if scheme != Scheme::Mac {
        return authority.to_owned();
    }
    authority.chars().filter(char::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase()).collect()
}

impl Locator {
    /// Checks without taking apart.
    pub(crate) fn check(text: &str) -> Result<(), LocatorError> {
        split(text).map(|_| ()).map_err(|reason| LocatorError { text: shown(text), reason })
    }

    /// How the authority is named.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The authority: of `mac` 12 digits in lower case, of `self` nothing.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The service of a device; empty where it names none.
    #[must_use]
    pub fn service(&self) -> &str {
        self.service.as_deref().unwrap_or_default()
    }

    /// What is behind the service, or behind the authority of a host or an event, from its `/` on. It means nothing to WRP.
    #[must_use]
    pub fn ignored(&self) -> &str {
        &self.ignored
    }

    /// The device. `None` for hosts and events.
    //= WRP-D5
    #[must_use]
    pub fn device_id(&self) -> Option<DeviceId> {
        self.scheme.is_device().then(|| DeviceId { scheme: self.scheme, authority: self.authority.clone() })
    }
}

impl FromStr for Locator {
    type Err = LocatorError;

    fn from_str(text: &str) -> Result<Self, LocatorError> {
        let Parts { scheme, authority, rest } =
            split(text).map_err(|reason| LocatorError { text: shown(text), reason })?;
        let authority = canonical(scheme, authority);
        let (service, ignored) = match rest.strip_prefix('/') {
            None => (None, ""),
            Some(_) if !scheme.is_device() => (None, rest),
            Some(behind) => {
                let at = behind.find('/').unwrap_or(behind.len());
                let (service, ignored) = behind.split_at_checked(at).unwrap_or((behind, ""));
                (Some(service.to_owned()), ignored)
            }
        };
        Ok(Self { scheme, authority, service, ignored: ignored.to_owned() })
    }
}

/// An empty service in front of more keeps its place, so that the text reads as the same locator again; alone it goes.
//= WRP-D7
impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme.name(), self.authority)?;
        match &self.service {
            Some(service) if !service.is_empty() || !self.ignored.is_empty() => write!(f, "/{service}")?,
            _ => {}
        }
        f.write_str(&self.ignored)
    }
}

impl DeviceId {
    /// How the device is named.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Its name.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// What is behind the first `/` is dropped.
//= WRP-D6, WRP-D8
impl FromStr for DeviceId {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, DeviceIdError> {
        let Parts { scheme, authority, .. } =
            split(text).map_err(|reason| DeviceIdError { text: shown(text), reason })?;
        Ok(Self { scheme, authority: canonical(scheme, authority) })
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme.name(), self.authority)
    }
}
