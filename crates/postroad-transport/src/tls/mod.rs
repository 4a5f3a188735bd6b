//! TLS 1.2 and 1.3 by rustls, with ring as the crypto provider passed by hand.
//!
//! A client trusts the roots of the platform, or the CA it is given instead; it always checks the name of the server. The
//! only way out is [`ClientConfig::dangerously_accept_any_certificate`]. A server may demand client certificates. Both
//! handshakes have a time-out of 10 s unless told otherwise.
//!
//! An end of stream without the orderly close of TLS is an error
//! ([`ErrorKind::Truncated`](crate::ErrorKind::Truncated)), never a silent end: somebody may have cut it.

mod client;
mod errors;
mod first;
mod pem;
mod server;
mod stream;
mod verify;

pub use client::{Client, ClientConfig};
pub use server::{ClientAuth, Server, ServerConfig};
pub use stream::Stream;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The host part of `host:port`, without the brackets of a numeric IPv6 address.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        assert_eq!(host_of("localhost:1"), "localhost");
        assert_eq!(host_of("[::1]:1"), "::1");
        assert_eq!(host_of("127.0.0.1:1"), "127.0.0.1");
    }
}
