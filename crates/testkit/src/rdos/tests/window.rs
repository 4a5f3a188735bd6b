//! Facts 3, 0.5 and 8: which numbers a server takes, and what it says to the others.

use super::*;

fn record(connection: u32, rest: &str) -> String {
    format!("{connection:08x}{}", rest.replace(' ', ""))
}

/// The records that `host` has for A, with what it has sent or once they are due.
fn records(host: &mut Host, now: Instant) -> Vec<String> {
    let mut all = sent(host, A);
    all.extend(run(host, A, now + Duration::from_millis(1200)).into_iter().map(|(_, segment)| segment));
    all.into_iter().flat_map(|segment| segment.records).collect()
}

fn server_from(first: u32) -> (Host, LocalMailslot) {
    let mut host = Host::new(Config { ticks_at_boot: first, ..Config::new(B, START) });
    let mailslot = host.define(b"echo", 512);
    hand(&mut host, START, A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A)[0].connection, first);
    (host, mailslot)
}

fn drain(host: &mut Host, local: LocalMailslot) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some((ticket, message)) = host.receive(local) {
        host.reply(START, ticket, &message);
        all.push(message);
    }
    all
}

#[test]
fn fact_3_the_window_is_sixteen_from_the_next_expected() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1010, b"one too far"));
    assert_eq!(records(&mut host, START), [record(0x1010, "0108 00 01")]);
    hand(&mut host, START, A, &request(0x100f, b"last"));
    assert_eq!(records(&mut host, at(2000)), [""; 0]);
    for connection in 0x1000..0x100f {
        hand(&mut host, START, A, &request(connection, &[0]));
    }
    assert_eq!(drain(&mut host, local).last().unwrap(), b"last");
    // All have been handed over, so it has moved by sixteen.
    hand(&mut host, at(4000), A, &request(0x101f, b"x"));
    assert_eq!(records(&mut host, at(4000)), [""; 0]);
}

#[test]
fn fact_3_requests_are_handed_over_in_order() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1001, b"two"));
    hand(&mut host, START, A, &request(0x1002, b"three"));
    assert_eq!(host.receive(local), None);
    hand(&mut host, START, A, &request(0x1000, b"one"));
    assert_eq!(drain(&mut host, local), [&b"one"[..], b"two", b"three"]);
    assert_sound(&host);
}

#[test]
fn fact_3_below_the_window_a_stored_reply_is_sent_again_else_a_reset() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"one"));
    drain(&mut host, local);
    assert_eq!(sent(&mut host, A), [reply(0x1000, b"one")]);
    hand(&mut host, START, A, &request(0x1000, b"one"));
    assert_eq!(sent(&mut host, A), [reply(0x1000, b"one")]);
    assert_eq!(drain(&mut host, local), [b""; 0], "and not executed again");
    hand(&mut host, START, A, &request(0x0fff, b"older"));
    assert_eq!(records(&mut host, START), [record(0x0fff, "0108 00 01")]);
}

#[test]
fn fact_0_5_a_duplicate_of_a_request_in_service_draws_a_reset() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"slow"));
    hand(&mut host, START, A, &request(0x1001, b"queued"));
    let (_ticket, _) = host.receive(local).unwrap();
    hand(&mut host, START, A, &request(0x1000, b"slow"));
    hand(&mut host, START, A, &request(0x1001, b"queued"));
    assert_eq!(records(&mut host, START), [record(0x1001, "0108 00 01"), record(0x1000, "0108 00 01")]);
    assert_sound(&host);
}

#[test]
fn fact_8_a_late_duplicate_after_the_final_ack_draws_a_reset() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"one"));
    drain(&mut host, local);
    sent(&mut host, A);
    hand(&mut host, START, A, &seen(0, 0, 0, 0, &["00001000 0108 04 02 00000003"], b""));
    hand(&mut host, START, A, &request(0x1000, b"one"));
    assert_eq!(records(&mut host, START), [record(0x1000, "0108 00 01")]);
}

#[test]
fn unknown_mailslots_and_clients_draw_a_reset() {
    // The facts leave this open; without it a server that was switched off and on would never be found again.
    let mut host = machine(B);
    hand(&mut host, START, A, &request(5, b"x"));
    host.define(b"echo", 512);
    hand(&mut host, START, A, &request(6, b"x"));
    assert_eq!(records(&mut host, START), [record(6, "0108 00 01"), record(5, "0108 00 01")]);
}

#[test]
fn fact_3_the_comparison_is_signed() {
    // In order, one at a time, the change of sign does no harm.
    let (mut host, local) = server_from(0x7fff_fffe);
    for connection in 0x7fff_fffe..=0x8000_0001 {
        hand(&mut host, START, A, &request(connection, b"x"));
    }
    assert_eq!(drain(&mut host, local).len(), 4);
    assert_eq!(records(&mut host, START), [""; 0]);
    // Out of order it does.
    let (mut host, local) = server_from(0x7fff_ffff);
    hand(&mut host, START, A, &request(0x8000_0000, b"two"));
    hand(&mut host, START, A, &request(0x7fff_ffff, b"one"));
    assert_eq!(drain(&mut host, local), [b"one"]);
    assert_eq!(records(&mut host, START), [record(0x8000_0000, "0108 00 01")]);
    // And a duplicate from the other side finds no reply any more.
    hand(&mut host, at(2000), A, &request(0x8000_0000, b"two"));
    drain(&mut host, local);
    assert_eq!(sent(&mut host, A).len(), 1);
    hand(&mut host, at(2000), A, &request(0x7fff_ffff, b"one"));
    assert_eq!(records(&mut host, at(2000)), [record(0x7fff_ffff, "0108 00 01")]);
}

#[test]
fn fact_3_the_change_to_zero_is_harmless() {
    let (mut host, local) = server_from(0xffff_ffff);
    hand(&mut host, START, A, &request(0, b"two"));
    hand(&mut host, START, A, &request(0xffff_ffff, b"one"));
    assert_eq!(drain(&mut host, local), [b"one", b"two"]);
    assert_eq!(records(&mut host, START), [""; 0]);
}

#[test]
fn fact_8_a_request_too_large_leaves_a_hole_until_the_name_is_asked_for_again() {
    let (mut host, local) = server();
    let large = Seen { offset: 513, ..request(0x1000, &[7; 513]) };
    hand(&mut host, START, A, &large);
    hand(&mut host, START, A, &request(0x1001, b"behind"));
    assert_eq!(records(&mut host, START), [record(0x1000, "0108 00 03")]);
    assert_eq!(host.receive(local), None, "the hole is waited for");
    hand(&mut host, at(2000), A, &request(0x1010, b"far"));
    assert_eq!(records(&mut host, at(2000)), [record(0x1010, "0108 00 01")], "the window has not moved");
    hand(&mut host, at(4000), A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A)[0].connection, 0x1_1000);
    hand(&mut host, at(4000), A, &request(0x1_1000, &[7; 512]));
    assert_eq!(host.receive(local).unwrap().1, [7; 512], "as long as allowed");
    assert_sound(&host);
}

#[test]
fn fact_8_one_queue_for_all_clients_and_one_request_at_a_time() {
    let (mut host, local) = server();
    let third = Ipv4Addr::new(10, 0, 0, 3);
    hand(&mut host, START, third, &name_request(b"echo"));
    while host.poll_transmit().is_some() {}
    hand(&mut host, START, A, &request(0x1000, b"first"));
    hand(&mut host, START, third, &request(0x1000, b"second"));
    hand(&mut host, START, A, &request(0x1001, b"third"));
    let (ticket, message) = host.receive(local).unwrap();
    assert_eq!(message, b"first");
    assert_eq!(host.receive(local), None, "the thread is at work");
    assert!(host.reply(START, ticket, b"1"));
    assert!(!host.reply(START, ticket, b"1"), "answered already");
    assert_eq!(sent(&mut host, A), [reply(0x1000, b"1")]);
    assert_eq!(host.receive(local).unwrap().1, b"second");
}

#[test]
fn fact_8_nothing_is_a_message_too() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b""));
    let (ticket, message) = host.receive(local).unwrap();
    assert_eq!(message, b"");
    host.reply(START, ticket, b"");
    assert_eq!(sent(&mut host, A), [reply(0x1000, b"")]);
    let (mut host, remote) = client();
    let ticket = host.send(START, remote, b"", 0).unwrap();
    assert_eq!(sent(&mut host, B), [request(0x1000, b"")]);
    hand(&mut host, START, B, &reply(0x1000, b""));
    assert_eq!(host.poll_reply(ticket).unwrap(), b"");
    assert_sound(&host);
}

#[test]
fn what_waits_has_a_bound() {
    let (mut host, _) = server();
    for connection in 0..=4096 {
        hand(&mut host, START, A, &request(0x1000 + connection, b""));
    }
    assert_eq!(host.crashes(), [Defect::OutOfMemory]);
    // Replies that nobody acknowledges.
    let (mut host, local) = server();
    for connection in 0..=4096 {
        hand(&mut host, START, A, &request(0x1000 + connection, b""));
        drain(&mut host, local);
        sent(&mut host, A);
    }
    assert_eq!(host.crashes(), [Defect::OutOfMemory]);
    // Clients too, and records.
    let mut host = machine(B);
    host.define(b"echo", 512);
    for peer in 0..=4096 {
        hand(&mut host, START, Ipv4Addr::from_bits(peer), &name_request(b"echo"));
        assert_eq!(host.poll_transmit().is_some(), peer < 4096);
    }
    assert_eq!(host.crashes(), [Defect::OutOfMemory]);
    for _ in 0..=4096 {
        hand(&mut host, START, A, &request(0, b""));
    }
    assert_eq!(host.crashes(), [Defect::OutOfMemory; 2]);
}
