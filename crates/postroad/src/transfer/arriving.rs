//! A file on its way in: beside its place under another name, until it is whole and its checksum holds.

use super::header::Header;
use super::{Existing, Progress, Transfer, hex, shown};
use crate::{Body, Error, ErrorKind};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::io::AsyncWriteExt;

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

/// A file that comes piece by piece.
pub(super) struct Arriving {
    name: String,
    target: PathBuf,
    existing: Existing,
    unfinished: Unfinished,
    file: tokio::fs::File,
    hasher: Sha256,
    done_len: u64,
    total_len: Option<u64>,
    started: Instant,
}

impl Arriving {
    /// Begins to write beside `target`.
    pub(super) async fn open(
        name: String,
        total_len: Option<u64>,
        target: &Path,
        existing: Existing,
    ) -> Result<Self, Error> {
        refuse_existing(target, existing)?;
        let started = Instant::now();
        let (unfinished, file) = create_beside(target).await?;
        let (target, hasher) = (target.to_owned(), Sha256::new());
        Ok(Self { name, target, existing, unfinished, file, hasher, done_len: 0, total_len, started })
    }

    pub(super) const fn progress(&self) -> Progress {
        Progress { done_len: self.done_len, total_len: self.total_len }
    }

    pub(super) const fn done_len(&self) -> u64 {
        self.done_len
    }

    /// The hash of what has come.
    pub(super) fn hash(&self) -> Sha256 {
        self.hasher.clone()
    }

    /// Appends a piece.
    pub(super) async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        let len = self.done_len + piece.len() as u64;
        if let Some(total) = self.total_len.filter(|total| len > *total) {
            return Err(self.wrong(format!("{total} octets were announced and more came")));
        }
        self.done_len = len;
        self.hasher.update(piece);
        self.file.write_all(piece).await.map_err(|error| Error::file(self.what(), error))
    }

    /// Gives the file its name, where length and checksum are what the sender says.
    pub(super) async fn finish(mut self, sha256: &[u8]) -> Result<Transfer, Error> {
        if let Some(total) = self.total_len.filter(|total| *total != self.done_len) {
            return Err(self.wrong(format!("{total} octets were announced and {} came", self.done_len)));
        }
        let computed = hex(&self.hasher.clone().finalize());
        if sha256 != computed.as_bytes() {
            return Err(self.wrong("the SHA-256 of what came is not the one that the sender gave".to_owned()));
        }
        self.file.flush().await.map_err(|error| Error::file(self.what(), error))?;
        self.file.sync_all().await.map_err(|error| Error::file(self.what(), error))?;
        drop(self.file);
        give_name(&self.unfinished.path, &self.target, self.existing).await?;
        self.unfinished.is_kept = true;
        Ok(Transfer { name: self.name, len: self.done_len, sha256: computed, duration: self.started.elapsed() })
    }

    fn what(&self) -> String {
        format!("could not receive `{}`", shown(&self.target))
    }

    fn wrong(&self, why: String) -> Error {
        Error::new(ErrorKind::Integrity, self.what(), why).with_remedy("copy it again")
    }
}

/// Writes `body` to `target`.
pub(super) async fn receive_into(
    mut body: Body,
    target: &Path,
    existing: Existing,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Transfer, Error> {
    let Header::Put { name, len } = Header::parse(body.head())? else {
        let what = format!("could not receive `{}`", shown(target));
        return Err(Error::new(ErrorKind::Protocol, what, "the peer answered with something that is no file"));
    };
    let mut file = Arriving::open(name, len, target, existing).await?;
    while let Some(piece) = body.next().await? {
        file.write(&piece).await?;
        progress(file.progress());
    }
    let trailer = body.trailer().unwrap_or_default().to_vec();
    file.finish(&trailer).await
}

pub(super) fn refuse_existing(target: &Path, existing: Existing) -> Result<(), Error> {
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
