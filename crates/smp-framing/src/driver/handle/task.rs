//! The task that owns the connection.

use super::accounts::{BodyKey, Flow};
use super::body::{BodyItem, BodyReceiver};
use super::receiver::{Incoming, IncomingResult};
use super::{Request, Shared};
use crate::driver::Connection;
use crate::driver::error::ConnectionError;
use crate::machine::{AbandonReason, CloseReason, Command, ErrorReport, Event, Frame};
use crate::{Arguments, Code};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

/// Requests dealt with before the carrier has its turn: senders that never stop must not use up what tokio grants a task.
const REQUESTS_PER_TURN: usize = 32;

/// Requests and events dealt with before the task lets others run.
const STEPS_MAX: usize = 1024;

pub(super) struct Task<C> {
    connection: Connection<C>,
    requests: mpsc::Receiver<Request>,
    /// Requests may wait that were not asked for, as there was no room.
    is_stalled: bool,
    senders_gone: bool,
    is_closing: bool,
    incoming: mpsc::UnboundedSender<IncomingResult>,
    bodies: HashMap<u16, (BodyKey, mpsc::UnboundedSender<BodyItem>)>,
    flushes: Vec<oneshot::Sender<()>>,
    closes: Vec<oneshot::Sender<()>>,
    flow: Flow,
    shared: Arc<Shared>,
}

/// However it ends, whoever waits for it goes on.
impl<C> Drop for Task<C> {
    fn drop(&mut self) {
        self.shared.room.close();
        self.shared.has_ended.store(true, Ordering::Release);
        self.shared.ended.notify_waiters();
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Task<C> {
    pub(super) fn new(
        connection: Connection<C>,
        requests: mpsc::Receiver<Request>,
        incoming: mpsc::UnboundedSender<IncomingResult>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            connection,
            requests,
            is_stalled: false,
            senders_gone: false,
            is_closing: false,
            incoming,
            bodies: HashMap::new(),
            flushes: Vec::new(),
            closes: Vec::new(),
            flow: Flow::Free,
            shared,
        }
    }

    /// What a runtime drives. No `async fn`, whose future would have room for the task twice.
    pub(super) fn run(mut self) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            if let Err(error) = ready!(self.poll(cx)) {
                let _nobody_listens = self.incoming.send(Err(error));
            }
            Poll::Ready(())
        })
    }

    /// Ready where the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        for _ in 0..STEPS_MAX {
            self.poll_requests(cx);
            self.update_flow(cx);
            if self.shared.is_aborted.load(Ordering::Acquire) {
                return Poll::Ready(Err(ConnectionError::Ended(CloseReason::Aborted)));
            }
            if self.flow == Flow::Stop {
                if self.connection.poll_without_receiving(cx).is_pending() && !self.can_go_on() {
                    return Poll::Pending;
                }
                continue;
            }
            let received = self.connection.poll_receive(cx);
            if self.connection.has_flushed() {
                for flush in self.flushes.drain(..) {
                    let _gave_up = flush.send(());
                }
            }
            match received {
                Poll::Ready(Ok(Some(event))) => self.deliver(event),
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if self.can_go_on() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// True where requests that waited for room have room now, or the last body that a close waited for was sent: nothing
    /// else would wake the task for either.
    fn can_go_on(&mut self) -> bool {
        (self.is_stalled && self.has_room()) || self.is_to_close()
    }

    /// True where the connection is to be closed, was not told so yet, and no body is open.
    fn is_to_close(&mut self) -> bool {
        let nobody_is_left = self.senders_gone && self.incoming.is_closed();
        let is_wanted = !self.closes.is_empty() || nobody_is_left;
        is_wanted && !self.is_closing && self.connection.machine().body_count() == 0
    }

    fn has_room(&mut self) -> bool {
        let machine = self.connection.machine();
        machine.has_room() && machine.has_control_room()
    }

    fn poll_requests(&mut self, cx: &mut Context<'_>) {
        if !self.connection.machine().is_open() {
            // What comes now comes too late: who sends learns it at once, instead of keeping this task busy.
            self.requests.close();
        }
        self.is_stalled = true;
        for _ in 0..REQUESTS_PER_TURN {
            if !self.has_room() || self.senders_gone {
                break;
            }
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => {
                    self.shared.room.add_permits(request.queued_len() as usize);
                    self.execute(request);
                }
                Poll::Ready(None) => self.senders_gone = true,
                Poll::Pending => {
                    self.is_stalled = false;
                    break;
                }
            }
        }
        self.is_stalled &= !self.senders_gone;
        if self.is_to_close() {
            self.is_closing = true;
            let _closing_already = self.connection.command(Command::Close(Arguments::new()));
        }
    }

    /// What comes too late, because the connection is closing, is dropped: the receiver learns of the end.
    fn execute(&mut self, request: Request) {
        let machine = self.connection.machine();
        let _too_late = match request {
            Request::Message(arguments) => machine.send(arguments),
            Request::Control(command) => self.connection.command(*command),
            Request::OpenBody { count, first_number, answer } => {
                if let Err(Ok(id)) = answer.send(machine.open_body(count, first_number)) {
                    // Nobody waits for it any more.
                    let _never_begun = machine.abandon_body(id);
                }
                Ok(())
            }
            Request::FeedBody(id, index, payload) => machine.feed_body(id, index, payload),
            Request::FinishBodyWith(id, index, payload) => {
                machine.feed_body(id, index, payload).and_then(|()| machine.finish_body(id))
            }
            Request::FinishBody(id) => machine.finish_body(id),
            Request::AbandonBody(id) => machine.abandon_body(id),
            Request::Flush(answer) => {
                self.flushes.push(answer);
                Ok(())
            }
            Request::Close(answer) => {
                self.closes.push(answer);
                Ok(())
            }
        };
    }

    //= SMPF-B-BACKPRESSURE
    fn update_flow(&mut self, cx: &Context<'_>) {
        let before = self.flow;
        self.flow = self.shared.accounts.update_flow(cx.waker());
        match (before, self.flow) {
            (Flow::Free, Flow::Pause | Flow::Stop) => self.connection.pause_peer(),
            (Flow::Pause | Flow::Stop, Flow::Free) => self.connection.resume_peer(),
            _ => {}
        }
    }

    fn deliver(&mut self, event: Event) {
        match event {
            Event::Message(arguments) => self.hand_over(Incoming::Message(arguments)),
            Event::Frame(frame) => self.deliver_frame(frame),
            Event::Information(arguments) => self.hand_over(Incoming::Information(arguments)),
            Event::Error(report) => self.hand_over(Incoming::Error(report)),
            Event::SemanticError(_, arguments) => {
                let text = String::from("an ERROR without number and text");
                self.hand_over(Incoming::Error(Box::new(ErrorReport { number: None, text, arguments })));
            }
            Event::User(code, arguments) => self.hand_over(Incoming::User(code, arguments)),
            Event::Abandoned(id, why) => self.end_body(id, BodyItem::Abandoned(why)),
            Event::SequenceError(ident, fault) => {
                self.end_body(ident.id, BodyItem::Abandoned(AbandonReason::OutOfSequence(fault)));
            }
            // Dealt with by the machine, or impossible with frames delivered as they come.
            Event::Assembled(_)
            | Event::Heartbeat(_)
            | Event::Pause(_)
            | Event::Resume(_)
            | Event::Reserved(..)
            | Event::Stop(_)
            | Event::Closed(_) => {}
        }
    }

    fn hand_over(&mut self, incoming: Incoming) {
        let len = incoming.charged_len();
        self.shared.accounts.queue(len);
        if self.incoming.send(Ok(incoming)).is_err() {
            self.shared.accounts.take(len);
        }
    }

    fn deliver_frame(&mut self, frame: Frame) {
        let Frame { code, ident, arguments } = frame;
        if let Entry::Vacant(entry) = self.bodies.entry(ident.id) {
            let (items, items_receiver) = mpsc::unbounded_channel();
            let key = self.shared.accounts.open_body();
            entry.insert((key, items));
            self.hand_over(Incoming::Body(BodyReceiver::new(items_receiver, Arc::clone(&self.shared), key)));
        }
        self.push_body(ident.id, BodyItem::Frame(arguments));
        if code == Code::LastFrame {
            self.end_body(ident.id, BodyItem::End);
        }
    }

    /// Counts before it sends: what is taken was counted. A body that was dropped counts nothing and takes nothing.
    fn push_body(&mut self, id: u16, item: BodyItem) {
        if let Some((key, items)) = self.bodies.get(&id) {
            self.shared.accounts.queue_body(*key, item.charged_len());
            let _dropped_by_the_application = items.send(item);
        }
    }

    fn end_body(&mut self, id: u16, item: BodyItem) {
        self.push_body(id, item);
        self.bodies.remove(&id);
    }
}
