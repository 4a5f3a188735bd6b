//! Raw IP on the loopback of a namespace: both IP versions, headers as seen on the wire, hostile packets.

use postroad_transport::raw::{Config, Socket};
use postroad_transport::{ErrorKind, raw};
use socket2::{Domain, Protocol, Type};
use wirekit::datagram::{DatagramSocket, Outgoing, SendError};

use super::network::Namespace;
use super::{every, receive};

const PROTOCOL: u8 = 121;

/// Sockets of the namespace at the two addresses.
pub(super) fn sockets(inside: &Namespace, addresses: [&str; 2]) -> [Socket; 2] {
    addresses.map(|address| {
        let config = Config::new(PROTOCOL).with_address(address.parse().unwrap());
        inside.run(|| config.open()).unwrap().start().unwrap()
    })
}

/// A bare socket that writes its IPv4 headers itself.
fn forger(inside: &Namespace) -> socket2::Socket {
    inside.run(|| {
        let socket = socket2::Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).unwrap();
        socket.set_broadcast(true).unwrap();
        socket
    })
}

/// An IPv4 packet; the kernel fills in what is zero of total length, identification and checksum.
fn packet(source: [u8; 4], destination: [u8; 4], options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    let header_words = 5 + u8::try_from(options.len() / 4).unwrap();
    let mut bytes = vec![0x40 + header_words, 0, 0, 0, 0, 9];
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([60, PROTOCOL, 0, 0]);
    bytes.extend(source);
    bytes.extend(destination);
    bytes.extend(options);
    bytes.extend(payload);
    bytes
}

fn forge(socket: &socket2::Socket, destination: [u8; 4], bytes: &[u8]) {
    let to = std::net::SocketAddr::from((destination, 0));
    assert_eq!(socket.send_to(bytes, &to.into()).unwrap(), bytes.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_ipv4_does_it_all() {
    let Some(inside) = Namespace::new() else { return };
    // The paths of the probe belong to the namespace, so the runtime's threads have to be in it.
    let handle = tokio::runtime::Handle::current();
    inside.run(|| {
        let _inside = handle.enter();
        let [a, b] = ["127.0.0.1", "127.0.0.2"].map(|address| {
            Config::new(PROTOCOL).with_address(address.parse().unwrap()).open().unwrap().start().unwrap()
        });
        handle.block_on(every::all(a, b));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_ipv6_does_it_all() {
    let Some(inside) = Namespace::new() else { return };
    inside.add_address("fd09::9");
    let handle = tokio::runtime::Handle::current();
    inside.run(|| {
        let _inside = handle.enter();
        let [a, b] = ["::1", "fd09::9"].map(|address| {
            Config::new(PROTOCOL).with_address(address.parse().unwrap()).open().unwrap().start().unwrap()
        });
        assert!(a.is_ip());
        handle.block_on(every::all(a, b));
    });
}

#[tokio::test]
async fn class_source_and_no_fragmenting_are_in_the_header() {
    let Some(inside) = Namespace::new() else { return };
    inside.add_address("10.9.9.9");
    inside.add_address("fd09::9");
    let [v4, v6] = sockets(&inside, ["0.0.0.0", "::"]);
    let mut capture = inside.capture();
    let datagram =
        Outgoing { source: Some([10, 9, 9, 9].into()), dscp: 46, ..Outgoing::new(([127, 0, 0, 1], 0).into(), b"four") };
    // One alone goes another way through the system than several.
    v4.try_send(&[datagram]).unwrap();
    assert_eq!(v4.try_send(&[datagram, datagram]).unwrap(), 2);
    for _ in 0..3 {
        let packet = capture.find(|packet| packet[0] == 0x45 && packet[9] == PROTOCOL);
        assert_eq!(packet[1], 46 << 2);
        assert_eq!(packet[6] & 0x40, 0x40, "do not fragment");
        assert_eq!((&packet[12..16], &packet[16..20]), (&[10, 9, 9, 9][..], &[127, 0, 0, 1][..]));
        assert_eq!(&packet[20..], b"four");
        // Loopback shows each packet going and coming.
        capture.find(|packet| packet[0] == 0x45 && packet[9] == PROTOCOL);
    }
    let source = "fd09::9".parse().unwrap();
    v6.try_send(&[Outgoing { source: Some(source), dscp: 10, ..Outgoing::new("[::1]:0".parse().unwrap(), b"six") }])
        .unwrap();
    let packet = capture.find(|packet| packet[0] >> 4 == 6 && packet[6] == PROTOCOL);
    let class = (u16::from_be_bytes([packet[0], packet[1]]) >> 4) as u8;
    assert_eq!(class, 10 << 2);
    assert_eq!(packet[8..24], [0xfd, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(&packet[40..], b"six", "and nobody has put a checksum in");
}

#[tokio::test]
async fn options_are_taken_off_and_fragments_put_together() {
    let Some(inside) = Namespace::new() else { return };
    let [socket] = [&sockets(&inside, ["127.0.0.1", "127.0.0.2"])[0]];
    let forger = forger(&inside);
    let (from, to) = ([127, 0, 0, 9], [127, 0, 0, 1]);
    // Record route, three octets and padding; then forty octets of "no operation".
    for options in [&[7, 3, 4, 0][..], &[1; 40][..]] {
        forge(&forger, to, &packet(from, to, options, 0, b"behind options"));
    }
    let whole: Vec<u8> = (0..64).collect();
    forge(&forger, to, &packet(from, to, &[], 0x2000, &whole[..32]));
    forge(&forger, to, &packet(from, to, &[], 4, &whole[32..]));
    let mut batch = socket.receive_batch(8, 200);
    let mut got = Vec::new();
    while got.len() < 3 {
        receive(socket, &mut batch).await;
        got.extend(batch.datagrams().map(|came| (came.source.ip(), came.payload.to_vec())));
    }
    let from = std::net::IpAddr::from(from);
    assert_eq!(got, [(from, b"behind options".to_vec()), (from, b"behind options".to_vec()), (from, whole)]);
    assert_eq!(batch.dropped().total(), 0);
}

#[tokio::test]
async fn broadcasts_and_sources_without_an_answer_are_dropped_and_counted() {
    let Some((near, _far)) = Namespace::pair() else { return };
    let [socket] = [&sockets(&near, ["0.0.0.0", "127.0.0.2"])[0]];
    near.ip("route add default dev near");
    let forger = forger(&near);
    for (source, destination) in [
        ([127, 0, 0, 1], [127, 255, 255, 255]),
        ([10, 9, 0, 1], [10, 9, 0, 255]),
        ([10, 9, 0, 1], [255, 255, 255, 255]),
    ] {
        forge(&forger, destination, &packet(source, destination, &[], 0, b"to all"));
    }
    forge(&forger, [127, 0, 0, 1], &packet([127, 0, 0, 9], [127, 0, 0, 1], &[], 0, b"to one"));
    let mut batch = socket.receive_batch(8, 200);
    while batch.is_empty() {
        receive(socket, &mut batch).await;
    }
    assert_eq!(batch.len(), 1);
    assert_eq!(batch.get(0).unwrap().payload, b"to one");
    assert!(batch.dropped().not_unicast_count >= 1, "{:?}", batch.dropped());
}

#[tokio::test]
async fn a_source_that_is_not_ours_is_the_callers_error() {
    let Some(inside) = Namespace::new() else { return };
    let [a, b] = sockets(&inside, ["127.0.0.1", "127.0.0.2"]);
    let wrong = Outgoing { source: Some([192, 0, 2, 1].into()), ..Outgoing::new(b.local_addr(), b"x") };
    let other_family = Outgoing::new("[::1]:0".parse().unwrap(), b"x");
    for bad in [wrong, other_family] {
        match a.try_send(&[bad]) {
            // Which of the two depends on the routes that the system has.
            Err(SendError::Io(_) | SendError::Path(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_a_remedy() {
    for protocol in [0, 255] {
        assert_eq!(Config::new(protocol).open().unwrap_err().kind(), ErrorKind::Config);
    }
    let Some(inside) = Namespace::new() else { return };
    inside.run(|| {
        raw::available().unwrap();
        let error = Config::new(PROTOCOL).with_device(Some("nosuch0")).open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("nosuch0"), "{error}");
        let error = Config::new(PROTOCOL).with_address([192, 0, 2, 1].into()).open().unwrap_err();
        assert!(error.to_string().contains("192.0.2.1") && error.remedy().contains("address of this host"), "{error}");
        Config::new(PROTOCOL).with_device(Some("lo")).open().unwrap();
    });
}

#[tokio::test]
async fn the_receive_buffer_is_as_long_as_asked_for() {
    let Some(inside) = Namespace::new() else { return };
    let config = Config::new(PROTOCOL).with_receive_buffer_len(Some(64 * 1024)).with_send_buffer_len(Some(64 * 1024));
    let socket = inside.run(|| config.open()).unwrap().start().unwrap();
    assert_eq!(socket.receive_buffer_len().unwrap(), 2 * 64 * 1024);
}
