//! The crate from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "tests and their helpers"
)]

mod builders;
mod hostile;
mod json;
mod laws;
mod links;
mod locators;
mod page;
mod properties;
mod read;
mod table;
mod vectors;
mod write;

use wrp::{Event, Message};

/// An event with nothing but what it needs.
fn event() -> Message {
    Event::new("self:", "event:x").build().unwrap()
}
