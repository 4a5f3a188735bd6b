//! Exit codes, errors in four parts, and what happens to standard output.

use crate::support::{Server, bad, good, json, postroad, run, text};
use std::io::Read;
use std::process::Stdio;

#[test]
fn a_wrong_command_line_ends_with_2_and_a_hint() {
    for (args, hint) in [
        (&[][..], "Usage"),
        (&["sevre"], "serve"),
        (&["serve", "smp+tcp://127.0.0.1:0"], "--echo"),
        (&["serve", "smp+tcp://127.0.0.1:0", "--echo", "--print"], "cannot be used with"),
        (&["request", "smp+tsl://127.0.0.1:1"], "did you mean `smp+tls://`?"),
        (&["request", "localhost:7001"], "did you mean `smp+tcp://localhost:7001`?"),
        (&["send", "smp+tcp://h:1?hartbeat=1s"], "did you mean `heartbeat=`?"),
        (&["serve", "smp+tls://127.0.0.1:0", "--echo"], "postroad cert"),
        (&["request", "smrp+udp://h:1"], "it goes by one of these"),
        (&["request", "smrp+tcp://h:1"], "?plaintext=on"),
        (&["send", "wrp+tcp://h:1", "--header", "x"], "NAME:VALUE"),
        (&["copy", "a", "b", "wrp+tcp://h:1", "--name", "c"], "leave it out"),
        (&["copy", "smp+tcp://h:1", "b", "c"], "once for each file"),
        (&["request", "smp121://10.0.0.2:121/printer"], "IP protocol 121 has none"),
        (&["request", "smp121://10.0.0.2"], "smp121://10.0.0.2/printer"),
        (&["serve", "smp121+udp://127.0.0.1:0/x?bind=127.0.0.1", "--echo"], "`bind=` is for clients"),
        (&["serve", "smp121+udp://127.0.0.1:0/x?segment=1", "--echo"], "556"),
        (&["bench", "smp+tcp://127.0.0.1:1", "--duration", "5"], "250ms"),
    ] {
        let error = bad(args, 2);
        assert!(error.contains(hint), "{args:?}: {error}");
    }
}

#[test]
fn errors_say_what_why_and_how_to_go_on() {
    for url in ["smp+tcp://127.0.0.1:1", "smp+ws://127.0.0.1:1/x", "smp+unix:///nonexistent/x.sock", "smp+mem://nobody"]
    {
        let error = bad(&["request", url, "--part", "x"], 1);
        for piece in ["error: ", "\n  why: ", "\n  fix: ", url] {
            assert!(error.contains(piece), "{piece:?}: {error}");
        }
        let object = json(&bad(&["request", url, "--part", "x", "--json"], 1));
        assert_eq!(object["schema"], "postroad-error/1");
        assert_eq!(object["error"]["kind"], "connect");
    }
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("smp121+udp://127.0.0.1:{port}/x");
    let error = bad(&["request", &url, "--part", "x"], 1);
    for piece in ["error: ", "\n  why: nobody listens at the port", "\n  fix: start a server there", &url] {
        assert!(error.contains(piece), "{piece:?}: {error}");
    }
}

#[test]
fn speaking_the_wrong_thing_is_named() {
    let plain = Server::start(&["smp+tcp://127.0.0.1:0"], &["--echo"]);
    let port = plain.url().rsplit(':').next().unwrap().to_owned();
    let error = bad(&["request", &format!("smp+tls://127.0.0.1:{port}"), "--part", "x"], 1);
    assert!(error.contains("TLS"), "{error}");
    let error = bad(&["request", &format!("smp+ws://127.0.0.1:{port}"), "--part", "x"], 1);
    assert!(error.contains("HTTP") || error.contains("WebSocket"), "{error}");
}

#[test]
fn colour_comes_where_it_is_wanted() {
    let colour_of = |args: &[&str], variable: Option<(&str, &str)>| {
        let mut command = postroad();
        command.args(["request", "smp+mem://nobody"]).args(args);
        if let Some((name, value)) = variable {
            command.env(name, value);
        }
        text(&command.output().unwrap().stderr).contains('\u{1b}')
    };
    assert!(!colour_of(&[], None), "no terminal, no colour");
    assert!(colour_of(&[], Some(("CLICOLOR_FORCE", "1"))));
    assert!(colour_of(&["--color", "always"], Some(("NO_COLOR", "1"))));
    assert!(!colour_of(&["--color", "never"], Some(("CLICOLOR_FORCE", "1"))));
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_talk() {
    let mut child = postroad()
        .args(["inspect", "--hex", &"00".repeat(60_000)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn standard_output_that_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = postroad().args(["inspect", "--hex", "00"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("standard output"), "{}", text(&output.stderr));
}

#[test]
fn quiet_is_quiet_and_data_stays_on_standard_output() {
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--echo"]);
    let loud = run(&["send", server.url(), "--part", "x"]);
    assert!(text(&loud.stderr).contains("sent 1 message") && loud.stdout.is_empty());
    let quiet = run(&["send", server.url(), "--part", "x", "--quiet"]);
    assert!(quiet.status.success() && quiet.stderr.is_empty() && quiet.stdout.is_empty());
    let object = json(&good(&["send", server.url(), "--part", "abc", "--count", "3", "--json"]));
    assert_eq!((object["messages"].as_u64(), object["octets"].as_u64()), (Some(3), Some(9)));
}

#[test]
fn an_address_that_is_taken_is_a_failure_that_names_it() {
    let server = Server::start(&["smp+tcp://127.0.0.1:0"], &["--echo"]);
    let error = bad(&["serve", server.url(), "--echo"], 1);
    assert!(error.contains(server.url()), "{error}");
}
