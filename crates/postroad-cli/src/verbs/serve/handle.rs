//! What is done with what comes.

use super::command::Runner;
use super::note;
use crate::parts::{headers_to_json, hex, to_json, to_line};
use crate::talk::{Talk, data_line};
use postroad::transfer::{Answered, Store, Transfer};
use postroad::{Body, Connection, Error, Incoming, Message, Request, escape};
use serde_json::json;
use std::pin::Pin;

/// Work that may take a while.
type Later = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) enum Handler {
    Echo,
    Print(Talk),
    Exec(Runner),
    Save(Store, Talk),
}

impl Handler {
    /// Does what is quick and returns what is not.
    pub(super) async fn handle(&self, connection: &Connection, incoming: Incoming) -> Option<Later> {
        match self {
            Self::Echo => echo(connection, incoming).await,
            Self::Print(talk) => print(connection, incoming, *talk).await,
            Self::Exec(runner) => exec(connection, incoming, runner),
            Self::Save(store, talk) => save(connection, incoming, store, *talk),
        }
    }
}

/// A failure to answer is the connection's, which ends by itself and says why.
async fn echo(connection: &Connection, incoming: Incoming) -> Option<Later> {
    let (connection, answered) = match incoming {
        Incoming::Message(message) => (connection, connection.send(message).await),
        Incoming::Request(request) => {
            let message = request.message().clone();
            (connection, request.reply(message).await)
        }
        Incoming::Body(body) => {
            let connection = connection.clone();
            return Some(Box::pin(async move {
                let back = connection.open_body(body.head().clone()).await;
                let _ended = pipe(body, back).await;
            }));
        }
        Incoming::RequestBody(request, body) => {
            return Some(Box::pin(async move {
                let back = request.reply_body(body.head().clone()).await;
                let _ended = pipe(body, back).await;
            }));
        }
        _ => return None,
    };
    if let Err(error) = answered {
        tracing::debug!(peer = connection.peer(), %error, "could not echo");
    }
    None
}

async fn pipe(mut body: Body, back: Result<postroad::BodyWriter, Error>) -> Result<(), Error> {
    let mut back = back?;
    while let Some(piece) = body.next().await? {
        back.write(piece).await?;
    }
    back.finish_with(body.trailer().unwrap_or_default().to_vec()).await
}

async fn print(connection: &Connection, incoming: Incoming, talk: Talk) -> Option<Later> {
    match incoming {
        Incoming::Message(message) => show(connection.peer(), "message", &message, None, talk),
        Incoming::Request(request) => {
            show(&request.peer(), "request", request.message(), None, talk);
            let _ended = request.reply(Message::new()).await;
        }
        Incoming::Information(message) => show(connection.peer(), "information", &message, None, talk),
        Incoming::Body(body) => return Some(Box::pin(print_body(connection.clone(), body, None, talk))),
        Incoming::RequestBody(request, body) => {
            return Some(Box::pin(print_body(connection.clone(), body, Some(request), talk)));
        }
        other => note(connection, &other, &talk),
    }
    None
}

async fn print_body(connection: Connection, mut body: Body, request: Option<Request>, talk: Talk) {
    let mut len = 0u64;
    loop {
        match body.next().await {
            Ok(Some(piece)) => len += piece.len() as u64,
            Ok(None) => break,
            Err(error) => return talk.say(&format!("{}: {error}", connection.peer())),
        }
    }
    show(connection.peer(), "body", body.head(), Some(len), talk);
    if let Some(request) = request {
        let _ended = request.reply(Message::new()).await;
    }
}

/// One line for each thing. Where standard output is gone, nobody looks and the server serves on.
fn show(peer: &str, kind: &str, message: &Message, content_len: Option<u64>, talk: Talk) {
    let line = if talk.is_json() {
        json!({
            "schema": "postroad-message/1", "peer": peer, "kind": kind, "parts": to_json(message),
            "headers": headers_to_json(message), "content_len": content_len,
        })
        .to_string()
    } else {
        let content = content_len.map_or_else(String::new, |len| format!(" and {len} octets of content"));
        format!("{peer} {kind}: {}{content}", to_line(message))
    };
    let _nobody_looks = data_line(&line);
}

fn exec(connection: &Connection, incoming: Incoming, runner: &Runner) -> Option<Later> {
    let (runner, connection) = (runner.clone(), connection.clone());
    match incoming {
        Incoming::Message(message) => Some(Box::pin(async move {
            match runner.run(message.into_parts()).await {
                Ok(output) if output.is_empty() => {}
                Ok(output) => drop(connection.send(output).await),
                Err(why) => tracing::warn!(peer = connection.peer(), "{why}"),
            }
        })),
        Incoming::Request(request) => Some(Box::pin(async move {
            let (parts, peer) = (request.message().clone().into_parts(), request.peer());
            let _ended = match runner.run(parts).await {
                Ok(output) => request.reply(output).await,
                Err(why) => {
                    tracing::warn!(peer, "{why}");
                    request.refuse(why).await
                }
            };
        })),
        Incoming::RequestBody(request, _) => Some(Box::pin(async move {
            let _ended = request.refuse("this server runs a command on messages and takes no bodies").await;
        })),
        _ => None,
    }
}

fn save(connection: &Connection, incoming: Incoming, store: &Store, talk: Talk) -> Option<Later> {
    let (store, peer) = (store.clone(), connection.peer().to_owned());
    match incoming {
        Incoming::RequestBody(request, body) => Some(Box::pin(async move {
            match store.put(request, body).await {
                Ok(transfer) => say_stored(&peer, &transfer, talk),
                Err(error) => talk.say(&format!("{peer}: {error}")),
            }
        })),
        Incoming::Request(request) => Some(Box::pin(async move { answer(request, &store, talk).await })),
        Incoming::Message(message) => {
            talk.say(&format!("{peer}: a message that is no file was dropped: {}", to_line(&message)));
            None
        }
        other => {
            note(connection, &other, &talk);
            None
        }
    }
}

fn say_stored(peer: &str, transfer: &Transfer, talk: Talk) {
    let name = escape::text(&transfer.name);
    talk.say(&format!("{peer}: stored {name}, {} octets, SHA-256 {}", transfer.len, transfer.sha256));
}

async fn answer(request: Request, store: &Store, talk: Talk) {
    let peer = request.peer();
    match store.answer(request).await {
        Ok(Answered::Stored(transfer)) => say_stored(&peer, &transfer, talk),
        Ok(Answered::GaveOut(transfer)) => {
            talk.say(&format!("{peer}: gave out {}, {} octets", escape::text(&transfer.name), transfer.len));
        }
        Ok(Answered::Other(request)) => {
            let first = request.message().get(0).map(|part| hex(part.get(..part.len().min(16)).unwrap_or_default()));
            tracing::debug!(peer, ?first, "a request that is about no file");
            let _ended = request.refuse("this server stores files; use `postroad copy`").await;
        }
        Ok(_) => {}
        Err(error) => talk.say(&format!("{peer}: {error}")),
    }
}
