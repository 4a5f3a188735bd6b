//! What the peer opens, told apart and put in one queue.

use super::stream::{ReplyWay, Stream, read_whole};
use super::{Sessioned, parts};
use crate::{Error, ErrorKind, Message};
use smrp::{IncomingRequest, IncomingStream, MessageReceiver};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Interval;

/// What came, before it is an `Incoming`.
#[derive(Debug)]
pub(super) enum Raw {
    Message(Message),
    Request(Message, ReplyWay),
    Body(Stream),
    RequestBody(ReplyWay, Stream),
    Refused(Error),
}

/// Octets of messages and requests that may wait to be received; what is longer waits alone.
const WAITING_LEN_MAX: u32 = 4 << 20;

/// What came and waits, each with its share of the room.
pub(super) type Incoming = mpsc::Receiver<(Raw, Option<OwnedSemaphorePermit>)>;

/// The way into the queue: bounded in number and, as far as things are whole, in octets.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<(Raw, Option<OwnedSemaphorePermit>)>,
    room: Arc<Semaphore>,
}

impl Queue {
    /// False where nobody receives any more.
    async fn put(&self, raw: Raw) -> bool {
        let len = match &raw {
            Raw::Message(message) | Raw::Request(message, _) => message.payload_len(),
            _ => 0,
        };
        let len = u32::try_from(len).unwrap_or(u32::MAX).min(WAITING_LEN_MAX);
        let Ok(share) = Arc::clone(&self.room).acquire_many_owned(len).await else { return false };
        self.sender.send((raw, Some(share))).await.is_ok()
    }
}

/// Takes what the peer opens until the session ends. Each stream and channel has a task of its own: how many there are is
/// bounded by the streams that the peer may open.
pub(super) async fn run(session: smrp::Session, connection: Weak<super::Inner>, queue: Queue) {
    let mut tasks = JoinSet::new();
    let mut is_going = false;
    let Some(draining) = connection.upgrade().map(|inner| inner.draining.clone()) else { return };
    let mut looking: Option<Interval> = None;
    loop {
        tokio::select! {
            biased;
            request = session.accept_request() => match request {
                Ok(request) => {
                    if !queue.put(whole_request(request)).await {
                        break;
                    }
                }
                Err(_) => break,
            },
            channel = session.accept_messages() => match channel {
                Ok((receiver, _)) => drop(tasks.spawn(pump(receiver, queue.clone()))),
                Err(_) => break,
            },
            stream = session.accept() => match (stream, connection.upgrade()) {
                (Ok(stream), Some(inner)) => drop(tasks.spawn(stream_of(Sessioned(inner), stream, queue.clone()))),
                _ => break,
            },
            Some(_) = tasks.join_next() => {}
            () = draining.notified(), if looking.is_none() => looking = Some(tokio::time::interval(LOOK_AFTER)),
            // Behind the last stream of the peer nothing is to come, though its replies may still be on their way.
            () = tick(&mut looking), if looking.is_some() => {
                if tasks.is_empty() && session.has_all() {
                    break;
                }
            }
            going = session.going_away(), if !is_going => {
                is_going = true;
                // Nothing new can be said: what was said ends in good order, so that the peer can close.
                if let (Ok(()), Some(inner)) = (going, connection.upgrade())
                    && let Some(mut sender) = inner.sender.lock().await.take()
                {
                    drop(sender.finish());
                }
            }
        }
    }
    // What came before the end is still delivered.
    while tasks.join_next().await.is_some() {}
}

/// How often a session that drains is asked whether everything has come.
const LOOK_AFTER: Duration = Duration::from_millis(20);

async fn tick(interval: &mut Option<Interval>) {
    if let Some(interval) = interval {
        interval.tick().await;
    }
}

fn whole_request(request: IncomingRequest) -> Raw {
    let content_type = parts::content_type(request.opened.metadata.as_ref());
    match parts::decode(&request.body, content_type.as_deref()) {
        Ok(message) => Raw::Request(message, ReplyWay::Whole(request)),
        Err(error) => Raw::Refused(error),
    }
}

async fn pump(mut receiver: MessageReceiver, queue: Queue) {
    let metadata = receiver.opened().and_then(|opened| opened.metadata.clone());
    let content_type = parts::content_type(metadata.as_ref());
    while let Ok(Some(octets)) = receiver.receive().await {
        let raw = parts::decode(&octets, content_type.as_deref()).map_or_else(Raw::Refused, Raw::Message);
        if !queue.put(raw).await {
            return;
        }
    }
}

async fn stream_of(connection: Sessioned, stream: IncomingStream, queue: Queue) {
    let timeout = connection.request_timeout();
    let content_type = parts::content_type(stream.opened.metadata.as_ref());
    if super::tunnel::is_tunnel(content_type.as_deref()) {
        stream.refuse(super::codes::OTHER_CONTENT);
        let why = "the peer wants to speak another protocol in it";
        let refused = Error::new(ErrorKind::Mismatch, "refused a stream", why);
        let refused = refused.with_remedy("use the same stack at both ends");
        queue.put(Raw::Refused(refused)).await;
        return;
    }
    let IncomingStream { send, mut recv, .. } = stream;
    let is_message = content_type.as_deref() == Some(parts::PARTS.as_bytes());
    let has_head = content_type.as_deref() == Some(parts::BODY.as_bytes());
    let reading = async {
        Ok(match send {
            Some(send) if is_message => {
                let octets = read_whole(&connection, &mut recv, "could not take a request").await?;
                Raw::Request(parts::decode_head(&octets)?, ReplyWay::Stream(send))
            }
            Some(send) => Raw::RequestBody(ReplyWay::Stream(send), Stream::begin(&connection, recv, has_head).await?),
            None => Raw::Body(Stream::begin(&connection, recv, has_head).await?),
        })
    };
    let raw = tokio::time::timeout(timeout, reading).await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Timeout,
            "could not take what the peer opened",
            format!("its head did not come within {timeout:?}"),
        ))
    });
    queue.put(raw.unwrap_or_else(Raw::Refused)).await;
}

/// The queue and the task of a session.
pub(super) fn start(
    session: &smrp::Session,
    len: usize,
    inner: impl FnOnce(Incoming, tokio::task::AbortHandle) -> super::Inner,
) -> Sessioned {
    let (sender, receiver) = mpsc::channel(len);
    let room = Semaphore::new(usize::try_from(WAITING_LEN_MAX).unwrap_or(usize::MAX));
    let sender = Queue { sender, room: Arc::new(room) };
    let session = session.clone();
    let (ready, is_ready) = tokio::sync::oneshot::channel::<Weak<super::Inner>>();
    let task = tokio::spawn(async move {
        if let Ok(connection) = is_ready.await {
            run(session, connection, sender).await;
        }
    });
    let inner = Arc::new(inner(receiver, task.abort_handle()));
    drop(ready.send(Arc::downgrade(&inner)));
    Sessioned(inner)
}
