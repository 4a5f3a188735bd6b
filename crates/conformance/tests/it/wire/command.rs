//! The command over sockets: modes, outputs, exit codes.

use super::smp::{Fault, echo, serve};
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

fn conformance(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.args(arguments).kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> (Output, String) {
    let output = conformance(arguments).output().await.unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[tokio::test]
async fn our_own_servers_pass_over_every_carrier() {
    let (output, text) = run(&["--self", "--system", "smp-framing"]).await;
    assert_eq!(output.status.code(), Some(0), "{text}");
    for carrier in ["tcp", "unix", "mem", "ws", "tls", "wss"] {
        assert!(text.contains(&format!("smp-framing  {carrier:<7} ")), "{carrier} is missing: {text}");
    }
    assert!(!text.contains("failed") && !text.contains("skipped"), "{text}");
}

#[tokio::test]
async fn a_foreign_server_is_driven_and_its_fault_ends_with_exit_code_1() {
    let right = serve(Fault::None).await;
    let (output, text) = run(&["--connect", &right]).await;
    assert_eq!(output.status.code(), Some(0), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let [junit, html] = ["junit.xml", "page.html"].map(|name| folder.path().join(name));
    let wrong = serve(Fault::AnswersHeartbeats).await;
    let outputs = ["--junit", junit.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let (output, text) = run(&[&["--connect", &wrong], &outputs[..]].concat()).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("failed: smpf-wire-heartbeat over tcp: ") && text.contains("SMPF-R16"), "{text}");
    let junit = std::fs::read_to_string(junit).unwrap();
    assert_well_formed(&junit);
    let count = conformance::wire::case::load("smp-framing").unwrap().len();
    assert!(junit.contains(&format!("<testsuite name=\"smp-framing.tcp\" tests=\"{count}\" failures=\"")), "{junit}");
    assert!(junit.contains("name=\"smpf-wire-heartbeat\"") && junit.contains("<failure type=\"failed\""), "{junit}");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains("<td class=\"v failed\">") && html.contains("reading R16"), "{html}");
    let loads = ["src=", "<link", "<script", "url(", "@import"].iter().find(|word| html.contains(**word));
    assert_eq!(loads, None, "it loads something from elsewhere");
    let (output, text) = run(&["--connect", &wrong, "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let of = |id: &str| json["cases"].as_array().unwrap().iter().find(|case| case["id"] == id).unwrap().clone();
    assert_eq!(of("smpf-wire-heartbeat")["verdict"], "failed");
    assert_eq!(of("smpf-wire-one-argument")["verdict"], "passed");
}

#[tokio::test]
async fn exceptions_are_in_a_file_and_a_stale_one_fails() {
    let wrong = serve(Fault::EchoesInformation).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known.toml");
    let about = |id: &str| format!("[[exception]]\nid = '{id}'\nreason = 'it echoes'\ndate = '2026-11-27'\n");
    let with = async |text: String| {
        std::fs::write(&file, text).unwrap();
        let arguments = ["--connect", &wrong, "--case", "smpf-wire-information", "--case", "smpf-wire-heartbeat"];
        run(&[&arguments[..], &["--exceptions", file.to_str().unwrap()]].concat()).await
    };
    let (output, text) = with(about("smpf-wire-information")).await;
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("excepted: smpf-wire-information over tcp: it echoes (2026-11-27)"), "{text}");
    let (output, text) = with(about("smpf-wire-information") + &about("smpf-wire-heartbeat")).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("stale exception: smpf-wire-heartbeat"), "{text}");
    let (output, _) = with(about("no-such-case")).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-case"));
}

#[tokio::test]
async fn a_foreign_client_is_waited_for_once_for_each_case() {
    let cases = ["--case", "smpf-wire-one-argument", "--case", "smpf-wire-two-frames", "--case", "smpf-wire-stop"];
    let mut command = conformance(&[&["--listen", "smp+tcp://127.0.0.1:0"], &cases[..]].concat());
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).await.unwrap();
    let address = line.trim().strip_prefix("listening smp+tcp://").unwrap().to_owned();
    let client = tokio::spawn(async move {
        while let Ok(stream) = TcpStream::connect(&address).await {
            echo(stream, Fault::None).await;
        }
    });
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert_eq!(process.wait().await.unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("in all               3 passed"), "{rest}");
    client.abort();
}

#[tokio::test]
async fn the_list_is_that_of_the_mode() {
    let (output, text) = run(&["--self", "--list", "--system", "smp-framing"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text.lines().count(), conformance::wire::case::load("smp-framing").unwrap().len());
    let (output, _) = run(&["--self", "--case", "no-such-case"]).await;
    assert_eq!(output.status.code(), Some(1));
    let (output, _) = run(&["--connect", "smp+tcp://127.0.0.1"]).await;
    assert_eq!(output.status.code(), Some(1));
}

/// Tags open and close in order, attributes are quoted, nothing but known entities is there: what a reader of XML wants.
fn assert_well_formed(text: &str) {
    let body = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a declaration");
    let (mut open, mut rest) = (Vec::new(), body);
    while let Some((before, behind)) = rest.split_once('<') {
        assert!(!before.contains('>') && !before.contains('"') || before.contains("&quot;"), "{before}");
        let (tag, after) = behind.split_once('>').expect("an end of the tag");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = after;
    }
    assert_eq!(open, Vec::<String>::new());
    for entity in body.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|known| entity.starts_with(known)), "{entity}");
    }
}
