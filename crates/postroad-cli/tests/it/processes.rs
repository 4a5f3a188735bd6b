//! Sessions and what happens to the processes at their ends: killed, started anew, stopped for a while, told to end.

use crate::support::{Server, signal, stacks};
use postroad::{Connection, ErrorKind, Incoming, Message, connect};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

/// What the project promises about a server that was killed.
const PROMISED: Duration = Duration::from_secs(5);

/// Where to serve a session over each kind of connection between processes, and what to add to connect.
fn session_stacks(folder: &Path) -> Vec<(String, String)> {
    let all = stacks(folder);
    let urls = all.serve.iter().zip(&all.connect_query).filter(|(url, _)| url.starts_with("smp+"));
    urls.map(|(url, query)| (url.replacen("smp+", "smrp+", 1), query.clone())).collect()
}

async fn connect_to(server: &Server, query: &str) -> Connection {
    let bare = server.url().split('?').next().unwrap_or_default();
    connect(format!("{bare}{query}")).await.unwrap()
}

/// Things of all sorts that wait for the server of `connection`, which echoes: how each of them ended, once it did.
async fn everything_that_waits(connection: &Connection) -> JoinSet<(&'static str, ErrorKind, String)> {
    let mut waiting = JoinSet::new();
    let mut writer = connection.open_body("sent back").await.unwrap();
    writer.write("piece").await.unwrap();
    let Some(Incoming::Body(mut back)) = connection.receive().await.unwrap() else { panic!("a body") };
    assert_eq!(back.next().await.unwrap().unwrap(), "piece");
    waiting.spawn(async move {
        let _held = writer;
        let error = back.next().await.unwrap_err();
        ("reading a body", error.kind(), error.to_string())
    });
    let mut body = connection.open_body("a body that is never through").await.unwrap();
    waiting.spawn(async move {
        loop {
            if let Err(error) = body.write(vec![7; 10_000]).await {
                return ("writing a body", error.kind(), error.to_string());
            }
        }
    });
    let receiver = connection.clone();
    waiting.spawn(async move {
        let mut held = Vec::new();
        loop {
            match receiver.receive().await {
                Err(error) => return ("receiving", error.kind(), error.to_string()),
                Ok(None) => return ("receiving", ErrorKind::Closed, "an end in order".to_owned()),
                // The body that comes back is not read.
                Ok(Some(incoming)) => held.push(incoming),
            }
        }
    });
    waiting
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_ends_every_stream_and_request_within_five_seconds() {
    //= SMRP-R19
    let folder = tempfile::tempdir().unwrap();
    let mut stacks_at_once = JoinSet::new();
    for (number, (url, query)) in session_stacks(folder.path()).into_iter().enumerate() {
        stacks_at_once.spawn(async move {
            let sleeper = url.replace("s.sock", &format!("{number}.sock"));
            let (echo, sleeper) =
                (Server::start(&[&url], &["--echo"]), Server::start(&[&sleeper], &["--exec", "sleep 60"]));
            let (streams, requests) = (connect_to(&echo, &query).await, connect_to(&sleeper, &query).await);
            let mut waiting = everything_that_waits(&streams).await;
            for _ in 0..20 {
                let requests = requests.clone();
                waiting.spawn(async move {
                    let error = requests.request("never answered").await.unwrap_err();
                    ("a request", error.kind(), error.to_string())
                });
            }
            while requests.statistics().requests_in_flight_count < 20 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let killed = Instant::now();
            signal(echo.child.id(), "KILL");
            signal(sleeper.child.id(), "KILL");
            while let Some(ended) = waiting.join_next().await {
                let (what, kind, why) = ended.unwrap();
                assert_eq!(kind, ErrorKind::Lost, "{url}, {what}: {why}");
                assert!(why.contains("nobody has listened"), "{url}, {what}: {why}");
                assert!(killed.elapsed() < PROMISED, "{url}, {what}: {:?}", killed.elapsed());
            }
            let late = requests.request("another").await.unwrap_err();
            assert!(late.kind() == ErrorKind::Lost && late.is_unprocessed(), "{url}: {late}");
        });
    }
    let mut count = 0;
    while let Some(stack) = stacks_at_once.join_next().await {
        stack.unwrap();
        count += 1;
    }
    assert_eq!(count, 5, "tcp, tls, ws, wss, unix");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_started_anew_ends_the_sessions_of_the_one_before() {
    //= SMRP-R10, SMRP-R15
    let server = Server::start(&["smrp+tcp://127.0.0.1:0"], &["--echo"]);
    let url = server.url().to_owned();
    let connection = connect_to(&server, "").await;
    let mut waiting = everything_that_waits(&connection).await;
    let killed = Instant::now();
    drop(server);
    let server = Server::start(&[&url], &["--echo"]);
    while let Some(ended) = waiting.join_next().await {
        let (what, kind, why) = ended.unwrap();
        assert!(kind == ErrorKind::Lost && why.contains("RESUME_REFUSED"), "{what}: {why}");
        assert!(killed.elapsed() < PROMISED, "{what}: {:?}", killed.elapsed());
    }
    let again = connect_to(&server, "").await;
    assert_eq!(again.request("hello").await.unwrap().text(0), Some("hello"), "the next session is another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_for_two_seconds_loses_nothing() {
    let server = Server::start(&["smrp+tcp://127.0.0.1:0"], &["--echo"]);
    let connection = connect_to(&server, "").await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut asking = JoinSet::new();
    for task in 0..8 {
        let (connection, stop) = (connection.clone(), stop.clone());
        asking.spawn(async move {
            let mut count = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let asked = format!("{task} {count}");
                assert_eq!(connection.request(asked.clone()).await.unwrap().text(0), Some(&asked[..]));
                count += 1;
            }
            count
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal(server.child.id(), "STOP");
    tokio::time::sleep(Duration::from_secs(2)).await;
    signal(server.child.id(), "CONT");
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(count) = asking.join_next().await {
        assert!(count.unwrap() > 0);
    }
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_that_ends_nothing_does_not_take_the_places_of_the_others() {
    let server = Server::start(&["smrp+tcp://127.0.0.1:0"], &["--echo"]);
    let other = connect_to(&server, "").await;
    // More than a server works on, over connections that are each allowed to.
    let greedy = [connect_to(&server, "").await, connect_to(&server, "").await];
    let mut held = JoinSet::new();
    for number in 0..1_200 {
        let greedy = greedy[number % 2].clone();
        held.spawn(async move {
            let mut request = greedy.open_request("never through").await.unwrap();
            request.write("x").await.unwrap();
            std::future::pending::<()>().await;
            drop(request);
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = other.request_within("still there", Duration::from_secs(5)).await.unwrap();
    assert_eq!(asked.text(0), Some("still there"));
}

/// What the clients of a service that is rolled share.
struct Clients {
    connection: watch::Sender<Connection>,
    next: AtomicU64,
    stop: AtomicBool,
    answered: Mutex<BTreeSet<String>>,
    sent: Mutex<BTreeSet<String>>,
    refused_count: AtomicU64,
}

impl Clients {
    fn id(&self, kind: &str) -> String {
        format!("{kind}{}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for another connection than `old`, where there is none yet.
    async fn after(&self, old: &Connection) {
        let mut seen = self.connection.subscribe();
        let old = old.url().to_string();
        drop(tokio::time::timeout(Duration::from_secs(20), seen.wait_for(|now| now.url().to_string() != old)).await);
    }

    /// Asks one request after the other. What was not processed is asked again elsewhere; any other error is a fault.
    async fn ask(self: Arc<Self>) {
        while !self.is_over() {
            let id = self.id("r");
            loop {
                let connection = self.connection.borrow().clone();
                match connection.request(id.clone()).await {
                    Ok(reply) => break assert_eq!(reply.text(0), Some(&format!("{id}\n")[..])),
                    Err(error) => {
                        assert!(error.is_unprocessed(), "{id}: {error}");
                        self.refused_count.fetch_add(1, Ordering::Relaxed);
                        self.after(&connection).await;
                    }
                }
            }
            self.answered.lock().await.insert(id);
        }
    }

    /// Sends messages, which nobody answers.
    async fn tell(self: Arc<Self>) {
        while !self.is_over() {
            let id = self.id("m");
            let connection = self.connection.borrow().clone();
            match connection.send(Message::from(id.clone())).await {
                Ok(()) => drop(self.sent.lock().await.insert(id)),
                Err(error) => {
                    assert!(error.is_unprocessed(), "{id}: {error}");
                    self.after(&connection).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Goes where the server says, as soon as it says so.
    async fn follow(self: Arc<Self>) {
        loop {
            let connection = self.connection.borrow().clone();
            let Some(redirect) = connection.going_away().await else { return };
            self.connection.send_replace(connect(redirect).await.unwrap());
            // What is open there goes on to its end.
            connection.closed().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_servers_lose_no_request_and_no_message_and_run_none_twice() {
    //= SMRP-L6, SMRP-L7, SMRP-L8, SMRP-L9
    let folder = tempfile::tempdir().unwrap();
    let log = |number: usize| folder.path().join(format!("{number}.log"));
    let serve = |number: usize, redirect: &str| {
        let command = format!(
            "read -r id; echo \"$id\" >> '{}'; case $id in r*) echo \"$id\";; esac",
            log(number).to_str().unwrap()
        );
        Server::start(&["smrp+tcp://127.0.0.1:0"], &["--exec", &command, "--redirect", redirect])
    };
    let third = serve(2, "smrp+tcp://127.0.0.1:1");
    let second = serve(1, third.url());
    let first = serve(0, second.url());
    let clients = Arc::new(Clients {
        connection: watch::Sender::new(connect_to(&first, "").await),
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        answered: Mutex::default(),
        sent: Mutex::default(),
        refused_count: AtomicU64::new(0),
    });
    let mut load = JoinSet::new();
    (0..24).for_each(|_| drop(load.spawn(clients.clone().ask())));
    load.spawn(clients.clone().tell());
    let following = tokio::spawn(clients.clone().follow());
    let begun = Instant::now();
    for mut server in [first, second] {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        signal(server.child.id(), "TERM");
        let ended = tokio::task::spawn_blocking(move || server.child.wait());
        let status = tokio::time::timeout(Duration::from_secs(40), ended).await.unwrap().unwrap().unwrap();
        assert!(status.success(), "what was open was finished: {status}");
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    clients.stop.store(true, Ordering::Relaxed);
    while let Some(task) = load.join_next().await {
        task.unwrap();
    }
    let took = begun.elapsed();
    following.abort();
    let last = clients.connection.borrow().clone();
    last.close().await.unwrap();
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..3 {
        let text = std::fs::read_to_string(log(number)).unwrap();
        assert!(text.lines().count() > 10, "server {number} served: {}", text.lines().count());
        text.lines().for_each(|id| *ran.entry(id.to_owned()).or_default() += 1);
    }
    let twice: Vec<&String> = ran.iter().filter(|(_, count)| **count > 1).map(|(id, _)| id).collect();
    assert_eq!(twice, Vec::<&String>::new(), "run twice");
    let wanted: BTreeSet<String> = clients.answered.lock().await.union(&*clients.sent.lock().await).cloned().collect();
    let ran: BTreeSet<String> = ran.into_keys().collect();
    let (lost, unasked): (Vec<_>, Vec<_>) = (wanted.difference(&ran).collect(), ran.difference(&wanted).collect());
    assert_eq!((lost, unasked), (vec![], vec![]), "lost, and run for nobody");
    let refused = clients.refused_count.load(Ordering::Relaxed);
    eprintln!("{} requests and messages in {took:?}, {refused} not processed and asked again", ran.len());
}
