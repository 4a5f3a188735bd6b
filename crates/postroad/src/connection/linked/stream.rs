//! Bodies: streams of the Simple Streaming Protocol.

use super::Linked;
use super::message::{self, TRAILER_LEN_MAX};
use crate::connection::bodies::OpenBody;
use crate::{Error, ErrorKind, Message};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use wrp_ssp::{End, Segmenter};

/// Pieces of a stream that wait to be read; then nothing more is read from the link.
pub(super) const PIECES_MAX: usize = 8;

/// What the router has for the reader of a stream.
#[derive(Debug)]
pub(super) enum Piece {
    Octets(Bytes),
    /// The end, with the trailer.
    End(Bytes),
    Failed(Error),
}

/// Content as it comes.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) head: Message,
    pieces: mpsc::Receiver<Piece>,
    ended: Option<Result<Bytes, Error>>,
}

impl Stream {
    pub(super) const fn new(head: Message, pieces: mpsc::Receiver<Piece>) -> Self {
        Self { head, pieces, ended: None }
    }

    /// The next piece of content; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended.is_none() {
            self.ended = Some(match self.pieces.recv().await {
                Some(Piece::Octets(octets)) => return Ok(Some(octets)),
                Some(Piece::End(trailer)) => Ok(trailer),
                Some(Piece::Failed(error)) => Err(error),
                None => Err(Error::new(ErrorKind::Lost, "a stream was cut off", "the link ended before it was whole")
                    .with_remedy("connect again and send it anew")),
            });
        }
        match &self.ended {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(None),
        }
    }

    pub(crate) fn trailer(&self) -> Option<&[u8]> {
        self.ended.as_ref()?.as_ref().ok().map(|trailer| &trailer[..])
    }
}

/// Content on its way out.
#[derive(Debug)]
pub(crate) struct Writer {
    connection: Linked,
    segmenter: Segmenter,
    /// A packet that was cut and not sent yet.
    packet: Option<Bytes>,
    /// Counts among the bodies that the connection waits for when it is closed.
    open: Option<OpenBody>,
}

impl Writer {
    pub(super) fn new(connection: &Linked, segmenter: Segmenter) -> Self {
        let open = Some(connection.0.bodies.open());
        Self { connection: connection.clone(), segmenter, packet: None, open }
    }

    /// A packet leaves when it is full.
    pub(crate) async fn write(&mut self, mut content: Bytes) -> Result<(), Error> {
        while !content.is_empty() {
            self.send_packets().await?;
            self.segmenter.push_bytes(&mut content);
        }
        Ok(())
    }

    async fn send_packets(&mut self) -> Result<(), Error> {
        loop {
            if let Some(packet) = &self.packet {
                self.connection.send_octets(packet.clone()).await?;
                self.packet = None;
            }
            let mut octets = BytesMut::with_capacity(self.segmenter.packet_len() + ENVELOPE_LEN);
            if !self.segmenter.poll_encoded(&mut octets) {
                return Ok(());
            }
            self.packet = Some(octets.freeze());
        }
    }

    pub(crate) async fn finish(mut self, trailer: Bytes) -> Result<(), Error> {
        let header = message::trailer_header(&trailer)?;
        self.send_packets().await?;
        self.segmenter.finish(End::Clean);
        let Some(mut last) = self.segmenter.poll_message() else {
            return Err(Error::new(ErrorKind::Closed, "could not finish a body", "it was given up before"));
        };
        last.headers.extend(header);
        let last = last.encode();
        let sent = self.connection.send_octets(last).await;
        // Ended, whatever became of it.
        self.open = None;
        sent
    }
}

/// Octets that a packet's message has beside the payload, about.
const ENVELOPE_LEN: usize = 1024 + TRAILER_LEN_MAX;

/// The peer should not wait for an end that will not come. Best effort, as the link may be gone.
impl Drop for Writer {
    fn drop(&mut self) {
        let (Some(open), Ok(runtime)) = (self.open.take(), tokio::runtime::Handle::try_current()) else { return };
        self.segmenter.finish(End::Failed("given up by its sender".to_owned()));
        let mut packets: Vec<Bytes> = self.packet.take().into_iter().collect();
        let mut octets = BytesMut::new();
        while self.segmenter.poll_encoded(&mut octets) {
            packets.push(octets.split().freeze());
        }
        let connection = self.connection.clone();
        runtime.spawn(async move {
            for packet in packets {
                let _ended = connection.send_octets(packet).await;
            }
            drop(open);
        });
    }
}
