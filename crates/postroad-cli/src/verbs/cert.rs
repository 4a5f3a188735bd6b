//! `postroad cert`.

use crate::args::Cert;
use crate::failure::Failure;
use crate::talk::{Talk, data_line};
use postroad::dev_certs::DevCa;
use postroad::escape;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

pub(crate) fn run(verb: &Cert, talk: &Talk) -> Result<(), Failure> {
    let given: Vec<&str> = verb.names.iter().map(String::as_str).collect();
    let names: &[&str] = if given.is_empty() { &LOCAL_NAMES } else { &given };
    let ca = DevCa::generate().map_err(failed)?;
    let server = ca.issue_server(names).map_err(failed)?;
    let client = ca.issue_client("postroad client").map_err(failed)?;
    let files = [
        ("ca.pem", ca.certificate_pem(), false),
        ("ca-key.pem", ca.key_pem(), true),
        ("server.pem", server.certificate_pem.as_str(), false),
        ("server-key.pem", server.key_pem.as_str(), true),
        ("client.pem", client.certificate_pem.as_str(), false),
        ("client-key.pem", client.key_pem.as_str(), true),
    ];
    let paths: Vec<PathBuf> = files.iter().map(|(name, ..)| verb.dir.join(name)).collect();
    if let Some(there) = paths.iter().find(|path| !verb.force && path.symlink_metadata().is_ok()) {
        let what = format!("`{}` is there already", escape::text(&there.to_string_lossy()));
        return Err(Failure::new("file", what, "whoever uses it would have to be told of a new one")
            .with_fix("choose another folder with --dir, or replace all files with --force"));
    }
    std::fs::create_dir_all(&verb.dir).map_err(|error| could_not_write(&verb.dir, &error))?;
    for (path, (_, content, is_secret)) in paths.iter().zip(files) {
        write(path, content, is_secret).map_err(|error| could_not_write(path, &error))?;
    }
    tell(verb, &paths, names, talk)
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::usage("could not make the certificates", error.to_string())
        .with_fix("give host names or addresses with --name")
}

fn could_not_write(path: &Path, error: &io::Error) -> Failure {
    let what = format!("could not write `{}`", escape::text(&path.to_string_lossy()));
    Failure::file(what, error).with_fix("choose a folder that can be written to, with --dir")
}

/// Keys are for their owner alone, from the first octet on.
fn write(path: &Path, content: &str, is_secret: bool) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mode = if is_secret { 0o600 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(content.as_bytes())
}

fn tell(verb: &Cert, paths: &[PathBuf], names: &[&str], talk: &Talk) -> Result<(), Failure> {
    let path = |name: &str| url_value(&verb.dir.join(name));
    let serve = format!("?cert={}&key={}", path("server.pem"), path("server-key.pem"));
    let connect = format!("?ca={}", path("ca.pem"));
    let mutual_serve = format!("{serve}&client_ca={}", path("ca.pem"));
    let mutual_connect = format!("{connect}&cert={}&key={}", path("client.pem"), path("client-key.pem"));
    if talk.is_json() {
        let files: Vec<_> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        return data_line(
            &json!({
                "schema": "postroad-cert/1", "files": files, "names": names,
                "url_options": {
                    "serve": serve, "connect": connect, "serve_mutual": mutual_serve, "connect_mutual": mutual_connect,
                },
            })
            .to_string(),
        );
    }
    for path in paths {
        data_line(&format!("wrote {}", escape::text(&path.to_string_lossy())))?;
    }
    talk.say(&format!("for {}; for development only, trusted by nobody who does not name ca.pem", names.join(", ")));
    data_line(&format!("serve with    'smp+tls://127.0.0.1:7001{serve}'"))?;
    data_line(&format!("connect with  'smp+tls://127.0.0.1:7001{connect}'"))?;
    data_line(&format!("with client certificates: serve with '…{mutual_serve}', connect with '…{mutual_connect}'"))
}

/// A path as the value of a URL option.
fn url_value(path: &Path) -> String {
    let kept = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~/:,".contains(&octet);
    path.to_string_lossy()
        .bytes()
        .map(|octet| if kept(octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}
