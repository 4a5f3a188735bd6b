//! The crate from outside: wire, machine, driver.

mod connection;
mod handles;
mod laws;
mod limits;
mod machine;
mod table;
