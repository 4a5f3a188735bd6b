//! Who gets into sessions by URL: certificates, tokens of an issuer, tokens that name a key, renewal.

use crate::support::{spawn_echo, within};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use postroad::dev_certs::DevCa;
use postroad::{
    ConnectOptions, Connection, ErrorKind, ListenOptions, Listener, connect, connect_with, listen, listen_with,
};
use postroad_transport::tcp::TcpConfig;
use postroad_transport::{Carrier, tls, ws};
use smrp::keys::SigningKey;
use smrp::{BINDING_LABEL, Channel, Config, Credential, Dial, Security, Session, Signer};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn text(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A key on P-256, as an issuer or a holder has it.
struct Key(SigningKey);

impl Key {
    fn new(ca: &DevCa) -> Self {
        Self(SigningKey::from_pem(&ca.issue_client("a key").unwrap().key_pem).unwrap())
    }

    fn jwk(&self) -> String {
        let der = self.0.public_key();
        let point = &der[der.len() - 64..];
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, text(&point[..32]), text(&point[32..]))
    }

    /// A token for `sub`, that is good until `exp`, with more claims.
    fn token(&self, sub: &str, exp: u64, more: &str) -> String {
        let nbf = now() - 600;
        let claims = format!(
            r#"{{"iss":"https://issuer.example","sub":"{sub}","aud":"relay.example","exp":{exp},"nbf":{nbf}{more}}}"#
        );
        let what = format!("{}.{}", text(br#"{"alg":"ES256"}"#), text(claims.as_bytes()));
        format!("{what}.{}", text(&self.0.sign(what.as_bytes())))
    }
}

/// A listener that believes an issuer.
struct Issued {
    ca: DevCa,
    issuer: Key,
    folder: tempfile::TempDir,
    listener: Listener,
}

impl Issued {
    async fn at(scheme: &str, query: &str) -> Self {
        let (ca, folder) = (DevCa::generate().unwrap(), tempfile::tempdir().unwrap());
        let issuer = Key::new(&ca);
        let jwks = folder.path().join("jwks.json");
        std::fs::write(&jwks, format!(r#"{{"keys":[{}]}}"#, issuer.jwk())).unwrap();
        let identity = ca.issue_server(&["localhost"]).unwrap();
        let options = ListenOptions::new().with_identity_pem(identity.certificate_pem, identity.key_pem);
        let host = if scheme.ends_with("tcp") { "127.0.0.1" } else { "localhost" };
        let url = format!(
            "{scheme}://{host}:0?jwks={}&issuer=https://issuer.example&audience=relay.example{query}",
            jwks.to_str().unwrap()
        );
        Self { listener: listen_with(url, options).await.unwrap(), ca, issuer, folder }
    }

    fn url(&self) -> String {
        self.listener.url().clone().without_options().to_string()
    }

    async fn try_with(&self, token: &str) -> Result<Connection, postroad::Error> {
        let options = ConnectOptions::new().with_ca_pem(self.ca.certificate_pem()).with_bearer_token(token);
        within(20, connect_with(self.url(), options)).await
    }
}

/// What becomes of a connection whose other end may close it a moment after it was there.
async fn refused(connected: Result<Connection, postroad::Error>) -> postroad::Error {
    match connected {
        Ok(connection) => within(20, connection.request("x")).await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test]
async fn tokens_of_an_issuer_let_in_and_say_who_it_is() {
    //= SMRP-A5
    for scheme in ["smrp+tcp", "smrp+tls", "smrp+wss"] {
        let mut issued = Issued::at(scheme, "").await;
        let good = issued.issuer.token("robot7", now() + 600, "");
        let (client, server) = {
            let options = ConnectOptions::new().with_ca_pem(issued.ca.certificate_pem()).with_bearer_token(&*good);
            within(20, async { tokio::join!(connect_with(issued.url(), options), issued.listener.accept()) }).await
        };
        let (client, server) = (client.unwrap(), server.unwrap());
        assert_eq!(server.subject().as_deref(), Some("robot7"), "{scheme}");
        assert_eq!(client.subject(), None);
        spawn_echo(server);
        assert_eq!(client.request("x").await.unwrap().text(0), Some("x"));
        let stranger = Key::new(&issued.ca).token("robot7", now() + 600, "");
        let expired = issued.issuer.token("robot7", now() - 600, "");
        for bad in [stranger.as_str(), &expired, &good[..good.len() - 4], "opaque"] {
            let error = refused(issued.try_with(bad).await).await;
            assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
            assert!(!error.to_string().contains(bad) && !format!("{error:?}").contains(bad), "{error:?}");
        }
    }
}

#[tokio::test]
async fn client_certificates_say_who_it_is() {
    //= SMRP-A12
    let ca = DevCa::generate().unwrap();
    let server = ca.issue_server(&["localhost"]).unwrap();
    for scheme in ["smrp+tls", "smrp+wss"] {
        let options = ListenOptions::new()
            .with_identity_pem(server.certificate_pem.clone(), server.key_pem.clone())
            .with_client_ca_pem(ca.certificate_pem());
        let mut listener = listen_with(format!("{scheme}://localhost:0"), options).await.unwrap();
        let url = listener.url().to_string();
        let trusting = || ConnectOptions::new().with_ca_pem(ca.certificate_pem());
        let alice = ca.issue_client("alice").unwrap();
        let with = trusting().with_identity_pem(alice.certificate_pem, alice.key_pem);
        let (client, accepted) =
            within(20, async { tokio::join!(connect_with(url.clone(), with.clone()), listener.accept()) }).await;
        let (client, accepted) = (client.unwrap(), accepted.unwrap());
        assert_eq!(accepted.subject().as_deref(), Some("alice"), "{scheme}");
        spawn_echo(accepted);
        assert_eq!(client.request("x").await.unwrap().text(0), Some("x"));
        let error = refused(within(20, connect_with(url, trusting())).await).await;
        assert!([ErrorKind::Certificate, ErrorKind::Mismatch].contains(&error.kind()), "{scheme}: {error}");
        assert!(error.to_string().contains("certificate"), "{scheme}: {error}");

        // One that asks for no certificate has nothing against somebody who would have one.
        let options = ListenOptions::new().with_identity_pem(server.certificate_pem.clone(), server.key_pem.clone());
        let mut open = listen_with(format!("{scheme}://localhost:0"), options).await.unwrap();
        let url = open.url().to_string();
        let (client, accepted) = within(20, async { tokio::join!(connect_with(url, with), open.accept()) }).await;
        assert!(client.is_ok());
        assert_eq!(accepted.unwrap().subject(), None);
    }
}

#[tokio::test]
async fn tokens_are_wanted_beside_a_certificate_where_both_are_said() {
    //= SMRP-A12
    let ca = DevCa::generate().unwrap();
    let server = ca.issue_server(&["localhost"]).unwrap();
    let options = ListenOptions::new()
        .with_identity_pem(server.certificate_pem, server.key_pem)
        .with_client_ca_pem(ca.certificate_pem())
        .with_bearer_tokens(["right"]);
    let listener = listen_with("smrp+tls://localhost:0", options).await.unwrap();
    let alice = ca.issue_client("alice").unwrap();
    let certified =
        ConnectOptions::new().with_ca_pem(ca.certificate_pem()).with_identity_pem(alice.certificate_pem, alice.key_pem);
    let url = listener.url().to_string();
    let error = refused(within(20, connect_with(url.clone(), certified.clone())).await).await;
    assert_eq!(error.kind(), ErrorKind::Peer, "a certificate alone: {error}");
    assert!(within(20, connect_with(url, certified.with_bearer_token("right"))).await.is_ok());
}

fn write_token(file: &Path, token: &str) {
    let other = file.with_extension("new");
    std::fs::write(&other, token).unwrap();
    std::fs::rename(other, file).unwrap();
}

#[tokio::test]
async fn the_file_of_a_token_is_read_again_before_what_was_granted_ends() {
    //= SMRP-A18
    let mut issued = Issued::at("smrp+tcp", "").await;
    let file = issued.folder.path().join("token");
    let url = format!("{}?token={}&reconnect=off", issued.url(), file.to_str().unwrap());
    // Clocks may differ by a minute: this one is believed for some eight seconds more.
    let life = Duration::from_secs(8);
    let short = || issued.issuer.token("robot7", now() - 60 + life.as_secs(), "");
    for is_renewed in [true, false] {
        write_token(&file, &short());
        let (client, server) = within(20, async { tokio::join!(connect(url.clone()), issued.listener.accept()) }).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        spawn_echo(server);
        if is_renewed {
            write_token(&file, &issued.issuer.token("robot7", now() + 600, ""));
            tokio::time::sleep(life + Duration::from_secs(2)).await;
            assert_eq!(client.request("x").await.unwrap().text(0), Some("x"));
        } else {
            within(30, client.closed()).await;
            let error = client.request("x").await.unwrap_err();
            assert!(error.to_string().contains("AUTH_EXPIRED"), "{error}");
        }
    }
}

/// Signs, or says again what it signed before.
struct Replay {
    key: SigningKey,
    recorded: Mutex<Option<Vec<u8>>>,
}

impl Signer for Replay {
    fn public_key(&self) -> Bytes {
        self.key.public_key()
    }

    fn sign(&self, octets: &[u8]) -> Vec<u8> {
        self.recorded.lock().unwrap().get_or_insert_with(|| self.key.sign(octets)).clone()
    }
}

/// A session over a carrier of this scheme with this credential.
async fn begin(issued: &Issued, scheme: &str, credential: Credential) -> Session {
    let address = format!("localhost:{}", issued.listener.url().port().unwrap());
    let client = tls::ClientConfig::new()
        .with_ca_pem(issued.ca.certificate_pem())
        .with_handshake_timeout(Duration::from_secs(20));
    let tcp = TcpConfig::default();
    let carrier: Carrier = if scheme == "smrp+wss" {
        let config = ws::ClientConfig::new().with_path("/").with_protocol("smrp.v1");
        ws::connect_tls(&address, &config, &client.build().unwrap(), &tcp).await.unwrap().into()
    } else {
        client.with_alpn(["smrp/1"]).build().unwrap().connect(&address, &tcp).await.unwrap().into()
    };
    let binding = carrier.export_keying_material(BINDING_LABEL, None).unwrap();
    let carrier =
        smrp::Carrier::new(carrier, Security::Tls, false).with_channel(Channel::default().with_binding(binding));
    Dial::new(
        Config::new(Security::Tls, false)
            .with_channel(Channel::default().with_binding(binding))
            .with_credential(credential),
    )
    .begin(carrier)
    .unwrap()
}

#[tokio::test]
async fn a_token_that_names_a_key_is_good_on_the_connection_that_the_key_signed() {
    //= SMRP-A7
    for scheme in ["smrp+tls", "smrp+wss"] {
        let mut issued = Issued::at(scheme, "").await;
        let key = Key::new(&issued.ca);
        let token = issued.issuer.token("robot7", now() + 600, &format!(r#","cnf":{{"jwk":{}}}"#, key.jwk()));
        let signer = Arc::new(Replay { key: key.0.clone(), recorded: Mutex::default() });
        let credential = || Credential::Bound { token: token.clone(), signer: signer.clone() };
        let first = begin(&issued, scheme, credential()).await;
        within(20, first.established()).await.unwrap();
        let server = within(20, issued.listener.accept()).await.unwrap();
        assert_eq!(server.subject().as_deref(), Some("robot7"));
        // The same octets on another connection of the same two, and with the first one still there.
        let second = begin(&issued, scheme, credential()).await;
        assert!(within(20, second.established()).await.is_err(), "{scheme}: a replay");
        // A fresh signature is fine.
        *signer.recorded.lock().unwrap() = None;
        within(20, begin(&issued, scheme, credential()).await.established()).await.unwrap();
        // As a bearer it is nothing.
        let error = refused(issued.try_with(&token).await).await;
        assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
    }
}

#[tokio::test]
async fn options_that_mean_nothing_say_what_would() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (jwks, tokens) = (file("empty.json", r#"{"keys":[]}"#), file("tokens", "s3cret\n"));
    let both = "issuer=https://i.example&audience=a";
    for (query, expected) in [
        (format!("jwks={jwks}"), "`issuer=` is not"),
        (format!("jwks={jwks}&issuer=i"), "`audience=` is not"),
        (format!("jwks={jwks}&audience=a"), "`issuer=` is not"),
        (both.to_owned(), "`jwks=` is not"),
        (format!("jwks={jwks}&{both}"), "there are none"),
        (format!("jwks={tokens}&{both}"), "no set of JSON Web Keys"),
        (format!("jwks={jwks}.none&{both}"), "the file of `jwks=`"),
        (format!("jwks={jwks}&{both}&token={tokens}"), "leave one of them out"),
    ] {
        let error = listen(format!("smrp+tcp://127.0.0.1:0?{query}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(expected) && !error.remedy().is_empty(), "{query}: {error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    for query in [format!("jwks={jwks}"), "issuer=i".to_owned(), "audience=a".to_owned()] {
        let error = connect(format!("smrp+tcp://127.0.0.1:1?{query}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.to_string().contains("is for listeners") && error.to_string().contains("`token=FILE`"),
            "{error}"
        );
        let error = listen(format!("smp+tcp://127.0.0.1:0?{query}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
}
