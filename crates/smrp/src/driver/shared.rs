//! What the handles of a session and its task share.

use super::carrier::Carrier;
use super::renewal::Renewal;
use super::waiting::{Line, Wakers};
use crate::error::SessionError;
use crate::machine::{IdHasher, Reattach};
use crate::wire::{Code, Parameters};
use crate::{Claim, Direction, Event, Kind, Opened, SessionMachine, StreamId, Transmit};
use bytes::{Bytes, BytesMut};
use core::hash::BuildHasherDefault;
use core::task::{Context, Waker};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wirekit::{Instant, Machine};

type Waiting = HashMap<StreamId, Halves, BuildHasherDefault<IdHasher>>;

/// Who waits for a stream.
#[derive(Debug, Default)]
struct Halves {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Metadata of the peer's direction.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) head: Option<Parameters>,
    pub(super) trailer: Option<Parameters>,
}

/// Streams of the peer that nobody has taken yet, of one sort. They count against its limit until somebody has.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) items: VecDeque<Opened>,
    wakers: Wakers,
}

impl Queue {
    fn push(&mut self, opened: Opened) {
        self.items.push_back(opened);
        self.wakers.wake_all();
    }
}

/// A connection that takes the place of the present one, what was read of it and what is to be written on it already, and what the old one is told.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) carrier: Carrier,
    pub(super) inbox: BytesMut,
    pub(super) out: Transmit,
    pub(super) farewell: Bytes,
}

pub(super) struct State {
    pub(super) machine: SessionMachine,
    epoch: tokio::time::Instant,
    now: Instant,
    waiting: Waiting,
    pub(super) heads: HashMap<StreamId, Heads, BuildHasherDefault<IdHasher>>,
    pub(super) streams: Queue,
    pub(super) channels: Queue,
    pub(super) requests: Queue,
    /// Whoever asks for one waits until replies were sent.
    holds_requests: bool,
    openers: [Wakers; 2],
    datagram_wakers: Wakers,
    state_wakers: Wakers,
    /// Of those who wait until what was handed in has gone to the carrier.
    flush_wakers: Wakers,
    task: Option<Waker>,
    pub(super) is_established: bool,
    pub(super) end: Option<SessionError>,
    /// The task has ended, and with it the farewell.
    pub(super) is_gone: bool,
    pub(super) replacement: Option<Replacement>,
    /// What the task has to do itself.
    pub(super) for_task: VecDeque<ForTask>,
    pub(super) going_away: bool,
    pub(super) renewal: Renewal,
    /// Handles that are out; the last one to go closes the session.
    pub(super) handles: usize,
    /// What is told of it in logs.
    pub(super) span: tracing::Span,
}

/// What the machine asks of the task.
#[derive(Debug)]
pub(super) enum ForTask {
    Authenticate(Box<Claim>),
    Reattach(Reattach),
    Ticket(Bytes),
    Detached,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State")
            .field("end", &self.end)
            .field("is_established", &self.is_established)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(machine: SessionMachine, epoch: tokio::time::Instant) -> Arc<Self> {
        let state = State {
            machine,
            epoch,
            now: Instant::EPOCH,
            waiting: Waiting::default(),
            heads: HashMap::default(),
            streams: Queue::default(),
            channels: Queue::default(),
            requests: Queue::default(),
            holds_requests: false,
            openers: [Wakers::default(), Wakers::default()],
            datagram_wakers: Wakers::default(),
            state_wakers: Wakers::default(),
            flush_wakers: Wakers::default(),
            task: None,
            is_established: false,
            end: None,
            is_gone: false,
            replacement: None,
            for_task: VecDeque::new(),
            going_away: false,
            renewal: Renewal::default(),
            handles: 0,
            span: tracing::Span::none(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// The state. A panic elsewhere leaves it usable: each call of the machine leaves it whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads the clock.
    pub(super) fn refresh(&mut self) -> Instant {
        self.now = Instant::from_epoch(read_clock().saturating_duration_since(self.epoch));
        self.now
    }

    /// The time when it was last read: the task reads it each time it runs.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn at(&self, instant: Instant) -> tokio::time::Instant {
        self.epoch + instant.since_epoch()
    }

    /// The task has something to do.
    pub(super) fn wake_task(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    pub(super) fn keep_task(&mut self, cx: &Context<'_>) {
        keep(&mut self.task, cx);
    }

    pub(super) fn wait_to_read(&mut self, id: StreamId, cx: &Context<'_>) {
        keep(&mut self.waiting.entry(id).or_default().reader, cx);
    }

    pub(super) fn wait_to_write(&mut self, id: StreamId, cx: &Context<'_>) {
        keep(&mut self.waiting.entry(id).or_default().writer, cx);
    }

    /// Who waits for this.
    pub(super) fn wakers(&mut self, line: Line) -> &mut Wakers {
        let [bidi, uni] = &mut self.openers;
        match line {
            Line::State => &mut self.state_wakers,
            Line::Open(Direction::Bidi) => bidi,
            Line::Open(Direction::Uni) => uni,
            Line::Datagrams => &mut self.datagram_wakers,
            Line::Flush => &mut self.flush_wakers,
            Line::Streams => &mut self.streams.wakers,
            Line::Channels => &mut self.channels.wakers,
            Line::Requests => &mut self.requests.wakers,
        }
    }

    /// The task has done what it had to do.
    pub(super) fn gone(&mut self) {
        self.is_gone = true;
        self.state_wakers.wake_all();
    }

    /// Something has gone to the carrier.
    pub(super) fn wake_flushing(&mut self) {
        self.flush_wakers.wake_all();
    }

    /// The next request, where replies do not pile up.
    //= SMRP-X13
    pub(super) fn next_request(&mut self) -> Option<Result<Opened, SessionError>> {
        if self.machine.wants_requests() || self.end.is_some() {
            return self.next_in(|state| &mut state.requests);
        }
        self.holds_requests = true;
        None
    }

    /// Something was sent, so there may be room for replies again.
    pub(super) fn release_requests(&mut self) {
        if self.holds_requests && self.machine.wants_requests() {
            self.holds_requests = false;
            self.requests.wakers.wake_all();
        }
    }

    /// The next stream of the peer of one sort; `None` where there is none yet.
    pub(super) fn next_in(&mut self, which: fn(&mut Self) -> &mut Queue) -> Option<Result<Opened, SessionError>> {
        let queue = which(self);
        if let Some(opened) = queue.items.pop_front() {
            if queue.items.is_empty() && queue.items.capacity() > 64 {
                queue.items = VecDeque::new();
            }
            return Some(Ok(opened));
        }
        self.end.clone().map(Err)
    }

    /// Nobody holds our direction of this stream any more.
    pub(super) fn forget_writer(&mut self, id: StreamId) {
        self.forget_waker(id, |halves| halves.writer = None);
    }

    /// Nobody holds the peer's direction of this stream any more. What is kept for it goes now: the stream itself may end much
    /// later, and nobody is told when.
    //= SMRP-X10
    pub(super) fn forget_reader(&mut self, id: StreamId) {
        self.forget_waker(id, |halves| halves.reader = None);
        self.heads.remove(&id);
    }

    /// Streams of the peer that nobody accepted yet.
    pub(super) fn has_untaken(&self) -> bool {
        [&self.streams, &self.channels, &self.requests].iter().any(|queue| !queue.items.is_empty())
    }

    /// Refuses them.
    //= SMRP-ST15
    pub(super) fn refuse_untaken(&mut self, now: Instant) {
        for queue in [&mut self.streams, &mut self.channels, &mut self.requests] {
            for opened in core::mem::take(&mut queue.items) {
                self.machine.refuse_stream(now, opened.stream, Code::REFUSED);
            }
        }
    }

    fn forget_waker(&mut self, id: StreamId, forget: impl FnOnce(&mut Halves)) {
        if let Some(halves) = self.waiting.get_mut(&id) {
            forget(halves);
            if halves.reader.is_none() && halves.writer.is_none() {
                self.waiting.remove(&id);
            }
        }
    }

    /// How many streams somebody waits for, or has metadata waiting.
    #[cfg(test)]
    pub(super) fn kept_for_streams(&self) -> (usize, usize) {
        (self.waiting.len(), self.heads.len())
    }

    /// Gives every event to whoever waits for it.
    pub(super) fn deliver_events(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            self.deliver(event);
        }
        self.release_requests();
        if self.waiting.is_empty() && self.waiting.capacity() > 64 {
            self.waiting = Waiting::default();
        }
    }

    fn deliver(&mut self, event: Event) {
        super::telling::tell(&self.span, &event);
        match event {
            Event::Readable(id) => {
                if let Some(reader) = self.waiting.get_mut(&id).and_then(|halves| halves.reader.take()) {
                    reader.wake();
                }
            }
            Event::Writable(id) => {
                if let Some(writer) = self.waiting.get_mut(&id).and_then(|halves| halves.writer.take()) {
                    writer.wake();
                }
            }
            Event::Opened(opened) if self.handles == 0 => {
                // Nobody is left who could take it.
                let now = self.now;
                self.machine.refuse_stream(now, opened.stream, Code::REFUSED);
            }
            Event::Opened(opened) => {
                let queue = match opened.kind {
                    Kind::Bytes => &mut self.streams,
                    Kind::Request => &mut self.requests,
                    _ => &mut self.channels,
                };
                queue.push(*opened);
            }
            Event::Metadata { stream, is_trailer, metadata } => {
                let heads = self.heads.entry(stream).or_default();
                let slot = if is_trailer { &mut heads.trailer } else { &mut heads.head };
                *slot = Some(metadata);
                // Whoever waits for the metadata waits as a reader.
                if let Some(reader) = self.waiting.get_mut(&stream).and_then(|halves| halves.reader.take()) {
                    reader.wake();
                }
            }
            Event::MayOpen(direction) => self.wakers(Line::Open(direction)).wake_all(),
            Event::Datagrams => self.datagram_wakers.wake_all(),
            Event::Established => {
                self.is_established = true;
                self.state_wakers.wake_all();
            }
            Event::Authenticate(claim) => self.for_task.push_back(ForTask::Authenticate(claim)),
            Event::Reattach(reattach) => self.for_task.push_back(ForTask::Reattach(reattach)),
            Event::Ticket(ticket) => self.for_task.push_back(ForTask::Ticket(ticket.handle)),
            Event::Detached { .. } => self.for_task.push_back(ForTask::Detached),
            Event::GoingAway { .. } => {
                self.going_away = true;
                self.state_wakers.wake_all();
            }
            Event::AuthRefused(_) => self.on_auth_refused(),
            Event::Authenticated { expires_after, .. } => self.renewal.granted(expires_after),
            Event::Paused { .. } | Event::Reattached => {}
            Event::Ended(error) => self.over(error),
        }
    }

    /// Of a first connection this is the end, and of another one too where there is no other credential to come. On one that works the
    /// credential before stays good until its end.
    //= SMRP-A18, SMRP-A19
    fn on_auth_refused(&mut self) {
        let has_more = self.is_established && (self.renewal.source().is_some() || !self.machine.is_detached());
        if !has_more {
            let now = self.now;
            self.machine.close(now, Code::AUTH_FAILED, "");
            self.end.get_or_insert(SessionError::AuthRefused);
        }
    }

    fn over(&mut self, error: SessionError) {
        self.end.get_or_insert(error);
        for (_, halves) in self.waiting.drain() {
            halves.reader.into_iter().chain(halves.writer).for_each(Waker::wake);
        }
        let queues = [&mut self.streams, &mut self.channels, &mut self.requests];
        let lists = queues.into_iter().map(|queue| &mut queue.wakers);
        let others =
            self.openers.iter_mut().chain([&mut self.datagram_wakers, &mut self.state_wakers, &mut self.flush_wakers]);
        lists.chain(others).for_each(Wakers::wake_all);
    }
}

fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}

/// The one place that reads the clock.
#[allow(clippy::disallowed_methods, reason = "a driver owns the clock")]
pub(super) fn read_clock() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
