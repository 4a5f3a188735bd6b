//! Files to and from a mailslot, at the end that asks: some requests under way at once, all of them in order.

use super::arriving::Arriving;
use super::header::Header;
use super::steps::Step;
use super::store::{check_stored, stored_of};
use super::{Existing, Outgoing, Progress, Transfer};
use crate::connection::mailslot::Slot;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use core::future::Future;
use core::pin::Pin;
use serde_json::Value;
use sha2::Digest;
use std::collections::VecDeque;
use std::path::Path;

/// Octets of content in one request or reply, where the mailslot takes as much.
const CHUNK_LEN_MAX: usize = 64 * 1024;

/// Octets that a request has beside its content: two numbers of 20 digits and the words around them.
const HEAD_LEN: usize = 72;

/// Requests under way at once.
const WINDOW: usize = 8;

type Reply<'a> = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send + 'a>>;

/// Requests that were sent, in order.
struct Pipeline<'a> {
    slot: &'a Slot,
    under_way: VecDeque<Reply<'a>>,
}

impl<'a> Pipeline<'a> {
    fn new(slot: &'a Slot) -> Self {
        Self { slot, under_way: VecDeque::with_capacity(WINDOW) }
    }

    fn is_full(&self) -> bool {
        self.under_way.len() >= WINDOW
    }

    /// Sends a request. It leaves, or takes its place in the queue, before this returns.
    async fn send(&mut self, step: &Step) {
        let mut reply: Reply<'a> = Box::pin(self.slot.ask(step.to_bytes(), self.slot.request_timeout()));
        // Polled once, it has its place; the reply is waited for later.
        let early = tokio::select! {
            biased;
            reply = &mut reply => Some(reply),
            () = core::future::ready(()) => None,
        };
        self.under_way.push_back(match early {
            Some(outcome) => Box::pin(core::future::ready(outcome)),
            None => reply,
        });
    }

    /// The reply to the oldest request; `None` where none is under way.
    async fn receive(&mut self) -> Option<Result<Bytes, Error>> {
        let reply = self.under_way.front_mut()?.await;
        self.under_way.pop_front();
        Some(reply)
    }
}

async fn ask(slot: &Slot, step: &Step) -> Result<Value, Error> {
    let reply = slot.ask(step.to_bytes(), slot.request_timeout()).await?;
    serde_json::from_slice(&reply).map_err(|_| no_store(slot))
}

fn no_store(slot: &Slot) -> Error {
    let what = format!("could not copy a file to or from {}", slot.peer());
    Error::new(ErrorKind::Protocol, what, "the peer answered with something that has nothing to do with files")
        .with_remedy("the other end must run `postroad serve --save`")
}

fn transfer_of(slot: &Slot, reply: &Value) -> Result<u64, Error> {
    reply.get("transfer").and_then(Value::as_u64).ok_or_else(|| no_store(slot))
}

/// How much content goes into one request or reply.
fn chunk_len(slot: &Slot) -> Result<usize, Error> {
    match slot.request_len_max().checked_sub(HEAD_LEN) {
        Some(len @ 1..) => Ok(len.min(CHUNK_LEN_MAX)),
        _ => {
            let why = format!("the mailslot takes requests of {} octets", slot.request_len_max());
            let what = format!("could not copy a file to or from {}", slot.peer());
            Err(Error::new(ErrorKind::Limit, what, why).with_remedy("let it take more with `max_size=`"))
        }
    }
}

pub(super) async fn send_file(
    slot: &Slot,
    mut file: Outgoing,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Transfer, Error> {
    let chunk_len = chunk_len(slot)?;
    let header = Header::Put { name: file.name.clone(), len: Some(file.len) };
    let transfer = transfer_of(slot, &ask(slot, &Step::Open(header)).await?)?;
    let mut pipeline = Pipeline::new(slot);
    loop {
        let at = file.done_len;
        let content = file.next_of(chunk_len).await?;
        if content.is_empty() {
            break;
        }
        if pipeline.is_full()
            && let Some(written) = pipeline.receive().await
        {
            written?;
        }
        pipeline.send(&Step::Write { transfer, at, content: content.into() }).await;
        progress(file.progress());
    }
    while let Some(written) = pipeline.receive().await {
        written?;
    }
    let sent = file.finish();
    let stored = ask(slot, &Step::End { transfer, sha256: sent.sha256.clone() }).await?;
    check_stored(sent, stored_of(&stored), slot.peer())
}

pub(super) async fn fetch_file(
    slot: &Slot,
    name: &str,
    path: &Path,
    existing: Existing,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Transfer, Error> {
    let chunk_len = chunk_len(slot)? as u64;
    let opened = ask(slot, &Step::Open(Header::Get { name: name.to_owned() })).await?;
    let transfer = transfer_of(slot, &opened)?;
    let total_len = opened.get("len").and_then(Value::as_u64).ok_or_else(|| no_store(slot))?;
    let mut file = Arriving::open(name.to_owned(), Some(total_len), path, existing).await?;
    let mut pipeline = Pipeline::new(slot);
    let mut asked_len = 0;
    while file.done_len() < total_len {
        while asked_len < total_len && !pipeline.is_full() {
            let len = chunk_len.min(total_len - asked_len);
            pipeline.send(&Step::Read { transfer, at: asked_len, len }).await;
            asked_len += len;
        }
        let Some(content) = pipeline.receive().await else { break };
        let content = content?;
        let wanted_len = chunk_len.min(total_len - file.done_len());
        if content.len() as u64 != wanted_len {
            let what = format!("could not fetch `{}` from {}", crate::escape::text(name), slot.peer());
            let why = format!("{wanted_len} octets were asked for and {} came", content.len());
            return Err(Error::new(ErrorKind::Protocol, what, why));
        }
        file.write(&content).await?;
        progress(file.progress());
    }
    let sha256 = super::hex(&file.hash().finalize());
    let given = ask(slot, &Step::End { transfer, sha256 }).await?;
    let sha256 = given.get("sha256").and_then(Value::as_str).ok_or_else(|| no_store(slot))?;
    file.finish(sha256.as_bytes()).await
}
