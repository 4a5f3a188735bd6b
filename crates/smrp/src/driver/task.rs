//! The task of a session: all its I/O, and what the machine asks of a driver.

use super::acceptor::{Authenticate, Registry};
use super::carrier::{Carrier, Octets, Redial};
use super::io::{Inbox, poll_write};
use super::renewal::{self, renew_if_due};
use super::shared::{ForTask, Replacement, Shared, State};
use crate::budget::Share;
use crate::credential::Channel;
use crate::error::SessionError;
use crate::{Code, Input, Role, Transmit};
use bytes::Bytes;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::time::Sleep;
use wirekit::Machine;

/// Octets gathered before they are written.
const TRANSMIT_LEN: usize = 128 << 10;
/// Rounds of reading and writing before other tasks have their turn.
const ROUNDS_MAX: usize = 16;
/// Rounds in which the time is read once.
const ROUNDS_PER_CLOCK: usize = 4;
/// How long the last octets of a link may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
/// Waits between attempts at another link: the first one at once, then doubling.
const REDIAL_FIRST: Duration = Duration::from_millis(50);
const REDIAL_MOST: Duration = Duration::from_secs(5);

/// Why the I/O of a link stopped.
enum Stop {
    /// The session is over, and everything was said.
    Over,
    /// The carrier ended.
    Lost,
    /// Another carrier takes its place.
    Replaced(Box<Replacement>),
    /// The machine asks for something that takes longer than a poll.
    Asked(ForTask),
}

pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) io: Option<Box<dyn Octets>>,
    pub(super) inbox: Inbox,
    out: Transmit,
    /// What the machine waits for.
    deadline: Option<tokio::time::Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    stalled_since: Option<tokio::time::Instant>,
    /// Before the next attempt at another link, and how many links the session had when it was set.
    pause: Duration,
    paused_for: u64,
    pub(super) redial: Option<Arc<dyn Redial>>,
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) authenticate: Option<Arc<dyn Authenticate>>,
    write_timeout: Duration,
    /// Of the budget: what is on its way to the carrier and from it.
    share: Share,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, io: Box<dyn Octets>, write_timeout: Duration) -> Self {
        let share = Share::of(shared.lock().machine.config().budget.clone());
        Self {
            share,
            shared,
            io: Some(io),
            inbox: Inbox::default(),
            out: Transmit::new(TRANSMIT_LEN),
            deadline: None,
            sleep: None,
            stalled_since: None,
            pause: Duration::ZERO,
            paused_for: 0,
            redial: None,
            registry: None,
            authenticate: None,
            write_timeout,
        }
    }

    /// Runs the session to its end, or until another session took the carrier over.
    pub(super) async fn run(self) {
        let shared = self.shared.clone();
        self.run_links().await;
        shared.lock().gone();
    }

    async fn run_links(mut self) {
        loop {
            let stop = poll_fn(|cx| self.poll_link(cx)).await;
            match stop {
                Stop::Over => break,
                Stop::Lost => {
                    self.drop_link();
                    let mut state = self.shared.lock();
                    if state.replacement.is_some() {
                        // The machine has left this link already.
                        continue;
                    }
                    let now = state.refresh();
                    let Ok(()) = state.machine.handle(now, Input::LinkLost);
                    state.deliver_events();
                }
                Stop::Replaced(replacement) => self.replace(*replacement).await,
                Stop::Asked(asked) => {
                    if self.answer(asked).await {
                        return;
                    }
                }
            }
        }
        if let Some(mut io) = self.io.take() {
            let farewell = async {
                drop(io.shutdown().await);
                // What the peer still sends is read, or the carrier would tell it of a break before it has read our farewell.
                drop(tokio::io::copy(&mut io, &mut tokio::io::sink()).await);
            };
            drop(tokio::time::timeout(FAREWELL_TIMEOUT, farewell).await);
        }
    }

    /// One link, until something stops it.
    fn poll_link(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        for round in 0..ROUNDS_MAX {
            let (mut is_busy, wants_octets) = match self.step(cx, round % ROUNDS_PER_CLOCK == 0) {
                Ok(next) => next,
                Err(stop) => return Poll::Ready(stop),
            };
            let Some(io) = &mut self.io else {
                if is_busy {
                    continue;
                }
                return self.poll_sleep(cx);
            };
            match poll_write(io.as_mut(), cx, &mut self.out) {
                Poll::Ready(Ok(())) => {
                    self.stalled_since = None;
                    if Pin::new(io.as_mut()).poll_flush(cx).map_err(drop) == Poll::Ready(Err(())) {
                        return Poll::Ready(Stop::Lost);
                    }
                }
                Poll::Ready(Err(_)) => {
                    self.read_last(cx);
                    return Poll::Ready(Stop::Lost);
                }
                Poll::Pending => {
                    is_busy = false;
                    self.stalled_since.get_or_insert_with(super::shared::read_clock);
                }
            }
            if wants_octets {
                match self.inbox.poll_read(io.as_mut(), cx) {
                    Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Stop::Lost),
                    Poll::Ready(Ok(_)) => {
                        let mut state = self.shared.lock();
                        if let Some(replacement) = state.replacement.take() {
                            return Poll::Ready(Stop::Replaced(replacement.into()));
                        }
                        let now = state.now();
                        let Ok(()) = state.machine.handle(now, Input::Received(&mut self.inbox.octets));
                        state.deliver_events();
                        is_busy = true;
                    }
                    Poll::Pending => {}
                }
            }
            //= SMRP-FC11
            self.share.hold((self.out.len() + self.inbox.octets.len()) as u64);
            if !is_busy {
                self.inbox.shrink();
                self.out.shrink();
                return self.poll_sleep(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The peer takes nothing more, and may have said why.
    fn read_last(&mut self, cx: &mut Context<'_>) {
        let Some(io) = &mut self.io else { return };
        for _ in 0..ROUNDS_MAX {
            let Poll::Ready(Ok(1..)) = self.inbox.poll_read(io.as_mut(), cx) else { return };
            let mut state = self.shared.lock();
            if state.replacement.is_some() || !state.machine.wants_octets() {
                return;
            }
            let now = state.now();
            let Ok(()) = state.machine.handle(now, Input::Received(&mut self.inbox.octets));
            state.deliver_events();
        }
    }

    /// What can be done without I/O. Says whether there is more to do, and whether octets are wanted.
    fn step(&mut self, cx: &mut Context<'_>, reads_clock: bool) -> Result<(bool, bool), Stop> {
        let mut state = self.shared.lock();
        let now = if reads_clock { state.refresh() } else { state.now() };
        state.keep_task(cx);
        if let Some(replacement) = state.replacement.take() {
            return Err(Stop::Replaced(replacement.into()));
        }
        let had_room = self.out.len() < TRANSMIT_LEN;
        let gave = had_room && state.machine.poll_transmit(now, &mut self.out);
        if gave {
            state.wake_flushing();
        }
        if !self.inbox.octets.is_empty() && state.machine.wants_octets() {
            // Reading was held up with octets at hand.
            let Ok(()) = state.machine.handle(now, Input::Received(&mut self.inbox.octets));
        }
        state.deliver_events();
        renew_if_due(&mut state, &self.shared);
        if let Some(asked) = state.for_task.pop_front() {
            return Err(Stop::Asked(asked));
        }
        if state.end.is_some() && self.out.is_empty() {
            return Err(Stop::Over);
        }
        if self.io.is_none() && state.end.is_some() {
            return Err(Stop::Over);
        }
        let deadline = state.machine.poll_timeout();
        let is_due = deadline.is_some_and(|deadline| deadline.is_due(now));
        if is_due {
            state.machine.handle_timeout(now);
        }
        let wants_octets = state.machine.wants_octets();
        let renewal = state.renewal.due_at;
        self.deadline = deadline.map(|deadline| state.at(deadline.at)).into_iter().chain(renewal).min();
        // A session may end with what it just sent, and then its farewell is still to come.
        let has_ended = state.machine.ended().is_some() && !self.out.is_empty();
        let is_busy = is_due || has_ended || gave && self.out.len() >= TRANSMIT_LEN;
        Ok((is_busy, wants_octets))
    }

    fn arm(&mut self) {
        let deadline = self.deadline;
        let stalled = self.stalled_since.map(|since| since + self.write_timeout);
        let Some(at) = deadline.into_iter().chain(stalled).min() else { return self.sleep = None };
        match &mut self.sleep {
            // Deadlines move into the future all the time: an earlier awakening is cheaper than a new timer.
            Some(sleep) if sleep.deadline() <= at && !sleep.is_elapsed() => {}
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<Stop> {
        self.arm();
        let is_due = self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if is_due {
            let now = super::shared::read_clock();
            if self.stalled_since.is_some_and(|since| now.saturating_duration_since(since) >= self.write_timeout) {
                //= SMRP-X5
                return Poll::Ready(self.stalled());
            }
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The peer takes nothing: its link is lost; a session that cannot do without it ends.
    fn stalled(&mut self) -> Stop {
        self.stalled_since = None;
        let mut state = self.shared.lock();
        if !state.machine.is_resumable() {
            state.end = Some(SessionError::Stalled(self.write_timeout));
        }
        Stop::Lost
    }

    /// Goes on over another carrier.
    async fn replace(&mut self, replacement: Replacement) {
        if let Some(mut io) = self.io.take()
            && !replacement.farewell.is_empty()
        {
            // Whole frames that were cut off in the middle would make nonsense of a farewell.
            if self.out.is_empty() {
                drop(tokio::time::timeout(FAREWELL_TIMEOUT, io.write_all(&replacement.farewell)).await);
                drop(tokio::time::timeout(FAREWELL_TIMEOUT, io.shutdown()).await);
            }
        }
        self.io = Some(replacement.carrier.io);
        self.inbox = Inbox::of(replacement.inbox);
        self.out = replacement.out;
        self.stalled_since = None;
    }

    /// Does what the machine asked for. True where this session has no more to do.
    async fn answer(&mut self, asked: ForTask) -> bool {
        match asked {
            ForTask::Authenticate(claim) => {
                let grant = match &self.authenticate {
                    Some(authenticate) => {
                        let timeout = self.shared.lock().machine.config().limits.handshake_timeout;
                        tokio::time::timeout(timeout, authenticate.authenticate(&claim)).await.ok().flatten()
                    }
                    None => None,
                };
                let mut state = self.shared.lock();
                let now = state.refresh();
                state.machine.authenticated(now, grant);
            }
            ForTask::Reattach(reattach) => {
                let Some(io) = self.io.take() else { return false };
                let mut state = self.shared.lock();
                let now = state.refresh();
                let kept = self.registry.as_ref().and_then(|registry| registry.find(&reattach.handle));
                let Some(kept) = kept.filter(|kept| !Arc::ptr_eq(kept, &self.shared)) else {
                    self.io = Some(io);
                    state.machine.refuse_reattach(now, Code::RESUME_REFUSED);
                    return false;
                };
                // Under one lock of the session that is kept: its task must not read another octet of the link it leaves.
                let mut kept = kept.lock();
                let kept_now = kept.refresh();
                match kept.machine.adopt(kept_now, &mut state.machine, &reattach) {
                    Ok(adoption) => {
                        let inbox = core::mem::take(&mut self.inbox.octets);
                        let config = state.machine.config();
                        let (security, is_local) = (config.security, config.is_local);
                        // What the link knows of itself went with it from one machine to the other.
                        let carrier = Carrier { io, security, is_local, channel: Channel::default(), peer: None };
                        kept.deliver_events();
                        let out = core::mem::replace(&mut self.out, Transmit::new(TRANSMIT_LEN));
                        kept.replacement = Some(Replacement { carrier, inbox, out, farewell: adoption.farewell });
                        kept.wake_task();
                        drop(kept);
                        state.deliver_events();
                        return true;
                    }
                    Err(code) => {
                        drop(kept);
                        self.io = Some(io);
                        state.machine.refuse_reattach(now, code);
                    }
                }
            }
            ForTask::Ticket(handle) => {
                if let Some(registry) = &self.registry {
                    registry.issue(&handle, &self.shared);
                }
            }
            ForTask::Detached => {
                let role = {
                    let state = self.shared.lock();
                    if !state.machine.is_detached() || state.replacement.is_some() {
                        return false;
                    }
                    state.machine.role()
                };
                // Where the machine gave it up, or we were not believed on it, the carrier may still be there.
                self.drop_link();
                if let Some(registry) = &self.registry {
                    registry.detached(&self.shared);
                }
                if role == Role::Initiator
                    && let Some(redial) = self.redial.clone()
                {
                    self.redial(redial.as_ref()).await;
                }
            }
        }
        false
    }

    fn drop_link(&mut self) {
        self.io = None;
        self.inbox = Inbox::default();
        self.out = Transmit::new(TRANSMIT_LEN);
        self.stalled_since = None;
    }

    /// Tries to get another link until there is one or the session is over.
    //= SMRP-R20
    async fn redial(&mut self, redial: &dyn Redial) {
        let reattached = self.shared.lock().machine.stats().reattached;
        if core::mem::replace(&mut self.paused_for, reattached) != reattached {
            self.pause = Duration::ZERO;
        }
        let shared = self.shared.clone();
        loop {
            let pause = self.pause;
            self.pause = (pause * 2).clamp(REDIAL_FIRST, REDIAL_MOST);
            let attempt = async {
                tokio::time::sleep(pause).await;
                fresh_credential(&shared).await;
                redial.redial().await
            };
            match self.while_detached(attempt).await {
                None => return,
                Some(Ok(carrier)) => {
                    if relink(&mut self.shared.lock(), carrier).is_ok() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    let mut state = self.shared.lock();
                    let now = state.refresh();
                    state.machine.redial_failed(now, is_refusal(&error));
                }
            }
        }
    }

    /// What comes of it, where that is before the session is over or has another link.
    async fn while_detached<T>(&mut self, attempt: impl Future<Output = T>) -> Option<T> {
        let mut attempt = core::pin::pin!(attempt);
        poll_fn(|cx| {
            let shared = self.shared.clone();
            let mut state = shared.lock();
            let now = state.refresh();
            state.keep_task(cx);
            if state.machine.poll_timeout().is_some_and(|deadline| deadline.is_due(now)) {
                state.machine.handle_timeout(now);
            }
            state.deliver_events();
            if state.end.is_some() || !state.machine.is_detached() || state.replacement.is_some() {
                return Poll::Ready(None);
            }
            self.deadline = state.machine.poll_timeout().map(|deadline| state.at(deadline.at));
            drop(state);
            if let Poll::Ready(out) = attempt.as_mut().poll(cx) {
                return Poll::Ready(Some(out));
            }
            // Without a link nothing stalls, so this only waits for the deadline.
            self.poll_sleep(cx).map(|_| None)
        })
        .await
    }
}

/// What is shown on another link, where there is a source of it.
async fn fresh_credential(shared: &Shared) {
    let source = shared.lock().renewal.source();
    if let Some(source) = source
        && let Some(credential) = renewal::ask(source.as_ref()).await
        && let Err(error) = shared.lock().machine.set_credential(credential)
    {
        tracing::warn!("a credential that cannot be shown: {error}");
    }
}

/// Whether nobody listens there; a unix socket that is not there is no listener either.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

/// Hands an initiator's session another carrier; gives it back where the session does not take it.
pub(super) fn relink(state: &mut State, carrier: Carrier) -> Result<(), Carrier> {
    let now = state.refresh();
    if !state.machine.relink_over(now, carrier.security, carrier.is_local, carrier.channel.clone()) {
        return Err(carrier);
    }
    // The machine lost one link and has another: nobody has to look for one.
    state.deliver_events();
    state.for_task.retain(|asked| !matches!(asked, ForTask::Detached));
    state.replacement = Some(Replacement {
        carrier,
        inbox: bytes::BytesMut::new(),
        out: Transmit::new(TRANSMIT_LEN),
        farewell: Bytes::new(),
    });
    state.wake_task();
    Ok(())
}

/// An error of I/O for an error of the session.
pub(super) fn io_error(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}
