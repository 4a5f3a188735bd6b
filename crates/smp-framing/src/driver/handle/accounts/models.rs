//! All orders of threads (loom): the task of a connection sleeps until it has something else to do, and is always told.

use super::*;
use core::future::poll_fn;
use core::task::Poll;
use loom::future::block_on;
use loom::thread;
use std::sync::Arc;

/// What the task does: it looks, and sleeps until it is woken.
fn until_free(accounts: &Accounts) {
    block_on(poll_fn(|cx| match accounts.update_flow(cx.waker()) {
        Flow::Free => Poll::Ready(()),
        Flow::Pause | Flow::Stop => Poll::Pending,
    }));
}

#[test]
fn a_paused_task_is_woken_when_the_last_of_two_tasks_has_taken_enough() {
    loom::model(|| {
        let accounts = Arc::new(Accounts::new(64 << 20));
        accounts.queue(LEN_HIGH);
        accounts.queue(LEN_LOW);
        let take = |len: usize| {
            let accounts = Arc::clone(&accounts);
            thread::spawn(move || accounts.take(len))
        };
        let takers = [take(LEN_HIGH / 2), take(LEN_HIGH / 2)];
        until_free(&accounts);
        takers.into_iter().for_each(|taker| taker.join().unwrap());
    });
}

#[test]
fn a_task_is_woken_when_the_application_waits_for_what_it_has_in_hand() {
    loom::model(|| {
        let accounts = Arc::new(Accounts::new(64 << 20));
        let (in_hand, behind) = (accounts.open_body(), accounts.open_body());
        accounts.queue_body(behind, 2 * LEN_HIGH);
        let application = {
            let accounts = Arc::clone(&accounts);
            thread::spawn(move || {
                accounts.claim(in_hand);
                accounts.wait(true);
            })
        };
        until_free(&accounts);
        application.join().unwrap();
        assert_eq!(accounts.update_flow(Waker::noop()), Flow::Free);
    });
}

#[test]
fn a_task_is_woken_when_a_body_is_dropped_while_pieces_of_it_come() {
    loom::model(|| {
        let accounts = Arc::new(Accounts::new(64 << 20));
        let body = accounts.open_body();
        accounts.queue_body(body, LEN_HIGH);
        let application = {
            let accounts = Arc::clone(&accounts);
            thread::spawn(move || accounts.close_body(body))
        };
        accounts.queue_body(body, LEN_HIGH);
        until_free(&accounts);
        application.join().unwrap();
    });
}

#[test]
fn a_sleeping_task_hears_of_an_abort() {
    loom::model(|| {
        let accounts = Arc::new(Accounts::new(64 << 20));
        let is_aborted = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let handle = {
            let (accounts, is_aborted) = (Arc::clone(&accounts), Arc::clone(&is_aborted));
            thread::spawn(move || {
                is_aborted.store(true, core::sync::atomic::Ordering::Release);
                accounts.wake();
            })
        };
        block_on(poll_fn(|cx| {
            // As the task does it: first its waker, then the look.
            accounts.update_flow(cx.waker());
            if is_aborted.load(core::sync::atomic::Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        }));
        handle.join().unwrap();
    });
}
