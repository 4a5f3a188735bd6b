//! Mailslots: requests to them, over UDP, in memory, and over raw IP where this process may.

use crate::support::{pattern, within};
use postroad::url::{Stack, Transport};
use postroad::{
    Capability, ConnectOptions, Connection, Error, ErrorKind, Incoming, Limits, ListenOptions, Listener, Message,
    connect, connect_with, listen, listen_with,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A mailslot and one who asks it.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    pub(crate) mailslot: Connection,
    pub(crate) listener: Listener,
}

/// A host of its own for each test, so that raw sockets do not meet: any address of 127.0.0.0/8 is of this host.
pub(crate) fn authority(stack: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    match stack {
        "smp121" => format!("127.{}.{}.{number}", 100 + std::process::id() % 100, std::process::id() / 100 % 250),
        "smp121+udp" => "127.0.0.1:0".to_owned(),
        _ => format!("mailslots-{number}"),
    }
}

/// The stacks that this process may use.
pub(crate) fn stacks() -> Vec<&'static str> {
    let ip = Stack::ALL.into_iter().find(|stack| stack.transport() == Transport::Ip).unwrap();
    match ip.available() {
        Ok(()) => vec!["smp121+udp", "smp121+mem", "smp121"],
        Err(error) => {
            eprintln!("skipped: raw IP, {error}");
            vec!["smp121+udp", "smp121+mem"]
        }
    }
}

pub(crate) async fn pair(stack: &str) -> Pair {
    pair_with(stack, "", "").await
}

pub(crate) async fn pair_with(stack: &str, listen_query: &str, connect_query: &str) -> Pair {
    let mut listener = listen(format!("{stack}://{}/box{listen_query}", authority(stack))).await.unwrap();
    assert_ne!(listener.url().port(), Some(0));
    let mailslot = listener.accept().await.unwrap();
    let url = format!("{}{connect_query}", listener.url().clone().without_options());
    let client = within(10, connect(url)).await.unwrap();
    Pair { client, mailslot, listener }
}

async fn next_request(mailslot: &Connection) -> postroad::Request {
    match within(10, mailslot.receive()).await.unwrap().unwrap() {
        Incoming::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

//= SMP121-I1, SMP121-I17
#[tokio::test]
async fn requests_of_every_size_are_answered_over_every_carrier() {
    for stack in stacks() {
        let pair = pair(stack).await;
        crate::support::spawn_echo(pair.mailslot.clone());
        for len in [0, 1, 1_400, 64 * 1024, 1_000_000] {
            let message = Message::from(pattern(len, 3));
            assert!(within(20, pair.client.request(message.clone())).await.unwrap() == message, "{stack}: {len}");
        }
        let error = pair.client.request(pattern(1_000_001, 3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{stack}: {error}");
        assert!(error.remedy().contains("max_size="), "{error}");
        assert_eq!(pair.client.request(Message::new()).await.unwrap(), Message::from(""), "{stack}: no parts");
        within(5, pair.client.close()).await.unwrap();
        assert_eq!(pair.client.request("x").await.unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[tokio::test]
async fn many_requests_are_under_way_and_many_peers_ask_at_once() {
    for stack in ["smp121+udp", "smp121+mem"] {
        let pair = pair(stack).await;
        crate::support::spawn_echo(pair.mailslot.clone());
        let mut asking = tokio::task::JoinSet::new();
        for peer in 0..5 {
            let client = within(10, connect(pair.listener.url())).await.unwrap();
            for number in 0..100 {
                let (client, text) = (client.clone(), format!("{peer} {number}"));
                asking.spawn(async move { client.request(text.clone()).await.unwrap().text(0) == Some(&text) });
            }
        }
        while let Some(right) = within(20, asking.join_next()).await {
            assert!(right.unwrap(), "{stack}");
        }
        assert_eq!(pair.client.statistics().requests_in_flight_count, 0);
    }
}

#[tokio::test]
async fn a_mailslot_sees_who_asks_and_what_is_sent_is_received_before_send_returns() {
    for stack in stacks() {
        let pair = pair(stack).await;
        let client = pair.client.clone();
        let sending = tokio::spawn(async move { client.send("news").await });
        let request = next_request(&pair.mailslot).await;
        assert_eq!(request.message().text(0), Some("news"));
        assert!(stack == "smp121+mem" || request.peer().starts_with("127."), "{stack}: {}", request.peer());
        assert!(stack != "smp121" || !request.peer().contains(':'), "raw IP has no ports: {}", request.peer());
        assert_eq!(request.connection().url(), pair.listener.url());
        assert!(!sending.is_finished(), "{stack}: sent without a receipt");
        request.reply(Message::new()).await.unwrap();
        within(5, sending).await.unwrap().unwrap();
        assert!(pair.client.peer().ends_with("/box"), "{}", pair.client.peer());
    }
}

#[tokio::test]
async fn refusals_are_errors_with_words_and_nobody_waits_for_a_dropped_request() {
    let pair = pair("smp121+udp").await;
    let client = pair.client.clone();
    let asking = tokio::spawn(async move {
        let first = client.request("print").await.unwrap_err();
        let second = client.request("forget").await.unwrap_err();
        let third = client.request("lie").await.unwrap_err();
        [first, second, third]
    });
    next_request(&pair.mailslot).await.refuse(format!("no \u{1b}[31mpaper {}", "ü".repeat(1_000))).await.unwrap();
    drop(next_request(&pair.mailslot).await);
    let error = next_request(&pair.mailslot).await.reply("postroad-error/1 not really").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    let errors = within(5, asking).await.unwrap();
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::Peer), "{errors:?}");
    assert!(errors[0].why().contains("paper") && !errors[0].why().contains('\u{1b}'), "{}", errors[0]);
    assert!(errors[1].why().contains("dropped without a reply") && errors[2].why() == errors[1].why(), "{errors:?}");
    assert_eq!(pair.mailslot.statistics().refused_count, 3);
}

#[tokio::test]
async fn what_a_mailslot_cannot_carry_is_a_typed_error_that_says_what_to_do() {
    let pair = pair("smp121+mem").await;
    let two = Message::from("a").with_part("b");
    for error in [
        pair.client.request(two.clone()).await.unwrap_err(),
        pair.client.send(two.clone()).await.unwrap_err(),
        pair.client.request(Message::from("a").with_header("b", "c")).await.unwrap_err(),
        pair.client.open_body("x").await.unwrap_err(),
        pair.client.open_request("x").await.unwrap_err(),
        pair.mailslot.request("x").await.unwrap_err(),
        pair.mailslot.send("x").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(!error.why().is_empty() && !error.remedy().is_empty(), "{error}");
    }
    let client = pair.client.clone();
    let asking = tokio::spawn(async move { (client.request("1").await, client.request("2").await) });
    assert_eq!(next_request(&pair.mailslot).await.reply(two).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(next_request(&pair.mailslot).await.reply_body("x").await.unwrap_err().kind(), ErrorKind::Unsupported);
    let (first, second) = within(5, asking).await.unwrap();
    assert_eq!((first.unwrap_err().kind(), second.unwrap_err().kind()), (ErrorKind::Peer, ErrorKind::Peer));
    for capability in Capability::ALL {
        let is_there = matches!(capability, Capability::RequestReply | Capability::Files);
        assert_eq!(pair.client.can(capability), is_there, "{capability}");
        let connected = connect_with(pair.listener.url(), ConnectOptions::new().require(capability)).await;
        match connected {
            Ok(_) => assert!(is_there, "{capability}"),
            Err(error) => {
                assert!(!is_there && error.kind() == ErrorKind::Unsupported && !error.remedy().is_empty(), "{error}")
            }
        }
    }
}

fn reads_well(error: &Error, kind: ErrorKind, why: &str, remedy: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.what().contains("smp121"), "{error}");
    assert!(error.why().contains(why), "{error}: {why}");
    assert!(error.remedy().contains(remedy), "{error}: {remedy}");
}

#[tokio::test]
async fn connecting_in_vain_says_why_at_once() {
    for stack in stacks() {
        let pair = pair(stack).await;
        let other = pair.listener.url().to_string().replace("/box", "/bax");
        let error = within(3, connect(&other)).await.unwrap_err();
        reads_well(&error, ErrorKind::Connect, "no mailslot `bax`", "case matters");
    }
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = within(3, connect(format!("smp121+udp://127.0.0.1:{port}/box"))).await.unwrap_err();
    reads_well(&error, ErrorKind::Connect, "nobody listens at the port", "postroad serve");
    let error = connect("smp121+mem://nobody/box").await.unwrap_err();
    reads_well(&error, ErrorKind::Connect, "nobody listens there in this process", "listen there first");
    let error = connect("smp121+udp://127.0.0.1:0/box").await.unwrap_err();
    reads_well(&error, ErrorKind::Usage, "port 0", "port that the listener printed");
    let error = connect("smp121+udp://127.0.0.1:9/box?bind=::1").await.unwrap_err();
    reads_well(&error, ErrorKind::Config, "family of `bind=`", "bind=");
    // Somebody is at the port and says nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("smp121+udp://{}/box?connect_timeout=300ms", silent.local_addr().unwrap());
    let error = within(3, connect(url)).await.unwrap_err();
    reads_well(&error, ErrorKind::Timeout, "no answer to name requests", "firewalls");
}

#[tokio::test]
async fn raw_ip_says_what_it_needs() {
    let url = "smp121://127.99.0.1/box";
    let ip = Stack::ALL.into_iter().find(|stack| stack.transport() == Transport::Ip).unwrap();
    if let Err(missing) = ip.available() {
        eprintln!("skipped: raw IP, {missing}");
        let error = connect(url).await.unwrap_err();
        assert_eq!((error.kind(), missing.kind()), (ErrorKind::Privilege, ErrorKind::Privilege), "{error}");
        assert!(error.remedy().contains("setcap") && error.remedy().contains("UDP"), "{error}");
        return;
    }
    let own = connect("smp121://127.99.0.1/box?bind=127.99.0.1").await.unwrap_err();
    reads_well(&own, ErrorKind::Connect, "has no ports", "bind=");
    let nobody = within(3, connect(format!("{url}?connect_timeout=2s"))).await.unwrap_err();
    reads_well(&nobody, ErrorKind::Connect, "speaks no IP protocol 121", "start a server there");
}

#[tokio::test]
async fn mailslots_at_one_address_share_an_endpoint_and_names_are_taken_once() {
    for stack in stacks() {
        let mut first = listen(format!("{stack}://{}/one", authority(stack))).await.unwrap();
        let second = listen(first.url().to_string().replace("/one", "/two")).await.unwrap();
        assert_eq!(first.url().port(), second.url().port());
        let mut second = second;
        for (listener, text) in [(&mut first, "one"), (&mut second, "two")] {
            let mailslot = listener.accept().await.unwrap();
            let url = listener.url().clone();
            let asking = tokio::spawn(async move { connect(url).await?.request(text).await });
            let request = next_request(&mailslot).await;
            assert_eq!(request.message().text(0), Some(text), "{stack}");
            request.reply(text).await.unwrap();
            assert_eq!(within(5, asking).await.unwrap().unwrap().text(0), Some(text), "{stack}");
            // Closing the one leaves the other.
            within(5, mailslot.close()).await.unwrap();
        }
        let held = listen(first.url()).await.unwrap();
        let taken = listen(first.url()).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::Connect, "{taken}");
        assert!(taken.what().contains(&first.url().to_string()), "{taken}");
        let other =
            listen(format!("{}?profile=rdos", held.url().to_string().replace("/one", "/three"))).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Config, "{other}");
    }
    let holder = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("smp121+udp://{}/box", holder.local_addr().unwrap());
    let error = listen(&url).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Connect && error.what().contains(&url), "{error}");
}

#[tokio::test]
async fn a_listener_gives_its_mailslot_once_and_then_waits_for_its_end() {
    let mut pair = pair("smp121+udp").await;
    assert!(tokio::time::timeout(Duration::from_millis(100), pair.listener.accept()).await.is_err());
    // A wait that is cancelled loses nothing.
    assert!(tokio::time::timeout(Duration::from_millis(50), pair.mailslot.receive()).await.is_err());
    let client = pair.client.clone();
    let asking = tokio::spawn(async move { client.request("x").await });
    next_request(&pair.mailslot).await.reply("y").await.unwrap();
    assert_eq!(within(5, asking).await.unwrap().unwrap().text(0), Some("y"));
    let receiving = pair.mailslot.clone();
    let receiving = tokio::spawn(async move { receiving.receive().await });
    within(5, pair.mailslot.close()).await.unwrap();
    assert!(within(5, receiving).await.unwrap().unwrap().is_none());
    assert!(pair.mailslot.receive().await.unwrap().is_none());
    within(1, pair.mailslot.closed()).await;
    assert_eq!(within(1, pair.listener.accept()).await.unwrap_err().kind(), ErrorKind::Closed);
    // The address is free again.
    listen(pair.listener.url()).await.unwrap();
}

#[tokio::test]
async fn a_mailslot_whose_last_user_is_gone_is_gone() {
    for stack in ["smp121+udp", "smp121+mem"] {
        let Pair { client, mailslot, mut listener } = pair(stack).await;
        drop(mailslot);
        assert_eq!(within(1, listener.accept()).await.unwrap_err().kind(), ErrorKind::Closed);
        let error = within(10, client.request_within("x", Duration::from_secs(8))).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Lost), "{stack}: {error}");
    }
}

#[tokio::test]
async fn a_request_without_a_reply_ends_at_its_time_and_says_that_it_may_have_been_served() {
    let pair = pair_with("smp121+udp", "", "?request_timeout=200ms").await;
    let error = within(2, pair.client.request("x")).await.unwrap_err();
    reads_ok(&error, "200ms");
    let error = within(2, pair.client.request_within("x", Duration::from_millis(100))).await.unwrap_err();
    reads_ok(&error, "100ms");
    fn reads_ok(error: &Error, time: &str) {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.why().contains(time) && error.why().contains("may have been served"), "{error}");
        assert!(error.what().contains("127.0.0.1") && error.what().contains("/box"), "{error}");
    }
    let endless = connect(format!("{}?request_timeout=off", pair.listener.url())).await.unwrap();
    crate::support::spawn_echo(pair.mailslot.clone());
    assert_eq!(within(20, endless.request("x")).await.unwrap().text(0), Some("x"));
}

#[tokio::test]
async fn sizes_pass_at_the_limit_and_fail_one_past_it() {
    let pair = pair_with("smp121+udp", "?max_size=10000", "?max_size=5000").await;
    let mailslot = pair.mailslot.clone();
    tokio::spawn(async move {
        loop {
            let request = next_request(&mailslot).await;
            let len: usize = request.message().text(0).unwrap().trim().parse().unwrap();
            let _refused_by_the_peer = request.reply(vec![7; len]).await;
        }
    });
    let ask = |len: usize, reply_len: usize| format!("{reply_len:<len$}");
    assert_eq!(pair.client.request(ask(10_000, 5_000)).await.unwrap().payload_len(), 5_000);
    let error = pair.client.request(ask(10_001, 1)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.why().contains("10000"), "{error}");
    let error = pair.client.request(ask(10, 5_001)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.why().contains("5000"), "{error}");
    assert!(pair.client.request(ask(10, 1)).await.is_ok());
    // The library's limit is for those whose URL says nothing.
    let mut limits = Limits::default();
    limits.message_len_max = 100;
    let options = ConnectOptions::new().with_limits(limits);
    let small = connect_with(pair.listener.url().clone().without_options(), options).await.unwrap();
    assert_eq!(small.request(ask(10, 100)).await.unwrap().payload_len(), 100);
    assert_eq!(small.request(ask(10, 101)).await.unwrap_err().kind(), ErrorKind::Limit);
    let large = pair_with("smp121+udp", "?max_size=5MiB", "").await;
    crate::support::spawn_echo(large.mailslot.clone());
    assert_eq!(within(30, large.client.request(pattern(5 << 20, 1))).await.unwrap().payload_len(), 5 << 20);
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_for_a_place() {
    let mut limits = Limits::default();
    limits.requests_in_flight_max = 2;
    let pair = pair("smp121+udp").await;
    let client = connect_with(pair.listener.url(), ConnectOptions::new().with_limits(limits)).await.unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let client = client.clone();
        asking.spawn(async move { client.request("x").await });
    }
    let first = next_request(&pair.mailslot).await;
    within(5, async {
        while client.statistics().requests_in_flight_count < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let error = within(2, client.request_within("y", Duration::from_millis(100))).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Timeout && error.why().contains("requests_in_flight_max"), "{error}");
    first.reply("1").await.unwrap();
    next_request(&pair.mailslot).await.reply("2").await.unwrap();
    while let Some(answered) = within(5, asking.join_next()).await {
        answered.unwrap().unwrap();
    }
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_with_a_hint() {
    for (query, word) in [
        ("?bind=127.0.0.1", "bind"),
        ("?request_timeout=1s", "request_timeout"),
        ("?connect_timeout=1s", "connect_timeout"),
        ("?segment=555", "segment"),
        ("?segment=70000", "segment"),
        ("?max_size=0", "MailslotLen"),
        ("?profile=rdos&busy=on", "RDOS"),
    ] {
        let error = listen(format!("smp121+udp://127.0.0.1:0/box{query}")).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Config || word == "MailslotLen", "{query}: {error}");
        assert!(word == "MailslotLen" || error.to_string().contains(word), "{query}: {error}");
        assert!(!error.remedy().is_empty(), "{query}: {error}");
    }
    let mut limits = Limits::default();
    limits.incoming_count_max = 0;
    let options = ListenOptions::new().with_limits(limits);
    assert_eq!(listen_with("smp121+mem://settings/box", options).await.unwrap_err().kind(), ErrorKind::Config);
    listen("smp121+udp://127.0.0.1:0/box?segment=556").await.unwrap();
    connect("smp121+udp://127.0.0.1:1/box?segment=1").await.unwrap_err();
}

#[tokio::test]
async fn a_peer_of_the_rdos_profile_gets_one_segment_a_message() {
    let pair = pair_with("smp121+udp", "?profile=rdos&dscp=10", "?profile=rdos&dscp=46&bind=127.0.0.1").await;
    crate::support::spawn_echo(pair.mailslot.clone());
    assert_eq!(pair.client.request(pattern(1_300, 1)).await.unwrap().payload_len(), 1_300);
    let error = pair.client.request(pattern(2_000, 1)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.remedy().contains("one segment"), "{error}");
    let spec = connect(pair.listener.url().clone().without_options()).await.unwrap();
    let error = within(5, spec.request(pattern(2_000, 1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer, "the reply was too large for the server's profile: {error}");
}
