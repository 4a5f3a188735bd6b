//! UDP on loopback, where no privilege is needed, and in namespaces for what the wire and the path show.

use std::future::poll_fn;
use std::net::SocketAddr;

use postroad_transport::ErrorKind;
use postroad_transport::udp::{Config, Socket};
use socket2::{Domain, Protocol, Type};
use wirekit::datagram::{DatagramSocket, Outgoing, PathErrorKind, SendError};

use super::network::Namespace;
use super::{every, receive};
use crate::support::soon;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn socket(at: &str) -> Socket {
    Config::new(address(at)).open().unwrap().start().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp_ipv4_does_it_all() {
    every::all(socket("127.0.0.1:0"), socket("127.0.0.1:0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp_ipv6_does_it_all() {
    every::all(socket("[::1]:0"), socket("[::1]:0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn udp_without_offload_does_it_all() {
    let open = || Config::new(address("127.0.0.1:0")).with_offload(false).open().unwrap().start().unwrap();
    every::all(open(), open()).await;
}

#[tokio::test]
async fn one_socket_speaks_both_ip_versions_under_their_own_addresses() {
    let both = Config::new(address("[::]:0")).with_dual_stack(true).open().unwrap().start().unwrap();
    let port = both.local_addr().port();
    assert!(!both.is_ip());
    for at in ["127.0.0.1", "::1"] {
        let at: std::net::IpAddr = at.parse().unwrap();
        let one = Config::new(SocketAddr::new(at, 0)).open().unwrap().start().unwrap();
        // Several in a row go joined, one alone does not; both ways have to map the address.
        for count in [1, 3] {
            let all = vec![Outgoing::new(SocketAddr::new(at, port), b"there"); count];
            assert_eq!(one.try_send(&all).unwrap(), count);
            let mut batch = both.receive_batch(4, 100);
            let mut got = 0;
            while got < count {
                receive(&both, &mut batch).await;
                got += batch.len();
            }
            let came = batch.get(0).unwrap();
            assert_eq!((came.source, came.destination), (one.local_addr(), Some(at)));
            let back = vec![Outgoing { source: came.destination, ..Outgoing::new(came.source, b"back") }; count];
            assert_eq!(both.try_send(&back).unwrap(), count);
            let mut batch = one.receive_batch(4, 100);
            let mut got = 0;
            while got < count {
                receive(&one, &mut batch).await;
                assert!(batch.datagrams().all(|came| came.payload == b"back" && came.source.ip() == at));
                got += batch.len();
            }
        }
        assert_eq!(both.source_for(one.local_addr()).unwrap(), at);
    }
    let error = Config::new(address("127.0.0.1:0")).with_dual_stack(true).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn long_rows_of_one_length_arrive_whole_and_in_order() {
    let (a, b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    // Three rows' worth and a short one at the end.
    let payloads: Vec<Vec<u8>> = (0..100u8).map(|number| vec![number; if number == 99 { 7 } else { 1200 }]).collect();
    let all: Vec<Outgoing<'_>> = payloads.iter().map(|payload| Outgoing::new(b.local_addr(), payload)).collect();
    assert_eq!(a.try_send(&all).unwrap(), 100);
    let mut batch = b.receive_batch(32, 1200);
    let mut got = Vec::new();
    while got.len() < payloads.len() {
        receive(&b, &mut batch).await;
        got.extend(batch.datagrams().map(|came| came.payload.to_vec()));
    }
    assert!(got == payloads);
    assert_eq!(batch.dropped().total(), 0);
}

#[tokio::test]
async fn a_batch_too_small_for_what_was_joined_counts_what_it_lost() {
    let (a, b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let payload = [5; 1200];
    assert_eq!(a.try_send(&[Outgoing::new(b.local_addr(), &payload); 10]).unwrap(), 10);
    // Not made by the socket, so without room for ten.
    let mut batch = wirekit::datagram::ReceiveBatch::new(4, 1200);
    receive(&b, &mut batch).await;
    assert!(batch.datagrams().all(|came| came.payload == payload));
    assert_eq!((batch.len(), batch.dropped().truncated_count), (1, 1));
}

#[tokio::test]
async fn nobody_at_the_port_is_a_path_error_with_the_destination() {
    let both = Config::new(address("[::]:0")).with_dual_stack(true).open().unwrap().start().unwrap();
    for (from, at) in [(&socket("127.0.0.1:0"), "127.0.0.1:0"), (&socket("[::1]:0"), "[::1]:0"), (&both, "127.0.0.1:0")]
    {
        // Bound and closed again, so very probably free.
        let gone = socket(at).local_addr();
        from.try_send(&[Outgoing::new(gone, b"octets12 and more")]).unwrap();
        let mut batch = from.receive_batch(4, 100);
        receive(from, &mut batch).await;
        let error = batch.errors()[0];
        assert_eq!((error.destination, error.kind), (gone, PathErrorKind::PortUnreachable));
        assert_eq!((error.reporter, error.quoted), (Some(gone.ip()), Some(*b"octets12")));
        // The socket lives.
        let other = socket(at);
        from.try_send(&[Outgoing::new(other.local_addr(), b"x")]).unwrap();
        receive(&other, &mut batch).await;
        assert_eq!(batch.len(), 1);
    }
}

#[tokio::test]
async fn what_one_destination_does_not_get_harms_no_other() {
    let (a, b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let gone = socket("127.0.0.1:0").local_addr();
    let mut batch = b.receive_batch(8, 100);
    for round in 0..20u8 {
        // On loopback the report is here when the call returns, and the system gives it to the next call.
        a.try_send(&[Outgoing::new(gone, b"nobody's")]).unwrap();
        let payload = [round];
        let row = [Outgoing::new(b.local_addr(), &payload); 2];
        assert_eq!(a.try_send(&row[usize::from(round % 2)..]).unwrap(), 2 - usize::from(round % 2));
        receive(&b, &mut batch).await;
        assert_eq!(batch.get(0).unwrap().payload, [round]);
    }
    receive(&a, &mut batch).await;
    assert!(batch.errors().iter().all(|error| error.destination == gone));
}

#[tokio::test]
async fn an_address_that_is_taken_or_not_ours_is_refused() {
    let first = socket("127.0.0.1:0");
    assert_eq!(Config::new(first.local_addr()).open().unwrap_err().kind(), ErrorKind::AddressInUse);
    let error = Config::new(address("192.0.2.1:0")).open().unwrap_err();
    assert!(error.to_string().contains("192.0.2.1"), "{error}");
    let config = Config::new(address("127.0.0.1:0")).with_receive_buffer_len(Some(64 * 1024));
    assert_eq!(config.open().unwrap().start().unwrap().receive_buffer_len().unwrap(), 2 * 64 * 1024);
}

#[tokio::test]
async fn class_source_and_no_fragmenting_are_in_the_header() {
    let Some(inside) = Namespace::new() else { return };
    inside.add_address("10.9.9.9");
    inside.add_address("fd09::9");
    let open = |at: &str| inside.run(|| Config::new(address(at)).open()).unwrap().start().unwrap();
    let (v4, v6) = (open("0.0.0.0:0"), open("[::]:0"));
    let mut capture = inside.capture();
    let to = |at: &str| SocketAddr::new(at.parse().unwrap(), 7);
    let datagram = Outgoing { source: Some([10, 9, 9, 9].into()), dscp: 46, ..Outgoing::new(to("127.0.0.1"), b"four") };
    v4.try_send(&[datagram]).unwrap();
    assert_eq!(v4.try_send(&[datagram; 2]).unwrap(), 2, "a class keeps them from being joined");
    for _ in 0..3 {
        let packet = capture.find(|packet| packet[0] == 0x45 && packet[9] == 17);
        assert_eq!((packet[1], packet[6] & 0x40), (46 << 2, 0x40));
        assert_eq!(&packet[12..16], [10, 9, 9, 9]);
        assert_eq!(&packet[28..], b"four");
        capture.find(|packet| packet[0] == 0x45 && packet[9] == 17);
    }
    let source = Some("fd09::9".parse().unwrap());
    v6.try_send(&[Outgoing { source, dscp: 10, ..Outgoing::new(to("::1"), b"six") }]).unwrap();
    let packet = capture.find(|packet| packet[0] >> 4 == 6 && packet[6] == 17);
    assert_eq!((u16::from_be_bytes([packet[0], packet[1]]) >> 4) & 0xff, 10 << 2);
    assert_eq!(packet[8..24], "fd09::9".parse::<std::net::Ipv6Addr>().unwrap().octets());
}

#[tokio::test]
async fn a_port_that_cannot_be_answered_is_dropped_and_counted() {
    let Some(inside) = Namespace::new() else { return };
    let b = inside.run(|| Config::new(address("127.0.0.1:0")).open()).unwrap().start().unwrap();
    let forger = inside.run(|| socket2::Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))).unwrap();
    let [high, low] = b.local_addr().port().to_be_bytes();
    for from_port in [0, 9] {
        // Checksum 0: none.
        forger.send_to(&[0, from_port, high, low, 0, 9, 0, 0, 1], &b.local_addr().into()).unwrap();
    }
    let mut batch = b.receive_batch(4, 100);
    while batch.is_empty() {
        receive(&b, &mut batch).await;
    }
    assert_eq!((batch.get(0).unwrap().source.port(), batch.dropped().not_unicast_count), (9, 1));
}

#[tokio::test]
async fn a_narrow_path_and_a_full_queue_and_a_full_buffer_are_told_apart() {
    let Some((near, far)) = Namespace::pair() else { return };
    far.ip("link add narrow type veth peer name other");
    far.ip("link set other up");
    far.ip("link set narrow mtu 1280 up");
    far.ip("address add 10.8.0.1/24 dev narrow");
    far.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap();
    near.ip("route add 10.8.0.0/24 via 10.9.0.2");
    let config = Config::new(address("10.9.0.1:0"));
    let a = near.run(|| config.open()).unwrap().start().unwrap();
    let beyond = address("10.8.0.9:7");
    assert_eq!(near.run(|| a.payload_len_max(beyond)), 1472);
    // A row whose parts are too long for the path goes all the same, and is answered.
    assert_eq!(a.try_send(&[Outgoing::new(beyond, &[7; 1472]); 2]).unwrap(), 2);
    let mut batch = a.receive_batch(4, 100);
    receive(&a, &mut batch).await;
    assert_eq!((batch.errors()[0].destination, batch.errors()[0].kind), (beyond, PathErrorKind::TooLong { mtu: 1280 }));
    near.run(|| {
        let long = Outgoing::new(beyond, &[7; 1253]);
        for datagrams in [&[long][..], &[long; 3][..]] {
            match a.try_send(datagrams) {
                Err(SendError::TooLong { payload_len_max: Some(1252) }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(a.try_send(&[Outgoing::new(beyond, &[7; 1252]); 2]).unwrap(), 2);
    });

    near.tc("qdisc add dev near root tbf rate 10mbit burst 4kb limit 20kb");
    let datagram = Outgoing::new(address("10.9.0.2:7"), &[1; 1400]);
    let full = (0..1000).find_map(|_| a.try_send(&[datagram]).err());
    assert!(matches!(full, Some(SendError::NoBuffers)), "{full:?}");
    near.tc("qdisc replace dev near root tbf rate 10mbit burst 4kb limit 2mb");
    let config = config.with_send_buffer_len(Some(16 * 1024));
    let a = near.run(|| config.open()).unwrap().start().unwrap();
    for rows in [&[datagram][..], &[datagram; 4][..]] {
        let full = (0..1000).find_map(|_| a.try_send(rows).err());
        assert!(matches!(full, Some(SendError::WouldBlock)), "{full:?}");
        for _ in 0..5 {
            soon(poll_fn(|cx| a.poll_send_ready(cx))).await.unwrap();
            let sent_count = (0..1000).take_while(|_| a.try_send(rows).is_ok()).count();
            assert!(sent_count > 0, "ready, and not one more goes");
        }
    }
}
