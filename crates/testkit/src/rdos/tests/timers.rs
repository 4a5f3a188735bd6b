//! Fact 6: when things are resent, and that they always are.

use super::*;

fn times(all: Vec<(u64, Seen)>) -> Vec<u64> {
    all.into_iter().map(|(ms, _)| ms).collect()
}

#[test]
fn fact_6_a_request_is_resent_whole_after_3_6_12_24_and_24_seconds() {
    let (mut host, remote) = client();
    host.send(START, remote, b"all of it", 9).unwrap();
    sent(&mut host, B);
    let resent = run(&mut host, B, at(120_000));
    assert!(resent.iter().all(|(_, segment)| *segment == request(0x1000, b"all of it")));
    assert_eq!(times(resent), [3000, 9000, 21_000, 45_000, 69_000, 93_000, 117_000]);
}

#[test]
fn fact_6_a_name_is_asked_for_again_on_the_same_ladder() {
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    // However many requests wait for it.
    for _ in 0..16 {
        host.send(START, remote, b"x", 9).unwrap();
    }
    sent(&mut host, B);
    let resent = run(&mut host, B, at(70_000));
    assert!(resent.iter().all(|(_, segment)| *segment == name_request(b"echo")));
    assert_eq!(times(resent), [3000, 9000, 21_000, 45_000, 69_000]);
}

#[test]
fn fact_6_the_more_in_flight_the_longer_each_waits() {
    let (mut host, remote) = client();
    for _ in 0..16 {
        host.send(START, remote, b"x", 9).unwrap();
    }
    sent(&mut host, B);
    let resent = run(&mut host, B, at(48_000));
    assert_eq!(resent.len(), 16);
    assert!(resent.iter().all(|(ms, _)| *ms == 48_000));
    assert!(resent.is_sorted_by_key(|(_, segment)| segment.connection), "oldest first");
    // All but the last answered: what counts is how many are in flight when the supervisor looks.
    (0x1000..0x100f).for_each(|connection| hand(&mut host, at(48_000), B, &reply(connection, b"")));
    sent(&mut host, B);
    let resent: Vec<_> = run(&mut host, B, at(60_000)).into_iter().filter(|(_, segment)| segment.flags != 0).collect();
    assert_eq!(resent, [(54_000, request(0x100f, b"x"))]);
}

#[test]
fn fact_6_each_request_has_its_own_time() {
    let (mut host, remote) = client();
    host.send(START, remote, b"1", 9).unwrap();
    host.send(at(1000), remote, b"2", 9).unwrap();
    sent(&mut host, B);
    assert_eq!(times(run(&mut host, B, at(20_000))), [6000, 7000, 18_000, 19_000]);
}

#[test]
fn fact_6_it_never_gives_up() {
    let (mut host, remote) = client();
    host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    host.get(START, B, b"nobody");
    sent(&mut host, B);
    let day = run(&mut host, B, at(86_400_000));
    assert_eq!(day.len(), 2 * (3 + (86_400 - 21) / 24));
    assert_eq!(day.last().unwrap().0, 86_400_000 - 3000);
    assert!(host.poll_timeout().is_some());
}

#[test]
fn fact_6_the_ladder_begins_anew_after_a_reset() {
    let mut host = machine(A);
    let remote = host.get(START, B, b"echo");
    host.send(START, remote, b"x", 9).unwrap();
    sent(&mut host, B);
    assert_eq!(times(run(&mut host, B, at(4000))), [3000]);
    hand(&mut host, at(4000), B, &name_reply(0x1000, 512, NUMBER, 16, b"echo"));
    sent(&mut host, B);
    assert_eq!(times(run(&mut host, B, at(9900))), [7000]);
    hand(&mut host, at(10_000), B, &seen(0, 0, 0, 0, &["00001000 0108 00 01"], b""));
    sent(&mut host, B);
    assert_eq!(times(run(&mut host, B, at(14_000))), [13_000]);
    hand(&mut host, at(14_000), B, &name_reply(0x2000, 512, NUMBER, 16, b"echo"));
    sent(&mut host, B);
    assert_eq!(times(run(&mut host, B, at(24_000))), [17_000, 23_000]);
}

#[test]
fn fact_6_the_supervisor_looks_every_100_ms_while_there_is_anything_to_see() {
    let mut host = machine(A);
    assert_eq!(host.poll_timeout(), None);
    host.get(at(130), B, b"echo");
    assert_eq!(host.poll_timeout(), Some(at(200)));
    sent(&mut host, B);
    // Sent at 130, so not due at the tick of 3100.
    assert_eq!(times(run(&mut host, B, at(4000))), [3200]);
    // A late caller makes up for nothing, and the ticks stay where they were.
    host.handle_timeout(at(100_042));
    assert_eq!(sent(&mut host, B).len(), 1);
    assert_eq!(host.poll_timeout(), Some(at(100_100)));
    host.handle_timeout(at(100_042));
    assert_eq!(sent(&mut host, B), []);
}

#[test]
fn time_that_goes_back_stands_still() {
    let (mut host, remote) = client();
    host.send(at(5000), remote, b"x", 9).unwrap();
    sent(&mut host, B);
    host.handle_timeout(START);
    hand(&mut host, START, B, &reply(0x1000, b"ok"));
    assert_eq!(times(run(&mut host, B, at(60_000))), [6000]);
}
