//! Asking for a file, and giving one out.

use super::arriving::receive_into;
use super::header::Header;
use super::{Existing, Outgoing, Progress, Transfer, refuse_existing, shown, slots};
use crate::connection::Kind;
use crate::{Connection, Error, ErrorKind, Reply, Request};
use std::path::Path;

/// Asks for the file called `name` and writes it to `path`. `progress` is called after each piece.
///
/// # Errors
/// `Peer` where the peer has none, `File` where it cannot be written or is there already, `Integrity` where it is not
/// what the sender sent, `Lost`, `Timeout`.
pub async fn fetch_file(
    connection: &Connection,
    name: &str,
    path: &Path,
    existing: Existing,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Transfer, Error> {
    refuse_existing(path, existing)?;
    if let Kind::Mailslot(slot) = &connection.kind {
        return slots::fetch_file(slot, name, path, existing, progress).await;
    }
    let ask = Header::Get { name: name.to_owned() }.to_message();
    match connection.request_streaming(ask).await? {
        Reply::Body(body) => receive_into(body, path, existing, progress).await,
        Reply::Message(_) => {
            let what = format!("could not fetch `{}` from {}", crate::escape::text(name), connection.peer());
            Err(Error::new(ErrorKind::Protocol, what, "the peer answered with something that is no file")
                .with_remedy("the other end must run `postroad serve --save`"))
        }
    }
}

/// Answers `request` with the file at `path`, as `name`. A request to a mailslot is only the first of several: show those
/// to [`Store::answer`](super::Store::answer).
///
/// # Errors
/// Why it was not sent; the peer has been told.
pub async fn offer_file(request: Request, path: &Path, name: &str) -> Result<Transfer, Error> {
    let mut file = match Outgoing::open(path, name).await {
        Ok(file) => file,
        Err(error) => {
            // Which files there are and why they cannot be read is told in one word: peers need not know more.
            let _ = request.refuse("there is no such file").await;
            return Err(error);
        }
    };
    let mut body = request.reply_body_of(file.header(), Some(file.len)).await?;
    while let Some(chunk) = file.next(&mut |_| {}).await? {
        body.write(chunk).await?;
    }
    let transfer = file.finish();
    tracing::debug!(file = %shown(path), len = transfer.len, "gave out a file");
    body.finish_with(transfer.sha256.clone()).await?;
    Ok(transfer)
}
