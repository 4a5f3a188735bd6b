//! Credentials that end before their session does.

use super::carrier::Credentials;
use super::shared::{Shared, State, read_clock};
use crate::{Credential, Role};
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Weak};

/// How long a source may take.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts within the life of one credential: at 3/4 of it, and then each time when half of the rest has passed. An acceptor refuses as
/// many without closing.
const ATTEMPTS_MAX: u8 = 4;
/// Nothing is renewed more often than this, however short its life.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Where an initiator's credentials come from, and when the next one is due.
#[derive(Default)]
pub(super) struct Renewal {
    source: Option<Arc<dyn Credentials>>,
    ends_at: Option<tokio::time::Instant>,
    pub(super) due_at: Option<tokio::time::Instant>,
    attempts: u8,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("has_source", &self.source.is_some()).field("due_at", &self.due_at).finish()
    }
}

impl Renewal {
    pub(super) fn of(source: Option<Arc<dyn Credentials>>) -> Self {
        Self { source, ..Self::default() }
    }

    pub(super) fn source(&self) -> Option<Arc<dyn Credentials>> {
        self.source.clone()
    }

    /// The acceptor believes us, for so long.
    //= SMRP-A18
    pub(super) fn granted(&mut self, for_how_long: Option<Duration>) {
        self.attempts = 0;
        let now = read_clock();
        self.ends_at = for_how_long.and_then(|long| now.checked_add(long));
        let due = for_how_long.map(|long| (long / 4).saturating_mul(3).max(INTERVAL_MIN));
        self.due_at = due.filter(|_| self.source.is_some()).and_then(|due| now.checked_add(due));
    }

    /// Where it is time for another credential, the source to ask; the time for the next attempt is set.
    fn take_due(&mut self, now: tokio::time::Instant) -> Option<Arc<dyn Credentials>> {
        self.due_at.filter(|at| *at <= now)?;
        self.attempts += 1;
        let rest = self.ends_at.map(|at| at.saturating_duration_since(now)).unwrap_or_default();
        let is_last = self.attempts >= ATTEMPTS_MAX || rest <= INTERVAL_MIN;
        self.due_at = (!is_last).then(|| now + (rest / 2).max(INTERVAL_MIN));
        self.source.clone()
    }
}

/// What a source gives, where it gives something in time.
pub(super) async fn ask(source: &dyn Credentials) -> Option<Credential> {
    match tokio::time::timeout(SOURCE_TIMEOUT, source.credential()).await {
        Ok(Ok(credential)) => Some(credential),
        Ok(Err(error)) => {
            tracing::warn!("no credential to renew with: {error}");
            None
        }
        Err(_) => {
            tracing::warn!("no credential to renew with within {SOURCE_TIMEOUT:?}");
            None
        }
    }
}

/// Renews in a task of its own where it is time to: the session's task has other things to do than to wait.
//= SMRP-A18
pub(super) fn renew_if_due(state: &mut State, shared: &Arc<Shared>) {
    if state.renewal.due_at.is_none() || state.machine.role() != Role::Initiator {
        return;
    }
    if state.machine.is_detached() {
        // The next link begins with another credential anyway.
        state.renewal.due_at = None;
        return;
    }
    if let Some(source) = state.renewal.take_due(read_clock()) {
        let shared = Arc::downgrade(shared);
        tokio::spawn(async move { renew(source.as_ref(), &shared).await });
    }
}

async fn renew(source: &dyn Credentials, shared: &Weak<Shared>) {
    let Some(credential) = ask(source).await else { return };
    let Some(shared) = shared.upgrade() else { return };
    let mut state = shared.lock();
    state.refresh();
    if let Err(error) = state.machine.authenticate(credential) {
        tracing::warn!("a credential that cannot be shown: {error}");
    }
    state.wake_task();
}
