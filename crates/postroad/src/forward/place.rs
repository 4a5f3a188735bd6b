//! Where connections come in, or go to.

use crate::url::{Address, Host, Url};
use crate::{Error, ErrorKind};
use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

/// A TCP port or a Unix socket: `HOST:PORT`, `tcp://HOST:PORT` or `unix:///PATH`.
///
/// ```
/// use postroad::forward::Place;
///
/// assert_eq!("tcp://LocalHost:80".parse::<Place>()?.to_string(), "localhost:80");
/// assert_eq!("[::1]:80".parse::<Place>()?.to_string(), "[::1]:80");
/// assert!("localhost".parse::<Place>().is_err());
/// # Ok::<(), postroad::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// A port of a host; 0 lets the system choose one to listen at.
    Tcp {
        /// The host.
        host: Host,
        /// The port.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = text.strip_prefix("tcp://").unwrap_or(text);
        // Hosts, ports and paths are read as those of URLs are.
        let url = match rest.strip_prefix("unix:") {
            Some(path) => format!("smp+unix:{path}"),
            None => format!("smp+tcp://{rest}"),
        };
        let what = || format!("`{}` is no place to forward from or to", crate::escape::text(text));
        let remedy = "write HOST:PORT or unix:///PATH";
        let url: Url = url.parse().map_err(|error: crate::UrlError| {
            Error::new(ErrorKind::Usage, what(), error.kind().to_string()).with_remedy(remedy)
        })?;
        match url.address {
            Address::Network { host, port, .. } if !text.contains('?') => Ok(Self::Tcp { host, port }),
            Address::Path(path) if !text.contains('?') => Ok(Self::Unix(path)),
            _ => Err(Error::new(ErrorKind::Usage, what(), "it has options").with_remedy(remedy)),
        }
    }
}

/// As it is parsed, and as it goes over the wire.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => {
                f.write_str("unix://")?;
                crate::url::encode_path(f, path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_as_they_were_written() {
        for (text, shown) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("tcp://Example.ORG:65535", "example.org:65535"),
            ("[2001:db8::1]:0", "[2001:db8::1]:0"),
            ("unix:///run/a%20b.sock", "unix:///run/a%20b.sock"),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(place.to_string().parse::<Place>().unwrap(), place);
        }
        for wrong in [
            "",
            "host",
            "host:",
            "host:65536",
            "::1:80",
            "me@host:1",
            "host:80/x",
            "host:80?x=1",
            "unix://",
            "udp://h:1",
        ] {
            let error = wrong.parse::<Place>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{wrong}");
            assert!(error.to_string().contains("HOST:PORT"), "{error}");
        }
    }
}
