//! The list: each attack is an entry that says where it is from, what is sent and what was promised about it.

mod framing;
mod handshakes;
mod smrp;

use crate::field::Field;

/// One attack.
pub(crate) struct Attack {
    /// Its name on the command line.
    pub(crate) id: &'static str,
    /// The stack that is attacked.
    pub(crate) stack: &'static str,
    /// The row of the catalogue of attacks, or of the bug classes, that it comes from.
    pub(crate) row: &'static str,
    /// What is sent.
    pub(crate) what: &'static str,
    /// What the server does about it, beside the promises that hold for all.
    pub(crate) promise: Promise,
    /// How long it goes on.
    pub(crate) seconds: u64,
    pub(crate) run: fn(&mut Field),
}

/// What the server does about an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It ends the connection; where a word is given, its goodbye has it.
    Ends(&'static str),
    /// It may put up with it: nothing of what is sent is a fault, and what it costs is bounded.
    Bears,
}

const fn attack(
    id: &'static str,
    stack: &'static str,
    row: &'static str,
    what: &'static str,
    promise: Promise,
    run: fn(&mut Field),
) -> Attack {
    Attack { id, stack, row, what, promise, seconds: 3, run }
}

const fn longer(mut attack: Attack, seconds: u64) -> Attack {
    attack.seconds = seconds;
    attack
}

/// All of them.
pub(crate) fn all() -> Vec<Attack> {
    let mut all = smrp::list();
    all.extend(handshakes::list());
    all.extend(framing::list());
    all
}
