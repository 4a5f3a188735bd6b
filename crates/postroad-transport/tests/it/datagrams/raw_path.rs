//! What the path says against datagrams: ICMP of every kind, and full queues.

use std::time::{Duration, Instant};

use wirekit::datagram::{DatagramSocket, Outgoing, PathError, PathErrorKind, SendError};

use super::network::Namespace;
use super::raw::sockets;
use super::receive;

/// Sends `payload` and waits for what the path says to it.
async fn refused(socket: &impl DatagramSocket, to: &str, payload: &[u8]) -> PathError {
    let begun = Instant::now();
    socket.try_send(&[Outgoing::new(to.parse().unwrap(), payload)]).unwrap();
    let mut batch = socket.receive_batch(4, 100);
    receive(socket, &mut batch).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "prompt");
    assert!(batch.is_empty());
    batch.errors()[0]
}

#[tokio::test]
async fn a_host_without_the_protocol_says_so_at_once() {
    let Some((near, _far)) = Namespace::pair() else { return };
    let [v4, v6] = sockets(&near, ["10.9.0.1", "fd09::1"]);
    let error = refused(&v4, "10.9.0.2:0", b"octets12 and more").await;
    assert_eq!((error.destination, error.kind), ("10.9.0.2:0".parse().unwrap(), PathErrorKind::ProtocolUnreachable));
    assert_eq!((error.reporter, error.quoted), (Some([10, 9, 0, 2].into()), Some(*b"octets12")));
    let error = refused(&v6, "[fd09::2]:0", b"8 octets").await;
    assert_eq!((error.destination, error.kind), ("[fd09::2]:0".parse().unwrap(), PathErrorKind::ProtocolUnreachable));
    assert_eq!((error.reporter, error.quoted), (Some("fd09::2".parse().unwrap()), Some(*b"8 octets")));
}

#[tokio::test]
async fn what_one_destination_does_not_get_harms_no_other() {
    let Some((near, far)) = Namespace::pair() else { return };
    far.ip("address add 10.9.0.3/24 dev far");
    let [a, _] = sockets(&near, ["10.9.0.1", "127.0.0.2"]);
    // Open, and so no longer "unreachable", but bound to the third address: the second still is.
    let [b, _] = sockets(&far, ["10.9.0.3", "127.0.0.2"]);
    let (bad, good) = ("10.9.0.2:0".parse().unwrap(), b.local_addr());
    let mut batch = b.receive_batch(8, 100);
    for round in 0..50u8 {
        a.try_send(&[Outgoing::new(bad, b"nobody's")]).unwrap();
        // The report is here by now, and the next call would get it as its own error.
        a.try_send(&[Outgoing::new(good, &[round])]).unwrap();
        receive(&b, &mut batch).await;
        assert_eq!(batch.get(0).unwrap().payload, [round]);
    }
    let mut batch = a.receive_batch(8, 100);
    receive(&a, &mut batch).await;
    assert!(batch.errors().iter().all(|error| error.destination == bad), "{:?}", batch.errors());
    // Answers still come after errors have been read.
    b.try_send(&[Outgoing::new(a.local_addr(), b"answer")]).unwrap();
    while batch.is_empty() {
        receive(&a, &mut batch).await;
    }
    assert_eq!(batch.get(0).unwrap().payload, b"answer");
}

#[tokio::test]
async fn no_route_and_a_forbidden_one_are_said_by_the_call() {
    let Some(inside) = Namespace::new() else { return };
    inside.ip("route add prohibit 10.8.0.0/24");
    let [socket, _] = sockets(&inside, ["0.0.0.0", "127.0.0.2"]);
    for (to, kind) in [("10.7.0.1:0", PathErrorKind::NetworkUnreachable), ("10.8.0.1:0", PathErrorKind::Prohibited)] {
        match socket.try_send(&[Outgoing::new(to.parse().unwrap(), b"x")]) {
            Err(SendError::Path(said)) => assert_eq!(said, kind),
            other => panic!("{to}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_narrow_link_behind_the_first_one_tells_its_mtu() {
    let Some((near, far)) = Namespace::pair() else { return };
    // Behind `far` lies another network, and the way into it takes 1280 octets.
    far.ip("link add narrow type veth peer name other");
    far.ip("link set other up");
    far.ip("link set narrow mtu 1280 up");
    far.ip("address add 10.8.0.1/24 dev narrow");
    far.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap();
    near.ip("route add 10.8.0.0/24 via 10.9.0.2");
    let [socket, _] = sockets(&near, ["10.9.0.1", "127.0.0.2"]);
    let to = "10.8.0.9:0".parse().unwrap();
    assert_eq!(near.run(|| socket.payload_len_max(to)), 1480);
    let error = refused(&socket, "10.8.0.9:0", &[7; 1480]).await;
    assert_eq!((error.destination, error.kind), (to, PathErrorKind::TooLong { mtu: 1280 }));
    assert_eq!(error.reporter, Some([10, 9, 0, 2].into()));
    // Now the system knows, and says so before anything leaves.
    near.run(|| {
        assert_eq!(socket.payload_len_max(to), 1260);
        match socket.try_send(&[Outgoing::new(to, &[7; 1261])]) {
            Err(SendError::TooLong { payload_len_max: Some(1260) }) => {}
            other => panic!("{other:?}"),
        }
        socket.try_send(&[Outgoing::new(to, &[7; 1260])]).unwrap();
    });
}

#[tokio::test]
async fn a_full_interface_queue_is_no_buffers_and_passes() {
    let Some((near, far)) = Namespace::pair() else { return };
    near.tc("qdisc add dev near root tbf rate 10mbit burst 4kb limit 20kb");
    let [a, _] = sockets(&near, ["10.9.0.1", "127.0.0.2"]);
    let [_b, _] = sockets(&far, ["10.9.0.2", "127.0.0.2"]);
    let datagram = Outgoing::new("10.9.0.2:0".parse().unwrap(), &[1; 1400]);
    let full = (0..1000).find_map(|_| a.try_send(&[datagram]).err());
    assert!(matches!(full, Some(SendError::NoBuffers)), "{full:?}");
    // 20 kB at 10 Mbit/s are gone after 16 ms.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(a.try_send(&[datagram]).unwrap(), 1);
}

#[tokio::test]
async fn a_full_send_buffer_would_block_until_the_socket_is_writable_again() {
    let Some((near, far)) = Namespace::pair() else { return };
    // A queue longer than the socket's buffer, so that the buffer is full first.
    near.tc("qdisc add dev near root tbf rate 10mbit burst 4kb limit 2mb");
    let config = postroad_transport::raw::Config::new(121)
        .with_address([10, 9, 0, 1].into())
        .with_send_buffer_len(Some(16 * 1024));
    let a = near.run(|| config.open()).unwrap().start().unwrap();
    let [b, _] = sockets(&far, ["10.9.0.2", "127.0.0.2"]);
    let datagram = Outgoing::new("10.9.0.2:0".parse().unwrap(), &[1; 1400]);
    let mut batch = b.receive_batch(64, 1400);
    // A receiver that does not read makes its host say "protocol unreachable" once its buffer is full. After an ICMP error
    // the wait must still be a wait, also where nobody has read the error yet.
    for far_reads in [true, false] {
        let full = (0..1000).find_map(|_| a.try_send(&[datagram]).err());
        assert!(matches!(full, Some(SendError::WouldBlock)), "{full:?}");
        for _ in 0..10 {
            crate::support::soon(std::future::poll_fn(|cx| a.poll_send_ready(cx))).await.unwrap();
            let sent_count = (0..1000).take_while(|_| a.try_send(&[datagram]).is_ok()).count();
            assert!(sent_count > 0, "ready, and not one more goes");
            while far_reads && b.try_receive(&mut batch).is_ok() {}
        }
    }
    // What the wait had to take off the error queue is not lost.
    let mut seen = Vec::new();
    while let Ok(1..) = a.try_receive(&mut batch) {
        seen.extend(batch.errors().iter().map(|error| (error.destination, error.kind)));
    }
    assert!(!seen.is_empty());
    let expected = (datagram.destination, PathErrorKind::ProtocolUnreachable);
    assert!(seen.iter().all(|said| *said == expected), "{seen:?}");
}
