//! The five calls of a protocol machine.

use crate::{Deadline, Instant};

/// A protocol without I/O, clock, threads or randomness: whoever knows one machine knows all of them.
///
/// The drive loop:
///
/// 1. hand in what happened with [`handle`](Self::handle): bytes or datagrams that came, commands of the application;
/// 2. where [`poll_timeout`](Self::poll_timeout) is due, call [`handle_timeout`](Self::handle_timeout);
/// 3. write what [`poll_transmit`](Self::poll_transmit) puts into the driver's buffer until it returns `false`;
/// 4. deliver what [`poll_event`](Self::poll_event) returns until it returns `None`;
/// 5. wait for the carrier, the application or the deadline, and begin again.
///
/// Laws, which `testkit` checks on each machine: after `handle_timeout(now)` and a drain nothing is due at `now`; a
/// second `handle_timeout(now)` yields nothing; a drain ends; the same calls give the same trace; time that goes back
/// is ignored; after the final event every poll returns nothing; no input panics.
pub trait Machine {
    /// What can happen to the machine from outside.
    type Input<'a>;
    /// What the machine tells the application.
    type Event;
    /// The driver's buffer for what is to be sent.
    type Transmit;
    /// Why the machine wants to be called at its deadline.
    type Reason: Copy + core::fmt::Debug + Eq;
    /// Why an input was refused. The machine stays usable unless the error says otherwise.
    type Error;

    /// Takes one input in.
    ///
    /// # Errors
    /// The machine's own error where the input is a command that it cannot take. A fault of the peer is an event.
    fn handle(&mut self, now: Instant, input: Self::Input<'_>) -> Result<(), Self::Error>;

    /// Does what is due at `now`. A call too early does nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// Appends what can be sent now to `out`, as much as `out` has room for. `true` where it appended anything.
    fn poll_transmit(&mut self, now: Instant, out: &mut Self::Transmit) -> bool;

    /// The next event, oldest first.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next, and why. Changes only with the other calls.
    fn poll_timeout(&self) -> Option<Deadline<Self::Reason>>;
}
