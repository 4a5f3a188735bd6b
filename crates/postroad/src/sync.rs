//! Locks and atomics that other threads see: of the standard library, or of loom where `cargo xtask models` runs through all orders of threads.

#[cfg(not(postroad_model))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(postroad_model)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
