//! What cannot be is said, by the error, with the URL, before it hurts.

use crate::support::{Setup, pair, pair_with, pattern, within};
use postroad::{Capability, ConnectOptions, ErrorKind, Message, connect, connect_with, listen};

#[tokio::test]
async fn what_the_stack_cannot_carry_is_a_typed_error() {
    let pair = pair("smp+tcp").await;
    let sixteen: Message = (0..16).map(|part| pattern(1, part)).collect();
    let fifteen: Message = (0..15).map(|part| pattern(1, part)).collect();
    for refused in [
        pair.client.send(Message::from("x").with_header("a", "b")).await.unwrap_err(),
        pair.client.request(Message::from("x").with_header("a", "b")).await.unwrap_err(),
        pair.client.send(sixteen).await.unwrap_err(),
        pair.client.request(fifteen).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
        assert!(!refused.remedy().is_empty());
    }
    for tag in ["postroad-request/1 7", "postroad-reply/9", "postroad-body/1"] {
        assert_eq!(pair.client.send(tag).await.unwrap_err().kind(), ErrorKind::Usage, "{tag}");
    }
    assert!(!pair.client.can(Capability::Headers) && pair.client.can(Capability::Bodies));
    assert_eq!(pair.client.statistics().requests_in_flight_count, 0);
}

#[tokio::test]
async fn a_required_capability_is_missed_at_connect_time() {
    let listener = listen("smp+tcp://127.0.0.1:0").await.unwrap();
    let url = listener.url().to_string();
    for (query, capability, is_there) in [
        ("", Capability::Headers, false),
        ("", Capability::Bodies, true),
        ("", Capability::RequestReply, true),
        ("?mode=node-1.0", Capability::Bodies, true),
        ("?mode=node-1.1", Capability::Bodies, false),
        ("?mode=node-1.1", Capability::Files, false),
        ("", Capability::Files, true),
        ("", Capability::Parts, true),
        ("", Capability::OneWay, true),
        ("", Capability::BothWays, true),
    ] {
        let connected = connect_with(format!("{url}{query}"), ConnectOptions::new().require(capability)).await;
        match connected {
            Ok(_) => assert!(is_there, "{query} {capability}"),
            Err(error) => assert!(!is_there && error.kind() == ErrorKind::Unsupported, "{error}"),
        }
    }
}

#[tokio::test]
async fn bodies_are_refused_where_the_mode_has_none() {
    let setup = Setup { query: "?mode=node-1.1", ..Setup::default() };
    let pair = pair_with("smp+tcp", setup).await;
    assert_eq!(pair.client.open_body("x").await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn connecting_in_vain_names_the_url_and_the_reason() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock").to_str().unwrap().to_owned();
    for (url, kind) in [
        (format!("smp+tcp://127.0.0.1:{free}"), ErrorKind::Connect),
        (format!("smp+tls://127.0.0.1:{free}?ca={socket}"), ErrorKind::Config),
        (format!("smp+ws://127.0.0.1:{free}/x"), ErrorKind::Connect),
        (format!("smp+unix://{socket}"), ErrorKind::Connect),
        ("smp+mem://nobody".to_owned(), ErrorKind::Connect),
        ("smp+tcp://127.0.0.1:0".to_owned(), ErrorKind::Usage),
    ] {
        let error = within(10, connect(url.clone())).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(kind == ErrorKind::Config || error.what().contains(&url), "{error}");
        assert!(!error.why().is_empty() && !error.remedy().is_empty(), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let listener = listen("smp+tcp://127.0.0.1:0").await.unwrap();
    let error = listen(listener.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.what().contains(&listener.url().to_string()), "{error}");
    let name = listen("smp+mem://taken-name").await.unwrap();
    assert!(listen(name.url()).await.is_err());
}

#[tokio::test]
async fn tls_without_a_certificate_says_how_to_get_one() {
    let error = listen("smp+tls://127.0.0.1:0").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.remedy().contains("postroad cert"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused() {
    use postroad::dev_certs::DevCa;
    let (ca, other) = (DevCa::generate().unwrap(), DevCa::generate().unwrap());
    let identity = ca.issue_server(&["localhost"]).unwrap();
    let options = postroad::ListenOptions::new().with_identity_pem(identity.certificate_pem, identity.key_pem);
    let listener = postroad::listen_with("smp+tls://localhost:0", options).await.unwrap();
    let url = listener.url().clone();
    let untrusting = ConnectOptions::new().with_ca_pem(other.certificate_pem());
    let error = within(10, connect_with(&url, untrusting)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate, "{error}");
    let by_address = format!("smp+tls://127.0.0.1:{}", url.port().unwrap());
    let trusting = ConnectOptions::new().with_ca_pem(ca.certificate_pem());
    let error = within(10, connect_with(by_address, trusting.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Certificate, "the name does not fit: {error}");
    assert!(within(10, connect_with(&url, trusting)).await.is_ok());
}

#[tokio::test]
async fn a_listener_that_demands_client_certificates_lets_only_their_owners_in() {
    use postroad::dev_certs::DevCa;
    let ca = DevCa::generate().unwrap();
    let server = ca.issue_server(&["localhost"]).unwrap();
    let client = ca.issue_client("someone").unwrap();
    let options = postroad::ListenOptions::new()
        .with_identity_pem(server.certificate_pem, server.key_pem)
        .with_client_ca_pem(ca.certificate_pem());
    let mut listener = postroad::listen_with("smp+tls://localhost:0", options).await.unwrap();
    let url = listener.url().clone();
    let accepting = tokio::spawn(async move {
        let connection = listener.accept().await.unwrap();
        crate::support::spawn_echo(connection);
        listener
    });
    let without = ConnectOptions::new().with_ca_pem(ca.certificate_pem());
    let with = without.clone().with_identity_pem(client.certificate_pem, client.key_pem);
    // Over TLS 1.3 the client is done before the server has looked at its certificate.
    let refused = async {
        let connection = connect_with(&url, without).await?;
        connection.request("in?").await
    };
    assert!(within(10, refused).await.is_err());
    let connection = within(10, connect_with(&url, with)).await.unwrap();
    assert!(connection.request("in?").await.is_ok());
    assert_eq!(accepting.await.unwrap().failed_count(), 1);
}

#[tokio::test]
async fn two_ends_that_speak_different_things_are_told_within_a_second() {
    let pair = pair("smp+tls").await;
    let port = pair.server.url().port().unwrap();
    let connected = async {
        let connection = connect(format!("smp+tcp://localhost:{port}")).await?;
        connection.request("hello").await
    };
    let error = within(2, connected).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    let plain = listen("smp+tcp://127.0.0.1:0").await.unwrap();
    let error = within(2, connect(format!("smp+tls://127.0.0.1:{}", plain.url().port().unwrap()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
}
