//! Fact 7: names, first numbers, and what a name request empties.

use super::*;

const RESET_OF_0: &str = "00000000 0108 00 01";

#[test]
fn fact_7_a_name_request_has_nothing_but_the_name_and_its_nul() {
    let mut host = machine(A);
    host.get(START, B, b"a name");
    assert_eq!(sent(&mut host, B), [seen(0, 0, 0, 0x14, &[], b"a name\0")]);
}

#[test]
fn fact_7_one_object_for_a_host_and_a_name() {
    let mut host = machine(A);
    let first = host.get(START, B, b"echo");
    assert_eq!(sent(&mut host, B).len(), 1);
    assert_eq!(host.get(START, B, b"echo"), first);
    assert_eq!(sent(&mut host, B), [], "known already, and not asked for again");
    assert_ne!(host.get(START, B, b"Echo"), first, "case counts");
    assert_ne!(host.get(START, Ipv4Addr::new(10, 0, 0, 3), b"echo"), first);
}

#[test]
fn fact_0_2_a_name_reply_repeats_the_name() {
    let mut host = machine(B);
    host.define(b"other", 7);
    host.define(b"echo", 0x0102_0304);
    hand(&mut host, START, A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A), [seen(0x1000, 0x0102_0304, NUMBER + 8, 0x18, &[], b"\x00\x10echo\0")]);
}

#[test]
fn fact_0_6_an_unknown_name_is_never_answered() {
    let (mut host, _) = server();
    for name in [&b"ech"[..], b"echoo", b"Echo", b""] {
        hand(&mut host, START, A, &name_request(name));
    }
    assert_eq!(run(&mut host, A, at(600_000)), []);
    assert_sound(&host);
}

#[test]
fn fact_7_octets_behind_the_nul_do_not_count() {
    let (mut host, _) = server();
    hand(&mut host, START, A, &seen(0, 0, 0, 0x14, &[], b"echo\0more"));
    assert_eq!(sent(&mut host, A).len(), 1);
}

#[test]
fn fact_7_without_a_nul_the_comparison_leaves_the_segment() {
    let (mut host, _) = server();
    hand(&mut host, START, A, &seen(0, 0, 0, 0x14, &[], b"echo"));
    assert_eq!(sent(&mut host, A), []);
    assert_eq!(host.crashes(), [Defect::NameBeyondSegment { peer: A }]);
    // A name reply as the specification shows it, of 16 bits.
    for data in [&b"\x00\x10"[..], b"", b"\0"] {
        let mut host = machine(A);
        host.get(START, B, b"echo");
        hand(&mut host, START, B, &seen(5, 5, 5, 0x18, &[], data));
        assert_eq!(host.crashes(), [Defect::NameBeyondSegment { peer: B }]);
    }
}

#[test]
fn fact_11_of_equal_names_the_newest_is_found() {
    let mut host = machine(B);
    host.define(b"echo", 100);
    host.define(b"echo", 200);
    hand(&mut host, START, A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A), [name_reply(0x1000, 200, NUMBER + 8, 16, b"echo")]);
}

#[test]
fn fact_11_a_shorter_receive_buffer_lowers_the_maximum() {
    let mut host = machine(B);
    let mailslot = host.define(b"echo", 512);
    host.shorten_buffer(mailslot, 100);
    host.shorten_buffer(mailslot, 600);
    hand(&mut host, START, A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A)[0].offset, 100);
}

#[test]
fn fact_3_the_first_number_is_the_tick_counter() {
    let first = |ms: u64, ticks_at_boot: u32| {
        let mut host = Host::new(Config { ticks_at_boot, ..Config::new(B, START) });
        host.define(b"echo", 512);
        hand(&mut host, at(ms), A, &name_request(b"echo"));
        sent(&mut host, A)[0].connection
    };
    assert_eq!(first(0, 77), 77);
    assert_eq!(first(10, 0), 11_930, "1193 for each millisecond");
    assert_eq!(first(1, u32::MAX), 1192, "32 bits of it");
    assert_eq!(first(3_600_185, 0), 53_409, "which go round after an hour");
}

#[test]
fn fact_3_every_client_and_mailslot_has_its_own_number() {
    let mut host = machine(B);
    host.define(b"one", 512);
    host.define(b"two", 512);
    let mut number = |ms: u64, peer: Ipv4Addr, name: &[u8]| {
        hand(&mut host, at(ms), peer, &name_request(name));
        sent(&mut host, peer)[0].connection
    };
    let third = Ipv4Addr::new(10, 0, 0, 3);
    assert_eq!(number(0, A, b"one"), 0x1000);
    assert_eq!(number(1, A, b"two"), 0x1000 + 1193);
    assert_eq!(number(2, third, b"one"), 0x1000 + 2 * 1193);
    assert_eq!(number(3, A, b"one"), 0x1000 + 65_536);
    assert_eq!(number(4, A, b"two"), 0x1000 + 1193 + 65_536);
}

#[test]
fn fact_3_a_further_name_request_jumps_from_the_next_expected() {
    let (mut host, _) = server();
    hand(&mut host, START, A, &request(0x1000, b"one"));
    hand(&mut host, START, A, &request(0x1001, b"two"));
    hand(&mut host, START, A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A)[0].connection, 0x1_1002);
    hand(&mut host, START, A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A)[0].connection, 0x2_1002);
}

#[test]
fn fact_7_a_name_request_drops_stored_replies_and_undelivered_requests() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"one"));
    let (ticket, _) = host.receive(local).unwrap();
    host.reply(START, ticket, b"ONE");
    // Ahead of the next, so it waits in the window; the name request empties that.
    hand(&mut host, START, A, &request(0x1002, b"three"));
    hand(&mut host, START, A, &name_request(b"echo"));
    sent(&mut host, A);
    hand(&mut host, START, A, &request(0x1000, b"one"));
    assert_eq!(sent(&mut host, A), [], "no reply is stored");
    let reset = "00001000 0108 00 01".replace(' ', "");
    assert_eq!(run(&mut host, A, at(2000))[0].1.records, [reset]);
    for (connection, data) in [(0x1_1001, b"a"), (0x1_1002, b"b"), (0x1_1003, b"c")] {
        hand(&mut host, START, A, &request(connection, data));
    }
    let mut got = Vec::new();
    while let Some((ticket, message)) = host.receive(local) {
        got.push(message);
        host.reply(START, ticket, b"");
    }
    assert_eq!(got, [b"a", b"b", b"c"]);
}

#[test]
fn fact_7_queued_requests_survive_a_name_request_and_run_again() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"one"));
    hand(&mut host, START, A, &name_request(b"echo"));
    hand(&mut host, START, A, &request(0x1_1001, b"one"));
    sent(&mut host, A);
    let (first, _) = host.receive(local).unwrap();
    host.reply(START, first, b"1");
    let (second, message) = host.receive(local).unwrap();
    assert_eq!(message, b"one");
    host.reply(START, second, b"2");
    // The first answer goes out under the old number.
    assert_eq!(sent(&mut host, A), [reply(0x1000, b"1"), reply(0x1_1001, b"2")]);
}

#[test]
fn fact_7_a_name_request_drops_all_records_for_the_host_also_those_of_other_mailslots() {
    let (mut host, _) = server();
    host.define(b"other", 512);
    hand(&mut host, START, A, &request(0, b"old"));
    hand(&mut host, START, A, &name_request(b"other"));
    assert_eq!(sent(&mut host, A), [name_reply(0x1000, 512, NUMBER + 8, 16, b"other")]);
    assert_eq!(run(&mut host, A, at(5000)), []);
    // Those for another host stay, and an unknown name drops nothing.
    hand(&mut host, at(5000), A, &request(0, b"old"));
    let third = Ipv4Addr::new(10, 0, 0, 3);
    hand(&mut host, at(5000), third, &name_request(b"echo"));
    assert_eq!(sent(&mut host, third).len(), 1);
    hand(&mut host, at(5000), A, &name_request(b"unknown"));
    assert_eq!(run(&mut host, A, at(7000)), [(6000, seen(0, 0, 0, 0, &[RESET_OF_0], b""))]);
}

#[test]
fn fact_7_a_name_request_leaves_the_other_mailslot_alone() {
    let (mut host, local) = server();
    host.define(b"other", 512);
    hand(&mut host, START, A, &name_request(b"other"));
    hand(&mut host, START, A, &request(0x1000, b"goes on"));
    assert!(host.receive(local).is_some());
}

#[test]
fn fact_7_a_useless_name_reply_is_ignored_and_the_client_keeps_asking() {
    for reply in [
        name_reply(7, 512, 0, 16, b"echo"),
        name_reply(7, 0, NUMBER, 16, b"echo"),
        name_reply(7, 512, NUMBER, 0, b"echo"),
        name_reply(7, 512, NUMBER, 16, b"Echo"),
        name_reply(7, 512, NUMBER, 16, b"ech"),
        name_reply(0, 0, 0, 0, b"echo"),
    ] {
        let mut host = machine(A);
        let remote = host.get(START, B, b"echo");
        host.send(START, remote, b"x", 9).unwrap();
        sent(&mut host, B);
        hand(&mut host, START, B, &reply);
        let times: Vec<_> = run(&mut host, B, at(10_000)).into_iter().collect();
        assert_eq!(times, [(3000, name_request(b"echo")), (9000, name_request(b"echo"))], "{reply:?}");
        // Nor from another host.
        hand(&mut host, at(10_000), Ipv4Addr::new(10, 0, 0, 3), &name_reply(7, 512, NUMBER, 16, b"echo"));
        assert_eq!(sent(&mut host, B), []);
        hand(&mut host, at(10_000), B, &name_reply(7, 512, NUMBER, 16, b"echo"));
        assert_eq!(sent(&mut host, B), [request(7, b"x")]);
        assert_sound(&host);
    }
}

#[test]
fn fact_7_the_first_name_reply_counts() {
    let (mut host, remote) = client();
    hand(&mut host, START, B, &name_reply(0x9000, 9, NUMBER + 8, 1, b"echo"));
    host.send(START, remote, b"x", 9).unwrap();
    assert_eq!(sent(&mut host, B), [request(0x1000, b"x")]);
}

#[test]
fn fact_7_requests_before_the_resolution_wait_for_it() {
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    sent(&mut host, B);
    host.send(START, remote, b"one", 9).unwrap();
    host.send(START, remote, b"two", 9).unwrap();
    assert_eq!(sent(&mut host, B), []);
    hand(&mut host, START, B, &name_reply(0xffff_ffff, 512, NUMBER, 16, b"echo"));
    assert_eq!(sent(&mut host, B), [request(0xffff_ffff, b"one"), request(0, b"two")]);
}
