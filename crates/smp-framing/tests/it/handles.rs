//! Connections with a task of their own.

use crate::connection::{config, pair};
use crate::table::{frame, plain};
use bytes::Bytes;
use futures_util::future::FutureExt;
use smp_framing::machine::{AbandonReason, ErrorReport, Event};
use smp_framing::reassembler::SequenceFault;
use smp_framing::{
    Arguments, BodyError, Code, Config, Connection, ConnectionError, Incoming, Limits, SendError, Unit, UserCode,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

#[tokio::test]
async fn many_tasks_send_and_bodies_pass_beside_messages() {
    let (a, b) = pair(1000);
    let (a, _keep) = a.spawn();
    let (_b, mut receiver) = b.spawn();
    let mut body = a.open_body(1).await.unwrap();
    let sending = tokio::spawn(async move {
        for _ in 0..500 {
            body.write(0, Bytes::from(vec![9u8; 10_000])).await.unwrap();
        }
        body.finish().await.unwrap();
    });
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let sender = a.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    sender.send("small").await.unwrap();
                }
            })
        })
        .collect();
    let (mut messages, mut bodies) = (0, Vec::new());
    while messages < 800 || bodies.is_empty() {
        match receiver.receive().await.unwrap() {
            Some(Incoming::Message(arguments)) => {
                assert_eq!(arguments, "small".into());
                messages += 1;
            }
            Some(Incoming::Body(body)) => bodies.push(tokio::spawn(body.collect(10_000_000))),
            other => panic!("{other:?}"),
        }
    }
    for sender in senders {
        sender.await.unwrap();
    }
    sending.await.unwrap();
    assert_eq!(bodies.len(), 1);
    let body = bodies.remove(0).await.unwrap().unwrap();
    assert_eq!((body.count(), body.payload_len()), (1, 5_000_000));
    a.close().await;
    assert!(receiver.receive().await.unwrap().is_none());
}

#[tokio::test]
async fn a_body_that_is_dropped_is_cut_off_at_the_other_end() {
    let (a, b) = pair(1000);
    let (a, _keep) = a.spawn();
    let (_b, mut receiver) = b.spawn();
    let mut body = a.open_body(1).await.unwrap();
    body.write(0, Bytes::from_static(b"part")).await.unwrap();
    let Some(Incoming::Body(mut incoming)) = receiver.receive().await.unwrap() else { panic!("no body") };
    assert_eq!(incoming.next().await.unwrap(), Some((0, Bytes::from_static(b"part"))));
    drop(body);
    assert_eq!(incoming.next().await, Err(BodyError::Abandoned(AbandonReason::BySender)));
    let Some(Incoming::Error(report)) = receiver.receive().await.unwrap() else { panic!("no report") };
    assert_eq!(report.number, Some(501));
}

#[tokio::test]
async fn dropping_every_handle_closes_in_order() {
    let (a, mut b) = pair(1000);
    drop(a.spawn());
    while b.receive().await.unwrap().is_some() {}
}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

/// Nothing that a test waits for takes that long.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG, future).await.expect("it hangs")
}

fn with(change: impl FnOnce(&mut Limits)) -> Config {
    let mut limits = Limits::default();
    change(&mut limits);
    config().to_builder().with_limits(limits).build().unwrap()
}

async fn write(raw: &mut DuplexStream, units: &[Unit]) {
    for unit in units {
        raw.write_all(&unit.to_octets().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn who_takes_everything_is_never_paused_for_long_and_all_that_lies_ready_comes() {
    let (mut raw, b) = duplex(1 << 16);
    let (_sender, mut receiver) = Connection::new(b, config()).spawn();
    let writing = tokio::spawn(async move {
        let octets = plain(Code::Message, vec![0; 300]).to_octets().unwrap().repeat(20_000);
        raw.write_all(&octets).await.unwrap();
        raw
    });
    for _ in 0..20_000 {
        assert!(matches!(soon(receiver.receive()).await, Ok(Some(Incoming::Message(_)))));
    }
    soon(writing).await.unwrap();
}

#[tokio::test]
async fn a_flood_that_nobody_takes_is_bounded_and_sending_goes_on_meanwhile() {
    //= SMPF-B-BACKPRESSURE
    let (raw, b) = duplex(1 << 16);
    let bounded = with(|limits| (limits.outgoing_len_max, limits.assembly_len_max) = (1, 4 << 20));
    let (sender, _receiver) = Connection::new(b, bounded).spawn();
    let (mut raw_in, mut raw_out) = tokio::io::split(raw);
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let flood = tokio::spawn(async move {
        let octets = plain(Code::Message, vec![0; 60_000]).to_octets().unwrap();
        for _ in 0..1000 {
            raw_out.write_all(&octets).await.unwrap();
            counter.fetch_add(octets.len(), Ordering::Relaxed);
        }
    });
    assert!(tokio::time::timeout(SHORT * 5, flood).await.is_err(), "the flood passes");
    assert!(written.load(Ordering::Relaxed) < 6 << 20, "{written:?}");
    for _ in 0..5 {
        soon(sender.send("x")).await.unwrap();
    }
    let mut octets = [0; 1 + 5 * 4];
    soon(raw_in.read_exact(&mut octets)).await.unwrap();
    assert_eq!(octets[1..5], [0x01, 0, 1, b'x'], "after the PAUSE");
}

#[tokio::test]
async fn requests_that_waited_for_room_go_on_when_there_is_some() {
    let (a, b) = duplex(1 << 16);
    let (sender, _keep) = Connection::new(a, with(|limits| limits.outgoing_len_max = 1)).spawn();
    let (_keep_too, mut receiver) = Connection::new(b, config()).spawn();
    for _ in 0..10 {
        soon(sender.send("x")).await.unwrap();
    }
    soon(sender.flush()).await.unwrap();
    for _ in 0..10 {
        assert!(matches!(soon(receiver.receive()).await, Ok(Some(Incoming::Message(_)))));
    }
}

#[tokio::test]
async fn a_flush_waits_for_the_carrier_and_control_units_wait_for_room() {
    let (a, b) = duplex(10);
    let (sender, _keep) = Connection::new(a, with(|limits| limits.control_count_max = 8)).spawn();
    sender.send(vec![0; 200_000]).await.unwrap();
    for _ in 0..40 {
        sender.information("note").await.unwrap();
    }
    assert!(tokio::time::timeout(SHORT, sender.flush()).await.is_err(), "nobody reads");
    let (_keep_too, mut receiver) = Connection::new(b, config()).spawn();
    let mut notes = 0;
    while notes < 40 {
        match soon(receiver.receive()).await.unwrap().unwrap() {
            Incoming::Information(_) => notes += 1,
            Incoming::Body(_) => {}
            other => panic!("{other:?}"),
        }
    }
    soon(sender.flush()).await.unwrap();
}

#[tokio::test]
async fn a_receiver_goes_on_without_senders_and_the_connection_closes_when_it_goes_too() {
    let (a, mut b) = pair(1000);
    let (sender, mut receiver) = a.spawn();
    drop(sender);
    tokio::task::yield_now().await;
    soon(b.send("still heard")).await.unwrap();
    assert!(matches!(soon(receiver.receive()).await, Ok(Some(Incoming::Message(_)))));
    drop(receiver);
    assert!(matches!(soon(b.receive()).await, Ok(Some(Event::Stop(_)))));
}

#[tokio::test]
async fn what_is_not_taken_when_the_receiver_goes_no_longer_counts() {
    let (mut raw, b) = duplex(1 << 16);
    let (_sender, receiver) = Connection::new(b, with(|limits| limits.assembly_len_max = 4 << 20)).spawn();
    let octets = plain(Code::Message, vec![0; 60_000]).to_octets().unwrap();
    let all = octets.repeat(200);
    let mut writing = tokio::spawn(async move { raw.write_all(&all).await.map(|()| raw) });
    assert!(tokio::time::timeout(SHORT * 3, &mut writing).await.is_err(), "12 MB are too much to keep");
    drop(receiver);
    let mut raw = soon(writing).await.unwrap().unwrap();
    for _ in 0..200 {
        soon(raw.write_all(&octets)).await.unwrap();
    }
}

#[tokio::test]
async fn closing_waits_for_open_bodies_but_not_for_one_whose_opener_went_away() {
    let (a, b) = pair(1000);
    let (sender, _keep) = a.spawn();
    let (_keep_too, mut receiver) = b.spawn();
    assert!(sender.open_body(1).now_or_never().is_none(), "asked for and dropped");
    let mut body = sender.open_body(1).await.unwrap();
    assert!(body.write(1, Bytes::from_static(b"there is no second argument")).await.is_err());
    let closing = tokio::spawn(async move { sender.close().await });
    tokio::time::sleep(SHORT).await;
    body.write(0, Bytes::from_static(b"whole")).await.unwrap();
    body.finish().await.unwrap();
    let Ok(Some(Incoming::Body(body))) = soon(receiver.receive()).await else { panic!("no body") };
    assert_eq!(soon(body.collect(5)).await, Ok("whole".into()));
    soon(closing).await.unwrap();
    assert!(matches!(soon(receiver.receive()).await, Ok(None)));
}

#[tokio::test]
async fn an_id_may_be_used_again_and_a_gap_cuts_the_body_off() {
    let (mut raw, b) = duplex(1 << 16);
    let (_sender, mut receiver) = Connection::new(b, config()).spawn();
    let units = [
        frame(Code::NewFrame, 1, 0, "a"),
        frame(Code::LastFrame, 1, 1, "b"),
        frame(Code::NewFrame, 1, 0, "c"),
        frame(Code::ContinuingFrame, 1, 5, "d"),
    ];
    write(&mut raw, &units).await;
    raw.write_all(&[0x50]).await.unwrap();
    let Ok(Some(Incoming::Body(body))) = soon(receiver.receive()).await else { panic!("no body") };
    assert_eq!(soon(body.collect(10)).await, Ok("ab".into()));
    let Ok(Some(Incoming::Body(body))) = soon(receiver.receive()).await else { panic!("no second body") };
    let cut = BodyError::Abandoned(AbandonReason::OutOfSequence(SequenceFault::Gap));
    assert_eq!(soon(body.collect(10)).await, Err(cut));
    let Ok(Some(Incoming::Error(report))) = soon(receiver.receive()).await else { panic!("no report") };
    assert_eq!(report.number, None, "an ERROR without number and text");
}

#[tokio::test]
async fn an_end_inside_a_unit_is_told_to_the_receiver() {
    let (mut raw, b) = duplex(100);
    let (_sender, mut receiver) = Connection::new(b, config()).spawn();
    raw.write_all(&[0x01, 0]).await.unwrap();
    drop(raw);
    assert!(matches!(soon(receiver.receive()).await, Err(ConnectionError::Ended(_))));
    assert!(matches!(soon(receiver.receive()).await, Ok(None)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_read_is_not_lost() {
    //= SMPF-B-HEARTBEAT SMPF-B-BACKPRESSURE
    let (mut raw, b) = duplex(1 << 16);
    let (_sender, mut receiver) = Connection::new(b, Config::default()).spawn();
    let all = plain(Code::Message, vec![0; 60_000]).to_octets().unwrap().repeat(100);
    let writing = tokio::spawn(async move { raw.write_all(&all).await.map(|()| raw) });
    tokio::time::sleep(Duration::from_secs(200)).await;
    for _ in 0..100 {
        assert!(matches!(receiver.receive().await, Ok(Some(Incoming::Message(_)))));
    }
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_go_is_refused_to_the_one_who_asks() {
    let (a, _b) = pair(1000);
    let (sender, _keep) = a.spawn();
    let many = || Arguments::from(vec![Bytes::new(); 16]);
    let is_usage = |sent: Result<(), SendError>| matches!(sent, Err(SendError::Usage(_)));
    assert!(is_usage(sender.send(many()).await));
    assert!(is_usage(sender.information(many()).await));
    assert!(is_usage(sender.user(UserCode::User13, many()).await));
    let fourteen = Arguments::from(vec![Bytes::new(); 14]);
    let report = ErrorReport { number: None, text: String::new(), arguments: fourteen };
    assert!(is_usage(sender.error(report).await), "number and text are arguments too");
    assert!(is_usage(sender.error(ErrorReport::new(500, "x".repeat(65_536))).await));
}

#[tokio::test]
async fn a_body_has_all_its_arguments_and_no_more_octets_than_are_wanted() {
    let (mut raw, b) = duplex(1 << 16);
    let (_sender, mut receiver) = Connection::new(b, config()).spawn();
    let three = || Arguments::from(["".into(), "abc".into(), "".into()]);
    write(&mut raw, &[1, 2, 3].map(|id| frame(Code::LastFrame, id, 0, three()))).await;
    write(&mut raw, &[frame(Code::NewFrame, 4, 0, "cut off by the end")]).await;
    drop(raw);
    let mut bodies = Vec::new();
    while let Ok(Some(Incoming::Body(body))) = soon(receiver.receive()).await {
        bodies.push(body);
    }
    let [whole, too_long, mut pieces, cut] = <[_; 4]>::try_from(bodies).unwrap();
    assert_eq!(soon(whole.collect(3)).await, Ok(three()));
    assert_eq!(soon(too_long.collect(2)).await, Err(BodyError::TooLong { len_max: 2 }));
    assert_eq!(soon(pieces.next()).await, Ok(Some((1, Bytes::from_static(b"abc")))));
    assert_eq!(soon(pieces.next()).await, Ok(None));
    let ended = BodyError::Abandoned(AbandonReason::ConnectionEnded);
    assert_eq!(soon(cut.collect(100)).await, Err(ended));
}

#[tokio::test]
async fn a_flush_is_not_over_while_the_first_octet_waits() {
    let (a, _nobody_reads) = duplex(1);
    let (sender, _keep) = Connection::new(a, config()).spawn();
    sender.send("x").await.unwrap();
    assert!(tokio::time::timeout(SHORT, sender.flush()).await.is_err());
}

#[tokio::test]
async fn who_waited_for_a_body_and_dropped_it_waits_no_more() {
    //= SMPF-B-BACKPRESSURE
    let (mut raw, b) = duplex(1 << 16);
    let (_sender, mut receiver) = Connection::new(b, config()).spawn();
    write(&mut raw, &[frame(Code::NewFrame, 1, 0, "x")]).await;
    let Ok(Some(Incoming::Body(mut body))) = soon(receiver.receive()).await else { panic!("no body") };
    soon(body.next()).await.unwrap();
    assert!(body.next().now_or_never().is_none(), "waits");
    drop(body);
    let much = plain(Code::Message, vec![0; 60_000]).to_octets().unwrap().repeat(40);
    soon(raw.write_all(&much)).await.unwrap();
    assert_eq!(soon(raw.read_u8()).await.unwrap(), 0x80, "a PAUSE for what nobody takes");
}

#[tokio::test]
async fn those_who_never_stop_sending_do_not_keep_a_closed_connection_alive() {
    let (a, mut raw) = duplex(1000);
    let mut limits = Limits::default();
    limits.stop_linger = Duration::from_millis(100);
    let a = Connection::new(a, config().to_builder().with_limits(limits).build().unwrap());
    let (sender, mut receiver) = a.spawn();
    // Each of them queues as much as tokio lets it before the others and the connection's task have a turn.
    let floods: Vec<_> = (0..8)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { while sender.send("x").await.is_ok() {} })
        })
        .collect();
    raw.write_all(&[0x70]).await.unwrap();
    let ended = async { while receiver.receive().await.unwrap().is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
    for flood in floods {
        tokio::time::timeout(Duration::from_secs(10), flood).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_handles_queue_is_bounded_by_octets_and_one_message_may_be_larger() {
    //= SMPF-L-OUTGOING
    let (a, _b) = pair(1000);
    let (sender, _receiver) = a.spawn();
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(100), sender.send(vec![0; 1 << 20])).await.is_ok() {
        sent += 1;
        assert!(sent < 20, "nothing bounds it");
    }
    // One or two in the machine, four in the queue.
    assert!((4..8).contains(&sent), "{sent} messages of 1 MiB");
    let (c, d) = pair(1 << 16);
    let (sender, _receiver) = c.spawn();
    let (_keep, mut receiver) = d.spawn();
    sender.send(vec![1; 6 << 20]).await.unwrap();
    let Some(Incoming::Body(body)) = receiver.receive().await.unwrap() else { panic!("no body") };
    assert_eq!(body.collect(6 << 20).await.unwrap().payload_len(), 6 << 20);
}

#[tokio::test]
async fn what_a_peer_had_on_its_way_when_it_was_paused_does_not_hide_its_resume() {
    //= SMPF-B-BACKPRESSURE SMPF-R15
    let (raw, b) = duplex(1 << 16);
    let (sender, _receives_nothing_yet) = Connection::new(b, config()).spawn();
    let (mut raw_in, mut raw_out) = tokio::io::split(raw);
    raw_out.write_all(&[0x80]).await.unwrap();
    let echo = tokio::spawn(async move {
        // An application that answers before it takes the next: it waits while it is paused.
        for _ in 0..3000 {
            sender.send(vec![0; 10_000]).await.unwrap();
        }
    });
    // More than any sender keeps in its own buffers and the system's.
    let message = plain(Code::Message, vec![0; 60_000]).to_octets().unwrap();
    for _ in 0..300 {
        soon(raw_out.write_all(&message)).await.unwrap();
    }
    raw_out.write_all(&[0x90]).await.unwrap();
    let mut octets = vec![0; 1 << 20];
    for _ in 0..20 {
        soon(raw_in.read_exact(&mut octets)).await.unwrap();
    }
    echo.abort();
}

#[tokio::test]
async fn who_waits_for_the_end_learns_of_it() {
    let (near, far) = duplex(100);
    let (sender, _receiver) = Connection::new(near, config()).spawn();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.closed().await })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(!sender.is_closed() && waiting.iter().all(|task| !task.is_finished()));
    drop(far);
    for task in waiting {
        tokio::time::timeout(Duration::from_secs(5), task).await.expect("told").unwrap();
    }
    assert!(sender.is_closed());
}
