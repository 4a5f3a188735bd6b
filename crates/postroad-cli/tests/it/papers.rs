//! Help, completions, the manual page, certificates.

use crate::support::{bad, good, json};
use std::os::unix::fs::PermissionsExt;

const VERBS: [&str; 11] =
    ["demo", "serve", "forward", "send", "request", "copy", "inspect", "bench", "cert", "completions", "man"];

#[test]
fn every_verb_explains_itself_with_an_example() {
    let help = good(&["--help"]);
    for verb in VERBS {
        assert!(help.contains(verb), "{verb}");
        assert!(good(&[verb, "--help"]).contains(&format!("Examples:\n  postroad {verb}")), "{verb}");
    }
    assert!(help.contains("Exit codes: 0 done, 1 failed, 2"));
    assert!(good(&["--version"]).starts_with("postroad "));
}

#[test]
fn completions_and_manual_pages_know_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = good(&["completions", shell]);
        assert!(VERBS.iter().all(|verb| script.contains(verb)), "{shell}");
    }
    let page = good(&["man"]);
    assert!(page.contains(".TH") && page.contains("EXIT STATUS"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    good(&["man", "--dir", folder.path().to_str().unwrap()]);
    for verb in VERBS {
        let page = std::fs::read_to_string(folder.path().join(format!("postroad-{verb}.1"))).unwrap();
        assert!(page.contains("EXIT STATUS") && page.contains(&format!("postroad {verb}")), "{verb}");
    }
    assert!(folder.path().join("postroad.1").exists());
}

#[test]
fn certificates_say_where_they_are_and_are_never_overwritten_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("my certs");
    let dir = dir.to_str().unwrap();
    let object = json(&good(&["cert", "--dir", dir, "--json"]));
    assert_eq!(object["files"].as_array().unwrap().len(), 6);
    assert!(object["url_options"]["connect"].as_str().unwrap().contains("my%20certs/ca.pem"), "{object}");
    for (name, mode) in [("ca-key.pem", 0o600), ("server-key.pem", 0o600), ("client-key.pem", 0o600), ("ca.pem", 0o644)]
    {
        let path = folder.path().join("my certs").join(name);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, mode & 0o077, "{name}");
    }
    let before = std::fs::read(folder.path().join("my certs/ca.pem")).unwrap();
    let error = bad(&["cert", "--dir", dir], 1);
    assert!(error.contains("is there already") && error.contains("--force"), "{error}");
    assert_eq!(std::fs::read(folder.path().join("my certs/ca.pem")).unwrap(), before);
    good(&["cert", "--dir", dir, "--force"]);
    assert_ne!(std::fs::read(folder.path().join("my certs/ca.pem")).unwrap(), before);
}

#[test]
fn client_certificates_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("c");
    let object = json(&good(&["cert", "--dir", dir.to_str().unwrap(), "--json"]));
    let option = |name: &str| object["url_options"][name].as_str().unwrap().to_owned();
    let serve = format!("smp+tls://127.0.0.1:0{}", option("serve_mutual"));
    let server = crate::support::Server::start(&[&serve], &["--echo"]);
    let bare = server.url().split('?').next().unwrap().to_owned();
    assert_eq!(good(&["request", &format!("{bare}{}", option("connect_mutual")), "--part", "in"]), "in");
    bad(&["request", &format!("{bare}{}", option("connect")), "--part", "in"], 1);
}
