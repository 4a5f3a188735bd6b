//! Links: the machine with a clock of the test's own, and the driver over queues.

use crate::event;
use bytes::Bytes;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_util::{Sink, Stream};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;
use wirekit::{Instant, Machine};
use wrp::link::{
    Backoff, BackoffConfig, Config, Driver, End, Event, Incoming, Input, Link, Outgoing, Receiver, Rejected, SendError,
    Sender, Unit, Unsendable, channel, keep_connected,
};
use wrp::{Message, MessageType};

fn at(seconds: u64) -> Instant {
    Instant::from_epoch(Duration::from_secs(seconds))
}

fn opened(config: Config) -> Link {
    let mut link = Link::new(config);
    link.handle(at(0), Input::Opened).unwrap();
    link
}

fn sent(link: &mut Link, now: Instant) -> Vec<Outgoing> {
    link.handle_timeout(now);
    let mut out = VecDeque::new();
    link.poll_transmit(now, &mut out);
    out.into()
}

/// Lets time pass until `until`, and says when pings went out.
fn pings(link: &mut Link, until: u64, hears: bool) -> Vec<u64> {
    let mut times = Vec::new();
    for second in 0..=until {
        if hears {
            link.handle(at(second), Input::SignOfLife).unwrap();
        }
        times.extend(sent(link, at(second)).iter().map(|_| second));
    }
    times
}

//= WRP-N10
#[test]
fn a_device_pings_at_once_and_every_45_seconds_a_server_with_its_name_only_every_45() {
    assert_eq!(pings(&mut opened(Config::device()), 100, true), [0, 45, 90]);
    let mut cloud = opened(Config::cloud("mac:112233445566"));
    assert_eq!(pings(&mut cloud, 100, true), [45, 90]);
    assert_eq!(sent(&mut cloud, at(200)), [Outgoing::Ping("mac:112233445566".into())]);
    assert_eq!(Config::cloud(&"x".repeat(200)).ping_payload.len(), 125);
    assert!(pings(&mut opened(Config::without_pings()), 10_000, false).is_empty());
}

//= WRP-N11
#[test]
fn silence_ends_a_device_after_60_seconds_a_server_after_135_and_any_sign_of_life_puts_it_off() {
    for (config, patience) in [(Config::device(), 60), (Config::cloud("x"), 135)] {
        let mut link = opened(config.clone());
        let octets = event().encode();
        link.handle(at(1), Input::Message(&octets)).unwrap();
        let _message = link.poll_event();
        link.handle_timeout(at(patience));
        assert_eq!(link.poll_event(), None);
        link.handle_timeout(at(patience + 1));
        assert_eq!(link.poll_event(), Some(Event::Silent(Duration::from_secs(patience))));
        assert_eq!((link.poll_timeout(), sent(&mut link, at(1_000))), (None, vec![]));
        link.handle(at(1_000), Input::Message(&octets)).unwrap();
        assert_eq!(link.poll_event(), None, "nothing comes after the end");

        let mut paused = opened(config);
        paused.handle(at(1), Input::Paused(true)).unwrap();
        paused.handle_timeout(at(1_000));
        assert_eq!(paused.poll_event(), None, "who does not listen hears nothing");
        paused.handle(at(1_000), Input::Paused(false)).unwrap();
        paused.handle_timeout(at(1_000 + patience));
        assert_eq!(paused.poll_event(), Some(Event::Silent(Duration::from_secs(patience))));
    }
}

//= WRP-N6, WRP-N7, WRP-N8
#[test]
fn what_is_no_message_is_reported_and_what_comes_next_is_taken() {
    let mut link = opened(Config::device());
    let octets = event().encode();
    for (input, wanted) in [
        (Input::Text { len: 7 }, "a text of 7 octets"),
        (Input::Message(&Bytes::from_static(b"\xc1")), "1 octets that are no message"),
        (Input::Message(&Bytes::from(vec![0; 262_145])), "message_len_max is 262144"),
    ] {
        link.handle(at(0), input).unwrap();
        let Some(Event::Rejected(rejected)) = link.poll_event() else { panic!("{wanted}") };
        assert!(rejected.to_string().contains(wanted), "{rejected}");
        link.handle(at(0), Input::Message(&octets)).unwrap();
        let Some(Event::Message(received)) = link.poll_event() else { panic!("no message") };
        assert_eq!((&received.message, &received.octets), (&event(), &octets));
    }
    let invalid = Message { msg_type: MessageType::EVENT, source: "talaria-1".to_owned(), ..Message::default() };
    link.handle(at(0), Input::Message(&invalid.encode())).unwrap();
    assert!(matches!(link.poll_event(), Some(Event::Message(_))), "read, and left to the application to judge");
}

//= WRP-N9
#[test]
fn what_cannot_be_sent_is_an_error_at_the_sender() {
    let mut link = opened(Config::without_pings());
    let invalid = Message { dest: "nowhere".to_owned(), ..event() };
    assert!(matches!(link.handle(at(0), Input::Send(&invalid)), Err(Unsendable::Invalid(_))));
    let envelope = event().encode().len();
    // Key and length of the payload.
    let room = 262_144 - envelope - "payload".len() - 1 - 5;
    let fits = Message { payload: Some(vec![0; room].into()), ..event() };
    link.handle(at(0), Input::Send(&fits)).unwrap();
    let long = Message { payload: Some(vec![0; room + 1].into()), ..event() };
    let error = link.handle(at(0), Input::Send(&long)).unwrap_err();
    assert_eq!(error, Unsendable::TooLong { len: 262_145, max: 262_144 });
    let error = link.handle(at(0), Input::SendOctets(long.encode())).unwrap_err();
    assert_eq!(error, Unsendable::TooLong { len: 262_145, max: 262_144 });
    assert_eq!(sent(&mut link, at(0)), [Outgoing::Message(fits.encode())]);
}

/// A road of queues.
struct Road {
    out: PollSender<Unit>,
    came: mpsc::Receiver<Unit>,
}

#[derive(Debug, PartialEq)]
struct Broken;

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("broken")
    }
}

impl Stream for Road {
    type Item = Result<Unit, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.came.poll_recv(cx).map(|unit| unit.map(Ok))
    }
}

impl Sink<Unit> for Road {
    type Error = Broken;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.out.poll_reserve(cx).map_err(|_| Broken)
    }

    fn start_send(mut self: Pin<&mut Self>, unit: Unit) -> Result<(), Broken> {
        self.out.send_item(unit).map_err(|_| Broken)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.out.abort_send();
        self.out.close();
        Poll::Ready(Ok(()))
    }
}

fn roads(room: usize) -> (Road, Road) {
    let (to_left, left) = mpsc::channel(room);
    let (to_right, right) = mpsc::channel(room);
    let road = |out, came| Road { out: PollSender::new(out), came };
    (road(to_right, left), road(to_left, right))
}

type Ends = (Sender, Receiver);

fn joined(config: Config) -> (Ends, Ends) {
    let (left, right) = roads(2);
    let start = |mut driver: Driver, road| tokio::spawn(async move { driver.run(road).await });
    let (left_sender, left_receiver, left_driver) = channel(config.clone());
    let (right_sender, right_receiver, right_driver) = channel(config);
    start(left_driver, left);
    start(right_driver, right);
    ((left_sender, left_receiver), (right_sender, right_receiver))
}

fn numbered(number: usize) -> Message {
    Message { payload: Some(number.to_string().into()), ..event() }
}

//= WRP-N6
#[tokio::test(start_paused = true)]
async fn both_ends_send_more_than_the_road_holds_and_nothing_is_stuck_or_lost() {
    let (left, right) = joined(Config::device());
    let end = |(sender, mut receiver): Ends| {
        tokio::spawn(async move {
            let sending = async {
                for number in 0..500 {
                    sender.send(&numbered(number)).await.unwrap();
                }
                sender.flush().await.unwrap();
            };
            let receiving = async {
                for number in 0..500 {
                    let Some(Incoming::Message(received)) = receiver.receive().await else { panic!("the end") };
                    assert_eq!(received.message, numbered(number));
                }
            };
            tokio::join!(sending, receiving);
            (sender, receiver)
        })
    };
    let (left, right) = (end(left), end(right));
    let ((left, _left), (_right, mut came)) = (left.await.unwrap(), right.await.unwrap());
    left.close().await;
    assert_eq!(came.receive().await, None);
    assert_eq!(left.send(&event()).await, Err(SendError::Closed));
}

//= WRP-N11
#[tokio::test(start_paused = true)]
async fn a_reader_that_pauses_for_an_hour_loses_neither_messages_nor_the_link() {
    let ((sender, _keep), (_other, mut receiver)) = joined(Config::device());
    let sending = tokio::spawn(async move {
        for number in 0..200 {
            sender.send(&numbered(number)).await.unwrap();
        }
        sender
    });
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    for number in 0..200 {
        let Some(Incoming::Message(received)) = receiver.receive().await else { panic!("{number}") };
        assert_eq!(received.message, numbered(number));
    }
    sending.await.unwrap().close().await;
    assert_eq!(receiver.receive().await, None);
}

//= WRP-N11
#[tokio::test(start_paused = true)]
async fn a_link_that_hears_nothing_ends_and_one_whose_pings_are_answered_stays() {
    let (mut other, road) = roads(64);
    let (_sender, _receiver, mut driver) = channel(Config::device());
    let run = tokio::spawn(async move { driver.run(road).await });
    for _ in 0..10 {
        let unit = other.came.recv().await.unwrap();
        assert!(matches!(unit, Unit::Ping(_)), "{unit:?}");
        other.out.get_ref().unwrap().send(Unit::Pong(Bytes::new())).await.unwrap();
    }
    assert_eq!(run.await.unwrap(), End::Silent(Duration::from_secs(60)));
}

//= WRP-N7
#[tokio::test(start_paused = true)]
async fn texts_and_rubbish_do_not_end_the_link() {
    let (other, road) = roads(64);
    let (_sender, mut receiver, mut driver) = channel(Config::device());
    tokio::spawn(async move { driver.run(road).await });
    let out = other.out.get_ref().unwrap();
    for unit in [Unit::Text("{}".into()), Unit::Message("rubbish".into()), Unit::Message(event().encode())] {
        out.send(unit).await.unwrap();
    }
    assert_eq!(receiver.receive().await, Some(Incoming::Rejected(Rejected::Text { len: 2 })));
    assert!(matches!(receiver.receive().await, Some(Incoming::Rejected(Rejected::Decode { len: 7, .. }))));
    assert!(matches!(receiver.receive().await, Some(Incoming::Message(_))));
}

//= WRP-N11
#[test]
fn whatever_comes_is_a_sign_of_life() {
    let octets = event().encode();
    for input in [Input::Text { len: 1 }, Input::SignOfLife, Input::Message(&octets), Input::Message(&Bytes::new())] {
        let mut link = opened(Config::device());
        link.handle(at(50), input.clone()).unwrap();
        let _event = link.poll_event();
        link.handle_timeout(at(109));
        assert_eq!(link.poll_event(), None, "{input:?}");
        link.handle_timeout(at(110));
        assert!(matches!(link.poll_event(), Some(Event::Silent(_))), "{input:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_road_broke_is_handed_over_although_it_had_to_wait() {
    let (other, road) = roads(64);
    let (sender, mut receiver, mut driver) = channel(Config::without_pings());
    let run = tokio::spawn(async move { driver.run(road).await });
    let Road { out, came } = other;
    for number in 0..40 {
        out.get_ref().unwrap().send(Unit::Message(numbered(number).encode())).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Nobody takes anything any more, while one message has come that finds no room.
    drop(came);
    let _broken = sender.send(&event()).await;
    for number in 0..33 {
        let Some(Incoming::Message(received)) = receiver.receive().await else { panic!("{number}") };
        assert_eq!(received.message, numbered(number));
    }
    assert_eq!(run.await.unwrap(), End::Failed(Broken));
}

#[tokio::test(start_paused = true)]
async fn the_last_sender_dropped_closes_and_a_peer_that_does_not_is_left_after_two_seconds() {
    let (mut other, road) = roads(64);
    let (sender, _receiver, mut driver) = channel(Config::without_pings());
    let run = tokio::spawn(async move { driver.run(road).await });
    sender.send(&event()).await.unwrap();
    drop(sender);
    assert_eq!(other.came.recv().await, Some(Unit::Message(event().encode())));
    assert_eq!(other.came.recv().await, None);
    let began = tokio::time::Instant::now();
    assert_eq!(run.await.unwrap(), End::Closed);
    assert_eq!(began.elapsed().as_secs(), 2);
}

//= WRP-N12, WRP-N13
#[tokio::test(start_paused = true)]
async fn a_device_dials_again_and_what_waited_goes_over_the_next_link() {
    let (sender, mut receiver, driver) = channel(Config::without_pings());
    let (roads_sender, mut dialled) = mpsc::unbounded_channel();
    let dial = move || {
        let roads_sender = roads_sender.clone();
        async move {
            let (ours, theirs) = roads(64);
            roads_sender.send(theirs).map_err(|_| Broken)?;
            Ok(ours)
        }
    };
    let keeping = tokio::spawn(keep_connected(driver, Backoff::new(BackoffConfig::default()), || u32::MAX / 2, dial));
    let first = dialled.recv().await.unwrap();
    assert_eq!(receiver.receive().await, Some(Incoming::Up));
    drop(first);
    let Some(Incoming::Down(down)) = receiver.receive().await else { panic!("not down") };
    assert_eq!((down.why.as_str(), down.retry_in.as_secs_f64().round()), ("the other end closed it", 1.0));
    sender.send(&event()).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut second = dialled.recv().await.unwrap();
    assert_eq!(began.elapsed().as_secs_f64().round(), 1.0);
    assert_eq!(second.came.recv().await, Some(Unit::Message(event().encode())));
    drop(second);
    let third = dialled.recv().await.unwrap();
    assert_eq!(began.elapsed().as_secs_f64().round(), 3.0, "the second pause is twice the first");
    drop((third, dialled));
    for _ in 0..2 {
        assert!(matches!(receiver.receive().await, Some(Incoming::Up | Incoming::Down(_))));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    tokio::time::timeout(Duration::from_secs(1), sender.close()).await.expect("a link that is down is closed at once");
    keeping.await.unwrap();
}
