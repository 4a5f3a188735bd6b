//! All orders of threads (loom); where there are three of them, with three switches at most where they could do otherwise.

use super::*;
use loom::{future::block_on, thread};

#[test]
fn who_grows_waits_for_what_is_finished_and_hears_when_it_was_received() {
    loom::model(|| {
        let ledger = Ledger::new(10);
        let mut first = ledger.open();
        assert!(block_on(first.grow(6)));
        first.finish();
        let receiver = thread::spawn(move || drop(first));
        let mut second = ledger.open();
        assert!(block_on(second.grow(5)));
        receiver.join().unwrap();
        drop(second);
        let counts = ledger.counts();
        assert_eq!((counts.partial_len, counts.finished_len), (0, 0));
    });
}

#[test]
fn two_that_grow_share_what_another_leaves() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let ledger = Ledger::new(10);
        let mut first = ledger.open();
        assert!(block_on(first.grow(10)));
        first.finish();
        let grower = |len: usize| {
            let mut charge = ledger.open();
            thread::spawn(move || block_on(charge.grow(len)))
        };
        let growers = [grower(5), grower(5)];
        drop(first);
        assert!(growers.into_iter().all(|grower| grower.join().unwrap()));
        assert_eq!(ledger.counts().partial_len, 0, "each went with its charge");
    });
}

#[test]
fn unfinished_ones_never_wait_for_each_other_for_ever() {
    loom::model(|| {
        let ledger = Ledger::new(10);
        let mut first = ledger.open();
        assert!(block_on(first.grow(6)));
        let other = {
            let mut second = ledger.open();
            thread::spawn(move || block_on(second.grow(6)))
        };
        first.finish();
        drop(first);
        // It was refused while the first one was in the making, or had its place afterwards: either is an end.
        let _either = other.join().unwrap();
        assert_eq!(ledger.counts().partial_len, 0);
    });
}
