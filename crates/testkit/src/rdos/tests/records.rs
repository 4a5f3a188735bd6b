//! Facts 4 and 5: response records out and in, and what a client acknowledges.

use super::*;

const ACK_OF_1000: &str = "00001000 0108 04 02 00000002";
const RESET_OF_1000: &str = "00001000 0108 00 01";

#[test]
fn fact_5_a_complete_reply_is_acknowledged_once_and_late() {
    for (came_ms, acked_ms) in [(0, 1000), (1, 1100), (99, 1100), (100, 1100), (101, 1200)] {
        let (mut host, remote) = client();
        host.send(START, remote, b"x", 9).unwrap();
        sent(&mut host, B);
        hand(&mut host, at(came_ms), B, &reply(0x1000, b"ok"));
        assert_eq!(sent(&mut host, B), [], "not at once");
        assert_eq!(run(&mut host, B, at(60_000)), [(acked_ms, seen(0, 0, 0, 0, &[ACK_OF_1000], b""))]);
        assert_eq!(host.poll_timeout(), None, "nothing is left to look for");
    }
}

#[test]
fn fact_5_a_duplicate_reply_is_ignored_and_not_acknowledged_again() {
    let (mut host, remote) = client();
    let ticket = host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &reply(0x1000, b"ok"));
    assert_eq!(run(&mut host, B, at(2000)).len(), 1);
    assert_eq!(host.poll_reply(ticket).unwrap(), b"ok");
    hand(&mut host, at(2000), B, &reply(0x1000, b"no"));
    assert_eq!(run(&mut host, B, at(60_000)), []);
    assert_eq!(host.poll_reply(ticket), None);
}

#[test]
fn fact_5_the_ack_rides_on_the_next_request() {
    let (mut host, remote) = client();
    host.send(START, remote, b"one", 9).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &reply(0x1000, b"ok"));
    host.send(at(500), remote, b"two", 9).unwrap();
    assert_eq!(sent(&mut host, B), [with(request(0x1001, b"two"), &[ACK_OF_1000])]);
    hand(&mut host, at(600), B, &reply(0x1001, b"ok"));
    assert_eq!(run(&mut host, B, at(1500)), [], "its delay is its own");
    assert_eq!(run(&mut host, B, at(1700)).len(), 1);
}

#[test]
fn fact_5_a_reply_sends_the_next_waiting_request_at_once_with_the_ack() {
    let (mut host, remote) = client_of(1);
    host.send(START, remote, b"one", 9).unwrap();
    host.send(START, remote, b"two", 9).unwrap();
    assert_eq!(sent(&mut host, B), [request(0x1000, b"one")]);
    hand(&mut host, START, B, &reply(0x1000, b"ok"));
    assert_eq!(sent(&mut host, B), [with(request(0x1001, b"two"), &[ACK_OF_1000])]);
}

#[test]
fn fact_4_all_records_for_a_host_leave_together_newest_first() {
    let (mut host, local) = server();
    let other = host.define(b"other", 512);
    hand(&mut host, START, A, &name_request(b"other"));
    sent(&mut host, A);
    hand(&mut host, START, A, &request(0x0500, b"old"));
    hand(&mut host, at(400), A, &seen(0x1000, 513, other.number(), 0x07, &[], b""));
    hand(&mut host, at(400), Ipv4Addr::new(10, 0, 0, 3), &request(1, b"of somebody else"));
    let expected = ["00001000 0110 00 03", "00000500 0108 00 01"];
    // The earliest deadline takes all.
    let mut alone = seen(0, 0, 0, 0, &expected, b"");
    hand(&mut host, at(500), A, &request(0x1000, b"x"));
    let (ticket, _) = host.receive(local).unwrap();
    assert!(host.reply(at(500), ticket, b"ok"));
    alone = Seen { connection: 0x1000, offset: 2, mailslot: NUMBER, flags: 0x0b, data: b"ok".to_vec(), ..alone };
    assert_eq!(sent(&mut host, A), [alone], "on a reply");
    let third = run(&mut host, Ipv4Addr::new(10, 0, 0, 3), at(60_000));
    assert_eq!(third, [(1400, seen(0, 0, 0, 0, &["00000001 0108 00 01"], b""))]);
}

#[test]
fn fact_5_the_earliest_deadline_takes_all() {
    let (mut host, _) = server();
    hand(&mut host, START, A, &request(1, b"x"));
    hand(&mut host, at(950), A, &request(2, b"x"));
    let expected = seen(0, 0, 0, 0, &["00000002 0108 00 01", "00000001 0108 00 01"], b"");
    assert_eq!(run(&mut host, A, at(60_000)), [(1000, expected)]);
}

#[test]
fn fact_4_records_ride_on_a_name_request_too() {
    let (mut host, remote) = client();
    host.send(START, remote, b"one", 9).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &reply(0x1000, b"ok"));
    host.get(START, B, b"other");
    assert_eq!(sent(&mut host, B), [with(name_request(b"other"), &[ACK_OF_1000])]);
}

#[test]
fn fact_4_more_records_than_the_count_can_say() {
    let (mut host, _) = server();
    for _ in 0..258 {
        hand(&mut host, START, A, &request(0, b""));
    }
    host.handle_timeout(at(1000));
    let (_, octets) = host.poll_transmit().unwrap();
    assert_eq!((octets.len(), octets[13]), (16 + 258 * 8, 2));
    assert_eq!(host.poll_transmit(), None, "neither count nor MTU make two of them");
    assert_eq!(host.crashes(), [Defect::RecordCountWrapped { peer: A }]);
}

#[test]
fn fact_4_unknown_actions_up_to_fifteen_are_stepped_over_by_size() {
    for action in [0, 3, 5, 6, 14, 15] {
        let (mut host, local) = server();
        let unknown = format!("00001000 0108 05 {action:02x} 0102030405");
        hand(&mut host, START, A, &with(request(0x1000, b"data"), &[&unknown, "00000000 0000 00 00"]));
        assert_eq!(host.receive(local).unwrap().1, b"data", "{action}");
        assert_sound(&host);
    }
}

#[test]
fn fact_4_a_higher_action_takes_the_rest_and_the_data_with_it() {
    for action in [16, 17, 255] {
        let (mut host, local) = server();
        let high = format!("00001000 0108 00 {action:02x}");
        hand(&mut host, START, A, &with(request(0x1000, b"data"), &[&high, "00001000 0108 00 04"]));
        assert_eq!(host.receive(local), None, "{action}");
        assert_eq!(host.crashes(), [Defect::RecordsDropped { peer: A }], "the Busy behind it is not reached");
    }
}

#[test]
fn fact_4_a_record_that_is_cut_off_takes_the_data_with_it() {
    let (mut host, remote) = client();
    host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    // A count of two with one and a half records: the first counts.
    let cut = Seen { records: vec![], ..with(name_request(b"echo"), &[]) };
    let mut octets = Seen { flags: 0, data: from_hex("00001000010800010000100001").unwrap(), ..cut }.octets(B, A);
    octets[13] = 2;
    seal(B, A, &mut octets);
    host.handle_datagram(START, B, A, &octets);
    assert_eq!(sent(&mut host, B), [name_request(b"echo")]);
    assert_eq!(host.crashes(), [Defect::RecordsDropped { peer: B }]);
    // One whose Size runs over the end, at every length.
    let whole = with(request(0x1000, b""), &["00001000 0108 04 02 00000000"]).octets(A, B);
    for len in 16..whole.len() {
        let (mut host, local) = server();
        let mut cut = whole[..len].to_vec();
        seal(A, B, &mut cut);
        host.handle_datagram(START, A, B, &cut);
        assert_eq!(host.receive(local), None, "cut to {len}");
        assert_eq!(host.crashes(), [Defect::RecordsDropped { peer: A }]);
    }
}

#[test]
fn fact_4_records_come_before_the_data_of_their_datagram() {
    let (mut host, remote) = client();
    let ticket = host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &with(reply(0x1000, b"lost"), &[RESET_OF_1000]));
    assert_eq!(host.poll_reply(ticket), None);
    assert_eq!(sent(&mut host, B), [name_request(b"echo")]);
}

#[test]
fn fact_0_4_busy_is_a_trap() {
    let (mut host, remote) = client();
    host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &seen(0, 0, 0, 0, &["00001000 0108 00 04"], b""));
    assert_eq!(host.crashes(), [Defect::BusyTrap { peer: B }]);
}

#[test]
fn fact_8_too_large_is_ignored_and_the_request_resent_for_ever() {
    let (mut host, remote) = client();
    host.send(START, remote, &[1; 600], 9).unwrap();
    assert_eq!(sent(&mut host, B), [request(0x1000, &[1; 600])], "its own check lets it pass");
    hand(&mut host, START, B, &seen(0, 0, 0, 0, &["00001000 0108 00 03"], b""));
    let times: Vec<_> = run(&mut host, B, at(22_000)).into_iter().map(|(ms, _)| ms).collect();
    assert_eq!(times, [3000, 9000, 21_000]);
    assert_sound(&host);
}

#[test]
fn fact_5_an_ack_of_a_request_is_ignored() {
    let (mut host, remote) = client();
    host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &seen(0, 0, 0, 0, &["00001000 0108 04 02 00000001"], b""));
    assert_eq!(run(&mut host, B, at(3000)), [(3000, request(0x1000, b"x"))]);
}
