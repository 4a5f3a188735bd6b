//! That the links do what their conditions say, and nothing else.

use super::*;

const START: Instant = Instant::from_epoch(Duration::from_secs(100));

fn read_all(link: &mut StreamLink, until: Instant) -> (Vec<u8>, usize, bool) {
    let (mut octets, mut piece_count, mut ended) = (Vec::new(), 0, false);
    while let Some(piece) = link.read(until) {
        assert!(!ended, "something came behind the end");
        match piece {
            StreamPiece::Octets(piece) => {
                octets.extend(piece);
                piece_count += 1;
            }
            StreamPiece::End => ended = true,
        }
    }
    (octets, piece_count, ended)
}

#[test]
fn a_stream_link_cuts_and_keeps_order_and_octets() {
    let sent: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let conditions = StreamConditions { stall_per_mille: 50, ..StreamConditions::new() };
    let mut link = StreamLink::new(conditions, 9);
    assert_eq!(link.write(START, &sent), 5000);
    link.close(START);
    let (octets, piece_count, ended) = read_all(&mut link, START + Duration::from_secs(60));
    assert_eq!(octets, sent);
    assert!(piece_count > 5000 / 64, "{piece_count} pieces");
    assert!(ended);
}

#[test]
fn nothing_arrives_before_its_time() {
    let delay = Duration::from_millis(10)..Duration::from_millis(20);
    let mut link = StreamLink::new(StreamConditions { delay, ..StreamConditions::new() }, 1);
    link.write(START, b"abc");
    assert!(link.next_at().unwrap() >= START + Duration::from_millis(10));
    assert_eq!(link.read(START + Duration::from_millis(9)), None);
    assert_eq!(read_all(&mut link, START + Duration::from_millis(20)).0, b"abc");
}

#[test]
fn a_full_stream_link_takes_a_part() {
    let mut link = StreamLink::new(StreamConditions { capacity_len: 10, ..StreamConditions::new() }, 2);
    assert_eq!(link.write(START, &[7; 12]), 10);
    assert_eq!(link.write(START, &[7; 12]), 0);
    read_all(&mut link, START + Duration::from_secs(1));
    assert_eq!(link.write(START, &[7; 12]), 10);
}

#[test]
fn a_stream_link_breaks_at_the_octet_it_was_told() {
    let mut link = StreamLink::new(StreamConditions { break_after_len: Some(5), ..StreamConditions::new() }, 3);
    assert_eq!(link.write(START, b"abc"), 3);
    assert_eq!(link.write(START, b"defg"), 4);
    assert_eq!(link.write(START, b"hij"), 3);
    let (octets, _, ended) = read_all(&mut link, START + Duration::from_secs(1));
    assert_eq!((&octets[..], ended), (&b"abcde"[..], true));
}

#[test]
fn the_same_seed_gives_the_same_pieces_and_another_seed_others() {
    let pieces = |seed| {
        let mut link = StreamLink::new(StreamConditions::new(), seed);
        link.write(START, &[1; 1000]);
        let mut all = Vec::new();
        while let Some(at) = link.next_at() {
            all.push((at, link.read(at)));
        }
        all
    };
    assert_eq!(pieces(1), pieces(1));
    assert_ne!(pieces(1), pieces(2));
}

fn datagrams(conditions: DatagramConditions, count: u32) -> (Vec<u32>, DatagramCounts) {
    let mut link = DatagramLink::new(conditions, 5);
    for serial in 0..count {
        link.send(START + Duration::from_micros(u64::from(serial) * 100), &serial.to_be_bytes());
    }
    let mut got = Vec::new();
    while let Some(at) = link.next_at() {
        let datagram = link.receive(at).unwrap();
        got.push(u32::from_be_bytes(datagram.try_into().unwrap()));
    }
    (got, link.counts())
}

#[test]
fn a_perfect_datagram_link_changes_nothing() {
    let (got, counts) = datagrams(DatagramConditions::new(), 500);
    assert_eq!(got, (0..500).collect::<Vec<_>>());
    assert_eq!(counts, DatagramCounts { sent_count: 500, ..DatagramCounts::default() });
}

#[test]
fn loss_loses_and_duplication_doubles_as_counted() {
    let conditions = DatagramConditions { loss_per_mille: 100, duplicate_per_mille: 100, ..DatagramConditions::new() };
    let (got, counts) = datagrams(conditions, 2000);
    assert!((120..300).contains(&counts.lost_count), "{counts:?}");
    assert!((120..300).contains(&counts.duplicated_count), "{counts:?}");
    assert_eq!(got.len() as u64, 2000 - counts.lost_count + counts.duplicated_count);
}

#[test]
fn reordering_reorders_and_loses_nothing() {
    let (mut got, counts) = datagrams(DatagramConditions { reorder_per_mille: 200, ..DatagramConditions::new() }, 500);
    assert!(counts.reordered_count > 50, "{counts:?}");
    assert!(!got.is_sorted());
    got.sort_unstable();
    assert_eq!(got, (0..500).collect::<Vec<_>>());
}

#[test]
fn corruption_turns_one_bit() {
    let (got, counts) = datagrams(DatagramConditions { corrupt_per_mille: 1000, ..DatagramConditions::new() }, 200);
    assert_eq!(counts.corrupted_count, 200);
    assert!(got.iter().zip(0..).all(|(got, sent): (&u32, u32)| (got ^ sent).count_ones() == 1));
}

#[test]
fn what_is_too_long_or_too_much_is_dropped() {
    let conditions = DatagramConditions { mtu: 4, queue_count_max: 3, ..DatagramConditions::new() };
    let mut link = DatagramLink::new(conditions, 1);
    link.send(START, &[0; 5]);
    for _ in 0..4 {
        link.send(START, &[0; 4]);
    }
    assert_eq!(link.counts().dropped_count, 2);
    assert_eq!(link.receive(START), None);
    let later = START + Duration::from_millis(1);
    assert_eq!((0..4).filter_map(|_| link.receive(later)).count(), 3);
}
