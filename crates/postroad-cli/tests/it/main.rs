//! The real binary, as a user runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod copying;
mod demo;
mod forwards;
mod guide;
mod inspecting;
mod links;
mod mailslots;
mod messages;
mod papers;
mod processes;
mod segments;
mod support;
mod usage;
mod wrp;
