//! All orders of threads (loom).

use super::*;

#[test]
fn what_can_be_refused_never_passes_the_bound_and_all_is_given_back() {
    //= SMRP-FC11
    loom::model(|| {
        let budget = Budget::new(3 * STEP);
        let holder = |len: u64| {
            let budget = budget.clone();
            loom::thread::spawn(move || {
                let mut share = Share::of(Some(budget.clone()));
                let has_it = share.try_hold(len);
                assert!(budget.held() <= 3 * STEP, "the bound was passed");
                // Less is no question, and a second look at the same changes nothing.
                share.hold(STEP);
                assert!(!has_it || share.try_hold(STEP));
                has_it
            })
        };
        let (one, other) = (holder(2 * STEP), holder(2 * STEP));
        let (one, other) = (one.join().unwrap(), other.join().unwrap());
        assert!(one || other, "there was room for one");
        assert_eq!(budget.held(), 0);
    });
}

#[test]
fn two_that_widen_leave_room_below_four_fifths() {
    //= SMRP-FC12
    loom::model(|| {
        let budget = Budget::new(10 * STEP);
        let widen = || {
            let budget = budget.clone();
            loom::thread::spawn(move || {
                let mut share = Share::of(Some(budget.clone()));
                share.try_widen(4 * STEP);
                assert_ne!(budget.pressure(), Pressure::Full);
                assert!(budget.held() <= 4 * STEP, "half of what is left is left to others");
            })
        };
        let threads = [widen(), widen()];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(budget.held(), 0);
    });
}
