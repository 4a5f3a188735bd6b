//! Requests that came to a mailslot, until they are answered.

use super::{Connection, Slot, errors, one_part};
use crate::convention::{self, DROPPED};
use crate::{Error, ErrorKind, Message};
use bytes::Bytes;
use smp121::ReplyError;

/// Octets of a refusal's words that are sent: every path carries them in one segment.
const WORDS_LEN_MAX: usize = 400;

/// A request to answer. Dropped without an answer, the peer is told so: it waits for a reply, and so do its later requests.
#[derive(Debug)]
pub(crate) struct Asked {
    request: smp121::Request,
    slot: Slot,
    is_answered: bool,
}

impl Asked {
    pub(super) fn new(request: smp121::Request, slot: &Slot) -> Self {
        Self { request, slot: slot.clone(), is_answered: false }
    }

    pub(crate) fn connection(&self) -> Connection {
        (&self.slot).into()
    }

    /// The address of who asks.
    pub(crate) fn peer(&self) -> String {
        match self.request.source() {
            // Raw IP has no ports, and shows as 0.
            Some(source) if source.port() == 0 => source.ip().to_string(),
            Some(source) => source.to_string(),
            None => "this endpoint".to_owned(),
        }
    }

    pub(crate) fn reply(self, message: Message) -> Result<(), Error> {
        let octets = one_part(message, "could not reply")?;
        self.reply_octets(octets)
    }

    pub(crate) fn reply_octets(mut self, octets: Bytes) -> Result<(), Error> {
        if convention::is_like_refusal(&octets) {
            let why = "it begins like a refusal of the request convention";
            return Err(Error::new(ErrorKind::Usage, "could not reply", why)
                .with_remedy("call `refuse` to refuse, and put something in front of such data"));
        }
        self.put(octets)
    }

    pub(crate) fn refuse(mut self, why: &str) -> Result<(), Error> {
        self.slot.count_refusal();
        self.put(convention::refusal_of(why, WORDS_LEN_MAX))
    }

    pub(crate) fn no_bodies(self) -> Error {
        errors::no_bodies(format!("could not open a reply to {}", self.peer()))
    }

    fn put(&mut self, octets: Bytes) -> Result<(), Error> {
        let result = self.request.reply(octets);
        self.is_answered = !matches!(result, Err(ReplyError::TooLarge { .. }));
        result.map_err(|error| errors::reply(&self.peer(), error))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_answered {
            self.slot.count_refusal();
            // Where nobody waits any more there is nobody to tell.
            let _void = self.put(convention::refusal_of(DROPPED, WORDS_LEN_MAX));
        }
    }
}
