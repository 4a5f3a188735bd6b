//! Sending a file to a store, and the store.

use super::header::Header;
use super::{Existing, Outgoing, Progress, Transfer, name, receive_into, shown};
use crate::{Body, Connection, Error, ErrorKind, Message, Request};
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
    let mut upload = connection.open_request(file.header()).await?;
    while let Some(chunk) = file.next(progress).await? {
        upload.write(chunk).await?;
    }
    let transfer = file.finish();
    let reply = upload.finish(transfer.sha256.clone()).await?;
    let stored = (reply.text(0), reply.text(1).and_then(|len| len.parse().ok()));
    if stored != (Some(transfer.sha256.as_str()), Some(transfer.len)) {
        let what = format!("could not copy `{}` to {}", shown(path), connection.peer());
        let why = "what the peer has is not what was sent: its SHA-256 or length is another";
        return Err(Error::new(ErrorKind::Integrity, what, why).with_remedy("copy it again"));
    }
    Ok(transfer)
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
}

/// A name that is being written; free again when it is dropped.
struct Busy<'a> {
    store: &'a Store,
    name: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.store.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Store {
    /// A store in `folder`, which must be there.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, existing: Existing) -> Self {
        Self { folder: Arc::new(folder.into()), existing, busy: Arc::default() }
    }

    /// Takes the file that comes as the body of `request`, and answers it.
    ///
    /// # Errors
    /// Why the file was not taken; the peer has been told.
    pub async fn put(&self, request: Request, body: Body) -> Result<Transfer, Error> {
        let received = match self.claim(request.message()) {
            Ok((target, busy)) => {
                let received = receive_into(body, &target, self.existing, &mut |_| {}).await;
                drop(busy);
                received
            }
            Err(error) => Err(error),
        };
        match received {
            Ok(transfer) => {
                let reply = Message::from(transfer.sha256.clone()).with_part(transfer.len.to_string());
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

    fn claim(&self, head: &Message) -> Result<(PathBuf, Busy<'_>), Error> {
        let Header::Put { name, .. } = Header::parse(head)? else {
            return Err(Error::new(ErrorKind::Protocol, "could not take a file", "the request asks for one instead"));
        };
        let what = || format!("could not take a file called `{}`", crate::escape::text(&name));
        let target = self.folder.join(self.checked(&name)?);
        super::refuse_existing(&target, self.existing)?;
        if !self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return Err(Error::new(ErrorKind::File, what(), "a file of that name is being written")
                .with_remedy("wait for the other one, or choose another name"));
        }
        Ok((target, Busy { store: self, name }))
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
