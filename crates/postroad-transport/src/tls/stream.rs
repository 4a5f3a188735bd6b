//! A TLS connection as a byte stream whose errors say what they mean.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::errors;
use super::first::FirstBytes;

/// Encrypted bytes that wait for the socket at most, and so what one system call can take. The library's own 64 KiB cut a
/// piece of 64 KiB and its header into two calls and two packets.
const SEND_LEN_MAX: usize = 128 * 1024;

/// A TLS connection over `S`, after the handshake.
///
/// Writes are collected into records: flush when the peer should see them. Shutting down sends the close of TLS.
#[derive(Debug)]
pub struct Stream<S> {
    tls: TlsStream<FirstBytes<S>>,
    address: Box<str>,
}

impl<S> Stream<S> {
    pub(super) fn new(mut tls: TlsStream<FirstBytes<S>>, address: &str) -> Self {
        match &mut tls {
            TlsStream::Client(tls) => tls.get_mut().1.set_buffer_limit(Some(SEND_LEN_MAX)),
            TlsStream::Server(tls) => tls.get_mut().1.set_buffer_limit(Some(SEND_LEN_MAX)),
        }
        Self { tls, address: address.into() }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        self.tls.get_ref().0.get_ref()
    }

    /// The certificate the peer gave, in DER; a server has one only if the client gave it.
    pub fn peer_certificate_der(&self) -> Option<&[u8]> {
        self.tls.get_ref().1.peer_certificates()?.first().map(AsRef::as_ref)
    }

    /// The certificates the peer gave, each in DER, its own first; nothing where it gave none.
    pub fn peer_certificates_der(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.tls.get_ref().1.peer_certificates().unwrap_or_default().iter().map(AsRef::as_ref)
    }

    /// Octets that only the two ends of this connection have, for `label` (RFC 8446, 7.5). Two connections never have the same.
    ///
    /// `None` over TLS 1.2: there the same octets may belong to two connections with one peer in between, unless both ends
    /// have the extension of RFC 7627, and the library does not say whether they have.
    pub fn export_keying_material<const LEN: usize>(&self, label: &str, context: Option<&[u8]>) -> Option<[u8; LEN]> {
        let session = self.tls.get_ref().1;
        if session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        match &self.tls {
            TlsStream::Client(tls) => tls.get_ref().1.export_keying_material([0; LEN], label.as_bytes(), context),
            TlsStream::Server(tls) => tls.get_ref().1.export_keying_material([0; LEN], label.as_bytes(), context),
        }
        .ok()
    }

    /// The application protocol both ends agreed on, if any.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.get_ref().1.alpn_protocol()
    }

    /// The TLS version and cipher in use, for people.
    pub fn cipher(&self) -> String {
        let session = self.tls.get_ref().1;
        match (session.protocol_version(), session.negotiated_cipher_suite()) {
            (Some(version), Some(suite)) => format!("{version:?} {:?}", suite.suite()),
            _ => "unknown".to_owned(),
        }
    }

    fn explain<T>(&self, action: &'static str, result: io::Result<T>) -> io::Result<T> {
        // The common path costs one branch; kinds that callers loop on stay what they are.
        result.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => error,
            _ => errors::from_io(action, &self.address, error, None).into(),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.tls).poll_read(cx, buf);
        result.map(|result| this.explain("read from", result))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.tls).poll_write(cx, buf);
        result.map(|result| this.explain("write to", result))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.tls).poll_write_vectored(cx, bufs);
        result.map(|result| this.explain("write to", result))
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.tls).poll_flush(cx);
        result.map(|result| this.explain("write to", result))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.tls).poll_shutdown(cx);
        result.map(|result| this.explain("close", result))
    }
}
