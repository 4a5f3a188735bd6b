//! The facade over real carriers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod bodies;
mod cancel;
mod captures;
mod close;
mod convention;
mod credentials;
mod files;
mod forwards;
mod guide;
mod limits;
mod links;
mod mailslot_files;
mod mailslots;
mod messages;
mod refusals;
mod requests;
mod sessions;
mod support;
mod tunnels;
