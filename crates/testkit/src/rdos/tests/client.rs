//! Facts 3, 4, 7, 8 and 9 on the client's side: replies, resets, the table of requests.

use super::*;

fn reset(connection: u32) -> Seen {
    seen(0, 0, 0, 0, &[&format!("{connection:08x} 0108 00 01")], b"")
}

fn send(host: &mut Host, remote: RemoteMailslot, data: &[u8]) -> SendTicket {
    host.send(START, remote, data, 512).unwrap()
}

#[test]
fn fact_3_requests_count_up_from_the_number_of_the_name_reply() {
    let (mut host, remote) = client();
    for data in [b"one", b"two"] {
        send(&mut host, remote, data);
    }
    assert_eq!(sent(&mut host, B), [request(0x1000, b"one"), request(0x1001, b"two")]);
}

#[test]
fn fact_3_no_more_requests_than_allowed_are_in_flight() {
    let (mut host, remote) = client_of(2);
    let tickets = [&b"1"[..], b"2", b"3", b"4"].map(|data| send(&mut host, remote, data));
    assert_eq!(sent(&mut host, B).len(), 2);
    hand(&mut host, START, B, &reply(0x1000, b"a"));
    assert_eq!(host.poll_reply(tickets[0]).unwrap(), b"a");
    assert_eq!(sent(&mut host, B)[0].data, b"3");
    hand(&mut host, START, B, &reply(0x1001, b"b"));
    assert_eq!(sent(&mut host, B)[0].data, b"4");
    assert_sound(&host);
}

#[test]
fn fact_3_a_reply_outside_of_what_is_in_flight_is_dropped_without_a_word() {
    let (mut host, remote) = client();
    let ticket = send(&mut host, remote, b"x");
    sent(&mut host, B);
    hand(&mut host, START, B, &reply(0x0fff, b"no"));
    hand(&mut host, START, B, &reply(0x1001, b"no"));
    hand(&mut host, START, B, &Seen { mailslot: NUMBER + 8, ..reply(0x1000, b"no") });
    hand(&mut host, START, Ipv4Addr::new(10, 0, 0, 3), &reply(0x1000, b"no"));
    assert_eq!(run(&mut host, B, at(2900)), []);
    assert_eq!(host.poll_reply(ticket), None);
}

#[test]
fn fact_3_replies_past_the_change_of_sign_are_lost_while_older_ones_are_open() {
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    hand(&mut host, START, B, &name_reply(0x7fff_ffff, 512, NUMBER, 16, b"echo"));
    let (one, two) = (send(&mut host, remote, b"1"), send(&mut host, remote, b"2"));
    hand(&mut host, START, B, &reply(0x8000_0000, b"two"));
    assert_eq!(host.poll_reply(two), None);
    hand(&mut host, START, B, &reply(0x7fff_ffff, b"one"));
    hand(&mut host, START, B, &reply(0x8000_0000, b"two"));
    assert_eq!((host.poll_reply(one).unwrap(), host.poll_reply(two).unwrap()), (b"one".to_vec(), b"two".to_vec()));
}

#[test]
fn fact_4_a_later_segment_before_the_first_is_dropped() {
    let (mut host, remote) = client();
    let ticket = send(&mut host, remote, b"x");
    sent(&mut host, B);
    hand(&mut host, START, B, &seen(0x1000, 3, NUMBER, 0x0a, &[], b"def"));
    assert_eq!(host.poll_reply(ticket), None);
    assert_eq!(run(&mut host, B, at(2900)), []);
    assert_sound(&host);
}

#[test]
fn fact_4_the_first_segment_of_many_ends_the_reply_with_what_lies_behind_it() {
    let (mut host, remote) = client();
    let ticket = send(&mut host, remote, b"x");
    sent(&mut host, B);
    hand(&mut host, START, B, &seen(0x1000, 6, NUMBER, 0x09, &[], b"abc"));
    assert_eq!(host.poll_reply(ticket).unwrap(), [b'a', b'b', b'c', 0xa5, 0xa5, 0xa5]);
    assert_eq!(host.crashes(), [Defect::ReplyBeyondSegment { peer: B, taken_len: 6, present_len: 3 }]);
    hand(&mut host, START, B, &seen(0x1000, 3, NUMBER, 0x0a, &[], b"def"));
    let records = run(&mut host, B, at(5000)).remove(0).1.records;
    assert_eq!(records, ["000010000108040200000006"], "acknowledged as a whole");
}

#[test]
fn fact_4_octets_beyond_the_total_are_not_the_replys() {
    let (mut host, remote) = client();
    let ticket = send(&mut host, remote, b"x");
    hand(&mut host, START, B, &Seen { offset: 3, ..reply(0x1000, b"abcdef") });
    assert_eq!(host.poll_reply(ticket).unwrap(), b"abc");
    assert_sound(&host);
}

#[test]
fn fact_8_a_reply_above_the_servers_maximum_is_cut_and_called_too_large() {
    let (mut host, remote) = client();
    let ticket = host.send(START, remote, b"x", 1000).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &reply(0x1000, &[9; 513]));
    assert_eq!(host.poll_reply(ticket).unwrap(), [9; 512]);
    let records = run(&mut host, B, at(5000)).remove(0).1.records;
    assert_eq!(records, ["000010000108040200000200", "0000100001080003"]);
    // As long as the maximum is well; and what is answered already is not too large any more.
    let (mut host, remote) = client();
    host.send(START, remote, b"x", 1000).unwrap();
    host.send(START, remote, b"y", 1000).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &reply(0x1001, &[9; 512]));
    hand(&mut host, START, B, &reply(0x1001, &[9; 513]));
    let records = run(&mut host, B, at(5000)).remove(0).1.records;
    assert_eq!(records, ["000010010108040200000200"]);
    assert_sound(&host);
}

#[test]
fn fact_8_a_reply_is_not_compared_with_the_callers_buffer() {
    let (mut host, remote) = client();
    let ticket = host.send(START, remote, b"x", 4).unwrap();
    hand(&mut host, START, B, &reply(0x1000, b"12345"));
    assert_eq!(host.crashes(), [Defect::ReplyBeyondBuffer { ticket, reply_len: 5, buffer_len: 4 }]);
    assert_eq!(host.poll_reply(ticket).unwrap(), b"1234");
    let (mut host, remote) = client();
    host.send(START, remote, b"x", 5).unwrap();
    hand(&mut host, START, B, &reply(0x1000, b"12345"));
    assert_sound(&host);
}

#[test]
fn fact_7_a_reset_asks_for_the_name_and_sends_all_under_new_numbers() {
    let (mut host, remote) = client_of(2);
    for data in [b"one", b"two", b"six"] {
        send(&mut host, remote, data);
    }
    sent(&mut host, B);
    hand(&mut host, START, B, &reset(0x1001));
    assert_eq!(sent(&mut host, B), [name_request(b"echo")]);
    // Once is enough: the mailslot is not valid any more.
    hand(&mut host, START, B, &reset(0x1000));
    hand(&mut host, START, B, &reply(0x1000, b"late"));
    assert_eq!(sent(&mut host, B), []);
    hand(&mut host, START, B, &name_reply(0x2000, 512, NUMBER, 16, b"echo"));
    // The one that waited is first and whole. The others call themselves whole and have no octets.
    let empty = |connection| Seen { data: vec![], ..request(connection, b"123") };
    assert_eq!(sent(&mut host, B), [request(0x2000, b"six"), empty(0x2001), empty(0x2002)]);
    let resent = run(&mut host, B, at(9000));
    let whole = [request(0x2000, b"six"), request(0x2001, b"one"), request(0x2002, b"two")];
    assert_eq!(resent, whole.map(|segment| (9000, segment)), "octets come with the timer: 3 s times 3 in flight");
    assert_sound(&host);
}

#[test]
fn fact_7_what_is_sent_between_a_reset_and_the_name_waits() {
    let (mut host, remote) = client();
    send(&mut host, remote, b"one");
    hand(&mut host, START, B, &reset(0x1000));
    sent(&mut host, B);
    send(&mut host, remote, b"two");
    assert_eq!(sent(&mut host, B), []);
}

#[test]
fn fact_7_after_a_reset_requests_come_in_order_of_their_places() {
    let (mut host, remote) = client_of(3);
    for data in [&b"0"[..], b"1", b"2", b"3", b"4"] {
        send(&mut host, remote, data);
    }
    // Two are done; 3 and 4 have their places, before that of 2.
    hand(&mut host, START, B, &reply(0x1000, b""));
    hand(&mut host, START, B, &reply(0x1001, b""));
    sent(&mut host, B);
    hand(&mut host, START, B, &reset(0x1002));
    hand(&mut host, START, B, &name_reply(0x2000, 512, NUMBER, 16, b"echo"));
    sent(&mut host, B);
    let order: Vec<_> = run(&mut host, B, at(9000)).into_iter().map(|(_, segment)| segment.data).collect();
    assert_eq!(order, [b"3", b"4", b"2"]);
}

#[test]
fn fact_3_a_reset_is_obeyed_for_numbers_in_flight_alone() {
    let (mut host, remote) = client();
    send(&mut host, remote, b"x");
    send(&mut host, remote, b"y");
    sent(&mut host, B);
    hand(&mut host, START, B, &reset(0x0fff));
    hand(&mut host, START, B, &reset(0x1002));
    hand(&mut host, START, B, &with(reset(0), &["00001000 0110 00 01"]));
    hand(&mut host, START, Ipv4Addr::new(10, 0, 0, 3), &reset(0x1000));
    assert_eq!(sent(&mut host, B), []);
    // One that is answered, between others that are not, is in flight still.
    hand(&mut host, START, B, &reply(0x1001, b""));
    hand(&mut host, START, B, &reset(0x1001));
    assert_eq!(sent(&mut host, B), [name_request(b"echo")]);
}

#[test]
fn fact_7_a_reset_drops_all_records_for_the_host_but_leaves_other_mailslots_alone() {
    let (mut host, remote) = client();
    let other = host.get(START, B, b"other");
    hand(&mut host, START, B, &name_reply(0x5000, 512, NUMBER + 8, 16, b"other"));
    send(&mut host, remote, b"x");
    send(&mut host, other, b"y");
    sent(&mut host, B);
    hand(&mut host, START, B, &Seen { mailslot: NUMBER + 8, ..reply(0x5000, b"ok") });
    hand(&mut host, START, B, &reset(0x1000));
    assert_eq!(sent(&mut host, B), [name_request(b"echo")], "the ACK is lost");
    assert_eq!(run(&mut host, B, at(2900)), []);
    send(&mut host, other, b"z");
    assert_eq!(sent(&mut host, B), [Seen { mailslot: NUMBER + 8, ..request(0x5001, b"z") }]);
}

#[test]
fn fact_9_more_than_sixteen_outstanding_overrun_the_table() {
    let (host, _) = client_of(17);
    assert_eq!(host.crashes(), [Defect::TableOverrun { peer: B, max_outstanding: 17 }]);
    let (host, _) = client_of(16);
    assert_sound(&host);
}

#[test]
fn fact_9_after_a_resolution_one_request_too_many_is_sent_and_the_oldest_forgotten() {
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    let tickets: Vec<_> = (0..18).map(|serial| send(&mut host, remote, &[serial])).collect();
    sent(&mut host, B);
    hand(&mut host, START, B, &name_reply(0x1000, 512, NUMBER, 16, b"echo"));
    assert_eq!(sent(&mut host, B).len(), 17);
    assert_eq!(host.crashes(), [Defect::OldestForgotten { ticket: tickets[0] }]);
    // Its reply goes to the one that has its place now.
    hand(&mut host, START, B, &reply(0x1000, b"to the first"));
    assert_eq!(host.poll_reply(tickets[0]), None);
    assert_eq!(host.poll_reply(tickets[16]).unwrap(), b"to the first");
    // With sixteen nothing happens.
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    for serial in 0..16 {
        send(&mut host, remote, &[serial]);
    }
    hand(&mut host, START, B, &name_reply(0x1000, 512, NUMBER, 16, b"echo"));
    assert_sound(&host);
}

#[test]
fn fact_9_the_size_check_reads_the_wrong_field() {
    let passes = |max_size: u32, len: usize| {
        let mut host = machine(A);
        let remote = host.get(START, B, b"echo");
        hand(&mut host, START, B, &name_reply(1, max_size, NUMBER, 16, b"echo"));
        host.send(START, remote, &vec![0; len], 9).is_some()
    };
    assert!(passes(0x1_0000, 0x108) && !passes(0x1_0000, 0x109), "low bits 0: as many octets as the mailslot's number");
    assert!(passes(0x1_0001, 0x1_0108) && !passes(0x1_0001, 0x1_0109));
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    assert!(host.send(START, remote, &[0; 5000], 9).is_some(), "before the resolution there is nothing to check");
}

/// A full table, all replies but the first, then the first: whether anything is sent after that.
fn after_disorder(stalls_when_full: bool) -> (Host, RemoteMailslot) {
    let mut host = Host::new(Config { stalls_when_full, ..Config::new(A, START) });
    let remote = host.get(START, B, b"echo");
    hand(&mut host, START, B, &name_reply(0x1000, 512, NUMBER, 2, b"echo"));
    for data in [b"1", b"2", b"3", b"4"] {
        send(&mut host, remote, data);
    }
    for connection in [0x1001, 0x1000] {
        hand(&mut host, START, B, &reply(connection, b""));
    }
    sent(&mut host, B);
    hand(&mut host, START, B, &reply(0x1002, b""));
    (host, remote)
}

#[test]
fn fact_10_replies_out_of_order_stall_a_full_table_for_good() {
    let (mut host, remote) = after_disorder(true);
    assert_eq!(host.crashes(), [Defect::SlotsStalled { peer: B }]);
    let ticket = send(&mut host, remote, b"5");
    let sent = run(&mut host, B, at(600_000));
    assert!(sent.iter().all(|(_, segment)| segment.flags == 0), "nothing but the ACKs: {sent:?}");
    assert_eq!(host.poll_reply(ticket), None);
    let (mut host, _) = after_disorder(false);
    assert_eq!(run(&mut host, B, at(6000)).last().unwrap().1.data, b"4");
    assert_sound(&host);
}

#[test]
fn fact_10_a_table_with_room_takes_replies_in_any_order() {
    let (mut host, remote) = client_of(4);
    let tickets = [b"1", b"2", b"3"].map(|data| send(&mut host, remote, data));
    for connection in [0x1002, 0x1001, 0x1000] {
        hand(&mut host, START, B, &reply(connection, &connection.to_be_bytes()));
    }
    for (ticket, connection) in tickets.into_iter().zip(0x1000_u32..) {
        assert_eq!(host.poll_reply(ticket).unwrap(), connection.to_be_bytes());
    }
    for _ in 0..4 {
        send(&mut host, remote, b"");
    }
    assert_eq!(sent(&mut host, B).len(), 7, "all places are free again");
    assert_sound(&host);
}

#[test]
fn nothing_from_before_a_reboot_means_anything() {
    let (mut host, remote) = client();
    let ticket = send(&mut host, remote, b"x");
    host.reboot(at(50), 9);
    assert_eq!(sent(&mut host, B), []);
    assert_eq!(host.send(at(50), remote, b"x", 9), None);
    let again = host.get(at(50), B, b"echo");
    assert_ne!(again, remote);
    hand(&mut host, at(50), B, &name_reply(0x1000, 512, NUMBER, 16, b"echo"));
    let fresh = host.send(at(50), again, b"x", 9).unwrap();
    hand(&mut host, at(50), B, &reply(0x1000, b"late"));
    assert_eq!(host.poll_reply(ticket), None);
    assert_eq!(host.poll_reply(fresh).unwrap(), b"late");
    let (mut host, local) = server();
    hand(&mut host, START, A, &request(0x1000, b"x"));
    let (ticket, _) = host.receive(local).unwrap();
    host.reboot(at(50), 9);
    assert!(!host.reply(at(50), ticket, b"late"));
    assert_eq!(host.define(b"echo", 512), local, "numbers begin anew");
    assert_eq!(host.receive(local), None);
    hand(&mut host, at(50), A, &name_request(b"echo"));
    assert_eq!(sent(&mut host, A)[0].connection, 9);
}
