//! Which stacks there are, and how each is served and asked.

use postroad::url::{Protocol, Stack, Transport};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// All that a URL can name.
pub(crate) fn all() -> Vec<Stack> {
    Stack::ALL.to_vec()
}

/// Where a server or a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Unix(PathBuf),
    /// Raw IP and memory: there is nothing to put between.
    Direct(String),
}

/// How one stack is run.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) stack: Stack,
    folder: PathBuf,
    number: usize,
}

impl Setup {
    /// With certificates and sockets in `folder`; `number` tells stacks of one run apart.
    pub(crate) fn new(stack: Stack, folder: &Path, number: usize) -> Self {
        Self { stack, folder: folder.to_owned(), number }
    }

    pub(crate) fn socket(&self, whose: &str) -> PathBuf {
        self.folder.join(format!("{}-{whose}.sock", self.number))
    }

    /// Where the client itself listens.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.stack.transport() == Transport::Mem
    }

    /// What connects again by itself, so that a cut costs no request.
    pub(crate) fn outlives_connections(&self) -> bool {
        self.stack.has(Protocol::Smrp)
    }

    fn path(&self) -> &'static str {
        if self.stack.protocol() == Protocol::Smp121 { "/box" } else { "" }
    }

    /// What the first server is started with; later ones with what it then said of its address.
    pub(crate) fn first_place(&self) -> Place {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        match self.stack.transport() {
            Transport::Unix => Place::Unix(self.socket("server")),
            Transport::Udp => Place::Udp(any),
            Transport::Ip => Place::Direct("127.0.0.2".to_owned()),
            Transport::Mem => Place::Direct(format!("soak-{}", self.number)),
            _ => Place::Tcp(any),
        }
    }

    /// Where a server is that said this.
    pub(crate) fn place_of(&self, url: &str) -> Option<Place> {
        let rest = url.split("://").nth(1)?;
        let address = rest.split(['/', '?']).next()?;
        Some(match self.first_place() {
            Place::Tcp(_) => Place::Tcp(address.parse().ok()?),
            Place::Udp(_) => Place::Udp(address.parse().ok()?),
            other => other,
        })
    }

    fn url(&self, place: &Place, options: &[String]) -> String {
        let place = match place {
            Place::Tcp(address) | Place::Udp(address) => address.to_string(),
            Place::Unix(path) => path.display().to_string(),
            Place::Direct(name) => name.clone(),
        };
        let options = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
        format!("{}://{place}{}{options}", self.stack, self.path())
    }

    pub(crate) fn server_url(&self, place: &Place) -> String {
        let pem = |option: &str, file: &str| format!("{option}={}", self.folder.join(file).display());
        let options = if self.stack.transport().is_tls() {
            vec![pem("cert", "server.pem"), pem("key", "server-key.pem")]
        } else {
            Vec::new()
        };
        self.url(place, &options)
    }

    /// Time-outs are short, so that every request has its end within the run.
    pub(crate) fn client_url(&self, place: &Place) -> String {
        let mut options = vec!["request_timeout=5s".to_owned(), "connect_timeout=2s".to_owned()];
        if self.stack.transport().is_tls() {
            options.push(format!("ca={}", self.folder.join("ca.pem").display()));
        }
        self.url(place, &options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_of_every_stack_can_be() {
        for (number, stack) in all().into_iter().enumerate() {
            let setup = Setup::new(stack, Path::new("/folder"), number);
            let place = setup.first_place();
            for url in [setup.server_url(&place), setup.client_url(&place)] {
                let parsed = url.replace(":0", ":7001").parse::<postroad::Url>();
                assert!(parsed.is_ok_and(|parsed| parsed.stack() == stack), "{url}");
            }
        }
    }
}
