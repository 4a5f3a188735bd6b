//! Running the binary, and servers that end with the test.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn postroad() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postroad"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").stdin(Stdio::null());
    command
}

/// Runs it to its end, which must come within a minute.
pub(crate) fn run(args: &[&str]) -> Output {
    run_with_input(args, b"")
}

pub(crate) fn run_with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = postroad()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let (id, finished) = (child.id(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let watching = std::sync::Arc::clone(&finished);
    std::thread::spawn(move || {
        let started = Instant::now();
        while !watching.load(std::sync::atomic::Ordering::Acquire) {
            if started.elapsed() > Duration::from_secs(100) {
                signal(id, "KILL");
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let output = child.wait_with_output().unwrap();
    finished.store(true, std::sync::atomic::Ordering::Release);
    feeding.join().unwrap();
    output
}

pub(crate) fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().unwrap();
    assert!(status.success());
}

pub(crate) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// The output of a run that must end well.
pub(crate) fn good(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a run that must end with this exit code.
pub(crate) fn bad(args: &[&str], code: i32) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {} {}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}

pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A `postroad serve` that ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) urls: Vec<String>,
    pub(crate) stdout: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start(urls: &[&str], what: &[&str]) -> Self {
        let mut child = postroad()
            .arg("serve")
            .args(urls)
            .args(what)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let urls = urls
            .iter()
            .map(|_| {
                let mut line = String::new();
                stdout.read_line(&mut line).unwrap();
                line.trim_end().strip_prefix("listening ").unwrap_or_else(|| panic!("{line:?}")).to_owned()
            })
            .collect();
        Self { child, urls, stdout }
    }

    pub(crate) fn url(&self) -> &str {
        &self.urls[0]
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What each stack needs: where to serve, and what to add to the URL to connect.
pub(crate) struct Stacks {
    pub(crate) serve: Vec<String>,
    pub(crate) connect_query: Vec<String>,
}

/// An address for a mailslot over raw IP, another one in each process: there are no ports to tell them apart. `None`, with
/// a line that says so, where this process may not.
pub(crate) fn raw_address() -> Option<String> {
    let ip = postroad::url::Stack::ALL.into_iter().find(|stack| stack.to_string() == "smp121").unwrap();
    if let Err(error) = ip.available() {
        eprintln!("skipped: raw IP, {error}");
        return None;
    }
    let [.., high, low] = std::process::id().to_be_bytes();
    Some(format!("127.122.{high}.{}", low.clamp(1, 254)))
}

/// Every stack that reaches another process, with certificates in `folder`.
pub(crate) fn stacks(folder: &Path) -> Stacks {
    let certs = folder.join("certs");
    let certs = certs.to_str().unwrap();
    good(&["cert", "--dir", certs]);
    let serve = format!("?cert={certs}/server.pem&key={certs}/server-key.pem");
    let connect = format!("?ca={certs}/ca.pem");
    let mut stacks = Stacks {
        serve: vec![
            "smp+tcp://127.0.0.1:0".to_owned(),
            format!("smp+tls://127.0.0.1:0{serve}"),
            "smp+ws://127.0.0.1:0/path".to_owned(),
            format!("smp+wss://127.0.0.1:0/path{serve}"),
            format!("smp+unix://{}/s.sock", folder.to_str().unwrap()),
            "smp121+udp://127.0.0.1:0/box".to_owned(),
        ],
        connect_query: vec![String::new(), connect.clone(), String::new(), connect, String::new(), String::new()],
    };
    if let Some(address) = raw_address() {
        stacks.serve.push(format!("smp121://{address}/box"));
        stacks.connect_query.push(String::new());
    }
    stacks
}

/// Where to connect to what `server` printed, stack by stack.
pub(crate) fn connect_urls(server: &Server, stacks: &Stacks) -> Vec<String> {
    let bare = |url: &String| url.split('?').next().unwrap_or_default().to_owned();
    server.urls.iter().zip(&stacks.connect_query).map(|(url, query)| format!("{}{query}", bare(url))).collect()
}

/// Runs it on a terminal of its own and returns exit code and what the terminal showed; `None`, with a line that says so,
/// where the system has no `script`.
pub(crate) fn run_on_terminal(args: &[&str]) -> Option<(Option<i32>, String)> {
    let quoted: Vec<String> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let line = format!("'{}' {}", env!("CARGO_BIN_EXE_postroad"), quoted.join(" "));
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    match output {
        Ok(output) => Some((output.status.code(), text(&output.stdout))),
        Err(error) => {
            eprintln!("skipped: there is no `script` to make a terminal with: {error}");
            None
        }
    }
}
