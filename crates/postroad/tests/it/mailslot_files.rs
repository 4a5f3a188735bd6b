//! Files to and from a mailslot: whole or not at all, by requests that a plain peer can send too.

use crate::mailslots::{Pair, pair, pair_with, stacks};
use crate::support::{pattern, within};
use postroad::transfer::{Answered, Existing, Store, checksum, fetch_file, send_file};
use postroad::{Connection, Error, ErrorKind, Incoming};
use std::path::Path;

fn spawn_store(mailslot: Connection, store: Store) {
    tokio::spawn(async move {
        while let Ok(Some(Incoming::Request(request))) = mailslot.receive().await {
            if let Ok(Answered::Other(request)) = store.answer(request).await {
                let message = request.message().clone();
                request.reply(message).await.unwrap();
            }
        }
    });
}

async fn with_store(stack: &str, folder: &Path, existing: Existing) -> Pair {
    let pair = pair(stack).await;
    spawn_store(pair.mailslot.clone(), Store::new(folder, existing));
    pair
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_of_every_size_go_both_ways_over_every_carrier() {
    for stack in stacks() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        std::fs::create_dir(&there).unwrap();
        let pair = with_store(stack, &there, Existing::Keep).await;
        for (number, len) in [0, 1, 65_536, 65_537, 3_000_000].into_iter().enumerate() {
            std::fs::write(&here, pattern(len, 5)).unwrap();
            let name = format!("file {number}");
            let mut last = 0;
            let mut progress = |progress: postroad::transfer::Progress| last = progress.done_len;
            let sent = within(60, send_file(&pair.client, &here, &name, &mut progress)).await.unwrap();
            assert_eq!((sent.len, last), (len as u64, len as u64), "{stack}");
            assert_eq!(checksum(&there.join(&name)).unwrap(), checksum(&here).unwrap(), "{stack}");
            let back = folder.path().join(&name);
            let mut unseen = |_| {};
            let fetching = fetch_file(&pair.client, &name, &back, Existing::Keep, &mut unseen);
            let got = within(60, fetching).await.unwrap();
            assert_eq!((got.sha256, got.len), (sent.sha256, sent.len));
            assert_eq!(checksum(&back).unwrap(), checksum(&here).unwrap(), "{stack}");
        }
        assert_eq!(names_in(&there).len(), 5, "{stack}: nothing unfinished is left");
        assert_eq!(pair.client.request("no file").await.unwrap().text(0), Some("no file"));
    }
}

#[tokio::test]
async fn small_mailslots_and_single_segments_take_files_too_and_tiny_ones_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    std::fs::create_dir(&there).unwrap();
    std::fs::write(&here, pattern(20_000, 5)).unwrap();
    for (listen, connect) in [("?max_size=200", ""), ("?profile=rdos", "?profile=rdos")] {
        let pair = pair_with("smp121+udp", listen, connect).await;
        spawn_store(pair.mailslot.clone(), Store::new(&there, Existing::Replace));
        within(30, send_file(&pair.client, &here, "x", &mut |_| {})).await.unwrap();
        let back = folder.path().join("back");
        within(30, fetch_file(&pair.client, "x", &back, Existing::Replace, &mut |_| {})).await.unwrap();
        assert_eq!(checksum(&back).unwrap(), checksum(&here).unwrap(), "{listen}");
    }
    let tiny = pair_with("smp121+udp", "?max_size=72", "").await;
    let error = send_file(&tiny.client, &here, "x", &mut |_| {}).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Limit && error.remedy().contains("max_size="), "{error}");
}

#[tokio::test]
async fn a_file_that_is_there_stays_and_names_that_lead_elsewhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    std::fs::create_dir(&there).unwrap();
    std::fs::write(&here, "new").unwrap();
    std::fs::write(there.join("name"), "old").unwrap();
    let keeping = with_store("smp121+udp", &there, Existing::Keep).await;
    let error = send_file(&keeping.client, &here, "name", &mut |_| {}).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Peer && error.why().contains("of that name"), "{error}");
    assert_eq!(std::fs::read(there.join("name")).unwrap(), b"old");
    let error = fetch_file(&keeping.client, "name", &here, Existing::Keep, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File, "{error}");
    assert_eq!(std::fs::read(&here).unwrap(), b"new");
    let replacing = with_store("smp121+udp", &there, Existing::Replace).await;
    send_file(&replacing.client, &here, "name", &mut |_| {}).await.unwrap();
    assert_eq!(std::fs::read(there.join("name")).unwrap(), b"new");
    for name in ["../here", "/etc/passwd", "..", "", ".hidden", "a/b", "a\0b"] {
        let error = send_file(&replacing.client, &here, name, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Peer, "{name:?}: {error}");
        let back = folder.path().join("back");
        let error = fetch_file(&replacing.client, name, &back, Existing::Keep, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Peer, "{name:?}: {error}");
        assert!(!back.exists());
    }
    let back = folder.path().join("back");
    let error = fetch_file(&keeping.client, "none", &back, Existing::Keep, &mut |_| {}).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Peer && error.why().contains("no such file"), "{error}");
    assert_eq!(names_in(&there), ["name"]);
}

async fn asked(client: &Connection, request: &str) -> Result<String, Error> {
    within(5, client.request(request)).await.map(|reply| reply.text(0).unwrap().to_owned())
}

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// The exchange that `docs/guide/files.md` describes, request by request.
#[tokio::test]
async fn a_plain_peer_can_send_and_fetch_by_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let pair = with_store("smp121+udp", folder.path(), Existing::Keep).await;
    let client = &pair.client;
    let reply = |text: &str| Ok::<_, String>(text.to_owned());
    let ask = |request: String| async move { asked(client, &request).await.map_err(|error| error.to_string()) };
    assert_eq!(ask(r#"{"name":"letter.txt","len":5}"#.to_owned()).await, reply(r#"{"transfer":1}"#));
    assert_eq!(ask("{\"transfer\":1,\"at\":0}\nhel".to_owned()).await, reply(r#"{"have":3}"#));
    assert_eq!(ask("{\"transfer\":1,\"at\":0}\nhel".to_owned()).await, reply(r#"{"have":3}"#), "once more");
    let error = ask("{\"transfer\":1,\"at\":4}\no".to_owned()).await.unwrap_err();
    assert!(error.contains("in order"), "{error}");
    assert_eq!(names_in(folder.path()).len(), 1, "it has no name yet");
    assert!(!folder.path().join("letter.txt").exists());
    assert_eq!(ask("{\"transfer\":1,\"at\":3}\nlo".to_owned()).await, reply(r#"{"have":5}"#));
    let end = format!(r#"{{"transfer":1,"sha256":"{HELLO}"}}"#);
    let outcome = format!(r#"{{"len":5,"sha256":"{HELLO}"}}"#);
    assert_eq!(ask(end).await, reply(&outcome));
    assert_eq!(std::fs::read(folder.path().join("letter.txt")).unwrap(), b"hello");

    let opened = ask(r#"{"get":"letter.txt"}"#.to_owned()).await;
    assert_eq!(opened, reply(r#"{"len":5,"name":"letter.txt","transfer":2}"#));
    assert_eq!(ask(r#"{"transfer":2,"at":0,"len":3}"#.to_owned()).await, reply("hel"));
    assert_eq!(ask(r#"{"transfer":2,"at":1,"len":9}"#.to_owned()).await, reply("el"), "only what was read before");
    let early = ask(format!(r#"{{"transfer":2,"sha256":"{HELLO}"}}"#)).await.unwrap_err();
    assert!(early.contains("3 of 5"), "{early}");
    let gone = ask(r#"{"transfer":2,"at":3,"len":2}"#.to_owned()).await.unwrap_err();
    assert!(gone.contains("no such transfer"), "{gone}");
}

/// A sender that lies about the content, the length or the checksum, or stops in the middle.
#[tokio::test]
async fn a_file_that_is_not_what_was_announced_never_gets_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let pair = with_store("smp121+udp", folder.path(), Existing::Keep).await;
    let mut transfer = 0;
    for (head, content, sha256, is_right) in [
        (r#"{"name":"a","len":5}"#, "hello", HELLO, true),
        (r#"{"name":"b"}"#, "hello", HELLO, true),
        (r#"{"name":"c","len":5}"#, "hellO", HELLO, false),
        (r#"{"name":"c","len":6}"#, "hello", HELLO, false),
        (r#"{"name":"c","len":4}"#, "hello", HELLO, false),
        (r#"{"name":"c","len":5}"#, "hello", "", false),
        (r#"{"name":"c","len":5}"#, "hello", &HELLO.to_uppercase(), false),
    ] {
        transfer += 1;
        asked(&pair.client, head).await.unwrap();
        let written = asked(&pair.client, &format!("{{\"transfer\":{transfer},\"at\":0}}\n{content}")).await;
        let ended = asked(&pair.client, &format!(r#"{{"transfer":{transfer},"sha256":"{sha256}"}}"#)).await;
        assert_eq!(written.is_ok() && ended.is_ok(), is_right, "{head} {content} {sha256}: {written:?} {ended:?}");
    }
    assert_eq!(names_in(folder.path()), ["a", "b"]);
    for broken in [r#"{"transfer":1}"#, r#"{"transfer":"x","at":0}"#, r#"{"transfer":99,"at":0,"len":1}"#] {
        assert_eq!(asked(&pair.client, broken).await.unwrap_err().kind(), ErrorKind::Peer, "{broken}");
    }
    assert_eq!(asked(&pair.client, r#"{"len":5}"#).await.unwrap(), r#"{"len":5}"#, "it is no request about files");
}

#[tokio::test]
async fn a_transfer_is_its_openers_alone_and_they_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let pair = with_store("smp121+udp", folder.path(), Existing::Keep).await;
    let other = within(5, postroad::connect(pair.listener.url())).await.unwrap();
    asked(&pair.client, r#"{"name":"mine","len":5}"#).await.unwrap();
    let error = asked(&other, "{\"transfer\":1,\"at\":0}\nhello").await.unwrap_err();
    assert!(error.why().contains("no such transfer"), "{error}");
    let error = asked(&other, r#"{"name":"mine","len":5}"#).await.unwrap_err();
    assert!(error.why().contains("being written"), "{error}");
    for number in 1..64 {
        asked(&pair.client, &format!(r#"{{"name":"file {number}"}}"#)).await.unwrap();
    }
    let error = asked(&pair.client, r#"{"name":"one too many"}"#).await.unwrap_err();
    assert!(error.why().contains("64 transfers"), "{error}");
    within(5, pair.mailslot.close()).await.unwrap();
    drop(pair);
    within(5, async {
        while !names_in(folder.path()).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A sender that vanished and comes back need not wait for what it left.
#[tokio::test]
async fn a_transfer_that_stands_still_makes_way_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let pair = with_store("smp121+mem", folder.path(), Existing::Keep).await;
    asked(&pair.client, r#"{"name":"x","len":5}"#).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(5_200)).await;
    asked(&pair.client, r#"{"name":"x","len":5}"#).await.unwrap();
    assert_eq!(names_in(folder.path()).len(), 1, "what was left is gone");
    let error = asked(&pair.client, "{\"transfer\":1,\"at\":0}\nhello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
}

/// Peers that say they have what they have not.
#[tokio::test]
async fn a_peer_that_lies_about_a_file_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let (here, back) = (folder.path().join("here"), folder.path().join("back"));
    std::fs::write(&here, "hello").unwrap();
    let pair = pair("smp121+udp").await;
    let mailslot = pair.mailslot.clone();
    tokio::spawn(async move {
        while let Ok(Some(Incoming::Request(request))) = mailslot.receive().await {
            let text = request.message().text(0).unwrap().to_owned();
            let reply = match text {
                text if text.contains("sha256") => format!(r#"{{"sha256":"{}","len":5}}"#, "0".repeat(64)),
                text if text.contains("get") => r#"{"name":"x","len":5,"transfer":7}"#.to_owned(),
                text if text.contains("\"len\":5") && text.contains("at") => "hello".to_owned(),
                _ => r#"{"transfer":7}"#.to_owned(),
            };
            request.reply(reply).await.unwrap();
        }
    });
    let error = within(5, send_file(&pair.client, &here, "x", &mut |_| {})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    let error = within(5, fetch_file(&pair.client, "x", &back, Existing::Keep, &mut |_| {})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert_eq!(names_in(folder.path()), ["here"]);
    let deaf = crate::mailslots::pair("smp121+udp").await;
    let mailslot = deaf.mailslot.clone();
    crate::support::spawn_echo(mailslot);
    let error = within(5, send_file(&deaf.client, &here, "x", &mut |_| {})).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Protocol && error.remedy().contains("--save"), "{error}");
}
