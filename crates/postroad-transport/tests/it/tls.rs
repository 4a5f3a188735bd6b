//! Whom TLS lets in, and what it says to the others.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use postroad_transport::dev_certs::{DevCa, Identity};
use postroad_transport::tls::{Client, ClientAuth, ClientConfig, Server, ServerConfig, Stream};
use postroad_transport::{Carrier, CarrierError, ErrorKind, memory};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use crate::support::{ca, pair, random_bytes, soon, tls_client, tls_server};

type Ends = (Result<Stream<memory::Stream>, CarrierError>, Result<Stream<memory::Stream>, CarrierError>);

/// Both handshakes over memory; the client asks for `address`.
async fn shake(client: &Client, server: &Server, address: &str) -> Ends {
    let (near, far) = memory::duplex(64 * 1024);
    soon(async { tokio::join!(client.handshake(near, address), server.handshake(far, "the client")) }).await
}

fn server_of(identity: Identity) -> ServerConfig {
    ServerConfig::new(identity.certificate_pem, identity.key_pem)
}

fn kind(result: Result<Stream<memory::Stream>, CarrierError>) -> ErrorKind {
    result.expect_err("must be refused").kind()
}

#[tokio::test]
async fn the_own_ca_is_trusted_for_names_and_addresses() {
    for address in ["localhost:1", "127.0.0.1:1"] {
        let (client, server) = shake(&tls_client(), &tls_server(), address).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        assert!(client.cipher().starts_with("TLSv1_3"), "{}", client.cipher());
        assert!(client.peer_certificate_der().is_some_and(|der| der.len() > 100));
        assert!(server.peer_certificate_der().is_none());
        assert_eq!(client.alpn(), None);
    }
}

#[tokio::test]
async fn a_wrong_name_is_refused_on_both_ends() {
    let (client, server) = shake(&tls_client(), &tls_server(), "example.org:1").await;
    let error = client.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CertificateWrongName, "{error}");
    assert!(error.to_string().contains("example.org:1"), "{error}");
    assert_eq!(kind(server), ErrorKind::Certificate);
}

#[tokio::test]
async fn the_name_to_check_comes_from_the_config() {
    let client = ClientConfig::new().with_ca_pem(ca().certificate_pem());
    let asks_localhost = client.clone().with_server_name("localhost").build().unwrap();
    let (ends, _) = shake(&asks_localhost, &tls_server(), "example.org:1").await;
    ends.unwrap();
    let asks_other = client.with_server_name("example.org").build().unwrap();
    assert_eq!(kind(shake(&asks_other, &tls_server(), "localhost:1").await.0), ErrorKind::CertificateWrongName);
}

#[tokio::test]
async fn certificates_outside_their_time_are_refused() {
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    for (not_before, valid_for) in [(now - 3 * day, day), (now + day, day)] {
        let identity = ca().issue_server_valid(&["localhost"], not_before, valid_for).unwrap();
        let server = server_of(identity).build().unwrap();
        assert_eq!(kind(shake(&tls_client(), &server, "localhost:1").await.0), ErrorKind::CertificateExpired);
    }
}

#[tokio::test]
async fn another_ca_is_an_unknown_issuer() {
    let other = DevCa::generate().unwrap();
    let server = server_of(other.issue_server(&["localhost"]).unwrap()).build().unwrap();
    let (client, server) = shake(&tls_client(), &server, "localhost:1").await;
    let error = client.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CertificateUnknownIssuer, "{error}");
    assert!(error.remedy().contains("CA"), "{error}");
    assert_eq!(kind(server), ErrorKind::Certificate);
}

#[tokio::test]
async fn the_platform_does_not_know_our_ca() {
    let Ok(client) = ClientConfig::new().build() else {
        eprintln!("skipped: this machine has no CA certificates");
        return;
    };
    assert_eq!(kind(shake(&client, &tls_server(), "localhost:1").await.0), ErrorKind::CertificateUnknownIssuer);
}

#[tokio::test]
async fn only_the_dangerous_method_lets_anybody_in() {
    let other = DevCa::generate().unwrap();
    let server = server_of(other.issue_server(&["elsewhere"]).unwrap()).build().unwrap();
    let client = ClientConfig::new().dangerously_accept_any_certificate().build().unwrap();
    shake(&client, &server, "localhost:1").await.0.unwrap();
}

#[tokio::test]
async fn a_required_client_certificate_must_be_there_and_of_the_right_ca() {
    let server_identity = ca().issue_server(&["localhost"]).unwrap();
    let server =
        server_of(server_identity).with_client_ca_pem(ca().certificate_pem(), ClientAuth::Required).build().unwrap();
    let with = |identity: Identity| {
        ClientConfig::new()
            .with_ca_pem(ca().certificate_pem())
            .with_identity_pem(identity.certificate_pem, identity.key_pem)
            .build()
            .unwrap()
    };
    let (client, far) = shake(&with(ca().issue_client("alice").unwrap()), &server, "localhost:1").await;
    assert!(far.unwrap().peer_certificate_der().is_some_and(|der| der.windows(5).any(|window| window == b"alice")));
    client.unwrap();

    // In TLS 1.3 the client learns of the refusal with its first read.
    let (client, far) = shake(&tls_client(), &server, "localhost:1").await;
    assert_eq!(kind(far), ErrorKind::CertificateRequired);
    let error = soon(client.unwrap().read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(CarrierError::from_io(&error).unwrap().kind(), ErrorKind::CertificateRequired, "{error}");

    let stranger = DevCa::generate().unwrap().issue_client("mallory").unwrap();
    let (client, far) = shake(&with(stranger), &server, "localhost:1").await;
    assert_eq!(kind(far), ErrorKind::CertificateUnknownIssuer);
    let error = soon(client.unwrap().read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(CarrierError::from_io(&error).unwrap().kind(), ErrorKind::Certificate, "{error}");
}

#[tokio::test]
async fn an_optional_client_certificate_may_be_missing_but_not_wrong() {
    let server = server_of(ca().issue_server(&["localhost"]).unwrap())
        .with_client_ca_pem(ca().certificate_pem(), ClientAuth::Optional)
        .build()
        .unwrap();
    shake(&tls_client(), &server, "localhost:1").await.1.unwrap();
    let stranger = DevCa::generate().unwrap().issue_client("mallory").unwrap();
    let client = ClientConfig::new()
        .with_ca_pem(ca().certificate_pem())
        .with_identity_pem(stranger.certificate_pem, stranger.key_pem)
        .build()
        .unwrap();
    assert_eq!(kind(shake(&client, &server, "localhost:1").await.1), ErrorKind::CertificateUnknownIssuer);
}

#[tokio::test]
async fn both_ends_have_the_same_octets_and_no_other_connection_has_them() {
    let mut seen = Vec::new();
    for name in ["tls", "tls", "wss", "wss"] {
        let (client, server) = pair(name).await;
        let exported = client.export_keying_material::<32>("EXPORTER-one", None).unwrap();
        assert_eq!(server.export_keying_material("EXPORTER-one", None), Some(exported), "{name}");
        assert_ne!(client.export_keying_material("EXPORTER-two", None), Some(exported));
        assert_ne!(client.export_keying_material("EXPORTER-one", Some(b"context")), Some(exported));
        assert!(!seen.contains(&exported), "{name}");
        seen.push(exported);
    }
    for name in ["tcp", "ws", "mem"] {
        assert_eq!(pair(name).await.0.export_keying_material::<32>("EXPORTER-one", None), None, "{name}");
    }
}

#[tokio::test]
async fn over_tls_1_2_nothing_is_exported() {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca().certificate_pem().as_bytes()).unwrap()).unwrap();
    let old = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = memory::duplex(64 * 1024);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(old));
    let server = tls_server();
    let (client, server) = soon(async {
        tokio::join!(connector.connect("localhost".try_into().unwrap(), near), server.handshake(far, "an old client"))
    })
    .await;
    client.unwrap();
    let server = server.unwrap();
    assert!(server.cipher().starts_with("TLSv1_2"), "{}", server.cipher());
    assert_eq!(server.export_keying_material::<32>("EXPORTER-one", None), None);
}

#[tokio::test]
async fn the_chain_of_the_peer_begins_with_its_own_certificate() {
    let (client, server) = pair("wss").await;
    let Carrier::Wss(client) = &client else { panic!("wss") };
    let chain: Vec<&[u8]> = client.get_ref().peer_certificates_der().collect();
    assert_eq!(chain.first().copied(), client.get_ref().peer_certificate_der());
    assert_eq!(chain.len(), 1);
    let Carrier::Wss(server) = &server else { panic!("wss") };
    assert_eq!(server.get_ref().peer_certificates_der().len(), 0);
}

#[tokio::test]
async fn a_server_certificate_is_no_client_certificate() {
    let server = server_of(ca().issue_server(&["localhost"]).unwrap())
        .with_client_ca_pem(ca().certificate_pem(), ClientAuth::Required)
        .build()
        .unwrap();
    let wrong = ca().issue_server(&["localhost"]).unwrap();
    let client = ClientConfig::new()
        .with_ca_pem(ca().certificate_pem())
        .with_identity_pem(wrong.certificate_pem, wrong.key_pem)
        .build()
        .unwrap();
    assert_eq!(kind(shake(&client, &server, "localhost:1").await.1), ErrorKind::Certificate);
}

#[tokio::test]
async fn application_protocols_are_agreed_on_or_refused() {
    let server = |protocols: &[&str]| {
        server_of(ca().issue_server(&["localhost"]).unwrap())
            .with_alpn(protocols.iter().map(|name| name.as_bytes()))
            .build()
            .unwrap()
    };
    let client = |protocols: &[&str]| {
        let names = protocols.iter().map(|name| name.as_bytes());
        ClientConfig::new().with_ca_pem(ca().certificate_pem()).with_alpn(names).build().unwrap()
    };
    let (near, far) = shake(&client(&["a", "b"]), &server(&["b", "c"]), "localhost:1").await;
    assert_eq!(near.unwrap().alpn(), Some(&b"b"[..]));
    assert_eq!(far.unwrap().alpn(), Some(&b"b"[..]));
    let (near, far) = shake(&client(&["a"]), &server(&["b"]), "localhost:1").await;
    assert_eq!(kind(near), ErrorKind::NoCommonProtocol);
    assert_eq!(kind(far), ErrorKind::NoCommonProtocol);
    let (near, far) = shake(&client(&["a"]), &server(&[]), "localhost:1").await;
    assert_eq!((near.unwrap().alpn(), far.unwrap().alpn()), (None, None));
}

#[tokio::test]
async fn a_close_is_an_end_and_a_cut_is_an_error() {
    let (client, server) = shake(&tls_client(), &tls_server(), "localhost:1").await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(b"all of it").await.unwrap();
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    soon(server.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got, b"all of it");

    let (client, server) = shake(&tls_client(), &tls_server(), "localhost:1").await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(b"half of").await.unwrap();
    client.flush().await.unwrap();
    drop(client);
    let error = soon(server.read_to_end(&mut Vec::new())).await.unwrap_err();
    assert_eq!(CarrierError::from_io(&error).unwrap().kind(), ErrorKind::Truncated, "{error}");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("the client: peer ended the connection without closing TLS"), "{error}");
}

#[tokio::test]
async fn bytes_changed_on_the_way_are_an_error() {
    // A relay that flips one bit well after the handshake.
    let (client_io, mut to_client) = memory::duplex(1 << 20);
    let (server_io, mut to_server) = memory::duplex(1 << 20);
    let relay = tokio::spawn(async move {
        let (mut up, mut down) = ([0; 4096], [0; 4096]);
        loop {
            tokio::select! {
                count = to_client.read(&mut up) => {
                    let count = count.unwrap();
                    if count == 0 { return; }
                    if count == 1000 + 22 { up[500] ^= 1; }
                    if to_server.write_all(&up[..count]).await.is_err() { return; }
                }
                count = to_server.read(&mut down) => {
                    let count = count.unwrap();
                    if count == 0 { return; }
                    if to_client.write_all(&down[..count]).await.is_err() { return; }
                }
            }
        }
    });
    let (client, server) = (tls_client(), tls_server());
    let (client, server) =
        soon(async { tokio::join!(client.handshake(client_io, "localhost:1"), server.handshake(server_io, "peer")) })
            .await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(&[1; 1000]).await.unwrap();
    client.flush().await.unwrap();
    let error = soon(server.read(&mut [0; 2000])).await.unwrap_err();
    assert_eq!(CarrierError::from_io(&error).unwrap().kind(), ErrorKind::Protocol, "{error}");
    relay.abort();
}

#[tokio::test]
async fn wrong_pem_texts_are_config_errors() {
    let good = ca().issue_server(&["localhost"]).unwrap();
    let other = ca().issue_server(&["localhost"]).unwrap();
    let random = random_bytes(2000, 1);
    let servers = [
        ServerConfig::new("", good.key_pem.clone()),
        ServerConfig::new(good.certificate_pem.clone(), ""),
        ServerConfig::new(good.certificate_pem.clone(), good.certificate_pem.clone()),
        ServerConfig::new(good.certificate_pem.clone(), other.key_pem),
        ServerConfig::new(random.clone(), good.key_pem.clone()),
        ServerConfig::new(good.certificate_pem.clone(), good.key_pem.clone())
            .with_client_ca_pem("", ClientAuth::Required),
        ServerConfig::new(good.certificate_pem.clone(), good.key_pem.clone()).with_handshakes_max(0),
    ];
    for (number, config) in servers.into_iter().enumerate() {
        assert_eq!(config.build().unwrap_err().kind(), ErrorKind::Config, "server config {number}");
    }
    let clients = [
        ClientConfig::new().with_ca_pem(""),
        ClientConfig::new().with_ca_pem(random),
        ClientConfig::new().with_ca_pem(ca().certificate_pem()).with_server_name("not a name"),
        ClientConfig::new().with_ca_pem(ca().certificate_pem()).with_identity_pem(good.certificate_pem, ""),
    ];
    for (number, config) in clients.into_iter().enumerate() {
        assert_eq!(config.build().unwrap_err().kind(), ErrorKind::Config, "client config {number}");
    }
}

#[tokio::test]
async fn a_development_ca_can_be_written_down_and_read_again() {
    let again = DevCa::from_pem(ca().certificate_pem(), ca().key_pem()).unwrap();
    let server = server_of(again.issue_server(&["localhost"]).unwrap()).build().unwrap();
    shake(&tls_client(), &server, "localhost:1").await.0.unwrap();
    let other = DevCa::generate().unwrap();
    assert_eq!(DevCa::from_pem(ca().certificate_pem(), other.key_pem()).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(ca().issue_server(&[]).unwrap_err().kind(), ErrorKind::Config);
}

/// Counts the writes that take something.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_piece_of_64_kib_and_its_header_leave_in_one_write() {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let (tls_client, tls_server) = (tls_client(), tls_server());
    let client = tls_client.handshake(Counted(near, Arc::clone(&writes)), "localhost:1");
    let (client, server) = soon(async { tokio::join!(client, tls_server.handshake(far, "peer")) }).await;
    let (mut client, _server) = (client.unwrap(), server.unwrap());
    client.flush().await.unwrap();
    let before = writes.load(Ordering::Relaxed);
    client.write_all(&vec![7; 64 * 1024 + 30]).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed) - before, 1);
}
