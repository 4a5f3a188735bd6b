//! Files as bodies: whole or not at all, checked by SHA-256, never in the place of another unless that was asked for.
//!
//! A sender asks with a body request whose head is JSON, `{"name":…,"len":…}`, content the file, trailer the SHA-256 in
//! lower-case hex. A fetch asks with `{"get":…}` and gets a reply of the same form. To a mailslot, which has no bodies, the
//! same JSON opens a transfer of several requests. `docs/guide/files.md` has the bytes.

mod arriving;
mod fetch;
mod header;
mod name;
mod slots;
mod steps;
mod store;

pub use fetch::{fetch_file, offer_file};
pub use name::{NameError, safe_name};
pub use store::{Answered, Store, send_file};

use crate::{Error, ErrorKind, Message};
use arriving::refuse_existing;
use header::Header;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Octets read from a file at once.
const CHUNK_LEN: usize = 64 * 1024;

/// What was transferred.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// The file's name.
    pub name: String,
    /// Octets of content.
    pub len: u64,
    /// SHA-256 of the content in lower-case hex, the same at both ends.
    pub sha256: String,
    /// From the first octet to the check at the end.
    pub duration: Duration,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Octets so far.
    pub done_len: u64,
    /// Octets in all, where they are known.
    pub total_len: Option<u64>,
}

/// What may happen to a file that has the name already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It stays and the transfer fails.
    #[default]
    Keep,
    /// The new file takes its place once it is there whole.
    Replace,
}

/// What a request wants, as far as files are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileRequest {
    /// A file that comes as the request's body: hand both to a [`Store`].
    Put,
    /// The file of this name: answer with [`offer_file`].
    Get(String),
}

/// What a request wants, `None` where it has nothing to do with files.
#[must_use]
pub fn file_request(message: &Message) -> Option<FileRequest> {
    match Header::parse(message) {
        Ok(Header::Put { .. }) => Some(FileRequest::Put),
        Ok(Header::Get { name }) => Some(FileRequest::Get(name)),
        Err(_) => None,
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn shown(path: &Path) -> String {
    crate::escape::text(&path.to_string_lossy())
}

/// A file on its way out.
struct Outgoing {
    file: tokio::fs::File,
    name: String,
    len: u64,
    hasher: Sha256,
    done_len: u64,
    started: Instant,
    path: String,
}

impl Outgoing {
    const fn progress(&self) -> Progress {
        Progress { done_len: self.done_len, total_len: Some(self.len) }
    }

    async fn open(path: &Path, name: &str) -> Result<Self, Error> {
        let failed = |error| Error::file(format!("could not read `{}`", shown(path)), error);
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let metadata = file.metadata().await.map_err(failed)?;
        if !metadata.is_file() {
            let what = format!("could not read `{}`", shown(path));
            return Err(Error::new(ErrorKind::File, what, "it is no plain file"));
        }
        Ok(Self {
            file,
            name: name.to_owned(),
            len: metadata.len(),
            hasher: Sha256::new(),
            done_len: 0,
            started: Instant::now(),
            path: shown(path),
        })
    }

    fn header(&self) -> Message {
        Header::Put { name: self.name.clone(), len: Some(self.len) }.to_message()
    }

    /// The next piece of content; `None` at the end.
    async fn next(&mut self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Option<Vec<u8>>, Error> {
        let chunk = self.next_of(CHUNK_LEN).await?;
        progress(self.progress());
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    /// The next piece of content, of `len` octets at most; empty at the end.
    async fn next_of(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        let mut chunk = Vec::with_capacity(len);
        let what = || format!("could not read `{}`", self.path);
        let limit = len as u64;
        (&mut self.file).take(limit).read_to_end(&mut chunk).await.map_err(|error| Error::file(what(), error))?;
        self.done_len += chunk.len() as u64;
        if self.done_len > self.len || (chunk.is_empty() && self.done_len < self.len) {
            let why = "it changed its length while it was read";
            return Err(Error::new(ErrorKind::File, what(), why).with_remedy("copy it when nobody writes to it"));
        }
        self.hasher.update(&chunk);
        Ok(chunk)
    }

    /// Content that was given out before, once more.
    async fn again(&mut self, at: u64, len: usize) -> Result<Vec<u8>, Error> {
        let failed = |error| Error::file(format!("could not read `{}`", self.path), error);
        self.file.seek(std::io::SeekFrom::Start(at)).await.map_err(failed)?;
        let mut chunk = Vec::with_capacity(len);
        let limit = (len as u64).min(self.done_len.saturating_sub(at));
        (&mut self.file).take(limit).read_to_end(&mut chunk).await.map_err(failed)?;
        self.file.seek(std::io::SeekFrom::Start(self.done_len)).await.map_err(failed)?;
        Ok(chunk)
    }

    fn finish(self) -> Transfer {
        let sha256 = hex(&self.hasher.finalize());
        Transfer { name: self.name, len: self.done_len, sha256, duration: self.started.elapsed() }
    }
}

/// Length and SHA-256 (lower-case hex) of a file, for comparing.
///
/// # Errors
/// `File` where it cannot be read.
pub fn checksum(path: &Path) -> Result<(u64, String), Error> {
    let failed = |error| Error::file(format!("could not read `{}`", shown(path)), error);
    let mut hasher = Sha256::new();
    let len = std::io::copy(&mut std::fs::File::open(path).map_err(failed)?, &mut hasher).map_err(failed)?;
    Ok((len, hex(&hasher.finalize())))
}
