//! Virtual clock, seeded network, machine laws and counting allocator for tests.
//!
//! - [`laws`]: what every [`wirekit::Machine`] must hold, checked with the machine's own input generator.
//! - [`clock`] and [`rng`]: time and chance that a seed decides, so that a failure replays.
//! - [`network`]: a byte-stream link and a datagram link that cut, delay, lose, double and damage as the seed says.
//! - [`rdos`]: the other implementation of SMP (IP protocol 121), with its defects, as a peer to test against.
//! - [`process`]: programs under test, and what the system says of their memory, descriptors and threads.
//! - [`vectors`]: the shared test vectors, where they are there.
//! - [`allocations`] (feature `allocations`): how often a piece of code allocates.
#![forbid(unsafe_code)]

#[cfg(feature = "allocations")]
pub mod allocations;
pub mod clock;
pub mod laws;
pub mod network;
pub mod process;
pub mod rdos;
pub mod rng;
pub mod vectors;

pub use clock::VirtualClock;
pub use rng::Rng;
