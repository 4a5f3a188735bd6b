//! `copy` in both directions.

use crate::support::{Server, bad, connect_urls, good, json, run, run_on_terminal, stacks, text};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_are_copied_both_ways_over_every_stack() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    let stacks = stacks(folder.path());
    let urls: Vec<&str> = stacks.serve.iter().map(String::as_str).collect();
    let server = Server::start(&urls, &["--save", inbox.to_str().unwrap()]);
    let here = folder.path().join("photo of me.jpg");
    for (number, url) in connect_urls(&server, &stacks).iter().enumerate() {
        for len in [0usize, 1, 1_000_000] {
            let content: Vec<u8> = (0..len).map(|at| at.to_be_bytes()[6] ^ at.to_be_bytes()[7]).collect();
            std::fs::write(&here, &content).unwrap();
            let name = format!("{number} {len}");
            let object = json(&good(&["copy", here.to_str().unwrap(), url, "--name", &name, "--json"]));
            assert_eq!(object["octets"], len);
            assert_eq!(std::fs::read(inbox.join(&name)).unwrap(), content, "{url}");
            let back = folder.path().join("back");
            good(&["copy", url, back.to_str().unwrap(), "--name", &name, "--force"]);
            assert_eq!(std::fs::read(&back).unwrap(), content, "{url}");
        }
    }
    assert_eq!(names_in(&inbox).len(), 3 * stacks.serve.len());
}

#[test]
fn what_is_there_stays_unless_force_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    let here = folder.path().join("name");
    std::fs::write(&here, "mine").unwrap();
    std::fs::write(inbox.join("name"), "theirs").unwrap();
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--save", inbox.to_str().unwrap()]);
    let (path, url) = (here.to_str().unwrap().to_owned(), server.url().to_owned());
    let error = bad(&["copy", &path, &url], 1);
    assert!(error.contains("there is a file of that name") && error.contains("fix:"), "{error}");
    let error = bad(&["copy", &url, &path], 1);
    assert!(error.contains("--force"), "{error}");
    assert_eq!(
        (std::fs::read(&here).unwrap(), std::fs::read(inbox.join("name")).unwrap()),
        (b"mine".to_vec(), b"theirs".to_vec())
    );
    good(&["copy", &url, &path, "--force"]);
    assert_eq!(std::fs::read(&here).unwrap(), b"theirs");
    assert_eq!(names_in(folder.path()), ["inbox", "name"]);
    let error = bad(&["copy", &path, &url, "--name", "../name"], 1);
    assert!(error.contains("another folder"), "{error}");
    let error = bad(&["copy", &url, folder.path().join("new").to_str().unwrap()], 1);
    assert!(error.contains("no such file"), "{error}");
}

/// The server is killed while a large file is on its way.
#[test]
fn a_server_killed_in_the_middle_is_an_error_and_leaves_no_half_file() {
    for upload in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join("inbox");
        std::fs::create_dir(&inbox).unwrap();
        // A file of zeros that takes no room, and too long to copy in the time there is.
        let (big, target) = if upload {
            (folder.path().join("big"), inbox.join("big"))
        } else {
            (inbox.join("big"), folder.path().join("big"))
        };
        std::fs::File::create(&big).unwrap().set_len(4 << 30).unwrap();
        let mut server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--save", inbox.to_str().unwrap()]);
        let (url, path) = (server.url().to_owned(), folder.path().join("big").to_str().unwrap().to_owned());
        let (from, to) = if upload { (path, url) } else { (url, path) };
        let copying = std::thread::spawn(move || run(&["copy", &from, &to]));
        let unfinished_folder = target.parent().unwrap();
        let begun = || names_in(unfinished_folder).iter().any(|name| name.ends_with(".part"));
        let mut waited = 0;
        while !begun() {
            std::thread::sleep(Duration::from_millis(20));
            waited += 1;
            assert!(waited < 500, "the copy never began");
        }
        std::thread::sleep(Duration::from_millis(200));
        server.child.kill().unwrap();
        let output = copying.join().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(
            error.contains("error: could not copy") && error.contains("fix:") && error.contains("127.0.0.1"),
            "{error}"
        );
        assert!(!target.exists(), "upload: {upload}");
        if !upload {
            assert_eq!(names_in(folder.path()), ["inbox"], "what this end began is cleaned up");
        }
    }
}

#[test]
fn an_interrupted_copy_cleans_up_behind_itself() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    let mine = folder.path().join("mine");
    std::fs::create_dir(&inbox).unwrap();
    std::fs::create_dir(&mine).unwrap();
    std::fs::File::create(inbox.join("big")).unwrap().set_len(4 << 30).unwrap();
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--save", inbox.to_str().unwrap()]);
    let mut copying = crate::support::postroad()
        .args(["copy", server.url(), mine.join("big").to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut waited = 0;
    while names_in(&mine).is_empty() {
        std::thread::sleep(Duration::from_millis(20));
        waited += 1;
        assert!(waited < 500, "the copy never began");
    }
    crate::support::signal(copying.id(), "INT");
    assert_eq!(copying.wait().unwrap().code(), Some(1));
    assert!(names_in(&mine).is_empty());
}

/// A server that takes the connection and then nothing more.
#[test]
fn a_copy_that_stands_still_says_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smp+tcp://{}", listener.local_addr().unwrap());
    let mut copying =
        crate::support::postroad().args(["copy", file.to_str().unwrap(), &url]).stderr(Stdio::piped()).spawn().unwrap();
    let _silent = listener.accept().unwrap();
    std::thread::sleep(Duration::from_secs(7));
    crate::support::signal(copying.id(), "INT");
    let mut error = String::new();
    std::io::Read::read_to_string(&mut copying.stderr.take().unwrap(), &mut error).unwrap();
    assert_eq!(copying.wait().unwrap().code(), Some(1));
    assert_eq!(error.matches("waiting for 127.0.0.1").count(), 1, "{error}");
}

#[test]
fn copies_that_cannot_be_are_refused() {
    bad(&["copy", "a", "b"], 2);
    bad(&["copy", "smp+tcp://h:1", "smp+tcp://h:2"], 2);
    bad(&["copy", "a", "smp+tcp://h"], 1);
    let folder = tempfile::tempdir().unwrap();
    assert!(bad(&["copy", folder.path().to_str().unwrap(), "smp+tcp://127.0.0.1:1"], 1).contains("tar"));
    let echo = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "cat"]);
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    assert!(bad(&["copy", file.to_str().unwrap(), echo.url()], 1).contains("no bodies"));
}

#[test]
fn a_terminal_sees_progress_and_a_pipe_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    let file = folder.path().join("file");
    std::fs::write(&file, vec![0; 3_000_000]).unwrap();
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--save", inbox.to_str().unwrap(), "--overwrite"]);
    let args = ["copy", file.to_str().unwrap(), server.url()];
    let piped = run(&args);
    assert!(!text(&piped.stderr).contains("ETA") && text(&piped.stderr).starts_with("copied file"), "{piped:?}");
    let Some((code, shown)) = run_on_terminal(&args) else { return };
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("ETA") && shown.contains("copied file"), "{shown}");
}
