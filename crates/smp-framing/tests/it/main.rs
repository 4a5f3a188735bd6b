//! The crate from outside: wire, machine, driver.

mod connection;
mod handles;
