//! `postroad request`.

use crate::args::Request;
use crate::failure::Failure;
use crate::parts::{self, is_plain_text};
use crate::talk::{Talk, data, data_line, stdout_is_terminal};
use postroad::{ConnectOptions, Message};
use serde_json::json;
use std::time::Instant;

pub(crate) async fn run(verb: Request, talk: Talk) -> Result<(), Failure> {
    let message = parts::message(&verb.parts).await?;
    let connection = super::connect(&verb.url, ConnectOptions::new(), &talk).await?;
    let started = Instant::now();
    let asked = async {
        match verb.timeout {
            Some(timeout) => connection.request_within(message, timeout).await,
            None => connection.request(message).await,
        }
    };
    let reply = talk.waiting(&format!("the reply of {}", connection.peer()), asked).await?;
    let seconds = started.elapsed().as_secs_f64();
    show(&reply, seconds, &verb, &talk)?;
    // The reply is there: a peer that is slow to say goodbye changes nothing.
    let _ended_otherwise = connection.close().await;
    Ok(())
}

fn show(reply: &Message, seconds: f64, verb: &Request, talk: &Talk) -> Result<(), Failure> {
    if talk.is_json() {
        let object = json!({
            "schema": "postroad-reply/1", "parts": parts::to_json(reply), "headers": parts::headers_to_json(reply),
            "seconds": seconds,
        });
        return data_line(&object.to_string());
    }
    let for_people = stdout_is_terminal();
    if for_people && !verb.force && !reply.parts().iter().all(|part| is_plain_text(part)) {
        return Err(Failure::new("output", "the reply is not written to the terminal", "it is binary")
            .with_fix("redirect it to a file with > FILE, show it with --json, or insist with --force"));
    }
    for part in reply.parts() {
        data(part)?;
        if for_people && !part.ends_with(b"\n") {
            data(b"\n")?;
        }
    }
    Ok(())
}
