//! Messages of all sizes over every stack.

use crate::support::{pair, pattern, stacks, within};
use postroad::{Incoming, Message};

async fn receive_message(connection: &postroad::Connection) -> Message {
    match within(20, connection.receive()).await.unwrap().unwrap() {
        Incoming::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_of_every_size_arrive_as_they_were_sent_over_every_stack() {
    for stack in stacks() {
        let pair = pair(stack).await;
        for len in [0, 1, 1_492, 16 * 1024, 64 * 1024, 1 << 20] {
            let message = Message::from(pattern(len, 7));
            pair.client.send(message.clone()).await.unwrap();
            assert!(receive_message(&pair.server).await == message, "{stack}: {len} octets to the server");
            pair.server.send(message.clone()).await.unwrap();
            assert!(receive_message(&pair.client).await == message, "{stack}: {len} octets to the client");
        }
        within(20, pair.client.close()).await.unwrap();
    }
}

#[tokio::test]
async fn parts_keep_their_number_and_boundaries() {
    let pair = pair("smp+tcp").await;
    for count in 0..=15 {
        for len in [0, 3, 5_000] {
            let message: Message = (0..count).map(|part| pattern(len, part)).collect();
            pair.client.send(message.clone()).await.unwrap();
            assert!(receive_message(&pair.server).await == message, "{count} parts of {len} octets");
        }
    }
}

#[tokio::test]
async fn small_messages_keep_their_order_in_a_flood() {
    let pair = pair("smp+tcp").await;
    let sender = pair.client.clone();
    let sending = tokio::spawn(async move {
        for number in 0..20_000u32 {
            sender.send(number.to_be_bytes().to_vec()).await.unwrap();
        }
        sender.close().await
    });
    for number in 0..20_000u32 {
        assert_eq!(receive_message(&pair.server).await.get(0).unwrap()[..], number.to_be_bytes());
    }
    assert!(within(5, pair.server.receive()).await.unwrap().is_none());
    sending.await.unwrap().unwrap();
}
