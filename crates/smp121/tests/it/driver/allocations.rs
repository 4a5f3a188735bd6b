//! How often an exchange allocates.

use super::Pair;
use bytes::Bytes;
use testkit::allocations::measure;

/// A message that is free to clone.
const PAGE: Bytes = Bytes::from_static(&[7; 64]);

/// In steady state each end allocates for the message it gives to the application, and each datagram is one box of the
/// carrier in memory. All of it is on this thread.
#[test]
fn an_exchange_allocates_for_what_it_hands_over_and_for_nothing_else() {
    const COUNT: u64 = 200;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (pair, remote) = runtime.block_on(async {
        let pair = Pair::new();
        let (mailslot, remote) = pair.mailslot("echo");
        super::serve(mailslot, |_| PAGE);
        for _ in 0..100 {
            remote.send(PAGE).await.unwrap();
        }
        (pair, remote)
    });
    let info = measure(|| {
        runtime.block_on(async {
            for _ in 0..COUNT {
                remote.send(PAGE).await.unwrap();
            }
        });
    });
    println!("{} allocations in {COUNT} exchanges", info.count_total);
    assert!(info.count_total <= 4 * COUNT + 20, "{} allocations in {COUNT} exchanges", info.count_total);
    drop(pair);
}
