//! WRP by the command: devices and their server.

use crate::support::{Server, bad, good, json, postroad};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const STACKS: [&str; 6] = [
    "wrp+ws://127.0.0.1:0",
    "wrp+tcp://127.0.0.1:0",
    "wrp+smp+tcp://127.0.0.1:0",
    "wrp+smp+ws://127.0.0.1:0",
    "wrp+unix://SOCKET",
    "wrp+smp+unix://SOCKET",
];

/// The stacks, with sockets in `folder`.
fn urls(folder: &tempfile::TempDir) -> Vec<String> {
    let socket = |number: usize| folder.path().join(format!("{number}.sock")).to_str().unwrap().to_owned();
    STACKS.iter().enumerate().map(|(number, url)| url.replace("SOCKET", &socket(number))).collect()
}

#[test]
fn messages_arrive_with_their_headers_over_every_stack() {
    let folder = tempfile::tempdir().unwrap();
    let urls = urls(&folder);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let mut server = Server::start(&urls, &["--print"]);
    for url in server.urls.clone() {
        good(&["send", &url, "--part", "grün", "--header", "kind: a:b"]);
        let line = server.line();
        assert!(line.ends_with(" message: kind: a:b; \"grün\"\n"), "{line}");
        assert_eq!(good(&["request", &url, "--part", "x"]), "");
        assert!(server.line().ends_with(" request: \"x\"\n"));
    }
    let error = bad(&["send", server.url(), "--part", "a", "--part", "b"], 1);
    assert!(error.contains("one payload") && error.contains("join"), "{error}");
    let plain = Server::start(&["smp+tcp://127.0.0.1:0"], &["--echo"]);
    let error = bad(&["send", plain.url(), "--part", "a", "--header", "b:c"], 1);
    assert!(error.contains("smp carries none"), "{error}");
}

#[test]
fn several_files_go_at_once_with_a_checksum_each_and_one_that_fails_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("there");
    let server = Server::start(&["wrp+ws://127.0.0.1:0"], &["--save", there.to_str().unwrap()]);
    let paths: Vec<String> = (0..20u8)
        .map(|number| {
            let path = folder.path().join(format!("file-{number}"));
            std::fs::write(&path, vec![number; 100_000 + usize::from(number)]).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    let mut args = vec!["copy", "--json"];
    args.extend(paths.iter().map(String::as_str));
    args.push(server.url());
    let lines = good(&args);
    let mut names: Vec<String> = lines.lines().map(|line| json(line)["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 20, "{lines}");
    for number in 0..20u8 {
        let copied = std::fs::read(there.join(format!("file-{number}"))).unwrap();
        assert!(copied == vec![number; 100_000 + usize::from(number)], "{number}");
    }
    let back = folder.path().join("back");
    good(&["copy", server.url(), back.to_str().unwrap(), "--name", "file-7"]);
    assert!(std::fs::read(&back).unwrap() == vec![7; 100_007]);
    let new = folder.path().join("new");
    std::fs::write(&new, "new").unwrap();
    let error = bad(&["copy", &paths[0], new.to_str().unwrap(), server.url()], 1);
    assert!(error.contains("file-0") && error.contains("there is a file of that name"), "{error}");
    assert_eq!(std::fs::read(there.join("new")).unwrap(), b"new", "the other one was copied all the same");
}

#[test]
fn tokens_let_in_and_keep_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let tokens = file("tokens", "one\ntwo\n");
    let server = Server::start(&[&format!("wrp+ws://127.0.0.1:0?token={tokens}")], &["--echo"]);
    let url = server.url().split('?').next().unwrap();
    let (right, wrong) = (file("right", "two\n"), file("wrong", "three\n"));
    assert_eq!(good(&["request", &format!("{url}?token={right}&device=serial:7"), "--part", "x"]), "x");
    for query in [String::new(), format!("?token={wrong}")] {
        let error = bad(&["request", &format!("{url}{query}"), "--part", "x"], 1);
        assert!(error.contains("401") && error.contains("token") && !error.contains("three"), "{error}");
    }
}

#[test]
fn a_device_connects_and_answers_what_its_server_asks() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut listener = runtime.block_on(postroad::listen("wrp+ws://127.0.0.1:0")).unwrap();
    let url = format!("{}?device=mac:112233445566/shout", listener.url());
    let mut device = postroad()
        .args(["serve", "--connect", &url, "--exec", "tr a-z A-Z"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    runtime.block_on(async {
        let connection = listener.accept().await.unwrap();
        BufReader::new(device.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), format!("connected {url}&reconnect=on"));
        let reply = connection.request("hello").await.unwrap();
        assert_eq!(reply.text(0), Some("HELLO"));
        let reply = reply.as_wrp().unwrap();
        assert_eq!((reply.source.as_str(), reply.status), ("mac:112233445566", Some(200)));
        connection.close().await.unwrap();
        // It comes back by itself.
        let again = tokio::time::timeout(std::time::Duration::from_secs(20), listener.accept()).await.unwrap().unwrap();
        assert_eq!(again.request("again").await.unwrap().text(0), Some("AGAIN"));
    });
    crate::support::signal(device.id(), "INT");
    assert!(device.wait().unwrap().success());
}
