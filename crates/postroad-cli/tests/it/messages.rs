//! `serve`, `send`, `request` and `bench` over every stack.

use crate::support::{
    Server, bad, connect_urls, good, json, run, run_on_terminal, run_with_input, signal, stacks, text,
};
use std::time::{Duration, Instant};

#[test]
fn requests_are_echoed_over_every_stack_of_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let stacks = stacks(folder.path());
    let urls: Vec<&str> = stacks.serve.iter().map(String::as_str).collect();
    let server = Server::start(&urls, &["--echo"]);
    for url in connect_urls(&server, &stacks) {
        let parts = if url.starts_with("smp121") { vec!["hello world"] } else { vec!["hello ", "world"] };
        let args: Vec<&str> = parts.into_iter().flat_map(|part| ["--part", part]).collect();
        assert_eq!(good(&[&["request", &url], &args[..]].concat()), "hello world", "{url}");
        good(&["send", &url, "--part", "x", "--count", "100"]);
    }
}

#[test]
fn parts_come_from_text_files_and_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part");
    std::fs::write(&file, [0, 255, 10, 13]).unwrap();
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--echo"]);
    let at_file = format!("@{}", file.to_str().unwrap());
    let args = ["request", server.url(), "--part", "a", "--part", &at_file, "--part", "-", "--part", ""];
    let output = run_with_input(&args, b"from stdin\0");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(output.stdout, b"a\x00\xff\x0a\x0dfrom stdin\0");
    let object = json(&good(&["request", server.url(), "--json", "--part", "a", "--part", &at_file]));
    assert_eq!(object["schema"], "postroad-reply/1");
    assert_eq!(object["parts"][0]["text"], "a");
    assert_eq!((object["parts"][1]["hex"].as_str(), object["parts"][1]["text"].as_str()), (Some("00ff0a0d"), None));
    assert_eq!(good(&["request", server.url()]), "", "no parts are a message too");
    let error = bad(&["request", server.url(), "--part", "@/nonexistent"], 1);
    assert!(error.contains("/nonexistent") && error.contains("fix:"), "{error}");
    bad(&["request", server.url(), "--part", "-", "--part", "-"], 2);
}

#[test]
fn print_shows_what_comes_with_nothing_dangerous_in_it() {
    let mut server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--print"]);
    let url = server.url().to_owned();
    good(&["send", &url, "--part", "he\u{1b}[31mllo", "--part", "two"]);
    let line = server.line();
    assert!(line.contains("message: \"he\\u{1b}[31mllo\" \"two\"") && !line.contains('\u{1b}'), "{line}");
    assert_eq!(good(&["request", &url, "--part", "asked"]), "");
    assert!(server.line().contains("request: \"asked\""));
    let mut server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--print", "-q"]);
    let url = server.url().to_owned();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 100_000]).unwrap();
    good(&["send", &url, "--part", &format!("@{}", file.path().to_str().unwrap())]);
    assert!(server.line().len() > 500);
}

#[test]
fn exec_runs_the_command_on_the_parts_and_says_when_it_fails() {
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "tr a-z A-Z"]);
    assert_eq!(good(&["request", server.url(), "--part", "hello ", "--part", "world"]), "HELLO WORLD");
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "exit 3"]);
    let error = bad(&["request", server.url(), "--part", "x"], 1);
    assert!(error.contains("exit status: 3"), "{error}");
    let slow = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "sleep 20", "--exec-timeout", "300ms"]);
    let started = Instant::now();
    let error = bad(&["request", slow.url(), "--part", "x"], 1);
    assert!(error.contains("300ms") && started.elapsed() < Duration::from_secs(10), "{error}");
    // A command that neither reads nor ends its output in bounds.
    let endless = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "yes"]);
    assert!(bad(&["request", endless.url(), "--part", "x"], 1).contains("16 MiB"));
}

#[test]
fn a_request_without_a_reply_says_what_it_waits_for_and_gives_up() {
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "sleep 20"]);
    let error = bad(&["request", server.url(), "--part", "x", "--timeout", "3s"], 1);
    assert!(error.contains("waiting for the reply of 127.0.0.1"), "{error}");
    assert!(
        error.contains("error: no reply from 127.0.0.1") && error.contains("why: ") && error.contains("fix: "),
        "{error}"
    );
}

#[test]
fn a_server_drains_on_the_first_ctrl_c_and_says_what_it_did() {
    for name in ["INT", "TERM"] {
        let mut server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "sleep 1; echo done"]);
        let url = server.url().to_owned();
        let asking = std::thread::spawn(move || run(&["request", &url, "--part", "x"]));
        std::thread::sleep(Duration::from_millis(500));
        signal(server.child.id(), name);
        let output = asking.join().unwrap();
        assert_eq!(text(&output.stdout), "done\n", "{}", text(&output.stderr));
        assert!(server.child.wait().unwrap().success());
    }
}

#[test]
fn a_second_ctrl_c_ends_a_server_at_once() {
    let mut server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "sleep 20"]);
    let url = server.url().to_owned();
    let asking = std::thread::spawn(move || run(&["request", &url, "--part", "x"]));
    std::thread::sleep(Duration::from_millis(500));
    let started = Instant::now();
    signal(server.child.id(), "INT");
    std::thread::sleep(Duration::from_millis(300));
    signal(server.child.id(), "INT");
    assert_eq!(server.child.wait().unwrap().code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(asking.join().unwrap().status.code(), Some(1));
}

#[test]
fn bench_measures_an_echo_and_finds_what_is_none() {
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--echo"]);
    let object = json(&good(&["bench", server.url(), "--duration", "500ms", "--size", "1KiB", "--json"]));
    assert!(object["requests"].as_u64().unwrap() > 10, "{object}");
    let latency = &object["latency_us"];
    assert!(latency["p50"].as_u64().unwrap() <= latency["p99"].as_u64().unwrap(), "{object}");
    let lines = good(&["bench", server.url(), "--duration", "200ms"]);
    assert!(lines.contains("requests/s") && lines.contains("p99.9"), "{lines}");
    let other = Server::start(&["smp+tcp://127.0.0.1:0"], &["--print"]);
    assert!(bad(&["bench", other.url(), "--duration", "200ms"], 1).contains("does not echo"));
}

#[test]
fn send_to_an_echo_does_not_stall_however_much_it_sends() {
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--echo"]);
    let part = "x".repeat(10_000);
    good(&["send", server.url(), "--part", &part, "--count", "3000"]);
}

#[test]
fn a_binary_reply_is_not_written_to_a_terminal_unasked() {
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--exec", "printf 'a\\033[2Jb'"]);
    let args = ["request", server.url(), "--part", "x"];
    assert_eq!(good(&args), "a\u{1b}[2Jb");
    let Some((code, shown)) = run_on_terminal(&args) else { return };
    assert!(code == Some(1) && shown.contains("it is binary") && !shown.contains("[2J"), "{shown}");
    let Some((code, shown)) = run_on_terminal(&[&args[..], &["--force"]].concat()) else { return };
    assert!(code == Some(0) && shown.contains("a\u{1b}[2Jb"), "{shown}");
}
