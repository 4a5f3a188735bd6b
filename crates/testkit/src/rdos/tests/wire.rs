//! Facts 1 and 2: header, flags, order of dispatch, IPv4, length and checksum.

use super::*;

/// Each kind of segment octet by octet, checksums calculated outside of this crate.
#[test]
fn fact_1_every_kind_of_segment_octet_by_octet() {
    let octets = |host: &mut Host| to_hex(&host.poll_transmit().unwrap().1);
    let (mut a, mut b) = (machine(A), machine(B));
    let local = b.define(b"echo", 512);
    let remote = a.get(START, B, b"echo");
    let name_request = "00000000000000000000001514000987 6563686f00".replace(' ', "");
    assert_eq!(octets(&mut a), name_request);
    b.handle_datagram(START, A, B, &from_hex(&name_request).unwrap());
    let name_reply = "0000100000000200010800171800f26a 00106563686f00".replace(' ', "");
    assert_eq!(octets(&mut b), name_reply);
    a.handle_datagram(START, B, A, &from_hex(&name_reply).unwrap());
    let ticket = a.send(START, remote, b"hello", 100).unwrap();
    let request = "000010000000000501080015070 08f7a 68656c6c6f".replace(' ', "");
    assert_eq!(octets(&mut a), request);
    b.handle_datagram(START, A, B, &from_hex(&request).unwrap());
    let (got, message) = b.receive(local).unwrap();
    assert_eq!(message, b"hello");
    assert!(b.reply(START, got, b"world"));
    let reply = "000010000000000501080015 0b00 8170 776f726c64".replace(' ', "");
    assert_eq!(octets(&mut b), reply);
    a.handle_datagram(START, B, A, &from_hex(&reply).unwrap());
    assert_eq!(a.poll_reply(ticket).unwrap(), b"world");
    assert_eq!(a.poll_reply(ticket), None, "a reply is given out once");
    a.handle_timeout(at(1000));
    let ack = "00000000000000000000001c0001d63b 000010000108040200000005".replace(' ', "");
    assert_eq!(octets(&mut a), ack);
    b.handle_datagram(at(1000), A, B, &from_hex(&ack).unwrap());
    // The number is used up and its reply gone: a duplicate draws a reset.
    b.handle_datagram(at(1000), A, B, &from_hex(&request).unwrap());
    b.handle_timeout(at(2000));
    assert_eq!(octets(&mut b), "0000000000000000000000180001da49 0000100001080001".replace(' ', ""));
    assert_sound(&a);
    assert_sound(&b);
}

#[test]
fn fact_1_reserved_bits_and_the_reset_bit_are_ignored() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &Seen { flags: 0xe7, ..request(0x1000, b"x") });
    assert_eq!(host.receive(local).unwrap().1, b"x");
    // The bit alone: records only, and there are none.
    let (mut host, remote) = client();
    host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    hand(&mut host, START, B, &seen(0x1000, 0, NUMBER, 0x20, &[], b""));
    assert_eq!(sent(&mut host, B), []);
    // With the record, it is the record that resets.
    hand(&mut host, START, B, &seen(0x1000, 0, NUMBER, 0x20, &["00001000 0108 00 01"], b""));
    assert_eq!(sent(&mut host, B), [name_request(b"echo")]);
}

#[test]
fn fact_1_a_request_that_is_also_a_reply_is_a_request() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &Seen { flags: 0x0f, ..request(0x1000, b"both") });
    assert_eq!(host.receive(local).unwrap().1, b"both");
}

#[test]
fn fact_1_a_name_segment_of_both_kinds_is_dropped_with_its_records() {
    let (mut host, _) = server();
    let both = Seen { flags: 0x1c, ..name_request(b"echo") };
    hand(&mut host, START, A, &with(both, &["00001000 0108 00 04"]));
    assert_eq!(sent(&mut host, A), []);
    assert_sound(&host);
}

#[test]
fn fact_1_a_name_segment_of_neither_kind_counts_for_its_records() {
    let (mut host, _) = server();
    let neither = Seen { flags: 0x10, ..name_request(b"echo") };
    hand(&mut host, START, A, &with(neither, &["00001000 0108 00 04"]));
    assert_eq!(sent(&mut host, A), []);
    assert_eq!(host.crashes(), [Defect::BusyTrap { peer: A }]);
}

#[test]
fn fact_1_names_go_before_requests_and_replies() {
    let (mut host, local) = server();
    // With NAM set, SOM, EOM and a mailslot mean nothing.
    let named = Seen { flags: 0x17, mailslot: NUMBER, ..name_request(b"echo") };
    hand(&mut host, START, A, &named);
    assert_eq!(sent(&mut host, A)[0].flags, 0x18);
    assert_eq!(host.receive(local), None);
}

#[test]
fn fact_1_the_end_mark_is_never_looked_at() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &Seen { flags: 0x05, ..request(0x1000, b"no end") });
    let (ticket, message) = host.receive(local).unwrap();
    assert_eq!(message, b"no end");
    host.reply(START, ticket, b"");
    // And an end without all octets ends nothing.
    hand(&mut host, START, A, &Seen { offset: 9, ..request(0x1001, b"part") });
    assert_eq!(host.receive(local), None);
}

#[test]
fn fact_1_data_that_is_neither_request_nor_reply_is_ignored() {
    let (mut host, local) = server();
    hand(&mut host, START, A, &Seen { flags: 0x03, ..request(0x1000, b"x") });
    assert_eq!(host.receive(local), None);
    assert_eq!(run(&mut host, A, at(5000)), []);
}

#[test]
fn fact_1_packets_have_no_options_and_are_never_to_be_fragmented() {
    let mut host = machine(A);
    host.get(START, B, b"echo");
    host.get(START, B, b"other");
    let packet = host.poll_transmit_packet().unwrap();
    assert_eq!(to_hex(&packet[..10]), "45000029000140003c79", "version, TOS, length, ID, DF, TTL, protocol");
    assert_eq!(to_hex(&packet[12..20]), "0a0000010a000002");
    assert_eq!(sum(&packet[..20]), 0xffff);
    assert_eq!(host.poll_transmit_packet().unwrap()[4..6], [0, 2], "IDs count up");
}

fn packet(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = from_hex("4500002a000140003c7900000a0000010a000002").unwrap();
    packet.extend(name_request(b"echo").octets(A, B));
    packet.push(0xee);
    packet[3] = 20 + 21;
    change(&mut packet);
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = !sum(&packet[..header_len]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn answers(packet: &[u8]) -> bool {
    let mut host = machine(B);
    host.define(b"echo", 512);
    host.handle_packet(START, packet);
    host.poll_transmit().is_some()
}

#[test]
fn fact_1_packets_are_taken_by_total_length_with_options_and_whatever_fragment_fields() {
    assert!(answers(&packet(|_| {})), "octets behind the total length are not SMP's");
    assert!(answers(&packet(|packet| packet[6] = 0x3f)), "fragment fields are not looked at");
    let with_options = packet(|packet| {
        packet[0] = 0x46;
        packet[3] += 4;
        packet.splice(20..20, [1, 1, 1, 1]);
    });
    assert!(answers(&with_options));
}

#[test]
fn fact_1_other_packets_are_dropped() {
    assert!(!answers(&packet(|packet| packet[0] = 0x65)), "version 6");
    assert!(!answers(&packet(|packet| packet[9] = 17)), "protocol");
    assert!(!answers(&packet(|packet| packet[19] = 3)), "destination");
    assert!(!answers(&packet(|packet| packet[3] -= 1)), "a fragment fails at the checksum");
    let mut damaged = packet(|_| {});
    damaged[8] ^= 1;
    assert!(!answers(&damaged), "header checksum");
    let whole = packet(|_| {});
    for len in 0..whole.len() - 1 {
        assert!(!answers(&whole[..len]), "cut to {len}");
    }
}

#[test]
fn fact_2_the_length_field_is_never_read() {
    let mut octets = name_request(b"echo").octets(A, B);
    octets[10..12].copy_from_slice(&[0xff, 0xff]);
    octets[14..16].copy_from_slice(&[0, 0]);
    let sum = !sum(&[&pseudo_header(A, B, octets.len())[..], &octets].concat());
    octets[14..16].copy_from_slice(&sum.to_be_bytes());
    let mut host = machine(B);
    host.define(b"echo", 512);
    host.handle_datagram(START, A, B, &octets);
    assert!(host.poll_transmit().is_some());
}

#[test]
fn fact_2_a_wrong_checksum_is_dropped_in_silence_and_zero_is_no_exception() {
    let good = name_request(b"echo").octets(A, B);
    let answers = |octets: &[u8]| {
        let mut host = machine(B);
        host.define(b"echo", 512);
        host.handle_datagram(START, A, B, octets);
        assert_eq!(host.crashes(), []);
        host.poll_transmit().is_some()
    };
    assert!(answers(&good));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert!(!answers(&bad), "octet {at} damaged");
    }
    let mut zero = good.clone();
    zero[14..16].copy_from_slice(&[0, 0]);
    assert!(!answers(&zero));
}

#[test]
fn fact_2_a_sum_of_zero_goes_out_and_in_as_zero() {
    // The connection number is free to make the sum what it has to be.
    let octets = request(0, b"xy").octets(A, B);
    let sum = u32::from(u16::from_be_bytes([octets[14], octets[15]]));
    let octets = request(sum, b"xy").octets(A, B);
    assert_eq!(octets[14..16], [0, 0], "the case is what it should be");
    let mut host = Host::new(Config { ticks_at_boot: sum, ..Config::new(B, START) });
    let mailslot = host.define(b"echo", 512);
    hand(&mut host, START, A, &name_request(b"echo"));
    host.handle_datagram(START, A, B, &octets);
    assert_eq!(host.receive(mailslot).unwrap().1, b"xy");
    // Out: a client that gets this very number sends the same octets.
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    sent(&mut host, B);
    hand(&mut host, START, B, &name_reply(sum, 512, NUMBER, 16, b"echo"));
    host.send(START, remote, b"xy", 9).unwrap();
    assert_eq!(host.poll_transmit().unwrap().1, octets);
}

#[test]
fn fact_2_the_sum_covers_records_and_an_odd_end() {
    let (mut host, local) = server();
    let odd = with(request(0x1000, b"odd"), &["00000001 0108 04 02 00000005"]);
    let mut octets = odd.octets(A, B);
    octets[17] ^= 1;
    host.handle_datagram(START, A, B, &octets);
    octets[17] ^= 1;
    *octets.last_mut().unwrap() ^= 1;
    host.handle_datagram(START, A, B, &octets);
    assert_eq!(host.receive(local), None);
    *octets.last_mut().unwrap() ^= 1;
    host.handle_datagram(START, A, B, &octets);
    assert_eq!(host.receive(local).unwrap().1, b"odd");
}

#[test]
fn other_addresses_and_less_than_a_header_are_not_for_us() {
    let mut host = machine(B);
    host.define(b"echo", 512);
    host.handle_datagram(START, A, A, &name_request(b"echo").octets(A, A));
    for len in 0..16 {
        let mut short = vec![0; len];
        if len >= 2 {
            let sum = !sum(&pseudo_header(A, B, len));
            short[..2].copy_from_slice(&sum.to_be_bytes());
        }
        host.handle_datagram(START, A, B, &short);
    }
    assert_eq!(sent(&mut host, A), []);
    assert_sound(&host);
}
