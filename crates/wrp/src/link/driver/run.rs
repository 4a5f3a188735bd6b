//! Running a link over a road.

use super::Unit;
use super::clock::Clock;
use super::handles::{Command, Incoming};
use crate::link::{Event, Input, Link, Outgoing};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures_core::Stream;
use futures_sink::Sink;
use std::collections::VecDeque;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::PollSender;
use wirekit::{Instant, Machine};

/// How long a closed link waits for the other end to close too.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Things that are read, and messages that are written, in one go before others get their turn.
const TURN_MAX: usize = 64;

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<E> {
    /// This end closed it.
    Closed,
    /// The other end closed it in order.
    Ended,
    /// Nothing was heard for so long.
    Silent(Duration),
    /// The road broke.
    Failed(E),
}

/// A link and its queues. They outlive a road: after [`run`](Self::run) has ended another one can be given.
pub struct Driver {
    link: Link,
    clock: Clock,
    commands: mpsc::Receiver<Command>,
    incoming: PollSender<Incoming>,
    closing: watch::Receiver<bool>,
}

impl core::fmt::Debug for Driver {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Driver").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Driver {
    pub(super) fn new(
        link: Link,
        commands: mpsc::Receiver<Command>,
        incoming: mpsc::Sender<Incoming>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self { link, clock: Clock::start(), commands, incoming: PollSender::new(incoming), closing }
    }

    /// Moves messages over `road` until either end closes it or it breaks. Everything that came is handed over first.
    pub async fn run<R, E>(&mut self, road: R) -> End<E>
    where
        R: Stream<Item = Result<Unit, E>> + Sink<Unit, Error = E> + Unpin,
    {
        let now = self.clock.now();
        // An input that is no message of ours cannot be refused.
        let _infallible = self.link.handle(now, Input::Opened);
        let mut running = Running {
            driver: self,
            road,
            outgoing: VecDeque::new(),
            undelivered: None,
            flushes: Vec::new(),
            is_dirty: false,
            closing: Closing::No,
            timer: None,
        };
        let end = poll_fn(|cx| running.poll(cx)).await;
        let undelivered = running.undelivered.take();
        drop(running);
        if let Some(incoming) = undelivered.and_then(incoming) {
            self.tell(incoming).await;
        }
        end
    }

    /// Waits until the application wants the link closed.
    pub(super) async fn closing(&mut self) {
        // An error: the last sender is gone.
        let _gone = self.closing.wait_for(|closing| *closing).await;
    }

    /// Tells whoever receives, if anybody does.
    pub(super) async fn tell(&mut self, incoming: Incoming) {
        if let Some(sender) = self.incoming.get_ref() {
            let _nobody_receives = sender.send(incoming).await;
        }
    }
}

/// How far this end's closing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// Everything goes out first.
    Draining,
    /// Said; the other end's is awaited until then.
    Said(Instant),
}

struct Running<'a, R> {
    driver: &'a mut Driver,
    road: R,
    outgoing: VecDeque<Outgoing>,
    /// What came and finds no room; nothing is read meanwhile.
    undelivered: Option<Event>,
    flushes: Vec<oneshot::Sender<()>>,
    /// Something was handed to the road and not flushed.
    is_dirty: bool,
    closing: Closing,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<R, E> Running<'_, R>
where
    R: Stream<Item = Result<Unit, E>> + Sink<Unit, Error = E> + Unpin,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End<E>> {
        loop {
            let now = self.driver.clock.now();
            self.driver.link.handle_timeout(now);
            // Reading first: what came may want an answer.
            if let Some(end) = self.read(cx, now).or_else(|| self.write(cx)) {
                return Poll::Ready(end);
            }
            if let Closing::Said(until) = self.closing
                && now >= until
            {
                return Poll::Ready(End::Closed);
            }
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Hands over what came, and reads more once that is done.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<End<E>> {
        for _ in 0..TURN_MAX {
            match self.deliver(cx, now) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Some(end),
                Poll::Pending => return None,
            }
            let unit = match Pin::new(&mut self.road).poll_next(cx) {
                Poll::Pending => return None,
                Poll::Ready(Some(Ok(unit))) => unit,
                Poll::Ready(end) => {
                    return Some(match end {
                        _ if self.closing != Closing::No => End::Closed,
                        Some(Err(error)) => End::Failed(error),
                        _ => End::Ended,
                    });
                }
            };
            let input = match &unit {
                Unit::Message(octets) => Input::Message(octets),
                Unit::Text(text) => Input::Text { len: text.len() },
                // The road answers pings when it is polled next, which is at once.
                Unit::Ping(_) | Unit::Pong(_) => Input::SignOfLife,
            };
            // What came cannot be refused.
            let _infallible = self.driver.link.handle(now, input);
        }
        cx.waker().wake_by_ref();
        None
    }

    /// Ready where nothing is left to hand over.
    fn deliver(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), End<E>>> {
        let was_blocked = self.undelivered.is_some();
        while let Some(event) = self.undelivered.take().or_else(|| self.driver.link.poll_event()) {
            if let Event::Silent(silence) = event {
                return Poll::Ready(Err(End::Silent(silence)));
            }
            match self.driver.incoming.poll_reserve(cx) {
                Poll::Ready(Ok(())) => {}
                // Nobody receives any more, and the senders go on.
                Poll::Ready(Err(_)) => continue,
                Poll::Pending => {
                    self.undelivered = Some(event);
                    if !was_blocked {
                        let _infallible = self.driver.link.handle(now, Input::Paused(true));
                    }
                    return Poll::Pending;
                }
            }
            if let Some(incoming) = incoming(event) {
                let _nobody_receives = self.driver.incoming.send_item(incoming);
            }
        }
        if was_blocked {
            let _infallible = self.driver.link.handle(now, Input::Paused(false));
        }
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Option<End<E>> {
        for _ in 0..TURN_MAX {
            if self.closing != Closing::No && self.closing != Closing::Draining {
                return None;
            }
            match Pin::new(&mut self.road).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Some(self.broken(error)),
                Poll::Pending => return None,
            }
            let Some(unit) = self.next_unit(cx) else { return self.flush(cx) };
            self.is_dirty = true;
            if let Err(error) = Pin::new(&mut self.road).start_send(unit) {
                return Some(self.broken(error));
            }
        }
        cx.waker().wake_by_ref();
        None
    }

    /// What is to be sent next; commands that are no messages are done.
    fn next_unit(&mut self, cx: &mut Context<'_>) -> Option<Unit> {
        let now = self.driver.clock.now();
        self.driver.link.poll_transmit(now, &mut self.outgoing);
        loop {
            if let Some(outgoing) = self.outgoing.pop_front() {
                return Some(match outgoing {
                    Outgoing::Message(octets) => Unit::Message(octets),
                    Outgoing::Ping(octets) => Unit::Ping(octets),
                });
            }
            if self.closing != Closing::No {
                return None;
            }
            match self.driver.commands.poll_recv(cx) {
                // Its length was checked when it was queued.
                Poll::Ready(Some(Command::Send(octets))) => return Some(Unit::Message(octets)),
                Poll::Ready(Some(Command::Flush(done))) => {
                    self.flushes.push(done);
                    // Flushed before anything else is taken: what was sent before is not held up by what comes after.
                    return None;
                }
                Poll::Ready(Some(Command::Close) | None) => self.closing = Closing::Draining,
                Poll::Pending => return None,
            }
        }
    }

    /// Everything out; then those who wait for that are told, and a close is said.
    fn flush(&mut self, cx: &mut Context<'_>) -> Option<End<E>> {
        if self.is_dirty {
            match Pin::new(&mut self.road).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_dirty = false,
                Poll::Ready(Err(error)) => return Some(self.broken(error)),
                Poll::Pending => return None,
            }
        }
        if !self.flushes.is_empty() {
            for done in self.flushes.drain(..) {
                let _gave_up = done.send(());
            }
            // More may be queued behind the flush.
            cx.waker().wake_by_ref();
        }
        if self.closing == Closing::Draining {
            match Pin::new(&mut self.road).poll_close(cx) {
                Poll::Ready(Ok(())) => self.closing = Closing::Said(self.driver.clock.now() + CLOSE_TIMEOUT),
                Poll::Ready(Err(error)) => return Some(self.broken(error)),
                Poll::Pending => {}
            }
        }
        None
    }

    /// What a failure to write means, once this end wanted to close.
    fn broken(&self, error: E) -> End<E> {
        if self.closing == Closing::No { End::Failed(error) } else { End::Closed }
    }

    /// Ready where something is due.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let close = match self.closing {
            Closing::Said(until) => Some(until),
            _ => None,
        };
        let due = self.driver.link.poll_timeout().map(|deadline| deadline.at);
        let Some(at) = [close, due].into_iter().flatten().min() else {
            self.timer = None;
            return Poll::Pending;
        };
        let at = self.driver.clock.at(at);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        // Deadlines move away all the time: a timer that fires early only looks again.
        if timer.deadline() > at || timer.is_elapsed() {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }
}

/// What the application gets of an event.
fn incoming(event: Event) -> Option<Incoming> {
    match event {
        Event::Message(received) => Some(Incoming::Message(received)),
        Event::Rejected(rejected) => Some(Incoming::Rejected(rejected)),
        Event::Silent(_) => None,
    }
}
