//! One budget of memory for any number of sessions.

use crate::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// Changes are told to the budget in steps of so many octets: what one session holds may be off by one of them.
const STEP: u64 = 16 << 10;

/// What all sessions that share it may hold, in octets. Clones are the same budget.
///
/// Hand it to sessions with [`Config::with_budget`](crate::Config::with_budget). Each accounts for what it holds (octets that came and were not
/// taken, that wait to be sent, that are kept for another link, datagrams, streams) and for the windows that it has given beyond its floor. From
/// 80 % on windows, buffers and what is kept for another link go back to their floor; at the bound new sessions, streams and long messages
/// are refused. A session holds at most its floor beyond the budget:
///
/// - `init_max_data` of its settings, and 64 KiB of messages that are not whole,
/// - for each stream 16 KiB to be sent and one piece more as the application handed it in,
/// - 64 KiB of datagrams each way,
/// - where it can be resumed, the larger of `ack_every` and 128 KiB,
/// - what is on its way to the carrier and from it: 128 KiB and a frame, and 64 KiB and a frame.
///
/// It costs nothing where there is none, and with one an atomic operation for each 16 KiB that change.
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    len_max: u64,
    held: AtomicU64,
}

/// How much of a budget is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pressure {
    /// Less than 80 % are used.
    #[default]
    Free,
    /// 80 % or more: windows stay at their floor.
    Near,
    /// Everything: new sessions and streams are refused.
    Full,
}

impl PartialEq for Budget {
    /// Whether it is the same one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Budget {}

impl Budget {
    /// Of so many octets.
    #[must_use]
    pub fn new(len_max: u64) -> Self {
        Self { shared: Arc::new(Shared { len_max, held: AtomicU64::new(0) }) }
    }

    /// The bound.
    #[must_use]
    pub fn len_max(&self) -> u64 {
        self.shared.len_max
    }

    /// What all sessions have accounted for, to 16 KiB for each. It may be above the bound by their floors.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// How much is left.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let held = self.held();
        if held >= self.len_max() {
            Pressure::Full
        } else if held >= self.near() {
            Pressure::Near
        } else {
            Pressure::Free
        }
    }

    fn near(&self) -> u64 {
        self.len_max() / 5 * 4
    }
}

/// What one holder has accounted for; given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Share {
    budget: Option<Budget>,
    charged: u64,
}

impl Share {
    pub(crate) fn of(budget: Option<Budget>) -> Self {
        Self { budget, charged: 0 }
    }

    pub(crate) fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    /// What the account is to be for `len` octets: whole steps, and no change for less than one.
    fn steps(&self, len: u64) -> u64 {
        if len >= self.charged.saturating_add(STEP) || len.saturating_add(STEP) <= self.charged {
            len / STEP * STEP
        } else {
            self.charged
        }
    }

    /// Accounts for `len` octets, whatever is left, and says how much is.
    #[inline]
    pub(crate) fn hold(&mut self, len: u64) -> Pressure {
        let Some(budget) = &self.budget else { return Pressure::Free };
        let steps = self.steps(len);
        if steps > self.charged {
            budget.shared.held.fetch_add(steps - self.charged, Ordering::Relaxed);
        } else if steps < self.charged {
            budget.shared.held.fetch_sub(self.charged - steps, Ordering::Relaxed);
        }
        self.charged = steps;
        budget.pressure()
    }

    /// Accounts for `len` octets where that leaves the budget within its bound.
    pub(crate) fn try_hold(&mut self, len: u64) -> bool {
        self.raise(len, |budget, _| budget.len_max())
    }

    /// The same for what can wait: never beyond 80 %, and never more than half of what is left, so that others find something.
    pub(crate) fn try_widen(&mut self, len: u64) -> bool {
        let Some(budget) = &self.budget else { return true };
        budget.pressure() == Pressure::Free
            && self.raise(len, |budget, held| held.saturating_add(budget.near().saturating_sub(held) / 2))
    }

    fn raise(&mut self, len: u64, bound: impl Fn(&Budget, u64) -> u64) -> bool {
        let Some(budget) = &self.budget else { return true };
        let steps = self.steps(len);
        if steps <= self.charged {
            return true;
        }
        let more = steps - self.charged;
        let raised = budget.shared.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(more).filter(|sum| *sum <= bound(budget, held))
        });
        if raised.is_ok() {
            self.charged = steps;
        }
        raised.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.shared.held.fetch_sub(self.charged, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, postroad_model))]
mod models;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_in_steps_and_are_given_back() {
        //= SMRP-FC11, SMRP-FC14
        let budget = Budget::new(100 * STEP);
        let (mut one, mut other) = (Share::of(Some(budget.clone())), Share::of(Some(budget.clone())));
        one.hold(STEP - 1);
        assert_eq!(budget.held(), 0);
        one.hold(STEP);
        other.hold(10 * STEP + 1);
        assert_eq!(budget.held(), 11 * STEP);
        one.hold(1);
        assert_eq!(budget.held(), 11 * STEP, "less than a step is no change");
        one.hold(0);
        assert_eq!(budget.held(), 10 * STEP);
        drop(other);
        assert_eq!(budget.held(), 0);
        assert_eq!(Share::default().hold(u64::MAX), Pressure::Free, "no budget, no bound");
    }

    #[test]
    fn what_can_be_refused_stays_within_the_bound_and_what_can_wait_leaves_half() {
        //= SMRP-FC11, SMRP-FC12
        let budget = Budget::new(100 * STEP);
        let (mut one, mut other) = (Share::of(Some(budget.clone())), Share::of(Some(budget.clone())));
        assert!(!one.try_widen(41 * STEP), "more than half of 80 %");
        assert!(one.try_widen(40 * STEP));
        assert!(other.try_widen(20 * STEP));
        assert_eq!(budget.pressure(), Pressure::Free);
        assert!(other.try_hold(40 * STEP));
        assert_eq!(budget.pressure(), Pressure::Near);
        assert!(!one.try_widen(40 * STEP), "near the bound even what it has is too much");
        assert!(!other.try_hold(61 * STEP));
        assert!(other.try_hold(60 * STEP));
        assert_eq!((budget.pressure(), budget.held()), (Pressure::Full, 100 * STEP));
        assert_eq!(one.hold(50 * STEP), Pressure::Full, "what is there is there");
        assert_eq!(budget.held(), 110 * STEP);
    }
}
