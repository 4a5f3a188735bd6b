//! Our own implementation in the echo role, as `postroad serve URL --echo` plays it, in this process.

use core::time::Duration;
use postroad::{Body, Connection, Incoming, ListenOptions, Url};
use postroad_transport::dev_certs::DevCa;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::task::JoinSet;

/// What serves, until it is dropped.
#[derive(Debug)]
pub struct Ours {
    /// Where, with the real port.
    pub url: Url,
    /// The authority of its certificate, in PEM.
    pub ca: Vec<u8>,
    authority: DevCa,
    /// Of files for this server: its socket, certificates that cases use.
    folder: PathBuf,
    _tasks: JoinSet<()>,
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _it_is_temporary = std::fs::remove_dir_all(&self.folder);
    }
}

impl Ours {
    /// A client's certificate and key in PEM: from this server's authority, or from another one.
    ///
    /// # Errors
    /// Where none could be made.
    pub fn identity(&self, is_right: bool) -> Result<(Vec<u8>, Vec<u8>), String> {
        let other;
        let authority = match is_right {
            true => &self.authority,
            false => {
                other = DevCa::generate().map_err(say)?;
                &other
            }
        };
        let identity = authority.issue_client("runner").map_err(say)?;
        Ok((identity.certificate_pem.into_bytes(), identity.key_pem.into_bytes()))
    }

    /// Files that URLs of cases name, and the words for them: the authority, another one, a server's certificate and key, the folder.
    ///
    /// # Errors
    /// Where they could not be written.
    pub fn files(&self) -> Result<[(&'static str, String); 5], String> {
        let identity = self.authority.issue_server(&["localhost", "127.0.0.1"]).map_err(say)?;
        let other = DevCa::generate().map_err(say)?;
        let path = |name: &str| self.folder.join(name).display().to_string();
        for (name, text) in [
            ("ca.pem", self.authority.certificate_pem()),
            ("other.pem", other.certificate_pem()),
            ("server.pem", identity.certificate_pem.as_str()),
            ("server-key.pem", identity.key_pem.as_str()),
        ] {
            std::fs::write(self.folder.join(name), text).map_err(say)?;
        }
        let folder = self.folder.display().to_string();
        Ok([
            ("FOLDER", folder),
            ("OTHER", path("other.pem")),
            ("CERT", path("server.pem")),
            ("KEY", path("server-key.pem")),
            ("CA", path("ca.pem")),
        ])
    }
}

/// Listeners so far, for names of their own.
static COUNT: AtomicU32 = AtomicU32::new(0);

fn say(error: impl core::fmt::Display) -> String {
    error.to_string()
}

/// Serves the protocol of that word (`smp`, ...) over a carrier, by its word. `options` go to the URL; with `client-ca` clients have to show a certificate.
///
/// # Errors
/// Why it could not.
pub async fn serve(protocol: &str, carrier: &str, options: &str) -> Result<Ours, String> {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("postroad-conformance-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(&name);
    std::fs::create_dir(&folder).map_err(say)?;
    let (options, wants_clients) = match options {
        "client-ca" => ("", true),
        other => (other, false),
    };
    let text = match (protocol, carrier) {
        ("smp121", "ip") => format!("smp121://127.0.0.2/echo{options}"),
        ("smp121", carrier) => format!("smp121+{carrier}://127.0.0.1:0/echo{options}"),
        (_, "mem") => format!("{protocol}+mem://{name}{options}"),
        (_, "unix") => format!("{protocol}+unix://{}/s{options}", folder.display()),
        _ => format!("{protocol}+{carrier}://127.0.0.1:0{options}"),
    };
    let authority = DevCa::generate().map_err(say)?;
    let identity = authority.issue_server(&["localhost", "127.0.0.1"]).map_err(say)?;
    let listen = ListenOptions::new().with_identity_pem(identity.certificate_pem, identity.key_pem);
    let listen = if wants_clients { listen.with_client_ca_pem(authority.certificate_pem()) } else { listen };
    let mut listener = postroad::listen_with(text.as_str(), listen).await.map_err(say)?;
    let url = listener.url().clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok(connection) = listener.accept().await {
            connections.spawn(echo(connection));
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(Ours { url, ca: authority.certificate_pem().as_bytes().to_vec(), authority, folder, _tasks: tasks })
}

/// What one connection gets.
async fn echo(connection: Connection) {
    let mut bodies = JoinSet::new();
    while let Ok(Some(incoming)) = connection.receive().await {
        // Where an answer does not go out, the connection says so at its next turn.
        match incoming {
            Incoming::Message(message) => drop(connection.send(message).await),
            Incoming::Request(request) => {
                let message = request.message().clone();
                drop(request.reply(message).await);
            }
            Incoming::Body(body) => {
                let connection = connection.clone();
                bodies.spawn(async move {
                    let back = connection.open_body(body.head().clone()).await;
                    drop(pipe(body, back).await);
                });
            }
            Incoming::RequestBody(request, body) => {
                bodies.spawn(async move {
                    let back = request.reply_body(body.head().clone()).await;
                    drop(pipe(body, back).await);
                });
            }
            _ => {}
        }
    }
    // What is under way has its time, as any server gives it.
    let _given_up =
        tokio::time::timeout(Duration::from_secs(5), async { while bodies.join_next().await.is_some() {} }).await;
}

async fn pipe(mut body: Body, back: Result<postroad::BodyWriter, postroad::Error>) -> Result<(), postroad::Error> {
    let mut back = back?;
    while let Some(piece) = body.next().await? {
        back.write(piece).await?;
    }
    back.finish_with(body.trailer().unwrap_or_default().to_vec()).await
}
