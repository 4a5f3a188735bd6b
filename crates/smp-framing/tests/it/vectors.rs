//! The shared vectors: what is right, and what the two generations of the npm package do. Their README says what must hold.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod encode;
mod node;
mod receive;
pub(crate) mod support;
