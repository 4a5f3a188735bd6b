//! The crate from outside: wire, machine, driver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests and their helpers"
)]

mod broadcast;
mod connection;
mod driver;
mod fanout;
mod handles;
mod laws;
mod limits;
mod machine;
mod own_vectors;
mod pace;
mod table;
mod vectors;
