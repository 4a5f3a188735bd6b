//! The commands of the guide do what the guide says.

use crate::support::text;
use std::path::Path;
use std::process::{Command, Stdio};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs each `sh` block of a page in a folder of its own and compares its output with the `#=>` lines.
fn check(page: &str) {
    check_blocks(page, "```sh\n", ("7001", &free_port().to_string()));
}

fn check_blocks(page: &str, fence: &str, (shown, used): (&str, &str)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide").join(page);
    let document = std::fs::read_to_string(path).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_postroad")).parent().unwrap();
    let search = std::env::join_paths(
        std::iter::once(binary.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .unwrap();
    let blocks: Vec<&str> = document.split(fence).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "{page} has no blocks");
    for block in blocks {
        let folder = tempfile::tempdir().unwrap();
        let script = block.replace(shown, used);
        let expected: Vec<&str> = script.lines().filter_map(|line| line.strip_prefix("#=> ")).collect();
        assert!(!expected.is_empty(), "{page}: a block without an expected line:\n{block}");
        let output = Command::new("sh")
            .args(["-e", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", &search)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = text(&output.stdout);
        let error = text(&output.stderr);
        assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{page}:\n{script}\n{error}");
    }
}

#[test]
fn getting_started_is_as_it_says() {
    check("getting-started.md");
}

#[test]
fn files_are_as_they_say() {
    check("files.md");
}

#[test]
fn devices() {
    check("devices.md");
}

#[test]
fn sessions_are_as_they_say() {
    check("sessions.md");
}

#[test]
fn mailslots_are_as_they_say() {
    check("mailslots.md");
}

#[test]
fn mailslots_over_raw_ip_are_as_they_say() {
    let Some(address) = crate::support::raw_address() else { return };
    check_blocks("mailslots.md", "```bash\n", ("127.0.0.2", &address));
}

#[test]
fn tls_is_as_it_says() {
    check("tls.md");
}
