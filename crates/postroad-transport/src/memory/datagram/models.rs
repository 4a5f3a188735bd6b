//! All orders of threads (loom), with three switches at most where they could do otherwise: with more it takes minutes.

use super::*;
use loom::{future::block_on, thread};
use std::future::poll_fn;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

async fn receive(socket: &Socket) -> (usize, usize) {
    let mut batch = socket.receive_batch(4, 100);
    poll_fn(|cx| socket.poll_receive(cx, &mut batch)).await.unwrap();
    (batch.len(), batch.errors().len())
}

#[test]
fn whoever_waits_is_woken_for_what_two_others_send() {
    model(|| {
        let hub = Hub::default();
        let receiver = hub.bind().unwrap();
        let at = receiver.local_addr();
        let senders = [hub.bind().unwrap(), hub.bind().unwrap()];
        let sending = senders.map(|sender| thread::spawn(move || sender.try_send(&[Outgoing::new(at, b"x")]).unwrap()));
        let mut came = 0;
        while came < 2 {
            came += block_on(receive(&receiver)).0;
        }
        sending.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 1));
    });
}

#[test]
fn a_sender_hears_that_nobody_is_there_or_its_datagram_went_with_the_socket() {
    model(|| {
        let hub = Hub::default();
        let (sender, other) = (hub.bind().unwrap(), hub.bind().unwrap());
        let at = other.local_addr();
        let leaving = thread::spawn(move || drop(other));
        sender.try_send(&[Outgoing::new(at, b"x")]).unwrap();
        leaving.join().unwrap();
        sender.try_send(&[Outgoing::new(at, b"x")]).unwrap();
        let (len, errors) = block_on(receive(&sender));
        assert!(len == 0 && (1..=2).contains(&errors), "{errors}");
        hub.bind_at(at).unwrap();
    });
}
