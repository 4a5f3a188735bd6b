//! The accept loop outlives every shortage.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use postroad_transport::accept::{Accept, AcceptLoop, AcceptPolicy};
use tokio::time::Instant;

/// Gives the results in the list, then waits for ever.
struct Script(Mutex<VecDeque<io::Result<u32>>>);

impl Script {
    fn new(results: impl IntoIterator<Item = io::Result<u32>>) -> AcceptLoop<Self> {
        AcceptLoop::new(Self(Mutex::new(results.into_iter().collect())), AcceptPolicy::default())
    }
}

impl Accept for Script {
    type Conn = u32;

    async fn accept(&self) -> io::Result<u32> {
        let next = self.0.lock().unwrap().pop_front();
        match next {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }
}

fn os(code: i32) -> io::Result<u32> {
    Err(io::Error::from_raw_os_error(code))
}

// Linux numbers.
const EINTR: i32 = 4;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EPROTO: i32 = 71;
const ECONNABORTED: i32 = 103;
const ENOBUFS: i32 = 105;

#[tokio::test(start_paused = true)]
async fn every_passing_failure_is_survived_and_counted() {
    for code in [EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTO] {
        let accept = Script::new([os(code), Ok(1)]);
        assert_eq!(accept.accept().await.unwrap(), 1, "errno {code}");
        assert_eq!(accept.counts().scarce_count, 1, "errno {code}");
        assert_eq!(accept.counts().accepted_count, 1, "errno {code}");
    }
    for code in [ECONNABORTED, EINTR] {
        let before = Instant::now();
        let accept = Script::new([os(code), Ok(1)]);
        assert_eq!(accept.accept().await.unwrap(), 1, "errno {code}");
        assert_eq!(accept.counts().peer_failed_count, 1, "errno {code}");
        assert_eq!(before.elapsed(), Duration::ZERO, "errno {code} needs no pause");
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_a_second_and_begin_anew_after_a_success() {
    let mut results: Vec<_> = (0..12).map(|_| os(EMFILE)).collect();
    results.push(Ok(1));
    results.push(os(EMFILE));
    results.push(Ok(2));
    let accept = Script::new(results);
    let start = Instant::now();
    accept.accept().await.unwrap();
    // 5 + 10 + ... + 640 ms, then four times a second.
    assert_eq!(start.elapsed().as_millis(), 1275 + 4000);
    let start = Instant::now();
    accept.accept().await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_accept_does_not_cut_the_pause_short() {
    let accept = Script::new([os(EMFILE), os(EMFILE), os(EMFILE), os(EMFILE), Ok(1)]);
    let start = Instant::now();
    let mut cancelled = 0;
    let conn = loop {
        match tokio::time::timeout(Duration::from_millis(1), accept.accept()).await {
            Ok(conn) => break conn.unwrap(),
            Err(_) => cancelled += 1,
        }
    };
    assert_eq!(conn, 1);
    assert!(cancelled >= 70, "{cancelled}");
    assert_eq!(start.elapsed().as_millis(), 5 + 10 + 20 + 40);
}

#[tokio::test(start_paused = true)]
async fn an_endless_row_of_aborted_peers_does_not_spin() {
    let mut results: Vec<_> = (0..40).map(|_| os(ECONNABORTED)).collect();
    results.push(Ok(1));
    let accept = Script::new(results);
    let start = Instant::now();
    accept.accept().await.unwrap();
    assert!(start.elapsed() > Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_socket_that_does_not_listen_ends_the_loop() {
    let accept = Script::new([os(EINVAL)]);
    assert_eq!(accept.accept().await.unwrap_err().raw_os_error(), Some(EINVAL));
}

/// In a process of its own, where file descriptors can be made scarce: `prlimit` sets the limit from outside.
#[tokio::test]
async fn a_real_shortage_of_file_descriptors_is_survived() {
    if std::env::var_os("POSTROAD_TEST_SCARCE").is_some() {
        return scarce_child().await;
    }
    let script =
        r#"ulimit -n 40; exec "$0" --exact accept::a_real_shortage_of_file_descriptors_is_survived --nocapture"#;
    let output = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .env("POSTROAD_TEST_SCARCE", "1")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("survived a shortage"), "the child did not run: {text}");
}

async fn scarce_child() {
    use postroad_transport::tcp::{Listener, TcpConfig};
    use tokio::net::TcpStream;

    let listener = Listener::bind("127.0.0.1:0", TcpConfig::default()).await.unwrap();
    let address = listener.local_addr();
    // Connect while there are descriptors, until none is left; the kernel queues the peers.
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(address).await {
        clients.push(client);
    }
    assert!(clients.len() > 5, "{}", clients.len());
    let starved = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(starved.is_err(), "nothing can be accepted now");
    let counts = listener.counts();
    assert!((2..50).contains(&counts.scarce_count), "{counts:?}");
    // Room again: the loop goes on by itself.
    clients.truncate(clients.len() - 4);
    let conn = tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.expect("accepts again");
    drop(conn.unwrap());
    println!("survived a shortage: {counts:?}");
}
