//! Requests and replies.

use super::session::{release_receive, release_send};
use super::shared::Shared;
use super::streams::poll_receive;
use crate::error::{ReceiveError, SendError};
use crate::wire::Parameters;
use crate::{Code, Opened, StreamId};
use bytes::Bytes;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

/// A reply that is to come. Dropped, the peer is asked not to bother.
#[derive(Debug)]
pub struct Reply {
    shared: Arc<Shared>,
    id: StreamId,
}

impl Reply {
    pub(super) fn of(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id }
    }

    /// Which stream it is.
    #[must_use]
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The metadata of the reply, once it is there.
    #[must_use]
    pub fn metadata(&self) -> Option<Parameters> {
        self.shared.lock().heads.get(&self.id).and_then(|heads| heads.head.clone())
    }
}

impl Future for Reply {
    type Output = Result<Bytes, ReceiveError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_receive(&self.shared, self.id, cx, |machine, now| machine.receive_whole(now, self.id))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        release_receive(&self.shared, self.id);
        release_send(&self.shared, self.id);
    }
}

/// A request of the peer. Dropped without a reply, it is given up with CANCELLED.
#[derive(Debug)]
pub struct IncomingRequest {
    /// What the peer said about it.
    pub opened: Opened,
    /// Its octets.
    pub body: Bytes,
    shared: Arc<Shared>,
    id: StreamId,
}

impl IncomingRequest {
    pub(super) fn of(shared: &Arc<Shared>, opened: Opened) -> Self {
        let id = opened.stream;
        let mut state = shared.lock();
        let now = state.now();
        let body = state.machine.receive_whole(now, id).unwrap_or_default();
        state.machine.release_receive(now, id);
        state.forget_reader(id);
        if state.machine.has_control() {
            state.wake_task();
        }
        drop(state);
        Self { opened, body, shared: shared.clone(), id }
    }

    /// Where the request wants to go, as the peer said.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.opened.name()
    }

    /// Answers it.
    ///
    /// # Errors
    /// [`SendError`], as where the peer does not want the reply any more.
    pub fn reply(self, body: Bytes) -> Result<(), SendError> {
        self.shared.lock().machine.send_whole(self.id, body)
    }

    /// Answers it, with metadata where there is any.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn respond(self, metadata: Option<Parameters>, body: Bytes) -> Result<(), SendError> {
        let mut state = self.shared.lock();
        if let Some(metadata) = metadata {
            state.machine.send_metadata(self.id, metadata)?;
        }
        state.machine.send_whole(self.id, body)
    }

    /// Gives it up with a code of the application's own.
    pub fn fail(self, code: Code) {
        let mut state = self.shared.lock();
        let now = state.now();
        state.machine.reset(now, self.id, code, 0);
    }
}

impl Drop for IncomingRequest {
    fn drop(&mut self) {
        release_send(&self.shared, self.id);
    }
}

#[cfg(test)]
mod tests {
    use crate::driver::{Accepted, Acceptor, Carrier, Dial};
    use crate::wire::{Frame, ParametersBuilder, parameter};
    use crate::{Code, Config, Direction, Kind, Request, Security, Session};
    use bytes::Bytes;
    use tokio::io::AsyncReadExt as _;

    async fn pair() -> (Session, Session) {
        pair_with(crate::Settings::default()).await
    }

    async fn pair_with(settings: crate::Settings) -> (Session, Session) {
        let config = || Config::new(Security::Plaintext, true).with_settings(settings.clone());
        let (near, far) = tokio::io::duplex(64 << 10);
        let carrier = |io| Carrier::new(io, Security::Plaintext, true);
        let (dial, acceptor) = (Dial::new(config()), Acceptor::new(config()).unwrap());
        let (a, b) = tokio::join!(dial.connect(carrier(near)), acceptor.accept(carrier(far)));
        let Accepted::Session(b) = b.unwrap() else { panic!("fresh") };
        (a.unwrap(), b)
    }

    fn kept(session: &Session) -> (usize, usize) {
        session.shared().lock().kept_for_streams()
    }

    #[tokio::test]
    async fn nothing_is_kept_for_streams_that_were_let_go_of_before_their_end() {
        //= SMRP-ST13, SMRP-X10
        let (a, b) = pair().await;
        for _ in 0..20 {
            let mut stream = a.open_bidi(Request::default()).await.unwrap();
            stream.send.write_all(b"x").await.unwrap();
            let trailer = ParametersBuilder::new().with(parameter::HEADER, b"trailer").build();
            stream.send.finish_with(trailer).unwrap();
            let mut there = b.accept().await.unwrap().into_bidi().unwrap();
            let mut said = Vec::new();
            there.recv.read_to_end(&mut said).await.unwrap();
            assert!(there.recv.trailer().is_some());
            drop(there.recv);
            // Our end is still on its way out when nobody holds the stream any more.
            there.send.write_all(&[7; 1_000]).await.unwrap();
            there.send.finish().unwrap();
            drop(there.send);
            said.clear();
            stream.recv.read_to_end(&mut said).await.unwrap();
        }
        assert_eq!((kept(&a), kept(&b)), ((0, 0), (0, 0)));
    }

    /// One future for each thing that can be waited for, polled once and given up, so many times.
    async fn give_up(session: &Session, times: usize) {
        for _ in 0..times {
            // A task of its own each time, as where each call has a time-out in a task that ends.
            let session = session.clone();
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    _ = session.closed() => unreachable!(),
                    _ = session.going_away() => unreachable!(),
                    _ = session.accept() => unreachable!(),
                    _ = session.accept_messages() => unreachable!(),
                    _ = session.accept_request() => unreachable!(),
                    _ = session.receive_datagram() => unreachable!(),
                    _ = session.open_uni(Request::default()) => unreachable!(),
                    _ = session.open_bidi(Request::default()) => unreachable!(),
                    () = core::future::ready(()) => {}
                }
            })
            .await
            .unwrap();
        }
    }

    #[tokio::test]
    async fn futures_that_were_given_up_leave_nothing_behind() {
        //= SMRP-X10
        use crate::driver::waiting::Line;
        let few = crate::Settings { max_streams_bidi: 8, max_streams_uni: 8, ..crate::Settings::default() };
        let (a, b) = pair_with(few).await;
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push((a.open_uni(Request::default()).await.unwrap(), a.open_bidi(Request::default()).await.unwrap()));
        }
        give_up(&a, 10_000).await;
        let lines = [Line::State, Line::Streams, Line::Channels, Line::Requests, Line::Datagrams];
        let opens = [Line::Open(Direction::Bidi), Line::Open(Direction::Uni)];
        let shared = a.shared();
        let left: Vec<usize> = lines.into_iter().chain(opens).map(|line| shared.lock().wakers(line).len()).collect();
        assert_eq!(left, [0; 7]);
        // One that waits is woken all the same, wherever it stands.
        let waiting = tokio::spawn({
            let a = a.clone();
            async move { a.open_uni(Request::default()).await.is_ok() }
        });
        give_up(&a, 1).await;
        drop(held);
        for _ in 0..16 {
            drop(b.accept().await.unwrap());
        }
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_requests_that_never_came_whole() {
        //= SMRP-M6, SMRP-ST13
        let (a, b) = pair().await;
        for number in 0..20 {
            {
                let shared = a.shared();
                let mut state = shared.lock();
                let now = state.now();
                let id = state.machine.open(now, Kind::Request, Direction::Bidi, Request::default()).unwrap();
                // A trailer, and then a reset where an end was due.
                let parameters = ParametersBuilder::new().with(parameter::HEADER, b"trailer").build();
                state.machine.open_for_test(id, &Frame::Meta { stream: id, is_trailer: true, parameters });
                state.machine.reset(now, id, Code::CANCELLED, 0);
                state.machine.release_send(now, id);
                state.machine.release_receive(now, id);
                state.wake_task();
            }
            let answered = a.request(Bytes::from(vec![number]), Request::default()).await.unwrap();
            let request = b.accept_request().await.unwrap();
            let body = request.body.clone();
            request.reply(body).unwrap();
            answered.await.unwrap();
        }
        assert_eq!((kept(&a), kept(&b)), ((0, 0), (0, 0)));
    }
}
