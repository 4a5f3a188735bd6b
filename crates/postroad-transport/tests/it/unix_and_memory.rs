//! Socket files and names have a life of their own.

use postroad_transport::accept::AcceptPolicy;
use postroad_transport::{ErrorKind, memory, unix};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::soon;

#[tokio::test]
async fn a_live_socket_is_not_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let first = unix::Listener::bind(&path, AcceptPolicy::default()).await.unwrap();
    let error = unix::Listener::bind(&path, AcceptPolicy::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    let (client, server) = tokio::join!(unix::connect(&path), async {
        // The probe of the second listener is the first in the queue.
        first.accept().await.unwrap();
        first.accept().await
    });
    client.unwrap();
    server.unwrap();
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_the_own_file_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    // A listener of the standard library leaves its file behind, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = unix::Listener::bind(&path, AcceptPolicy::default()).await.unwrap();
    unix::connect(&path).await.unwrap();
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes");
    std::fs::write(&path, "mine").unwrap();
    let error = unix::Listener::bind(&path, AcceptPolicy::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn the_file_of_a_successor_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let first = unix::Listener::bind(&path, AcceptPolicy::default()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = unix::Listener::bind(&path, AcceptPolicy::default()).await.unwrap();
    drop(first);
    unix::connect(&path).await.unwrap();
    drop(second);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_memory_name_is_taken_once_and_free_again() {
    let first = memory::Listener::bind("taken", 100).unwrap();
    assert_eq!(memory::Listener::bind("taken", 100).unwrap_err().kind(), ErrorKind::AddressInUse);
    drop(first);
    drop(memory::Listener::bind("taken", 100).unwrap());
    assert_eq!(memory::connect("taken").await.unwrap_err().kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn memory_holds_its_capacity_and_no_more() {
    let (mut a, mut b) = memory::duplex(10);
    assert_eq!(a.write(&[1; 100]).await.unwrap(), 10);
    let blocked = tokio::time::timeout(std::time::Duration::from_millis(50), a.write(&[1])).await;
    assert!(blocked.is_err());
    let mut got = [0; 10];
    soon(b.read_exact(&mut got)).await.unwrap();
    soon(a.write_all(&[1])).await.unwrap();
}

#[tokio::test]
async fn waiting_memory_clients_are_limited() {
    let listener = memory::Listener::bind("busy", 100).unwrap();
    let mut clients = Vec::new();
    for _ in 0..memory::BACKLOG_MAX {
        clients.push(soon(memory::connect("busy")).await.unwrap());
    }
    let one_more = tokio::spawn(memory::connect("busy"));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!one_more.is_finished());
    listener.accept().await.unwrap();
    soon(one_more).await.unwrap().unwrap();
}
