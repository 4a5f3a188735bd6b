//! Links, IP and UDP in front of a segment.

use super::*;

/// The links that are read, each with what stands in front of an IP packet of this version.
fn links(is_v6: bool) -> Vec<(&'static str, u16, Vec<u8>)> {
    let kind: [u8; 2] = if is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
    let ethernet = [&[2; 12][..], &kind].concat();
    let vlan = [&[2; 12][..], &[0x81, 0, 0, 5], &kind].concat();
    let two_vlans = [&[2; 12][..], &[0x88, 0xa8, 0, 6, 0x81, 0, 0, 5], &kind].concat();
    let cooked = [&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &kind].concat();
    let cooked_2 = [&kind[..], &[0, 0, 0, 0, 0, 1, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0]].concat();
    let mut links = vec![
        ("Ethernet", 1, ethernet),
        ("a VLAN", 1, vlan),
        ("two VLANs", 1, two_vlans),
        ("raw IP", 101, vec![]),
        ("cooked", 113, cooked),
        ("cooked 2", 276, cooked_2),
        ("loopback in the order of the host", 0, vec![if is_v6 { 30 } else { 2 }, 0, 0, 0]),
        ("loopback", 108, vec![0, 0, 0, if is_v6 { 24 } else { 2 }]),
    ];
    links.push(if is_v6 { ("raw IPv6", 229, vec![]) } else { ("raw IPv4", 228, vec![]) });
    links
}

//= SMP121-O11, SMP121-O3, SMP121-W31, SMP121-I7, SMP121-I20, SMP121-A31
#[test]
fn a_segment_is_found_behind_every_link_over_both_versions_of_ip_and_udp() {
    for is_v6 in [false, true] {
        let (pseudo, source, destination) =
            if is_v6 { (V6, "[2001:db8::1]", "[2001:db8::2]") } else { (V4, "10.0.0.1", "10.0.0.2") };
        let ip = |number: u8, payload: &[u8]| if is_v6 { ipv6(number, &[], payload) } else { ipv4(number, payload) };
        let straight = ip(121, &segment(&pseudo, b"straight"));
        let none = smp121::wire::PseudoHeader::None;
        let inside = ip(17, &udp(12_121, 40_000, &segment(&none, b"inside UDP")));
        for (name, link_type, front) in links(is_v6) {
            let frames = [[&front[..], &straight].concat(), [&front[..], &inside].concat()];
            let read = read(&pcap(link_type, &frames)[..]);
            assert_eq!(data(&read), [&b"straight"[..], b"inside UDP"], "{name}, IPv6 {is_v6}");
            let ways = [
                (format!("{source}:0"), format!("{destination}:0")),
                (format!("{source}:12121"), format!("{destination}:40000")),
            ];
            assert_eq!(read.ways, ways, "{name}");
        }
    }
}

//= SMP121-O11
#[test]
fn padding_options_and_extension_headers_are_no_part_of_a_segment() {
    let ethernet = [&[2; 12][..], &[0x08, 0x00]].concat();
    let short = [&ethernet[..], &ipv4(121, &segment(&V4, b"x")), &[0; 9]].concat();
    let options = [&ethernet[..], &ipv4_with(121, 0, &[1; 8], &segment(&V4, b"options"))].concat();
    let six = [&[2; 12][..], &[0x86, 0xdd]].concat();
    // Hop-by-hop options, then an atomic fragment header.
    let extensions = [44, 0, 1, 4, 0, 0, 0, 0, 121, 0, 0, 0, 0, 0, 0, 1];
    let extended = [&six[..], &ipv6(0, &extensions, &segment(&V6, b"extensions"))].concat();
    // Routing, destination options of 16 octets, authentication of 24; and authentication over IPv4.
    let mut extensions = vec![60, 0, 0, 0, 0, 0, 0, 0, 51, 1, 1, 12];
    extensions.extend([0; 12]);
    extensions.extend([121, 4]);
    extensions.extend([7; 22]);
    let routed = [&six[..], &ipv6(43, &extensions, &segment(&V6, b"routed"))].concat();
    let signed = [&[121, 4][..], &[7; 22], &segment(&V4, b"signed")].concat();
    let signed = [&ethernet[..], &ipv4(51, &signed)].concat();
    let read = read(&pcap(1, &[short, options, extended, routed, signed])[..]);
    assert_eq!(data(&read), [&b"x"[..], b"options", b"extensions", b"routed", b"signed"]);
}

//= SMP121-O11
#[test]
fn headers_cut_anywhere_are_unreadable_and_never_read_beyond() {
    let extensions =
        [60, 0, 1, 4, 0, 0, 0, 0, 44, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 121, 0, 0, 0, 0, 0, 0, 1];
    let six = ipv6(0, &extensions, &segment(&V6, b"x"));
    let four = ipv4_with(121, 0, &[1; 12], &segment(&V4, b"x"));
    for (packet, header_len) in [(six, 40 + 32), (four, 20 + 12)] {
        for len in 0..packet.len() {
            let mut file = pcap_head(Order::Little, false, RAW);
            pcap_packet(&mut file, Order::Little, (0, 0), &packet[..len], packet.len());
            let read = read(&file[..]);
            assert_eq!(read.unreadable.len(), usize::from(len < header_len), "{len}");
            assert_eq!(read.segments.len(), usize::from(len >= header_len), "{len}");
        }
    }
    // Extensions that the payload's length has no room for.
    let mut lies = ipv6(0, &[121, 0, 1, 4, 0, 0, 0, 0], &segment(&V6, b"x"));
    for len in 1..8 {
        lies[5] = len;
        assert_eq!(read(&pcap(RAW, [&lies])[..]).unreadable, [Unreadable::Header], "{len}");
    }
    let mut short = ipv4(121, &segment(&V4, b"x"));
    short[0] = 0x44;
    assert_eq!(read(&pcap(RAW, [&short])[..]).unreadable, [Unreadable::Header], "a header of 16 octets");
}

//= SMP121-O11, SMP121-I16
#[test]
fn fragments_are_named_and_not_taken_for_segments() {
    let whole = segment(&V4, &[7; 100]);
    // What later fragments begin with looks like our port, and is none.
    let inside = udp(12_121, 12_121, &segment(&smp121::wire::PseudoHeader::None, &[0x2f, 0x59].repeat(50)));
    let extension = |number: u8, offset: u16, more: u16| {
        let [high, low] = ((offset / 8) << 3 | more).to_be_bytes();
        [number, 0, high, low, 0, 0, 0, 1]
    };
    let packets = [
        ipv4_with(121, 0x2000, &[], &whole[..48]),
        ipv4_with(121, 48 / 8, &[], &whole[48..]),
        ipv4_with(17, 0x2000, &[], &inside[..48]),
        ipv4_with(17, 48 / 8, &[], &inside[48..]),
        ipv6(44, &extension(121, 0, 1), &whole[..48]),
        ipv6(44, &extension(121, 48, 0), &whole[48..]),
        ipv6(44, &extension(17, 0, 1), &inside[..48]),
        ipv6(44, &extension(17, 48, 0), &inside[48..]),
        // Behind a later fragment's header is data, whatever it looks like.
        ipv6(44, &extension(60, 48, 0), &[121, 0, 1, 4, 0, 0, 0, 0, 0, 0]),
    ];
    let read = read(&pcap(RAW, &packets)[..]);
    let offsets = [0, 48, 0, 0, 48, 0].map(|offset| Unreadable::Fragment { offset });
    assert_eq!(read.unreadable, offsets, "later fragments of UDP have no port and may be anyone's");
    assert_eq!((read.segments.len(), read.other), (0, 3));
}

//= SMP121-O11
#[test]
fn other_protocols_are_counted_and_unreadable_ones_named() {
    let ethernet = |kind: [u8; 2], rest: &[u8]| [&[2; 12][..], &kind, rest].concat();
    let whole = segment(&V4, b"x");
    let packets = [
        ethernet([0x08, 0x06], &[0; 28]),
        ethernet([0x88, 0xcc], b"anything"),
        ethernet([0x08, 0x00], &ipv4(6, &[0; 20])),
        ethernet([0x08, 0x00], &ipv4(17, &udp(53, 40_000, &whole))),
        ethernet([0x08, 0x00], &ipv4(17, &[0x2f])),
        ethernet([0x08, 0x00], &ipv4(120, &whole)),
        // What is an extension header in IPv6 is none in IPv4.
        ethernet([0x08, 0x00], &ipv4(60, &[&[121, 0, 1, 4, 0, 0, 0, 0][..], &whole].concat())),
    ];
    let read_them = read(&pcap(1, &packets)[..]);
    assert_eq!((read_them.other, read_them.segments.len(), read_them.unreadable.len()), (7, 0, 0));
    let packets = [
        vec![2; 13],
        ethernet([0x08, 0x00], &ipv4(121, &whole)[..19]),
        ethernet([0x08, 0x00], &[0x15; 60]),
        ethernet([0x86, 0xdd], &ipv6(121, &[], &whole)[..39]),
        ethernet([0x08, 0x00], &ipv4(17, &udp(12_121, 1, b"")[..7])),
    ];
    for (at, packet) in packets.iter().enumerate() {
        assert_eq!(read(&pcap(1, [packet])[..]).unreadable, [Unreadable::Header], "{at}");
    }
    let read_them = read(&pcap(195, &[vec![0; 60]])[..]);
    assert_eq!(read_them.unreadable, [Unreadable::LinkType(195)]);
}

//= SMP121-O11
#[test]
fn lengths_that_lie_show_what_is_there() {
    let whole = segment(&V4, b"hello");
    // An IP length of 0, as senders that leave cutting to the card record it.
    let mut zero = ipv4(121, &whole);
    zero[2..4].copy_from_slice(&[0, 0]);
    let mut zero_6 = ipv6(121, &[], &segment(&V6, b"hello"));
    zero_6[4..6].copy_from_slice(&[0, 0]);
    // A UDP length beyond the packet, and one below its own header.
    let none = smp121::wire::PseudoHeader::None;
    let inside = |length: u16| {
        let mut udp = udp(12_121, 1, &segment(&none, b"hello"));
        udp[4..6].copy_from_slice(&length.to_be_bytes());
        ipv4(17, &udp)
    };
    let read_them = read(&pcap(RAW, &[zero, zero_6, inside(0xffff), inside(7), inside(0)])[..]);
    assert_eq!(data(&read_them), [b"hello"; 5]);
    // A UDP length within the packet cuts off what lies behind it.
    let shorter = read(&pcap(RAW, &[inside(8 + 20)])[..]);
    assert_eq!(shorter.segments[0].faults[0].word, "length_beyond_datagram");
}
