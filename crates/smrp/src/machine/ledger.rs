//! The account of wasted work: section 19 of the specification.

use crate::config::LedgerMode;
use core::time::Duration;
use wirekit::Instant;

/// What is charged, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Charge {
    /// Any frame that carries no data.
    Frame,
    /// A stream, given back when it ends without RESET.
    Open,
    /// RESET or STOP of the peer.
    Reset,
    /// RESET or STOP that we had to send because of a fault.
    ProvokedReset,
    /// PING, or more of them than were asked for.
    Ping,
    /// DATA or MSG without octets and without an end.
    Empty,
    /// A frame that changes nothing, comes too late, or is not known.
    Useless,
    /// Metadata of so many octets.
    Metadata(usize),
    /// SETTINGS.
    Settings,
    /// AUTH: somebody has to look at it.
    Auth,
    /// AUTH that failed.
    AuthFailed,
}

impl Charge {
    //= SMRP-X1
    pub(super) fn thousandths(self) -> i64 {
        match self {
            Self::Frame => 50,
            Self::Open | Self::Useless => 1_000,
            Self::Reset | Self::Ping | Self::Empty => 2_000,
            Self::ProvokedReset => 5_000,
            Self::Metadata(len) => 1_000 + i64::try_from(len).unwrap_or(i64::MAX / 2),
            Self::Settings | Self::Auth => 20_000,
            Self::AuthFailed => 200_000,
        }
    }
}

const BEGINNING: i64 = 1_000_000;
const MOST: i64 = 2_000_000;
const PER_SECOND: i64 = 200_000;
const ABUSE: i64 = -500_000;
/// How long reading stops when nothing is left.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// What the account says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// Stop reading for [`PAUSE`].
    Empty,
    /// Close.
    Abuse,
}

/// The account of one peer.
#[derive(Debug)]
pub(crate) struct Ledger {
    mode: LedgerMode,
    balance: i64,
    at: Instant,
    /// Everything that was ever charged, in thousandths.
    pub(crate) charged: u64,
    /// Octets of data that we have sent, as far as the peer was given something for them.
    sent: u64,
    /// What was charged and not yet told to an observer; `None` where there is none.
    pub(crate) notes: Option<Vec<Charge>>,
}

impl Ledger {
    pub(crate) fn new(mode: LedgerMode, now: Instant) -> Self {
        Self { mode, balance: BEGINNING, at: now, charged: 0, sent: 0, notes: None }
    }

    pub(crate) fn charge(&mut self, charge: Charge) {
        let amount = charge.thousandths();
        if let Some(notes) = &mut self.notes {
            notes.push(charge);
        }
        self.balance = self.balance.saturating_sub(amount);
        self.charged = self.charged.saturating_add(amount.unsigned_abs());
    }

    pub(crate) fn give_back(&mut self, charge: Charge) {
        self.balance = self.balance.saturating_add(charge.thousandths()).min(MOST);
    }

    /// The application took this much: one for each KiB, so a thousandth for each octet, nearly.
    //= SMRP-X2
    pub(crate) fn taken(&mut self, len: usize) {
        self.balance = self.balance.saturating_add(i64::try_from(len).unwrap_or(MOST)).min(MOST);
    }

    /// This much data has gone out in all: whoever takes data has to answer it with credit and positions, as many as its windows are narrow.
    //= SMRP-X2
    pub(crate) fn sent(&mut self, total: u64) {
        let more = total.saturating_sub(self.sent);
        self.sent = total;
        self.taken(usize::try_from(more).unwrap_or(usize::MAX));
    }

    pub(crate) fn standing(&mut self, now: Instant) -> Standing {
        let since = now.saturating_since(self.at);
        if since >= Duration::from_millis(1) {
            let gained = i64::try_from(since.as_millis()).unwrap_or(MOST).saturating_mul(PER_SECOND / 1_000);
            self.balance = self.balance.saturating_add(gained).min(MOST);
            self.at = now;
        }
        match self.mode {
            LedgerMode::Observe => Standing::Good,
            LedgerMode::Enforce if self.balance < ABUSE => Standing::Abuse,
            LedgerMode::Enforce if self.balance <= 0 => Standing::Empty,
            LedgerMode::Enforce => Standing::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_epoch(Duration::from_millis(ms))
    }

    #[test]
    fn an_account_empties_pauses_and_recovers() {
        //= SMRP-X1
        let mut ledger = Ledger::new(LedgerMode::Enforce, at(0));
        (0..499).for_each(|_| ledger.charge(Charge::Reset));
        assert_eq!(ledger.standing(at(0)), Standing::Good);
        ledger.charge(Charge::Reset);
        assert_eq!(ledger.standing(at(0)), Standing::Empty);
        (0..250).for_each(|_| ledger.charge(Charge::Reset));
        assert_eq!(ledger.standing(at(0)), Standing::Empty, "exactly -500");
        ledger.charge(Charge::Frame);
        assert_eq!(ledger.standing(at(0)), Standing::Abuse);
        assert_eq!(ledger.standing(at(2_501)), Standing::Good, "200 a second");
        assert_eq!(ledger.charged, 751 * 2_000 - 2_000 + 50);
    }

    #[test]
    fn what_was_given_back_or_taken_leaves_no_mark() {
        //= SMRP-X2
        let mut ledger = Ledger::new(LedgerMode::Enforce, at(0));
        for _ in 0..1_000_000 {
            ledger.charge(Charge::Open);
            ledger.give_back(Charge::Open);
            ledger.charge(Charge::Frame);
            ledger.taken(64);
        }
        assert_eq!(ledger.standing(at(0)), Standing::Good);
        assert!(ledger.balance > BEGINNING && ledger.balance <= MOST);
    }

    #[test]
    fn observing_only_counts() {
        //= SMRP-X1
        let mut ledger = Ledger::new(LedgerMode::Observe, at(0));
        (0..1_000).for_each(|_| ledger.charge(Charge::AuthFailed));
        assert_eq!(ledger.standing(at(0)), Standing::Good);
        assert_eq!(ledger.charged, 200_000_000);
    }
}
