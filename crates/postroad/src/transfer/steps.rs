//! Files to and from a mailslot, at its end: a transfer is several requests, and this is what is between them.

use super::arriving::Arriving;
use super::header::Header;
use super::store::{Answered, Busy, Store};
use super::{Outgoing, Transfer};
use crate::{Error, ErrorKind, Message};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Transfers under way at once.
const TRANSFERS_MAX: usize = 64;

/// A transfer of which nothing was heard for this long is given up.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A transfer that stands still for this long makes way for another one of the same file.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(5);

/// Octets of content in one reply.
const READ_LEN_MAX: u64 = 1 << 20;

/// Octets in front of the content: what has more is none of our requests.
const HEAD_LEN_MAX: usize = 4096;

/// One request of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first one.
    Open(Header),
    /// Content for a file that is sent.
    Write { transfer: u64, at: u64, content: Bytes },
    /// Content wanted of a file that is fetched.
    Read { transfer: u64, at: u64, len: u64 },
    /// The last one: the SHA-256 of what the asking end sent or got.
    End { transfer: u64, sha256: String },
}

impl Step {
    pub(super) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Open(header) => header.to_message().into_parts().pop().unwrap_or_default(),
            Self::Write { transfer, at, content } => {
                let head = json!({"transfer": transfer, "at": at}).to_string();
                [head.as_bytes(), b"\n", content].concat().into()
            }
            Self::Read { transfer, at, len } => json!({"transfer": transfer, "at": at, "len": len}).to_string().into(),
            Self::End { transfer, sha256 } => json!({"transfer": transfer, "sha256": sha256}).to_string().into(),
        }
    }

    /// What a request is; `None` where it has nothing to do with files.
    pub(super) fn parse(request: &Bytes) -> Result<Option<Self>, &'static str> {
        let line_end = request.iter().take(HEAD_LEN_MAX).position(|octet| *octet == b'\n');
        let head = request.slice(..line_end.unwrap_or(request.len()));
        let Some(object) = Some(&head).filter(|head| head.len() <= HEAD_LEN_MAX).and_then(|head| object(head)) else {
            return Ok(None);
        };
        let Some(transfer) = object.get("transfer") else {
            return Ok(Header::parse(&Message::from(head)).ok().map(Self::Open));
        };
        let count = |key: &str| object.get(key).and_then(Value::as_u64);
        let transfer = transfer.as_u64().ok_or("`transfer` is no number of a transfer")?;
        if let Some(sha256) = object.get("sha256").and_then(Value::as_str) {
            return Ok(Some(Self::End { transfer, sha256: sha256.to_owned() }));
        }
        let at = count("at").ok_or("a request of a transfer needs `at`, a count of octets, or `sha256`")?;
        match (line_end, count("len")) {
            (Some(end), None) => Ok(Some(Self::Write { transfer, at, content: request.slice(end + 1..) })),
            (None, Some(len)) => Ok(Some(Self::Read { transfer, at, len })),
            _ => Err("content stands behind a line break, or `len` says how much is wanted"),
        }
    }
}

fn object(text: &[u8]) -> Option<serde_json::Map<String, Value>> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// The transfers of a store that are under way.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Entry>,
    has_sweeper: bool,
}

#[derive(Debug)]
struct Entry {
    peer: String,
    /// Of a file that comes.
    name: Option<String>,
    used_at: Instant,
    work: Arc<tokio::sync::Mutex<Option<Work>>>,
}

/// What a transfer holds between two requests.
enum Work {
    In(Arriving, Busy),
    Out(Outgoing),
}

impl core::fmt::Debug for Work {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::In(..) => "In",
            Self::Out(_) => "Out",
        })
    }
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Protocol, "could not go on with a file", why)
}

impl Transfers {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one step, and says what to reply.
    pub(super) async fn step(
        self: &Arc<Self>,
        store: &Store,
        peer: &str,
        step: Step,
    ) -> Result<(Bytes, Answered), Error> {
        let (transfer, step) = match step {
            Step::Open(header) => return self.open(store, peer, header).await.map(|reply| (reply, Answered::Step)),
            Step::Write { transfer, .. } | Step::Read { transfer, .. } | Step::End { transfer, .. } => (transfer, step),
        };
        let work = self
            .find(transfer, peer)
            .ok_or_else(|| refused("there is no such transfer: it was finished, or given up after 30 s of silence"))?;
        let mut work = work.lock().await;
        let done = match (work.as_mut(), step) {
            (Some(Work::In(file, _)), Step::Write { at, content, .. }) => write(file, at, &content).await,
            (Some(Work::Out(file)), Step::Read { at, len, .. }) => read(file, at, len).await,
            (Some(_), Step::End { sha256, .. }) => {
                self.table().open.remove(&transfer);
                return match work.take() {
                    Some(Work::In(file, _busy)) => finish_in(file, &sha256).await,
                    Some(Work::Out(file)) => finish_out(file, &sha256),
                    None => Err(refused("it was finished already")),
                };
            }
            (None, _) => Err(refused("it was finished already")),
            _ => Err(refused("content goes the other way in this transfer")),
        };
        // What failed once is not whole any more.
        if done.as_ref().is_err_and(|error| error.kind() != ErrorKind::Protocol) {
            self.table().open.remove(&transfer);
            work.take();
        }
        done.map(|reply| (reply, Answered::Step))
    }

    fn find(&self, transfer: u64, peer: &str) -> Option<Arc<tokio::sync::Mutex<Option<Work>>>> {
        let mut table = self.table();
        let entry = table.open.get_mut(&transfer).filter(|entry| entry.peer == peer)?;
        entry.used_at = Instant::now();
        Some(Arc::clone(&entry.work))
    }

    async fn open(self: &Arc<Self>, store: &Store, peer: &str, header: Header) -> Result<Bytes, Error> {
        if self.table().open.len() >= TRANSFERS_MAX {
            let why = format!("{TRANSFERS_MAX} transfers are under way");
            return Err(Error::new(ErrorKind::Limit, "could not begin with a file", why).with_remedy("try again later"));
        }
        match header {
            Header::Put { name, len } => {
                self.make_way(&name);
                let (target, busy) = store.claim(&name)?;
                let file = Arriving::open(name.clone(), len, &target, store.existing()).await?;
                let transfer = self.enter(peer, Some(name), Work::In(file, busy));
                Ok(json!({"transfer": transfer}).to_string().into())
            }
            Header::Get { name } => {
                let file = Outgoing::open(&store.path_of(&name)?, &name).await?;
                let len = file.len;
                let transfer = self.enter(peer, None, Work::Out(file));
                Ok(json!({"name": name, "len": len, "transfer": transfer}).to_string().into())
            }
        }
    }

    /// A sender that vanished and came back should not wait for what it left.
    fn make_way(&self, name: &str) {
        self.table()
            .open
            .retain(|_, entry| entry.name.as_deref() != Some(name) || entry.used_at.elapsed() < GIVES_WAY_AFTER);
    }

    fn enter(self: &Arc<Self>, peer: &str, name: Option<String>, work: Work) -> u64 {
        let mut table = self.table();
        table.last = table.last.wrapping_add(1);
        let (transfer, work) = (table.last, Arc::new(tokio::sync::Mutex::new(Some(work))));
        table.open.insert(transfer, Entry { peer: peer.to_owned(), name, used_at: Instant::now(), work });
        if !core::mem::replace(&mut table.has_sweeper, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        transfer
    }
}

/// Gives up what nobody goes on with, as long as anything is open.
async fn sweep(transfers: std::sync::Weak<Transfers>) {
    loop {
        tokio::time::sleep(IDLE_MAX / 4).await;
        let Some(transfers) = transfers.upgrade() else { return };
        let mut table = transfers.table();
        table.open.retain(|_, entry| entry.used_at.elapsed() < IDLE_MAX);
        if table.open.is_empty() {
            table.has_sweeper = false;
            return;
        }
    }
}

/// Appends content. What was written before may come again, as it does from peers that repeat what they do not trust.
async fn write(file: &mut Arriving, at: u64, content: &[u8]) -> Result<Bytes, Error> {
    let end = at.saturating_add(content.len() as u64);
    if at == file.done_len() {
        file.write(content).await?;
    } else if end > file.done_len() {
        return Err(refused(format!("content goes in order, and {} octets are there", file.done_len())));
    }
    Ok(json!({"have": file.done_len()}).to_string().into())
}

async fn read(file: &mut Outgoing, at: u64, len: u64) -> Result<Bytes, Error> {
    if at > file.done_len {
        return Err(refused(format!("content is read in order, and {} octets were read", file.done_len)));
    }
    let len = usize::try_from(len.min(READ_LEN_MAX)).unwrap_or(0);
    if at < file.done_len {
        return file.again(at, len).await.map(Bytes::from);
    }
    file.next_of(len).await.map(Bytes::from)
}

async fn finish_in(file: Arriving, sha256: &str) -> Result<(Bytes, Answered), Error> {
    let stored = file.finish(sha256.as_bytes()).await?;
    Ok((outcome(&stored), Answered::Stored(stored)))
}

fn finish_out(file: Outgoing, sha256: &str) -> Result<(Bytes, Answered), Error> {
    if file.done_len < file.len {
        return Err(refused(format!("only {} of {} octets were read", file.done_len, file.len)));
    }
    let given = file.finish();
    if given.sha256 != sha256 {
        let why = "the SHA-256 of what the peer got is not that of what was read here";
        return Err(Error::new(ErrorKind::Integrity, "could not give out a file", why).with_remedy("copy it again"));
    }
    Ok((outcome(&given), Answered::GaveOut(given)))
}

/// What became of a file, as JSON.
pub(super) fn outcome(transfer: &Transfer) -> Bytes {
    json!({"sha256": transfer.sha256, "len": transfer.len}).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_the_wire() {
        for step in [
            Step::Open(Header::Put { name: "a \n b".to_owned(), len: Some(7) }),
            Step::Open(Header::Get { name: "x".to_owned() }),
            Step::Write { transfer: u64::MAX, at: 0, content: Bytes::from_static(b"\n\n{}") },
            Step::Write { transfer: 1, at: u64::MAX, content: Bytes::new() },
            Step::Read { transfer: 1, at: 2, len: 3 },
            Step::End { transfer: 1, sha256: "ab".to_owned() },
        ] {
            assert_eq!(Step::parse(&step.to_bytes()), Ok(Some(step)));
        }
    }

    #[test]
    fn other_requests_are_told_from_broken_ones() {
        for other in [&b""[..], b"hello", b"[1]", b"{}", b"{\"a\":1}\n", b"\xff", b"\n{\"transfer\":1,\"at\":0}"] {
            assert_eq!(Step::parse(&Bytes::copy_from_slice(other)), Ok(None), "{other:?}");
        }
        let long = [b" ".repeat(HEAD_LEN_MAX), b"{\"get\":\"x\"}".to_vec()].concat();
        assert_eq!(Step::parse(&long.into()), Ok(None));
        for broken in [
            r#"{"transfer":"1","at":0}"#,
            r#"{"transfer":1}"#,
            r#"{"transfer":1,"at":-1,"len":1}"#,
            r#"{"transfer":1,"at":0}"#,
            "{\"transfer\":1,\"at\":0,\"len\":1}\nx",
        ] {
            assert!(Step::parse(&Bytes::from(broken)).is_err(), "{broken}");
        }
    }
}
