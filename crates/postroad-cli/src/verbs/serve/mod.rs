//! `postroad serve`: one process, any number of listeners.

mod command;
mod exits;
mod handle;

use crate::args::Serve;
use crate::failure::Failure;
use crate::talk::{Talk, data_line};
use futures_util::FutureExt as _;
use handle::Handler;
use postroad::transfer::{Existing, Store};
use postroad::url::Protocol;
use postroad::{Capability, ConnectOptions, Connection, Incoming, ListenOptions, Listener, Url, escape};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Requests and bodies of all connections that are worked on at the same time. More wait unread.
const WORK_COUNT_MAX: usize = 16_384;

/// Of these, those of one connection: one peer that never ends what it begins does not hold up the others.
const WORK_COUNT_PER_CONNECTION: usize = 256;

/// How long what is open may take once the end was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What all connections share.
struct Server {
    handler: Handler,
    talk: Talk,
    work: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
    redirect: Option<String>,
    connection_count: AtomicU64,
    message_count: AtomicU64,
}

pub(crate) async fn run(verb: Serve, talk: Talk) -> Result<(), Failure> {
    if !verb.forward_to.is_empty() {
        return exits::run(verb, talk).await;
    }
    let handler = handler(&verb, talk)?;
    let (stop, stopping) = watch::channel(false);
    let server = Arc::new(Server {
        handler,
        talk,
        work: Arc::new(Semaphore::new(WORK_COUNT_MAX)),
        stopping,
        redirect: verb.redirect.clone(),
        connection_count: AtomicU64::new(0),
        message_count: AtomicU64::new(0),
    });
    let mut tasks = JoinSet::new();
    if verb.connect {
        for connection in connections(&verb, &talk).await? {
            let server = Arc::clone(&server);
            tasks.spawn(async move {
                serve(connection, server).await;
                Ok(())
            });
        }
    }
    let options =
        ListenOptions::new().with_connections_max(usize::try_from(verb.connections_max).unwrap_or(usize::MAX));
    // All are opened before the first is announced: either everything is served or nothing is.
    let mut listeners = Vec::new();
    for url in verb.urls.iter().filter(|_| !verb.connect) {
        listeners.push(postroad::listen_with(url, options.clone()).await?);
    }
    let interrupted = super::interrupted();
    for listener in listeners {
        announce(listener.url(), &talk)?;
        tasks.spawn(accept(listener, Arc::clone(&server)));
    }
    let ended = tokio::select! {
        () = interrupted => None,
        // A listener ends only where it failed, a connection also where its peer closed it.
        Some(ended) = tasks.join_next() => Some(ended.unwrap_or(Ok(()))),
    };
    if let Some(ended) = ended {
        ended?;
        while tasks.join_next().await.is_some() {}
        return Ok(());
    }
    talk.say("stopping: no new connections, finishing what is open; once more to end at once");
    stop.send_replace(true);
    let drained = async { while tasks.join_next().await.is_some() {} };
    let failure = tokio::select! {
        () = drained => None,
        () = super::interrupted() => Some(Failure::new("interrupted", "ended at once", "what was open was cut off")),
        () = tokio::time::sleep(DRAIN_TIMEOUT) => {
            Some(Failure::new("timeout", "ended without finishing", format!("it took longer than {DRAIN_TIMEOUT:?}")))
        }
    };
    let (connections, messages) = (&server.connection_count, &server.message_count);
    talk.say(&format!(
        "served {} connections and {} messages, requests and files",
        connections.load(Ordering::Relaxed),
        messages.load(Ordering::Relaxed)
    ));
    failure.map_or(Ok(()), Err)
}

/// Connections to all URLs, each of which is announced once all are there.
async fn connections(verb: &Serve, talk: &Talk) -> Result<Vec<Connection>, Failure> {
    let mut connections = Vec::new();
    for text in &verb.urls {
        let mut url: Url = text.parse().map_err(Failure::from)?;
        if url.protocol() == Protocol::Wrp && url.options().reconnect.is_none() {
            url = url.with_reconnect(true);
        }
        let options = ConnectOptions::new().require(Capability::BothWays);
        connections.push(super::connect(&url.to_string(), options, talk).await?);
    }
    for connection in &connections {
        let url = connection.url().to_string();
        if talk.is_json() {
            data_line(&json!({"schema": "postroad-serve/1", "connected": url}).to_string())?;
        } else {
            data_line(&format!("connected {url}"))?;
        }
    }
    Ok(connections)
}

fn handler(verb: &Serve, talk: Talk) -> Result<Handler, Failure> {
    if let Some(folder) = &verb.save {
        std::fs::create_dir_all(folder).map_err(|error| {
            let shown = escape::text(&folder.to_string_lossy());
            Failure::file(format!("could not make the folder `{shown}`"), &error)
        })?;
        let existing = if verb.overwrite { Existing::Replace } else { Existing::Keep };
        return Ok(Handler::Save(Store::new(folder, existing), talk));
    }
    if let Some(command) = &verb.exec {
        return Ok(Handler::Exec(command::Runner::new(command, verb.exec_max, verb.exec_timeout)));
    }
    Ok(if verb.print { Handler::Print(talk) } else { Handler::Echo })
}

fn announce(url: &Url, talk: &Talk) -> Result<(), Failure> {
    let url = url.to_string();
    if talk.is_json() {
        return data_line(&json!({"schema": "postroad-serve/1", "listening": url}).to_string());
    }
    data_line(&format!("listening {url}"))
}

async fn accept(mut listener: Listener, server: Arc<Server>) -> Result<(), Failure> {
    let mut stopping = server.stopping.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                connections.spawn(serve(accepted?, Arc::clone(&server)));
            }
        }
    }
    // Those that are ready already count as accepted: their peers may have sent something.
    while let Some(Ok(connection)) = listener.accept().now_or_never() {
        connections.spawn(serve(connection, Arc::clone(&server)));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// One connection from its beginning to its end.
async fn serve(connection: Connection, server: Arc<Server>) {
    // A mailslot is no connection: it is there for all peers.
    if connection.can(Capability::BothWays) {
        server.connection_count.fetch_add(1, Ordering::Relaxed);
    }
    let mut stopping = server.stopping.clone();
    let mut work = JoinSet::new();
    // A mailslot is that of all peers.
    let own_count = if connection.can(Capability::BothWays) { WORK_COUNT_PER_CONNECTION } else { WORK_COUNT_MAX };
    let own_work = Arc::new(Semaphore::new(own_count));
    let mut is_draining = false;
    let ended = loop {
        let incoming = loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping), if !is_draining => {
                    // A peer that can be told goes on to be served until all that it sent has come.
                    is_draining = connection.drain(DRAIN_TIMEOUT, server.redirect.as_deref()).is_ok();
                    if !is_draining {
                        break Ok(None);
                    }
                }
                Some(_) = work.join_next() => {}
                incoming = connection.receive() => break incoming,
            }
        };
        match incoming {
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
            Ok(Some(incoming)) => {
                server.message_count.fetch_add(1, Ordering::Relaxed);
                if let Some(later) = server.handler.handle(&connection, incoming).await {
                    // Without its permits nothing more is received, and the peer is held back.
                    let Ok(own_permit) = Arc::clone(&own_work).acquire_owned().await else { break Ok(()) };
                    let Ok(permit) = Arc::clone(&server.work).acquire_owned().await else { break Ok(()) };
                    work.spawn(async move {
                        later.await;
                        drop((permit, own_permit));
                    });
                }
            }
        }
    };
    while work.join_next().await.is_some() {}
    let ended = match ended {
        Ok(()) => connection.close().await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        server.talk.say(&error.to_string());
    }
}

/// What comes beside messages and requests, for the log.
fn note(connection: &Connection, incoming: &Incoming, talk: &Talk) {
    match incoming {
        Incoming::PeerError { text, .. } => {
            talk.say(&format!("{} reports: {}", connection.peer(), escape::text(text)));
        }
        Incoming::Refused(error) => talk.say(&format!("{}: {error}", connection.peer())),
        _ => {}
    }
}
