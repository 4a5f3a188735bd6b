//! Sessions of SMRP in captures.

use super::*;
use crate::support::{spawn_echo, within};
use postroad::inspect::session::{InspectedFrame, Item, SessionFound, Sessions, Unfinished};
use postroad::inspect::tcp::{AHEAD_LEN_MAX, TcpDirection, TcpLoss};
use postroad::{ConnectOptions, ListenOptions, connect_with, listen_with};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CLIENT: u16 = 40_000;
const SERVER: u16 = 7_443;
const TOKEN: &str = "a-token-that-lets-somebody-in";

/// A segment of TCP from the client or from the server.
fn segment(from_client: bool, sequence: u32, flags: u8, octets: &[u8]) -> Vec<u8> {
    let (source, destination) = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let mut tcp = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    tcp.extend_from_slice(&sequence.to_be_bytes());
    // An option behind the header: its length is the header's to say.
    tcp.extend_from_slice(&[0, 0, 0, 0, 0x60, flags, 0xFF, 0xFF, 0, 0, 0, 0, 1, 1, 1, 1]);
    ipv4(6, &[&tcp, octets].concat())
}

fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = pcap_head(Order::Little, false, RAW);
    packets.iter().for_each(|packet| pcap_packet(&mut file, Order::Little, (1, 2), packet, packet.len()));
    file
}

#[derive(Default)]
struct Seen {
    items: Vec<(TcpDirection, Item)>,
    lost: Vec<(TcpDirection, TcpLoss)>,
    unfinished: Vec<(TcpDirection, Unfinished)>,
    count: usize,
}

impl Seen {
    fn frames(&self, from_client: bool) -> Vec<&InspectedFrame> {
        let port = if from_client { CLIENT } else { SERVER };
        let of = self.items.iter().filter(|(direction, _)| direction.source.port() == port);
        of.filter_map(|(_, item)| if let Item::Frame(frame) = item { Some(frame) } else { None }).collect()
    }
}

fn seen(file: &[u8], ports: &[u16]) -> Seen {
    let (mut sessions, mut seen) = (Sessions::on_ports(ports), Seen::default());
    let mut reader = CaptureReader::new(file).unwrap();
    while let Some(packet) = reader.next_packet().unwrap() {
        match sessions.find(&packet) {
            SessionFound::Items(direction, items) => seen.items.extend(items.into_iter().map(|item| (direction, item))),
            SessionFound::Lost(direction, loss) => seen.lost.push((direction, loss)),
            _ => {}
        }
    }
    seen.unfinished = sessions.unfinished();
    seen.count = sessions.count();
    seen
}

/// What both directions of a real session said: the client's, then the server's.
async fn recorded() -> [Vec<u8>; 2] {
    let options = ListenOptions::new().with_bearer_tokens([TOKEN]);
    let mut listener = listen_with("smrp+tcp://127.0.0.1:0", options).await.unwrap();
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smrp+tcp://{}/clock", between.local_addr().unwrap());
    let to = listener.url().port().unwrap();
    let record: Arc<Mutex<[Vec<u8>; 2]>> = Arc::default();
    let recording = record.clone();
    let relaying = tokio::spawn(async move {
        let (near, _) = between.accept().await.unwrap();
        let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        let ((mut near_read, mut near_write), (mut far_read, mut far_write)) = (near.into_split(), far.into_split());
        let copy = async |read: &mut tokio::net::tcp::OwnedReadHalf,
                          write: &mut tokio::net::tcp::OwnedWriteHalf,
                          at: usize| {
            let mut buffer = vec![0; 4096];
            while let Ok(len @ 1..) = read.read(&mut buffer).await {
                recording.lock().unwrap()[at].extend_from_slice(&buffer[..len]);
                write.write_all(&buffer[..len]).await.unwrap();
            }
            drop(write.shutdown().await);
        };
        tokio::join!(copy(&mut near_read, &mut far_write, 0), copy(&mut far_read, &mut near_write, 1));
    });
    let connect = ConnectOptions::new().with_bearer_token(TOKEN);
    let (client, server) = tokio::join!(connect_with(url, connect), listener.accept());
    let (client, server) = (client.unwrap(), server.unwrap());
    let serving = spawn_echo(server.clone());
    assert_eq!(within(5, client.request("what time is it")).await.unwrap().text(0), Some("what time is it"));
    let mut body = client.open_body("head").await.unwrap();
    body.write(vec![7; 50_000]).await.unwrap();
    body.finish().await.unwrap();
    client.flush().await.unwrap();
    within(10, client.close()).await.unwrap();
    within(10, serving).await.unwrap().unwrap();
    within(10, relaying).await.unwrap();
    record.lock().unwrap().clone()
}

/// Both directions in segments, whose numbers go round in the middle.
fn segments(record: &[Vec<u8>; 2], piece_len: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (from_client, octets) in [(true, &record[0]), (false, &record[1])] {
        let first = 0u32.wrapping_sub(1_000);
        packets.push(segment(from_client, first.wrapping_sub(1), 0x02, b""));
        for (at, piece) in octets.chunks(piece_len).enumerate() {
            packets.push(segment(from_client, first.wrapping_add((at * piece_len) as u32), 0x18, piece));
        }
    }
    packets
}

#[tokio::test]
async fn a_session_is_found_and_shown_without_its_credentials() {
    //= SMRP-A8, SMRP-PR2
    let record = recorded().await;
    let packets = segments(&record, 700);
    let seen = seen(&capture(&packets), &[]);
    assert!(seen.lost.is_empty() && seen.unfinished.is_empty() && seen.count == 2, "{}", seen.count);
    assert!(seen.items.iter().filter(|(_, item)| matches!(item, Item::Preface { .. })).count() == 2);
    let names = |from_client| -> Vec<&str> { seen.frames(from_client).iter().filter_map(|frame| frame.name).collect() };
    let (client, server) = (names(true), names(false));
    assert_eq!((client[0], server[0]), ("HELLO", "HELLO"), "{client:?} {server:?}");
    for name in ["AUTH", "OPEN", "GOAWAY"] {
        assert!(client.contains(&name), "{name}: {client:?}");
    }
    for name in ["AUTH_RESULT", "TICKET"] {
        assert!(server.contains(&name), "{name}: {server:?}");
    }
    assert!(client.iter().chain(&server).any(|name| *name == "CLOSE"));
    let lines: Vec<String> =
        [true, false].iter().flat_map(|side| seen.frames(*side)).map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains(&format!("token ({} octets)", TOKEN.len()))), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("OPEN") && line.contains("name=\"/clock\"")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("TICKET") && line.contains("handle (")), "{lines:#?}");
    let all = format!("{lines:?} {:?}", seen.items);
    assert!(!all.contains(TOKEN) && !all.contains(&TOKEN[..8]), "{all}");
    assert!(seen.frames(true).iter().chain(&seen.frames(false)).all(|frame| frame.fault.is_none()));
}

#[tokio::test]
async fn order_copies_and_overlaps_of_segments_change_nothing() {
    let record = recorded().await;
    let plain = seen(&capture(&segments(&record, 700)), &[]);
    let mut packets = segments(&record, 700);
    // Each but the first segments before the one in front of it, and some twice.
    let first_of_server = packets.iter().position(|packet| packet[20..22] == SERVER.to_be_bytes()).unwrap();
    for at in (2..packets.len() - 1).step_by(2).filter(|at| !(first_of_server - 1..=first_of_server + 1).contains(at)) {
        packets.swap(at, at + 1);
    }
    let copies: Vec<Vec<u8>> = packets.iter().step_by(3).cloned().collect();
    packets.extend(copies);
    // Longer pieces from the beginning, as they are sent again.
    packets.extend(segments(&record, 1_111));
    let mixed = seen(&capture(&packets), &[]);
    assert!(mixed.lost.is_empty() && mixed.unfinished.is_empty(), "{:?} {:?}", mixed.lost, mixed.unfinished);
    for from_client in [true, false] {
        assert!(mixed.frames(from_client) == plain.frames(from_client));
    }
}

#[tokio::test]
async fn what_was_not_recorded_ends_a_direction_and_says_where() {
    let record = recorded().await;
    let mut packets = segments(&record, 700);
    packets.remove(3);
    let seen_all = seen(&capture(&packets), &[]);
    let lost = seen_all.unfinished.iter().find(|(_, how)| matches!(how, Unfinished::Lost(_)));
    let Some((direction, Unfinished::Lost(TcpLoss::Missing { offset: 1_400 }))) = lost else {
        panic!("{:?}", seen_all.unfinished)
    };
    assert_eq!((direction.source.port(), direction.number), (CLIENT, 0));
    assert!(!seen_all.frames(false).is_empty(), "the other one goes on");
    // Of a packet of which only the beginning was recorded the rest is missing too.
    let packets = segments(&record, 700);
    let mut file = pcap_head(Order::Little, false, RAW);
    for (at, packet) in packets.iter().enumerate() {
        let kept = if at == 2 { 100 } else { packet.len() };
        pcap_packet(&mut file, Order::Little, (1, 2), &packet[..kept], packet.len());
    }
    let cut = seen(&file, &[]);
    assert!(matches!(cut.lost[..], [(_, TcpLoss::Missing { offset: 700 })]), "{:?}", cut.lost);
    // More ahead than is kept.
    let far: Vec<Vec<u8>> = (0..AHEAD_LEN_MAX / 60_000 + 1)
        .map(|at| segment(true, 5_000 + 60_000 * at as u32, 0x18, &vec![1; 60_000]))
        .collect();
    let begun = segment(true, 1, 0x18, &record[0][..100]);
    let full = seen(&capture(&[&[begun][..], &far[..]].concat()), &[]);
    assert!(matches!(full.lost[..], [(_, TcpLoss::Missing { offset: 100 })]), "{:?}", full.lost);
    assert!(full.unfinished.iter().all(|(_, unfinished)| matches!(unfinished, Unfinished::Begun { .. })));
}

#[test]
fn what_is_no_session_is_passed_over_unless_its_port_is_asked_for() {
    let http = [segment(true, 1, 0x18, b"GET / HTTP/1.1\r\n\r\n"), segment(false, 1, 0x18, b"HTTP/1.1 200 OK\r\n\r\n")];
    let file = capture(&http);
    assert_eq!((seen(&file, &[]).items.len(), seen(&file, &[1]).items.len()), (0, 0));
    let asked = seen(&file, &[SERVER]);
    let words: Vec<String> = asked
        .items
        .iter()
        .map(|(_, item)| if let Item::Broken(broken) = item { broken.to_string() } else { panic!("{item:?}") })
        .collect();
    assert!(words.len() == 2 && words[0].contains("it sent HTTP"), "{words:?}");
    assert_eq!(asked.count, 0);
}

#[test]
fn one_pair_of_ports_may_have_many_connections_and_headers_may_lie() {
    let preface = smrp::wire::Preface {
        versions: vec![1],
        security: smrp::Security::Plaintext,
        nonce: [1; 16],
        parameters: smrp::wire::Parameters::default(),
    };
    let preface = preface.encode();
    let mut packets = Vec::new();
    for number in 0..300_u32 {
        packets.push(segment(true, number * 10_000, 0x02, b""));
        packets.push(segment(true, number * 10_000 + 1, 0x18, &preface));
    }
    // A header that is longer than the packet, one that is shorter than a header, and none at all.
    let mut long = segment(true, 1, 0x18, b"");
    long[32] = 0xF0;
    let mut short = segment(true, 1, 0x18, b"x");
    short[32] = 0x10;
    packets.extend([long, short, ipv4(6, b""), ipv4(6, &[0; 13])]);
    let seen = seen(&capture(&packets), &[]);
    assert_eq!((seen.items.len(), seen.count, seen.lost.len()), (300, 300, 0));
    assert_eq!(seen.items.last().unwrap().0.number, 299);
}
