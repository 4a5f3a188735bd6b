//! Sending a file to a store, and the store.

use super::arriving::receive_into;
use super::header::Header;
use super::steps::{Step, Transfers, outcome};
use super::{Existing, FileRequest, Outgoing, Progress, Transfer, file_request, name, offer_file, slots};
use crate::connection::Kind;
use crate::{Body, Capability, Connection, Error, ErrorKind, Message, Request};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Sends the file at `path` to a peer that stores files, as `name`. `progress` is called after each piece.
///
/// # Errors
/// `File` where it cannot be read, `Peer` where the peer refuses it, `Integrity` where the peer's checksum is another,
/// `Lost`, `Timeout`.
pub async fn send_file(
    connection: &Connection,
    path: &Path,
    name: &str,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Transfer, Error> {
    let mut file = Outgoing::open(path, name).await?;
    if let Kind::Mailslot(slot) = &connection.kind {
        return slots::send_file(slot, file, progress).await;
    }
    let mut upload = connection.open_request_of(file.header(), Some(file.len)).await?;
    while let Some(chunk) = file.next(progress).await? {
        upload.write(chunk).await?;
    }
    let transfer = file.finish();
    let reply = upload.finish(transfer.sha256.clone()).await?;
    if connection.can(Capability::Parts) {
        let stored = (reply.text(0), reply.text(1).and_then(|len| len.parse().ok()));
        return check_stored(transfer, stored, connection.peer());
    }
    let outcome: Value = reply.text(0).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    check_stored(transfer, stored_of(&outcome), connection.peer())
}

/// SHA-256 and length of what the peer has, where it says so as JSON.
pub(super) fn stored_of(outcome: &Value) -> (Option<&str>, Option<u64>) {
    (outcome.get("sha256").and_then(Value::as_str), outcome.get("len").and_then(Value::as_u64))
}

/// The transfer, where the peer has what was sent.
pub(super) fn check_stored(
    transfer: Transfer,
    stored: (Option<&str>, Option<u64>),
    peer: &str,
) -> Result<Transfer, Error> {
    if stored == (Some(transfer.sha256.as_str()), Some(transfer.len)) {
        return Ok(transfer);
    }
    let what = format!("could not copy `{}` to {peer}", crate::escape::text(&transfer.name));
    let why = "what the peer has is not what was sent: its SHA-256 or length is another";
    Err(Error::new(ErrorKind::Integrity, what, why).with_remedy("copy it again"))
}

/// What became of a request that a [`Store`] was shown.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answered {
    /// A file has come, and has its name.
    Stored(Transfer),
    /// A file was given out, and the peer has it whole.
    GaveOut(Transfer),
    /// One of the requests that a transfer from or to a mailslot has; more will come.
    Step,
    /// It has nothing to do with files, and is still to be answered.
    Other(Request),
}

/// A folder that takes files from peers. Cheap to clone.
///
/// Names are taken as they are or refused, see [`safe_name`](super::safe_name). A file has its name only when all of it is there
/// and its checksum holds.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Arc<PathBuf>,
    existing: Existing,
    /// Names that are being written.
    busy: Arc<Mutex<HashSet<String>>>,
    /// Transfers of several requests.
    transfers: Arc<Transfers>,
}

/// A name that is being written; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Busy {
    names: Arc<Mutex<HashSet<String>>>,
    name: String,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Store {
    /// A store in `folder`, which must be there.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, existing: Existing) -> Self {
        Self { folder: Arc::new(folder.into()), existing, busy: Arc::default(), transfers: Arc::default() }
    }

    /// Takes the file that comes as the body of `request`, and answers it.
    ///
    /// # Errors
    /// Why the file was not taken; the peer has been told.
    pub async fn put(&self, request: Request, body: Body) -> Result<Transfer, Error> {
        let claimed = Header::parse(request.message()).and_then(|header| match header {
            Header::Put { name, .. } => self.claim(&name),
            Header::Get { .. } => {
                Err(Error::new(ErrorKind::Protocol, "could not take a file", "the request asks for one instead"))
            }
        });
        let received = match claimed {
            Ok((target, busy)) => {
                let received = receive_into(body, &target, self.existing, &mut |_| {}).await;
                drop(busy);
                received
            }
            Err(error) => Err(error),
        };
        match received {
            Ok(transfer) => {
                let reply = if request.connection().can(Capability::Parts) {
                    Message::from(transfer.sha256.clone()).with_part(transfer.len.to_string())
                } else {
                    Message::from(outcome(&transfer))
                };
                request.reply(reply).await?;
                Ok(transfer)
            }
            Err(error) => {
                // Where the connection is gone there is nobody to tell.
                let _ = request.refuse(error.why()).await;
                Err(error)
            }
        }
    }

    /// Answers a request without a body that may be about files: gives out the file that it asks for, or does one step of
    /// a transfer to or from a mailslot.
    ///
    /// A mailslot has no bodies, so a file takes several requests. What a transfer needs between them is in the store and
    /// its clones: 64 transfers at most, each until nothing was heard of it for 30 s.
    ///
    /// # Errors
    /// Why it was not done; the peer has been told.
    pub async fn answer(&self, request: Request) -> Result<Answered, Error> {
        let (message, asked) = match request.into_asked() {
            Ok(parts) => parts,
            Err(request) => return self.answer_framed(request).await,
        };
        let step = match Step::parse(message.get(0).unwrap_or(&Bytes::new())) {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(Answered::Other(Request::of_mailslot(message, asked))),
            Err(why) => {
                let error = Error::new(ErrorKind::Protocol, format!("could not serve {}", asked.peer()), why);
                let _void = asked.refuse(why);
                return Err(error);
            }
        };
        match self.transfers.step(self, &asked.peer(), step).await {
            Ok((reply, answered)) => asked.reply_octets(reply).map(|()| answered),
            Err(error) => {
                // Which files there are and why they cannot be read is not told: peers need not know more.
                let words = if error.kind() == ErrorKind::File && error.remedy().is_empty() {
                    "there is no such file, or it could not be read or written"
                } else {
                    error.why()
                };
                let _void = asked.refuse(words);
                Err(error)
            }
        }
    }

    async fn answer_framed(&self, request: Request) -> Result<Answered, Error> {
        let Some(FileRequest::Get(name)) = file_request(request.message()) else {
            return Ok(Answered::Other(request));
        };
        match self.path_of(&name) {
            Ok(path) => offer_file(request, &path, &name).await.map(Answered::GaveOut),
            Err(error) => {
                let _gone = request.refuse(error.why()).await;
                Err(error)
            }
        }
    }

    pub(super) const fn existing(&self) -> Existing {
        self.existing
    }

    /// Where a file of this name goes; nobody else may write it meanwhile.
    pub(super) fn claim(&self, name: &str) -> Result<(PathBuf, Busy), Error> {
        let what = || format!("could not take a file called `{}`", crate::escape::text(name));
        let target = self.folder.join(self.checked(name)?);
        super::refuse_existing(&target, self.existing)?;
        if !self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned()) {
            return Err(Error::new(ErrorKind::File, what(), "a file of that name is being written")
                .with_remedy("wait for the other one, or choose another name"));
        }
        Ok((target, Busy { names: Arc::clone(&self.busy), name: name.to_owned() }))
    }

    fn checked<'n>(&self, name: &'n str) -> Result<&'n str, Error> {
        name::safe_name(name).map_err(|error| {
            let what = format!("`{}` is no name for a file here", crate::escape::text(name));
            Error::new(ErrorKind::Peer, what, error.to_string()).with_remedy("give it another with --name")
        })
    }

    /// The path of the file that a peer asks for.
    ///
    /// # Errors
    /// `Peer` for a name that is none.
    pub fn path_of(&self, name: &str) -> Result<PathBuf, Error> {
        Ok(self.folder.join(self.checked(name)?))
    }
}

/// For machines: what was transferred.
impl Transfer {
    /// As a JSON object with `name`, `len`, `sha256` and `seconds`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let value: Value = json!({
            "name": self.name, "len": self.len, "sha256": self.sha256, "seconds": self.duration.as_secs_f64(),
        });
        value.to_string()
    }
}
