//! All orders of threads (loom).

use super::*;
use loom::{future::block_on, thread};

fn end() -> Error {
    Error::new(ErrorKind::Lost, "over", "by the model")
}

fn reply() -> Answer {
    Ok(RawReply::Message(Message::from("reply")))
}

#[test]
fn a_request_gets_its_reply_or_the_end_and_never_nothing() {
    loom::model(|| {
        let pending = Arc::new(Pending::default());
        let mut place = pending.register().unwrap();
        let id = place.id;
        let (replier, ender) = (Arc::clone(&pending), Arc::clone(&pending));
        let replying = thread::spawn(move || replier.resolve(id, reply()));
        let ending = thread::spawn(move || ender.end(&end()));
        let answer = block_on(&mut place.answer).unwrap();
        replying.join().unwrap();
        ending.join().unwrap();
        assert_eq!(pending.late_count(), u64::from(answer.is_err()), "the reply was the answer, or it was late");
        assert_eq!(pending.waiting_count(), 0);
    });
}

#[test]
fn one_who_comes_while_it_ends_is_refused_or_told() {
    loom::model(|| {
        let pending = Arc::new(Pending::default());
        let ender = Arc::clone(&pending);
        let ending = thread::spawn(move || ender.end(&end()));
        if let Ok(mut place) = pending.register() {
            assert!(block_on(&mut place.answer).unwrap().is_err());
        }
        ending.join().unwrap();
        assert!(pending.register().is_err());
        assert_eq!(pending.waiting_count(), 0);
    });
}

#[test]
fn a_place_that_is_given_up_leaves_nothing_and_its_reply_is_late() {
    loom::model(|| {
        let pending = Arc::new(Pending::default());
        let place = pending.register().unwrap();
        let id = place.id;
        let replier = Arc::clone(&pending);
        let replying = thread::spawn(move || replier.resolve(id, reply()));
        drop(place);
        replying.join().unwrap();
        assert!(pending.late_count() <= 1);
        assert_eq!(pending.waiting_count(), 0);
    });
}
