//! Files as bodies: whole or not at all, checked by SHA-256, never in the place of another unless that was asked for.
//!
//! A sender asks with a body request whose head is JSON, `{"name":…,"len":…}`, content the file, trailer the SHA-256 in
//! lower-case hex. A fetch asks with `{"get":…}` and gets a reply of the same form. `docs/guide/files.md` has the bytes.

mod fetch;
mod header;
mod name;
mod store;

pub use fetch::{fetch_file, offer_file};
pub use name::{NameError, safe_name};
pub use store::{Store, send_file};

use crate::{Body, Error, ErrorKind, Message};
use header::Header;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

/// A file under another name until it is whole; removed if it never is.
struct Unfinished {
    path: PathBuf,
    is_kept: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_kept {
            // Nothing to do about a failure: the name says what it is.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Writes `body` beside `target` under another name, checks length and checksum, and then gives it the name.
async fn receive_into(
    mut body: Body,
    target: &Path,
    existing: Existing,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Transfer, Error> {
    let what = format!("could not receive `{}`", shown(target));
    let Header::Put { name, len: total_len } = Header::parse(body.head())? else {
        return Err(Error::new(ErrorKind::Protocol, what, "the peer answered with something that is no file"));
    };
    refuse_existing(target, existing)?;
    let started = Instant::now();
    let (mut unfinished, mut file) = create_beside(target).await?;
    let (mut hasher, mut done_len) = (Sha256::new(), 0u64);
    while let Some(piece) = body.next().await? {
        done_len += piece.len() as u64;
        if total_len.is_some_and(|total| done_len > total) {
            break;
        }
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(|error| Error::file(what.clone(), error))?;
        progress(Progress { done_len, total_len });
    }
    let sha256 = hex(&hasher.finalize());
    if let Some(total) = total_len.filter(|total| *total != done_len) {
        let why = format!("{total} octets were announced and {} came", amount(done_len, total));
        return Err(Error::new(ErrorKind::Integrity, what, why).with_remedy("copy it again"));
    }
    if body.trailer() != Some(sha256.as_bytes()) {
        let why = "the SHA-256 of what came is not the one that the sender gave";
        return Err(Error::new(ErrorKind::Integrity, what, why).with_remedy("copy it again"));
    }
    file.sync_all().await.map_err(|error| Error::file(what.clone(), error))?;
    drop(file);
    give_name(&unfinished.path, target, existing).await?;
    unfinished.is_kept = true;
    Ok(Transfer { name, len: done_len, sha256, duration: started.elapsed() })
}

fn amount(done: u64, total: u64) -> String {
    if done > total { "more".to_owned() } else { done.to_string() }
}

fn refuse_existing(target: &Path, existing: Existing) -> Result<(), Error> {
    if existing == Existing::Keep && target.symlink_metadata().is_ok() {
        let what = format!("could not receive `{}`", shown(target));
        return Err(Error::new(ErrorKind::File, what, "there is a file of that name")
            .with_remedy("choose another name, or allow it to be replaced (`--force`, of a server `--overwrite`)"));
    }
    Ok(())
}

async fn create_beside(target: &Path) -> Result<(Unfinished, tokio::fs::File), Error> {
    let what = || format!("could not receive `{}`", shown(target));
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let process = std::process::id();
    for attempt in 0..100u32 {
        // A long name must not become too long for the file system by what is put around it.
        let short: String = name.chars().take(32).collect();
        let path = target.with_file_name(format!(".{short}.{process}-{attempt}.part"));
        match tokio::fs::OpenOptions::new().write(true).create_new(true).open(&path).await {
            Ok(file) => return Ok((Unfinished { path, is_kept: false }, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(Error::file(what(), error).with_remedy("see whether the folder can be written to"));
            }
        }
    }
    let why = "a hundred unfinished files lie beside it";
    Err(Error::new(ErrorKind::File, what(), why).with_remedy("remove the `.part` files that nobody writes any more"))
}

/// Linking fails where the name is taken, so a file that appeared meanwhile is safe too.
async fn give_name(from: &Path, target: &Path, existing: Existing) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::file(format!("could not name `{}`", shown(target)), error);
    if existing == Existing::Replace {
        return tokio::fs::rename(from, target).await.map_err(failed);
    }
    match tokio::fs::hard_link(from, target).await {
        Ok(()) => tokio::fs::remove_file(from).await.map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => refuse_existing(target, existing),
        // A file system without links: the look before the rename is all there is.
        Err(_) => {
            refuse_existing(target, existing)?;
            tokio::fs::rename(from, target).await.map_err(failed)
        }
    }
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
        let mut chunk = Vec::with_capacity(CHUNK_LEN);
        let what = || format!("could not read `{}`", self.path);
        let limit = CHUNK_LEN as u64;
        (&mut self.file).take(limit).read_to_end(&mut chunk).await.map_err(|error| Error::file(what(), error))?;
        self.done_len += chunk.len() as u64;
        if self.done_len > self.len || (chunk.is_empty() && self.done_len < self.len) {
            let why = "it changed its length while it was read";
            return Err(Error::new(ErrorKind::File, what(), why).with_remedy("copy it when nobody writes to it"));
        }
        self.hasher.update(&chunk);
        progress(Progress { done_len: self.done_len, total_len: Some(self.len) });
        Ok((!chunk.is_empty()).then_some(chunk))
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
