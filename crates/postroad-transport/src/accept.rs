//! An accept loop that no passing shortage ends.
//!
//! `accept` fails for reasons that go away: the process or the system has no file descriptor left, the kernel no buffer,
//! the peer gave up while it waited. A loop that ends on these takes the service down for good. [`AcceptLoop`] waits and
//! tries again: at once where only that one peer was concerned, after a growing pause where something is scarce.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Something that hands out one connection after the other: a socket, or a test's list of failures.
pub trait Accept: Send + Sync {
    /// What is handed out.
    type Conn: Send;

    /// Waits for the next connection. Must be cancel-safe: a dropped future loses no connection.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Conn>> + Send;
}

/// How long to wait after a failed `accept`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptPolicy {
    /// First pause when something is scarce. Default 5 ms.
    pub backoff_min: Duration,
    /// Longest pause; each pause is twice the one before. Default 1 s.
    pub backoff_max: Duration,
    /// Failures that concern one peer only and follow each other without a success before they too cost a pause. Default 16.
    pub immediate_retries_max: u32,
}

impl Default for AcceptPolicy {
    fn default() -> Self {
        Self { backoff_min: Duration::from_millis(5), backoff_max: Duration::from_secs(1), immediate_retries_max: 16 }
    }
}

/// What an accept loop has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AcceptCounts {
    /// Connections handed out.
    pub accepted_count: u64,
    /// Failures that concerned one peer (it hung up while it waited).
    pub peer_failed_count: u64,
    /// Failures for want of file descriptors, buffers or memory, and unknown ones.
    pub scarce_count: u64,
}

/// What a failed `accept` means for the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Try again at once.
    PeerOnly,
    /// Wait, then try again.
    Scarce,
    /// The socket does not listen; no waiting will help.
    Final,
}

fn judge(error: &io::Error) -> Failure {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionAborted | K::ConnectionReset | K::Interrupted | K::NetworkDown => Failure::PeerOnly,
        K::NetworkUnreachable | K::HostUnreachable | K::TimedOut | K::WouldBlock => Failure::PeerOnly,
        // EINVAL: not a listening socket any more. A safe program cannot get there by shortage.
        K::InvalidInput => Failure::Final,
        // EMFILE, ENFILE, ENOBUFS, ENOMEM, and whatever a system invents: nothing worth dying for.
        _ => Failure::Scarce,
    }
}

#[derive(Debug, Default)]
struct Backoff {
    /// No attempt before this.
    until: Option<Instant>,
    /// The pause just made, doubled for the next.
    last: Duration,
    /// Peer-only failures since the last success.
    peer_failures: u32,
}

/// Accepts from `A`, surviving every failure that may pass. See the [module](self).
#[derive(Debug)]
pub struct AcceptLoop<A> {
    source: A,
    policy: AcceptPolicy,
    backoff: Mutex<Backoff>,
    accepted: AtomicU64,
    peer_failed: AtomicU64,
    scarce: AtomicU64,
}

impl<A: Accept> AcceptLoop<A> {
    /// A loop over `source`.
    pub fn new(source: A, policy: AcceptPolicy) -> Self {
        Self {
            source,
            policy,
            backoff: Mutex::default(),
            accepted: AtomicU64::new(0),
            peer_failed: AtomicU64::new(0),
            scarce: AtomicU64::new(0),
        }
    }

    /// What is accepted from.
    pub fn source(&self) -> &A {
        &self.source
    }

    /// What happened so far.
    pub fn counts(&self) -> AcceptCounts {
        AcceptCounts {
            accepted_count: self.accepted.load(Ordering::Relaxed),
            peer_failed_count: self.peer_failed.load(Ordering::Relaxed),
            scarce_count: self.scarce.load(Ordering::Relaxed),
        }
    }

    /// Waits for the next connection. Cancel-safe: a pause that is cut short goes on in the next call.
    ///
    /// # Errors
    /// Only if the socket does not listen at all.
    pub async fn accept(&self) -> io::Result<A::Conn> {
        loop {
            let until = self.with_backoff(|backoff| backoff.until);
            if let Some(until) = until {
                tokio::time::sleep_until(until).await;
            }
            match self.source.accept().await {
                Ok(conn) => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    self.with_backoff(|backoff| *backoff = Backoff::default());
                    return Ok(conn);
                }
                Err(error) => self.on_failure(error)?,
            }
        }
    }

    fn on_failure(&self, error: io::Error) -> io::Result<()> {
        match judge(&error) {
            Failure::Final => return Err(error),
            Failure::PeerOnly => {
                self.peer_failed.fetch_add(1, Ordering::Relaxed);
                let many = self.with_backoff(|backoff| {
                    backoff.peer_failures += 1;
                    backoff.peer_failures > self.policy.immediate_retries_max
                });
                if many {
                    self.pause();
                }
            }
            Failure::Scarce => {
                self.scarce.fetch_add(1, Ordering::Relaxed);
                let pause = self.pause();
                tracing::warn!(%error, ?pause, "accept failed, trying again after a pause");
            }
        }
        Ok(())
    }

    fn pause(&self) -> Duration {
        let AcceptPolicy { backoff_min, backoff_max, .. } = self.policy;
        self.with_backoff(|backoff| {
            backoff.last = backoff.last.saturating_mul(2).clamp(backoff_min, backoff_max.max(backoff_min));
            backoff.until = Some(Instant::now() + backoff.last);
            backoff.last
        })
    }

    fn with_backoff<R>(&self, f: impl FnOnce(&mut Backoff) -> R) -> R {
        f(&mut self.backoff.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
