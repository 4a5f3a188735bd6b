//! The integration tests of the crate, in one binary.
mod flows;
mod rig;
mod simulation;
mod wire;
