//! Messages to what the Streaming Message Protocol carries.

use super::Framed;
use crate::convention::{self, HEAD_PARTS_MAX, Tag};
use crate::{Error, ErrorKind, Message};
use bytes::Bytes;
use smp_framing::machine::UsageError;
use smp_framing::{ARGC_MAX, Arguments, SendError};

const WHAT: &str = "could not send a message";

fn unsupported(why: impl Into<String>, remedy: &str) -> Error {
    Error::new(ErrorKind::Unsupported, WHAT, why).with_remedy(remedy)
}

fn parts(message: Message, parts_max: usize) -> Result<Vec<Bytes>, Error> {
    if let Some((name, _)) = message.headers().first() {
        let why = format!("it has the header `{}`, and smp carries none", crate::escape::text(name));
        return Err(unsupported(why, "put it into a part of its own"));
    }
    if message.part_count() > parts_max {
        let why = format!("it has {} parts, and smp carries {parts_max} of this kind", message.part_count());
        return Err(unsupported(why, "join some parts, or send several messages"));
    }
    Ok(message.into_parts())
}

pub(super) fn plain(message: Message) -> Result<Arguments, Error> {
    let mut parts = parts(message, ARGC_MAX)?;
    if parts.first().is_some_and(|first| convention::is_reserved(first)) {
        let why = "its first part begins like a tag of the request convention";
        return Err(Error::new(ErrorKind::Usage, WHAT, why)
            .with_remedy("call `request` for requests, and put another part in front of such data"));
    }
    match parts.len() {
        1 => Ok(parts.pop().unwrap_or_default().into()),
        _ => Ok(parts.into()),
    }
}

pub(super) fn tagged(tag: Tag, message: Message) -> Result<Arguments, Error> {
    let parts = parts(message, ARGC_MAX - 1)?;
    Ok(core::iter::once(tag.to_bytes()).chain(parts).collect())
}

pub(super) fn body_head(tag: Tag, head: Message) -> Result<Vec<Bytes>, Error> {
    let parts = parts(head, HEAD_PARTS_MAX)?;
    Ok(core::iter::once(tag.to_bytes()).chain(parts).collect())
}

pub(super) fn error(connection: &Framed, error: SendError) -> Error {
    match error {
        SendError::Closed => connection.end_error().with_what(format!("could not send to {}", connection.peer())),
        SendError::Usage(UsageError::Closing) => connection.end_error(),
        SendError::Usage(usage @ (UsageError::TooManyBodies { .. } | UsageError::QueueFull)) => {
            Error::new(ErrorKind::Limit, WHAT, usage.to_string()).with_source(usage)
        }
        SendError::Usage(usage) => unsupported(usage.to_string(), "see the options `mode=` and `max_message_size=`"),
        other => Error::new(ErrorKind::Lost, WHAT, other.to_string()),
    }
}
