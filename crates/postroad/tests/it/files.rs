//! Files: whole or not at all.

use crate::support::{Pair, pair, pattern, stacks, within, wrp_stacks};
use postroad::transfer::{Existing, FileRequest, Store, checksum, fetch_file, file_request, offer_file, send_file};
use postroad::{Connection, ErrorKind, Incoming, Message, Request};
use std::path::Path;

fn spawn_store(connection: Connection, store: Store) {
    tokio::spawn(async move {
        while let Ok(Some(incoming)) = connection.receive().await {
            match incoming {
                Incoming::RequestBody(request, body) => drop(store.put(request, body).await),
                Incoming::Request(request) => give_out(request, &store).await,
                _ => {}
            }
        }
    });
}

async fn give_out(request: Request, store: &Store) {
    let Some(FileRequest::Get(name)) = file_request(request.message()) else { return };
    match store.path_of(&name) {
        Ok(path) => drop(offer_file(request, &path, &name).await),
        Err(error) => drop(request.refuse(error.why()).await),
    }
}

async fn with_store(stack: &str, folder: &Path, existing: Existing) -> Pair {
    let pair = pair(stack).await;
    spawn_store(pair.server.clone(), Store::new(folder, existing));
    pair
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_of_every_size_go_both_ways_over_every_stack() {
    for stack in stacks().into_iter().map(str::to_owned).chain(wrp_stacks()) {
        let stack = stack.as_str();
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        std::fs::create_dir(&there).unwrap();
        let pair = with_store(stack, &there, Existing::Keep).await;
        for (number, len) in [0, 1, 65_536, 65_537, 3_000_000].into_iter().enumerate() {
            std::fs::write(&here, pattern(len, 5)).unwrap();
            let name = format!("file {number}");
            let mut last = 0;
            let sent = send_file(&pair.client, &here, &name, &mut |progress| last = progress.done_len).await.unwrap();
            assert_eq!((sent.len, last), (len as u64, len as u64), "{stack}");
            assert_eq!(checksum(&there.join(&name)).unwrap(), checksum(&here).unwrap(), "{stack}");
            let back = folder.path().join(&name);
            let got = fetch_file(&pair.client, &name, &back, Existing::Keep, &mut |_| {}).await.unwrap();
            assert_eq!((got.sha256, got.len), (sent.sha256, sent.len));
            assert_eq!(checksum(&back).unwrap(), checksum(&here).unwrap(), "{stack}");
        }
        assert_eq!(names_in(&there).len(), 5, "{stack}: nothing unfinished is left");
    }
}

#[tokio::test]
async fn a_file_that_is_there_stays_unless_replacing_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    std::fs::create_dir(&there).unwrap();
    std::fs::write(&here, "new").unwrap();
    std::fs::write(there.join("name"), "old").unwrap();
    let keeping = with_store("smp+tcp", &there, Existing::Keep).await;
    let error = send_file(&keeping.client, &here, "name", &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
    assert_eq!(std::fs::read(there.join("name")).unwrap(), b"old");
    let error = fetch_file(&keeping.client, "name", &here, Existing::Keep, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File, "{error}");
    assert_eq!(std::fs::read(&here).unwrap(), b"new");
    let replacing = with_store("smp+tcp", &there, Existing::Replace).await;
    send_file(&replacing.client, &here, "name", &mut |_| {}).await.unwrap();
    assert_eq!(std::fs::read(there.join("name")).unwrap(), b"new");
    assert_eq!(names_in(&there), ["name"]);
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    std::fs::create_dir(&there).unwrap();
    std::fs::write(&here, "secret").unwrap();
    let pair = with_store("smp+tcp", &there, Existing::Replace).await;
    for name in ["../here", "/etc/passwd", "..", "", ".hidden", "a/b", "a\0b"] {
        let error = send_file(&pair.client, &here, name, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Peer, "{name:?}: {error}");
        let back = folder.path().join("back");
        let error = fetch_file(&pair.client, name, &back, Existing::Keep, &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Peer, "{name:?}: {error}");
        assert!(!back.exists());
    }
    assert!(names_in(&there).is_empty());
    assert_eq!(names_in(folder.path()), ["here", "there"]);
}

/// A sender that lies about the content, the length or the checksum, or stops in the middle.
#[tokio::test]
async fn a_file_that_is_not_what_was_announced_never_gets_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let pair = with_store("smp+tcp", folder.path(), Existing::Keep).await;
    let right = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    for (head, content, trailer, is_right) in [
        (r#"{"name":"a","len":5}"#, "hello", right, true),
        (r#"{"name":"b"}"#, "hello", right, true),
        (r#"{"name":"c","len":5}"#, "hellO", right, false),
        (r#"{"name":"c","len":6}"#, "hello", right, false),
        (r#"{"name":"c","len":4}"#, "hello", right, false),
        (r#"{"name":"c","len":5}"#, "hello", "", false),
        (r#"{"name":"c","len":5}"#, "hello", &right.to_uppercase(), false),
        (r#"{"len":5}"#, "hello", right, false),
        ("no JSON", "hello", right, false),
    ] {
        let mut upload = pair.client.open_request(head).await.unwrap();
        let _refused_already = upload.write(content).await;
        let answered = within(5, upload.finish(trailer.to_owned())).await;
        assert_eq!(answered.is_ok(), is_right, "{head} {content} {trailer}: {answered:?}");
    }
    let mut stopped = pair.client.open_request(r#"{"name":"c","len":5}"#).await.unwrap();
    stopped.write("he").await.unwrap();
    drop(stopped);
    within(10, pair.client.close()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(names_in(folder.path()), ["a", "b"]);
}

#[tokio::test]
async fn a_server_that_gives_out_something_else_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let pair = pair("smp+tcp").await;
    let server = pair.server.clone();
    tokio::spawn(async move {
        while let Ok(Some(Incoming::Request(request))) = server.receive().await {
            let mut body = request.reply_body(r#"{"name":"x","len":5}"#).await.unwrap();
            body.write("hello").await.unwrap();
            body.finish_with("0".repeat(64)).await.unwrap();
        }
    });
    let target = folder.path().join("x");
    let error = fetch_file(&pair.client, "x", &target, Existing::Keep, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(names_in(folder.path()).is_empty());
}

#[tokio::test]
async fn a_store_that_says_it_has_something_else_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let pair = pair("smp+tcp").await;
    let server = pair.server.clone();
    tokio::spawn(async move {
        while let Ok(Some(Incoming::RequestBody(request, body))) = server.receive().await {
            body.collect(1_000).await.unwrap();
            request.reply(Message::from("0".repeat(64)).with_part("5")).await.unwrap();
        }
    });
    let here = folder.path().join("here");
    std::fs::write(&here, "hello").unwrap();
    let error = send_file(&pair.client, &here, "x", &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}

#[tokio::test]
async fn folders_and_missing_files_are_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let pair = with_store("smp+tcp", folder.path(), Existing::Keep).await;
    for path in [folder.path().to_owned(), folder.path().join("none")] {
        let error = send_file(&pair.client, &path, "x", &mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::File, "{error}");
    }
    let back = folder.path().join("back");
    let error = fetch_file(&pair.client, "none", &back, Existing::Keep, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Peer, "{error}");
}

#[tokio::test]
async fn several_files_go_over_one_link_at_once() {
    for stack in ["wrp+ws", "wrp+smp+tcp", "smp+tcp"] {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::create_dir(&there).unwrap();
        let pair = pair(stack).await;
        let store = Store::new(&there, Existing::Keep);
        let server = pair.server.clone();
        tokio::spawn(async move {
            while let Ok(Some(incoming)) = server.receive().await {
                let Incoming::RequestBody(request, body) = incoming else { continue };
                let store = store.clone();
                tokio::spawn(async move { store.put(request, body).await });
            }
        });
        let sending = (0..8u8).map(|number| {
            let (client, path) = (pair.client.clone(), folder.path().join(format!("file-{number}")));
            std::fs::write(&path, pattern(1_000_000 + usize::from(number), number)).unwrap();
            tokio::spawn(async move {
                let name = format!("file-{number}");
                send_file(&client, &path, &name, &mut |_| {}).await
            })
        });
        for sent in sending.collect::<Vec<_>>() {
            within(60, sent).await.unwrap().unwrap();
        }
        for number in 0..8 {
            let name = format!("file-{number}");
            assert_eq!(checksum(&there.join(&name)).unwrap(), checksum(&folder.path().join(&name)).unwrap(), "{stack}");
        }
        assert_eq!(names_in(&there).len(), 8);
    }
}
