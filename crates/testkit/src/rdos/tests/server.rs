//! Fact 4 on the server's side: requests of many segments, and replies that are resent.

use super::*;

fn first(connection: u32, total_len: u32, data: &[u8]) -> Seen {
    seen(connection, total_len, NUMBER, 0x05, &[], data)
}

fn later(connection: u32, offset: u32, data: &[u8]) -> Seen {
    seen(connection, offset, NUMBER, 0x04, &[], data)
}

#[test]
fn fact_4a_parts_of_a_request_make_a_message_and_are_never_acknowledged() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &first(0x1000, 9, b"abc"));
    hand(&mut host, START, A, &later(0x1000, 6, b"ghi"));
    assert_eq!(host.receive(local), None);
    hand(&mut host, START, A, &later(0x1000, 3, b"def"));
    assert_eq!(host.receive(local).unwrap().1, b"abcdefghi");
    assert_eq!(run(&mut host, A, at(600_000)), []);
    assert_sound(&host);
}

#[test]
fn fact_4_a_later_part_before_the_first_is_dropped_in_silence() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &later(0x1000, 3, b"def"));
    hand(&mut host, START, A, &first(0x1000, 6, b"abc"));
    assert_eq!(host.receive(local), None);
    hand(&mut host, START, A, &later(0x1000, 3, b"def"));
    assert_eq!(host.receive(local).unwrap().1, b"abcdef");
    assert_eq!(run(&mut host, A, at(600_000)), []);
}

#[test]
fn fact_4_excess_is_clipped() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &first(0x1000, 4, b"abcdefgh"));
    assert_eq!(host.receive(local).unwrap().1, b"abcd");
}

#[test]
fn fact_4b_a_duplicate_part_corrupts_the_message() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &first(0x1000, 6, b"abc"));
    hand(&mut host, START, A, &first(0x1000, 6, b"abc"));
    assert_eq!(host.receive(local).unwrap().1, [b'a', b'b', b'c', 0xa5, 0xa5, 0xa5]);
    assert_eq!(host.crashes(), [Defect::DuplicateCounted { peer: A, connection: 0x1000 }]);
}

#[test]
fn fact_4c_what_follows_a_complete_request_is_handed_over_incomplete() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &first(0x1001, 4, b"ab"));
    hand(&mut host, START, A, &first(0x1002, 2, b"ef"));
    // Not next to the others, so it stays.
    hand(&mut host, START, A, &first(0x1004, 2, b"ij"));
    hand(&mut host, START, A, &request(0x1000, b"whole"));
    let mut got = Vec::new();
    while let Some((ticket, message)) = host.receive(local) {
        got.push(message);
        host.reply(START, ticket, b"");
    }
    assert_eq!(got, [&b"whole"[..], &[b'a', b'b', 0xa5, 0xa5], b"ef"]);
    assert_eq!(host.crashes(), [Defect::IncompleteRequest { mailslot: local, connection: 0x1001 }]);
}

#[test]
fn fact_4c_a_complete_request_out_of_order_hands_nothing_over() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &first(0x1000, 4, b"ab"));
    hand(&mut host, START, A, &request(0x1001, b"whole"));
    assert_eq!(host.receive(local), None);
    hand(&mut host, START, A, &later(0x1000, 2, b"cd"));
    assert_eq!(host.receive(local).unwrap().1, b"abcd");
    assert_sound(&host);
}

#[test]
fn fact_4_a_first_segment_without_its_octets_is_a_part_like_any_other() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &Seen { flags: 0x07, ..first(0x1000, 5, b"") });
    assert_eq!(host.receive(local), None);
    hand(&mut host, START, A, &request(0x1000, b"hello"));
    assert_eq!(host.receive(local).unwrap().1, b"hello");
    assert_sound(&host);
}

#[test]
fn fact_4_a_reply_is_one_segment_of_any_length() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"more"));
    let (ticket, _) = host.receive(local).unwrap();
    let long: Vec<u8> = (0..=255).cycle().take(60_000).collect();
    host.reply(START, ticket, &long);
    assert_eq!(sent(&mut host, A), [reply(0x1000, &long)]);
    assert_sound(&host);
}

#[test]
fn fact_4_lengths_are_sixteen_bits_wide() {
    let (mut host, local) = server();
    for (connection, len) in [(0x1000, 65_499), (0x1001, 65_500), (0x1002, 70_000)] {
        hand(&mut host, START, A, &request(connection, b"more"));
        let (ticket, _) = host.receive(local).unwrap();
        host.reply(START, ticket, &vec![1; len]);
    }
    let sent = sent(&mut host, A);
    assert_eq!(sent.len(), 2, "what IP cannot carry does not leave");
    assert_eq!((sent[0].offset, sent[0].data.len()), (65_499, 65_499));
    assert_eq!((sent[1].offset, sent[1].data.len()), (70_000, 70_000 - 65_536));
    assert_eq!(host.crashes()[0], Defect::LengthWrapped { peer: A });
}

/// A server that has answered request 0x1000 with ten octets.
fn answered() -> Host {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"ten"));
    let (ticket, _) = host.receive(local).unwrap();
    host.reply(START, ticket, b"0123456789");
    assert_eq!(sent(&mut host, A), [reply(0x1000, b"0123456789")]);
    host
}

fn ack(offset: &str) -> Seen {
    seen(0, 0, 0, 0, &[&format!("00001000 0108 04 02 {offset}")], b"")
}

#[test]
fn fact_5_after_a_partial_ack_the_tail_is_resent_and_called_the_whole() {
    let mut host = answered();
    hand(&mut host, START, A, &ack("00000004"));
    assert_eq!(sent(&mut host, A), [], "an ACK sends nothing by itself");
    hand(&mut host, START, A, &request(0x1000, b"ten"));
    assert_eq!(sent(&mut host, A), [seen(0x1000, 10, NUMBER, 0x0b, &[], b"456789")]);
    // Lower than a former one: ignored.
    hand(&mut host, START, A, &ack("00000002"));
    hand(&mut host, START, A, &request(0x1000, b"ten"));
    assert_eq!(sent(&mut host, A)[0].data, b"456789");
    assert_sound(&host);
}

#[test]
fn fact_5_an_ack_of_the_whole_or_more_ends_the_exchange() {
    for offset in ["0000000a", "0000000b", "ffffffff"] {
        let mut host = answered();
        hand(&mut host, START, A, &ack(offset));
        hand(&mut host, START, A, &request(0x1000, b"ten"));
        assert_eq!(sent(&mut host, A), [], "{offset}");
    }
}

#[test]
fn fact_5_an_ack_that_fits_no_reply_does_nothing() {
    let mut host = answered();
    for record in [
        "00001001 0108 04 02 0000000a",
        "00001000 0110 04 02 0000000a",
        "00001000 0108 03 02 00000a",
        "00001000 0108 05 02 0000000a00",
        "00001000 0108 00 02",
    ] {
        hand(&mut host, START, A, &seen(0, 0, 0, 0, &[record], b""));
        hand(&mut host, START, A, &request(0x1000, b"ten"));
        assert_eq!(sent(&mut host, A), [reply(0x1000, b"0123456789")], "{record}");
    }
    // Nor one from somebody else.
    hand(&mut host, START, Ipv4Addr::new(10, 0, 0, 3), &ack("0000000a"));
    hand(&mut host, START, A, &request(0x1000, b"ten"));
    assert_eq!(sent(&mut host, A).len(), 1);
}

#[test]
fn fact_6_a_server_resends_nothing_by_itself() {
    let mut host = answered();
    assert_eq!(host.poll_timeout(), None);
    host.handle_timeout(at(600_000));
    assert_eq!(sent(&mut host, A), []);
    hand(&mut host, at(600_000), A, &request(0x1000, b"ten"));
    assert_eq!(sent(&mut host, A), [reply(0x1000, b"0123456789")], "but keeps the reply");
}
