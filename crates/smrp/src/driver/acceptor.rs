//! The accepting side: who gets in, and which sessions come back.

use super::carrier::Carrier;
use super::session::{Observers, Session};
use super::shared::Shared;
use crate::budget::{Budget, Pressure};
use crate::config::Config;
use crate::error::{ConfigError, SessionError};
use crate::{Claim, Code, Grant};
use core::future::Future;
use core::pin::Pin;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Decides who an initiator is.
pub trait Authenticate: Send + Sync {
    /// What the claim entitles to; `None` where it is not believed. The claim has what its method needs, and nothing of it is checked: a proof by
    /// `keys::PublicKey::proves`, for one. Dropped, and the claim not believed, where it takes longer than `Limits::handshake_timeout`.
    fn authenticate<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Option<Grant>> + Send + 'a>>;
}

impl<F> Authenticate for F
where
    F: Fn(&Claim) -> Option<Grant> + Send + Sync,
{
    fn authenticate<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Option<Grant>> + Send + 'a>> {
        let grant = self(claim);
        Box::pin(core::future::ready(grant))
    }
}

/// Bounds on what an acceptor keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptorLimits {
    /// Sessions that may wait for another link. Default 1,000; beyond it the one that waits longest ends.
    pub detached_max: usize,
}

impl Default for AcceptorLimits {
    fn default() -> Self {
        Self { detached_max: 1_000 }
    }
}

/// Accepts sessions over connections that somebody else accepted. Clones share what they keep.
#[derive(Clone)]
pub struct Acceptor {
    config: Config,
    registry: Arc<Registry>,
    authenticate: Option<Arc<dyn Authenticate>>,
    observers: Observers,
}

impl core::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Acceptor").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What came of a connection.
#[derive(Debug)]
pub enum Accepted {
    /// A session of its own.
    Session(Session),
    /// A session that was there before goes on over it.
    Resumed,
}

impl Acceptor {
    /// An acceptor; what the carrier is comes with each connection.
    ///
    /// # Errors
    /// [`ConfigError`] as [`Config::check`] has it.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let registry = Arc::new(Registry::new(AcceptorLimits::default()));
        Ok(Self { config, registry, authenticate: None, observers: Observers::default() })
    }

    /// With these bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: AcceptorLimits) -> Self {
        self.registry = Arc::new(Registry::new(limits));
        self
    }

    /// Demanding that initiators say who they are, and asking this about it.
    #[must_use]
    pub fn with_authentication(mut self, authenticate: impl Authenticate + 'static) -> Self {
        self.config.demands_auth = true;
        self.authenticate = Some(Arc::new(authenticate));
        self
    }

    /// Writing traces of some of its sessions. It costs nothing where a session is not among them.
    #[cfg(feature = "qlog")]
    #[must_use]
    pub fn with_qlog(mut self, qlog: super::Qlog) -> Self {
        self.observers.qlog = Some(qlog);
        self
    }

    /// Runs the handshake on a connection. Not cancel-safe: dropping it drops the connection.
    ///
    /// # Errors
    /// [`SessionError`] where the handshake fails.
    pub async fn accept(&self, carrier: Carrier) -> Result<Accepted, SessionError> {
        self.registry.relieve(self.config.budget.as_ref());
        let (registry, authenticate) = (self.registry.clone(), self.authenticate.clone());
        let session = Session::begin_accepting(&self.config, carrier, registry, authenticate, &self.observers);
        match session.established().await {
            Ok(()) => Ok(Accepted::Session(session)),
            Err(SessionError::Superseded) => Ok(Accepted::Resumed),
            Err(error) => Err(error),
        }
    }
}

/// Which ticket belongs to which session. Handles are kept as hashes, so what is here is no key to anything.
//= SMRP-R7, SMRP-R17
#[derive(Debug)]
pub(super) struct Registry {
    limits: AcceptorLimits,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_handle: HashMap<[u8; 32], Weak<Shared>>,
    /// The handles of each session, oldest first.
    by_session: HashMap<usize, VecDeque<[u8; 32]>>,
    detached: VecDeque<Weak<Shared>>,
}

/// The ticket used last and the one issued last.
const HANDLES_PER_SESSION: usize = 2;

impl Registry {
    fn new(limits: AcceptorLimits) -> Self {
        Self { limits, entries: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn issue(&self, handle: &[u8], session: &Arc<Shared>) {
        let hash: [u8; 32] = Sha256::digest(handle).into();
        let mut entries = self.lock();
        let key = key_of(session);
        entries.by_handle.insert(hash, Arc::downgrade(session));
        let handles = entries.by_session.entry(key).or_default();
        handles.push_back(hash);
        // Those between never came to who uses the first one still, and never will: their links are gone.
        let old = if handles.len() > HANDLES_PER_SESSION { handles.remove(handles.len() - 2) } else { None };
        if let Some(old) = old {
            entries.by_handle.remove(&old);
        }
    }

    /// The session of a ticket. Those issued before it are valid no more.
    pub(super) fn find(&self, handle: &[u8]) -> Option<Arc<Shared>> {
        let hash: [u8; 32] = Sha256::digest(handle).into();
        let mut entries = self.lock();
        let session = entries.by_handle.get(&hash)?.upgrade()?;
        let handles = entries.by_session.get_mut(&key_of(&session))?;
        let mut older = Vec::new();
        while handles.front().is_some_and(|front| *front != hash) {
            older.extend(handles.pop_front());
        }
        older.iter().for_each(|old| drop(entries.by_handle.remove(old)));
        Some(session)
    }

    pub(super) fn detached(&self, session: &Arc<Shared>) {
        let mut entries = self.lock();
        entries.detached.retain(|other| {
            other.upgrade().is_some_and(|other| !Arc::ptr_eq(&other, session) && other.lock().machine.is_detached())
        });
        entries.detached.push_back(Arc::downgrade(session));
        let oldest =
            if entries.detached.len() > self.limits.detached_max { entries.detached.pop_front() } else { None };
        drop(entries);
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            end_detached(&oldest);
        }
    }

    /// Ends those that are detached longest while nothing is left of the budget: what they hold could be of use to others.
    //= SMRP-FC13
    fn relieve(&self, budget: Option<&Budget>) {
        while budget.is_some_and(|budget| budget.pressure() == Pressure::Full) {
            let Some(oldest) = self.lock().detached.pop_front() else { return };
            if let Some(oldest) = oldest.upgrade() {
                end_detached(&oldest);
            }
        }
    }

    pub(super) fn forget(&self, session: &Arc<Shared>) {
        let mut entries = self.lock();
        for handle in entries.by_session.remove(&key_of(session)).into_iter().flatten() {
            entries.by_handle.remove(&handle);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().by_handle.len()
    }
}

fn end_detached(session: &Shared) {
    let mut state = session.lock();
    if state.machine.is_detached() {
        let now = state.refresh();
        state.machine.close(now, Code::OVERLOAD, "");
        state.wake_task();
    }
}

fn key_of(session: &Arc<Shared>) -> usize {
    Arc::as_ptr(session).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, Security, SessionMachine};

    fn shared() -> Arc<Shared> {
        let config = Arc::new(Config::new(Security::Plaintext, true));
        let machine = SessionMachine::new(Role::Acceptor, config, [1; 32], wirekit::Instant::EPOCH).unwrap();
        Shared::new(machine, super::super::shared::read_clock())
    }

    #[test]
    fn a_ticket_is_valid_until_a_newer_one_was_used() {
        //= SMRP-R7
        let registry = Registry::new(AcceptorLimits::default());
        let session = shared();
        registry.issue(b"one", &session);
        registry.issue(b"two", &session);
        assert!(registry.find(b"one").is_some(), "the second one may never have arrived");
        assert!(registry.find(b"two").is_some());
        assert!(registry.find(b"one").is_none());
        registry.issue(b"three", &session);
        registry.issue(b"four", &session);
        assert_eq!(registry.len(), 2);
        registry.forget(&session);
        assert!(registry.find(b"four").is_none());
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn a_ticket_stays_valid_however_many_newer_ones_were_lost_with_their_links() {
        //= SMRP-R7
        let registry = Registry::new(AcceptorLimits::default());
        let session = shared();
        registry.issue(b"first", &session);
        for lost in 0..5_u8 {
            assert!(registry.find(b"first").is_some(), "{lost} were lost");
            registry.issue(&[lost], &session);
        }
        assert!(registry.find(b"first").is_some());
        assert!(registry.find(&[4]).is_some(), "the last one may have come");
        assert!(registry.find(b"first").is_none());
    }

    #[test]
    fn detached_sessions_go_while_nothing_is_left_of_the_budget() {
        //= SMRP-FC13
        let registry = Registry::new(AcceptorLimits::default());
        let budget = Budget::new(100 << 10);
        let sessions: Vec<Arc<Shared>> = (0..3).map(|_| shared()).collect();
        for session in &sessions {
            session.lock().machine.detach_for_test();
            registry.detached(session);
        }
        registry.relieve(Some(&budget));
        let ended = || sessions.iter().filter(|session| session.lock().machine.ended().is_some()).count();
        assert_eq!(ended(), 0);
        let mut other = crate::budget::Share::of(Some(budget.clone()));
        other.hold(1 << 20);
        registry.relieve(Some(&budget));
        assert_eq!(ended(), 3, "what is in use is elsewhere, so all of them went");
    }

    #[test]
    fn detached_sessions_are_bounded_and_the_oldest_goes() {
        //= SMRP-R17
        let registry = Registry::new(AcceptorLimits { detached_max: 2 });
        let sessions: Vec<Arc<Shared>> = (0..3).map(|_| shared()).collect();
        for session in &sessions {
            session.lock().machine.detach_for_test();
            registry.detached(session);
        }
        let ended: Vec<bool> = sessions.iter().map(|session| session.lock().machine.ended().is_some()).collect();
        assert_eq!(ended, [true, false, false]);
    }
}
