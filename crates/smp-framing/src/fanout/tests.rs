use super::*;

fn fan_out(queue_count_max: usize) -> FanOut {
    let limits =
        FanOutLimits { queue_count_max, open_messages_max: 2, receiver_count_max: 3, ..FanOutLimits::default() };
    FanOut::new(FanOutConfig::builder().with_max_message_size(31).with_limits(limits).build().unwrap())
}

fn piece(fan_out: &mut FanOut, message: MessageId, text: &'static str) -> Result<(), FanOutError> {
    fan_out.write(message, 0, &mut Bytes::from_static(text.as_bytes())).and_then(|()| fan_out.flush(message))
}

/// What a receiver gets, in short: codes and numbers of frames, `M` for messages, `A` for the word that one was given up.
fn drain(fan_out: &mut FanOut, receiver: ReceiverId) -> Vec<String> {
    std::iter::from_fn(|| fan_out.poll(receiver))
        .map(|item| match item {
            Item::Message(_) => "M".to_owned(),
            Item::Frame(frame) => format!("{}:{}", frame.code.number(), frame.ident.number),
            Item::Abandoned { .. } => "A".to_owned(),
            Item::Disconnect => "D".to_owned(),
        })
        .collect()
}

#[test]
fn who_joins_in_the_middle_gets_the_next_frame_as_new_frame_with_the_number_it_has_anyway() {
    //= SMPF-CONV-3 SMPF-B-FANOUT
    let mut fan_out = fan_out(100);
    let first = fan_out.join(Policy::Drop).unwrap();
    let message = fan_out.begin(1, u32::MAX - 1).unwrap();
    piece(&mut fan_out, message, "a").unwrap();
    let second = fan_out.join(Policy::Drop).unwrap();
    piece(&mut fan_out, message, "b").unwrap();
    piece(&mut fan_out, message, "c").unwrap();
    let third = fan_out.join(Policy::Drop).unwrap();
    fan_out.finish(message).unwrap();
    assert_eq!(drain(&mut fan_out, first), ["1:4294967294", "2:4294967295", "2:0", "3:1"]);
    assert_eq!(drain(&mut fan_out, second), ["1:4294967295", "2:0", "3:1"]);
    assert_eq!(drain(&mut fan_out, third), ["3:1"]);
    assert_eq!(fan_out.finish(message), Err(FanOutError::NoSuchMessage));
}

#[test]
fn frames_are_as_full_as_they_go_and_the_last_one_has_content() {
    let mut fan_out = fan_out(100);
    let receiver = fan_out.join(Policy::Drop).unwrap();
    let message = fan_out.begin(2, 0).unwrap();
    fan_out.write(message, 0, &mut Bytes::from_static(b"head")).unwrap();
    for _ in 0..25 {
        fan_out.write(message, 1, &mut Bytes::from_static(b"xy")).unwrap();
    }
    fan_out.finish(message).unwrap();
    let frames: Vec<Vec<usize>> = std::iter::from_fn(|| fan_out.poll(receiver))
        .map(|item| item.into_unit().unwrap().arguments().iter().map(<[u8]>::len).collect())
        .collect();
    assert_eq!(frames, [[4, 23], [0, 27]]);
}

#[test]
fn the_cut_is_the_one_that_a_single_connection_makes() {
    let mut fan_out = fan_out(100);
    let receiver = fan_out.join(Policy::Drop).unwrap();
    let message = fan_out.begin(3, 7).unwrap();
    let mut framer = crate::framer::Framer::streaming(3, 31, 0, 7).unwrap();
    for (index, len) in [(0, 3), (2, 60), (1, 5), (1, 0), (1, 1), (2, 20)] {
        let payload = Bytes::from(vec![index; len]);
        framer.push(index, payload.clone());
        fan_out.write(message, index, &mut payload.clone()).unwrap();
    }
    framer.finish();
    fan_out.finish(message).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| fan_out.poll(receiver)).filter_map(Item::into_unit).collect();
    assert_eq!(frames, framer.collect::<Vec<_>>());
}

#[test]
fn who_misses_a_frame_loses_the_message_and_takes_part_in_the_next() {
    //= SMPF-B-SLOW-RECEIVER
    let mut fan_out = fan_out(2);
    let receiver = fan_out.join(Policy::Drop).unwrap();
    let message = fan_out.begin(1, 0).unwrap();
    piece(&mut fan_out, message, "a").unwrap();
    assert!(matches!(fan_out.poll(receiver), Some(Item::Frame(_))));
    for text in ["b", "c", "d"] {
        piece(&mut fan_out, message, text).unwrap();
    }
    assert_eq!(drain(&mut fan_out, receiver), ["A"], "what waited is taken back too");
    let next = fan_out.begin(1, 0).unwrap();
    piece(&mut fan_out, next, "x").unwrap();
    piece(&mut fan_out, message, "e").unwrap();
    fan_out.finish(message).unwrap();
    fan_out.finish(next).unwrap();
    assert_eq!(drain(&mut fan_out, receiver), ["1:0", "3:1"]);
    let dropped = fan_out.dropped_of(receiver).unwrap();
    assert_eq!((dropped.framed_messages, dropped.frames, dropped.octets), (1, 5, 4 * 10 + 9));
    assert_eq!(fan_out.dropped(), dropped);
    fan_out.leave(receiver).unwrap();
    assert_eq!(fan_out.dropped(), dropped, "still counted in all");
}

#[test]
fn a_message_of_which_nothing_was_sent_yet_is_dropped_without_a_word() {
    let mut fan_out = fan_out(1);
    let receiver = fan_out.join(Policy::Drop).unwrap();
    let message = fan_out.begin(1, 0).unwrap();
    piece(&mut fan_out, message, "a").unwrap();
    piece(&mut fan_out, message, "b").unwrap();
    assert_eq!(drain(&mut fan_out, receiver), Vec::<String>::new());
    assert_eq!(fan_out.queued_len(receiver), Some(0));
}

#[test]
fn who_lost_a_stream_may_join_it_again() {
    //= SMPF-B-FANOUT SMPF-B-SLOW-RECEIVER
    let mut fan_out = fan_out(1);
    let receiver = fan_out.join(Policy::Drop).unwrap();
    let message = fan_out.begin(1, 0).unwrap();
    piece(&mut fan_out, message, "a").unwrap();
    assert_eq!(fan_out.rejoin(receiver, message), Ok(false));
    assert_eq!(drain(&mut fan_out, receiver), ["1:0"]);
    for text in ["b", "c"] {
        piece(&mut fan_out, message, text).unwrap();
    }
    assert_eq!(fan_out.rejoin(receiver, message), Ok(true));
    assert_eq!(drain(&mut fan_out, receiver), ["A"]);
    piece(&mut fan_out, message, "d").unwrap();
    assert_eq!(drain(&mut fan_out, receiver), ["1:3"]);
    fan_out.finish(message).unwrap();
    assert_eq!(drain(&mut fan_out, receiver), ["3:4"]);
    assert_eq!(fan_out.rejoin(receiver, message), Err(FanOutError::NoSuchMessage));
}

#[test]
fn who_waits_blocks_the_sender_until_it_is_polled_or_leaves() {
    //= SMPF-B-SLOW-RECEIVER
    let mut fan_out = fan_out(1);
    let (slow, other) = (fan_out.join(Policy::Wait).unwrap(), fan_out.join(Policy::Drop).unwrap());
    let message = fan_out.begin(1, 0).unwrap();
    piece(&mut fan_out, message, "a").unwrap();
    let mut payload = Bytes::from(vec![7; 30]);
    assert_eq!(fan_out.write(message, 0, &mut payload), Err(FanOutError::Blocked(slow)));
    assert_eq!(payload.len(), 1, "a frame of 29 is filled and cannot go");
    assert_eq!(fan_out.send(&"m".into()), Err(FanOutError::Blocked(slow)));
    assert_eq!(drain(&mut fan_out, other), ["1:0"], "the others got nothing twice");
    assert_eq!(drain(&mut fan_out, slow), ["1:0"]);
    fan_out.write(message, 0, &mut payload).unwrap();
    assert_eq!(fan_out.finish(message), Err(FanOutError::Blocked(slow)));
    fan_out.leave(slow).unwrap();
    assert_eq!(drain(&mut fan_out, other), ["2:1"]);
    fan_out.finish(message).unwrap();
    assert_eq!(drain(&mut fan_out, other), ["3:2"]);
    assert_eq!(fan_out.dropped(), Dropped::default());
}

#[test]
fn who_is_to_be_disconnected_holds_no_memory_and_is_told_once() {
    //= SMPF-B-SLOW-RECEIVER
    let mut fan_out = fan_out(2);
    let (slow, other) = (fan_out.join(Policy::Disconnect).unwrap(), fan_out.join(Policy::Drop).unwrap());
    for _ in 0..2 {
        fan_out.send(&"m".into()).unwrap();
    }
    assert_eq!(fan_out.disconnecting().count(), 0, "full is not too much");
    fan_out.poll(other);
    fan_out.send(&"m".into()).unwrap();
    assert_eq!(fan_out.disconnecting().collect::<Vec<_>>(), [slow]);
    assert_eq!(fan_out.queued_len(slow), Some(0));
    assert_eq!(drain(&mut fan_out, other), ["M", "M"]);
    fan_out.send(&"m".into()).unwrap();
    assert_eq!(drain(&mut fan_out, slow), ["D"]);
    let dropped = fan_out.leave(slow).unwrap();
    assert_eq!((dropped.messages, dropped.disconnections), (4, 1));
    assert_eq!(fan_out.leave(slow), Err(FanOutError::NoSuchReceiver));
}

#[test]
fn a_message_that_its_sender_gives_up_is_cut_off_where_it_began_and_nowhere_else() {
    let mut fan_out = fan_out(10);
    let begun = fan_out.join(Policy::Drop).unwrap();
    let message = fan_out.begin(1, 0).unwrap();
    piece(&mut fan_out, message, "a").unwrap();
    assert_eq!(drain(&mut fan_out, begun), ["1:0"]);
    let waiting = fan_out.join(Policy::Drop).unwrap();
    piece(&mut fan_out, message, "b").unwrap();
    fan_out.abandon(message).unwrap();
    fan_out.send(&"m".into()).unwrap();
    assert_eq!(drain(&mut fan_out, begun), ["A", "M"]);
    assert_eq!(drain(&mut fan_out, waiting), ["M"]);
    assert_eq!(fan_out.dropped(), Dropped::default(), "that is the sender's doing");
}

#[test]
fn every_limit_holds_and_fails_one_past_it() {
    let mut fan_out = fan_out(10);
    for _ in 0..3 {
        fan_out.join(Policy::Drop).unwrap();
    }
    assert_eq!(fan_out.join(Policy::Drop), Err(FanOutError::TooManyReceivers { max: 3 }));
    let message = fan_out.begin(15, 0).unwrap();
    fan_out.begin(0, 0).unwrap();
    assert_eq!(fan_out.begin(1, 0), Err(FanOutError::TooManyMessages { max: 2 }));
    assert!(matches!(fan_out.begin(16, 0), Err(FanOutError::Encode(EncodeError::ArgumentCount { count: 16 }))));
    let past = fan_out.write(message, 15, &mut Bytes::from_static(b"x"));
    assert_eq!(past, Err(FanOutError::NoSuchArgument { index: 15, count: 15 }));
    assert_eq!(fan_out.send(&vec![0; 29].into()), Ok(()));
    assert_eq!(fan_out.send(&vec![0; 30].into()), Err(FanOutError::TooLarge { len: 32, max: 31 }));
}

#[test]
fn a_queue_takes_octets_up_to_its_limit() {
    let limits = FanOutLimits { queue_len_max: 40, ..FanOutLimits::default() };
    let mut fan_out =
        FanOut::new(FanOutConfig::builder().with_max_message_size(31).with_limits(limits).build().unwrap());
    let receiver = fan_out.join(Policy::Drop).unwrap();
    assert!(!fan_out.is_crowded());
    fan_out.send(&vec![0; 17].into()).unwrap();
    assert!(fan_out.is_crowded(), "half full");
    fan_out.send(&vec![0; 17].into()).unwrap();
    assert_eq!((fan_out.queued_len(receiver), fan_out.dropped().messages), (Some(40), 0));
    fan_out.send(&Arguments::new()).unwrap();
    assert_eq!((fan_out.queued_len(receiver), fan_out.dropped().messages), (Some(40), 1));
}

#[test]
fn settings_are_refused_one_past_each_end() {
    let field = |builder: FanOutConfigBuilder| builder.build().unwrap_err().field;
    let size = |octets| FanOutConfig::builder().with_max_message_size(octets);
    assert!(size(31).build().is_ok());
    assert_eq!((field(size(30)), field(size(983_056))), ("max_message_size", "max_message_size"));
    let with = |change: fn(&mut FanOutLimits)| {
        let mut limits = FanOutLimits::default();
        change(&mut limits);
        FanOutConfig::builder().with_limits(limits)
    };
    assert!(with(|l| l.queue_len_max = 1500).build().is_ok());
    assert_eq!(field(with(|l| l.queue_len_max = 1499)), "limits.queue_len_max");
    assert_eq!(field(with(|l| l.queue_count_max = 0)), "limits.queue_count_max");
    assert_eq!(field(with(|l| l.receiver_count_max = 0)), "limits.receiver_count_max");
    assert_eq!(field(with(|l| l.open_messages_max = 65_537)), "limits.open_messages_max");
}

#[test]
fn what_could_not_be_passed_on_is_counted_and_ends_the_message() {
    let mut fan_out = fan_out(10);
    let receiver = fan_out.join(Policy::Wait).unwrap();
    let message = fan_out.begin(1, 0).unwrap();
    piece(&mut fan_out, message, "a").unwrap();
    piece(&mut fan_out, message, "b").unwrap();
    let item = fan_out.poll(receiver).unwrap();
    fan_out.give_up(receiver, &item);
    piece(&mut fan_out, message, "c").unwrap();
    fan_out.finish(message).unwrap();
    assert_eq!(drain(&mut fan_out, receiver), Vec::<String>::new());
    let dropped = fan_out.dropped();
    assert_eq!((dropped.framed_messages, dropped.frames), (1, 4));
}

#[test]
fn ids_are_free_again_when_their_message_is_over() {
    let mut fan_out = fan_out(10);
    for at in 0..3 {
        let message = fan_out.begin(1, 0).unwrap();
        if at == 1 { fan_out.abandon(message).unwrap() } else { fan_out.finish(message).unwrap() }
    }
    assert!(fan_out.ids_in_use.is_empty());
}
