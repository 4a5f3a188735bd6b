//! `postroad forward` and `postroad serve --forward-to`, with an HTTP server that nobody here wrote.

use crate::support::{Server, bad, json, postroad, signal, text};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

/// `postroad forward` to `target` over a session at `url`, and where it listens.
fn forward(url: &str, target: &str, more: &[&str]) -> (Running, String) {
    let mut child = postroad()
        .args(["forward", "127.0.0.1:0", url, "--to", target])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Running(child), line.trim_end().to_owned())
}

fn listening_at(line: &str) -> String {
    line.strip_prefix("forwarding ").and_then(|rest| rest.split_once(" to ")).expect(line).0.to_owned()
}

/// Serves the files of `folder`; `None`, with a line that says so, where this machine has no Python.
fn http_server(folder: &Path) -> Option<(Running, u16)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new("python3")
        .args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = match server {
        Ok(server) => Running(server),
        Err(error) => {
            eprintln!("skipped: there is no python3 to serve files with: {error}");
            return None;
        }
    };
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "the HTTP server does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((server, port))
}

/// A relay to `port` whose connections can be cut.
struct Relay {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
    count: Arc<AtomicUsize>,
}

impl Relay {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), open: Arc::default(), count: Arc::default() };
        let (open, count) = (relay.open.clone(), relay.count.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ended = std::io::copy(&mut from, &mut to);
                        let _gone = to.shutdown(Shutdown::Write);
                    });
                }
                open.lock().unwrap().extend([near, far]);
            }
        });
        relay
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ended_already = stream.shutdown(Shutdown::Both);
        }
    }
}

/// What `GET /name` gives: the status and the body.
fn get(at: &str, name: &str) -> (u16, Vec<u8>) {
    let at: SocketAddr = at.parse().unwrap();
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /{name} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let status = text(&answer[9..12]).parse().unwrap();
    (status, answer.split_off(end + 4))
}

fn octets(len: u32, seed: u32) -> Vec<u8> {
    (0..len).map(|at| (at ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect()
}

#[test]
fn files_come_whole_from_an_http_server_while_the_session_loses_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_http, http_port)) = http_server(folder.path()) else { return };
    let (small, large) = (octets(1 << 20, 1), octets(64 << 20, 2));
    std::fs::write(folder.path().join("small"), &small).unwrap();
    std::fs::write(folder.path().join("large"), &large).unwrap();
    let target = format!("127.0.0.1:{http_port}");
    let server = Server::start(&["smrp+tcp://127.0.0.1:0"], &["--forward-to", &target]);
    let relay = Relay::to(server.url().rsplit(':').next().unwrap().parse().unwrap());
    let (_forward, line) = forward(&format!("smrp+tcp://127.0.0.1:{}", relay.port), &target, &[]);
    let at = listening_at(&line);

    assert!(get(&at, "small") == (200, small.clone()));
    assert_eq!(get(&at, "nothing").0, 404);
    match Command::new("curl").args(["-sS", "--max-time", "60", &format!("http://{at}/small")]).output() {
        Ok(output) => assert!(output.stdout == small, "{}", text(&output.stderr)),
        Err(error) => eprintln!("skipped: there is no curl: {error}"),
    }

    let (large_at, at_large) = (at.clone(), std::thread::current());
    let getting = std::thread::spawn(move || {
        let got = get(&large_at, "large");
        at_large.unpark();
        got
    });
    let workers: Vec<_> = (0..10)
        .map(|_| {
            let (at, small) = (at.clone(), small.clone());
            std::thread::spawn(move || (0..20).all(|_| get(&at, "small") == (200, small.clone())))
        })
        .collect();
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(150));
        relay.cut();
    }
    assert!(getting.join().unwrap() == (200, large));
    assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
    assert!(relay.count.load(Ordering::SeqCst) > 2, "it was cut");
}

#[test]
fn refusals_are_told_in_words_and_interrupts_end_both_in_order() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut server = Server::start(&["smrp+tcp://127.0.0.1:0"], &["--forward-to", &dead]);
    for (target, words) in [
        (dead.as_str(), "refused the connection over there"),
        ("127.0.0.1:1", "does not let us reach 127.0.0.1:1: see its `--forward-to`"),
    ] {
        let (mut running, line) = forward(server.url(), target, &[]);
        let mut stream = TcpStream::connect(listening_at(&line)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        signal(running.0.id(), "INT");
        let mut said = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains(words), "{said}");
        let status = running.0.wait().unwrap();
        assert!(status.success(), "{status}: {said}");
    }
    let (mut running, line) = forward(server.url(), &dead, &["--json"]);
    let object = json(&line);
    assert_eq!((object["schema"].as_str(), object["to"].as_str()), (Some("postroad-forward/1"), Some(&dead[..])));
    signal(server.child.id(), "TERM");
    assert!(server.child.wait().unwrap().success());
    // The end of the other end is an error here: nothing gets through any more.
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
}

#[test]
fn a_forward_that_cannot_be_says_why() {
    let error = bad(&["forward", "127.0.0.1:0", "smp+tcp://127.0.0.1:1", "--to", "127.0.0.1:80"], 2);
    assert!(error.contains("use a URL that begins with `smrp+`"), "{error}");
    let error = bad(&["forward", "nowhere", "smrp+tcp://127.0.0.1:1", "--to", "127.0.0.1:80"], 2);
    assert!(error.contains("HOST:PORT"), "{error}");
    let error = bad(&["serve", "smp+tcp://127.0.0.1:0", "--forward-to", "127.0.0.1:80"], 2);
    assert!(error.contains("smrp+"), "{error}");
    bad(&["serve", "smrp+tcp://127.0.0.1:0", "--echo", "--forward-to", "127.0.0.1:80"], 2);
    let error = bad(&["forward", "127.0.0.1:0", "smrp+tcp://127.0.0.1:1", "--to", "127.0.0.1:80"], 1);
    assert!(error.contains("could not connect"), "{error}");
}
