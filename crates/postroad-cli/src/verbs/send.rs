//! `postroad send`.

use crate::args::Send;
use crate::failure::Failure;
use crate::parts;
use crate::talk::{Talk, data_line};
use postroad::{ConnectOptions, Connection, Incoming, escape};
use serde_json::json;
use std::time::Instant;

pub(crate) async fn run(verb: Send, talk: Talk) -> Result<(), Failure> {
    let message = parts::message(&verb.parts).await?;
    let connection = super::connect(&verb.url, ConnectOptions::new(), &talk).await?;
    // What comes back is not asked for, but left unread it would stop the peer.
    let draining = tokio::spawn(drain(connection.clone(), talk));
    let started = Instant::now();
    let sent = async {
        for _ in 0..verb.count {
            connection.send(message.clone()).await?;
        }
        connection.close().await
    };
    talk.waiting("the peer to take everything", sent).await?;
    let seconds = started.elapsed().as_secs_f64();
    let _stopped_with_the_connection = draining.await;
    let octets = message.payload_len() as u64 * verb.count;
    if talk.is_json() {
        return data_line(
            &json!({
                "schema": "postroad-send/1", "url": connection.url().to_string(), "peer": connection.peer(),
                "messages": verb.count, "octets": octets, "seconds": seconds,
            })
            .to_string(),
        );
    }
    let plural = if verb.count == 1 { "" } else { "s" };
    talk.say(&format!("sent {} message{plural}, {octets} octets, to {}", verb.count, connection.peer()));
    Ok(())
}

async fn drain(connection: Connection, talk: Talk) {
    while let Ok(Some(incoming)) = connection.receive().await {
        if let Incoming::PeerError { text, .. } = incoming {
            talk.say(&format!("{} reports: {}", connection.peer(), escape::text(&text)));
        }
    }
}
