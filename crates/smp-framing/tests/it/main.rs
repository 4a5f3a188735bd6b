//! The crate from outside: wire, machine, driver.

mod connection;
mod driver;
mod fanout;
mod handles;
mod laws;
mod limits;
mod machine;
mod own_vectors;
mod table;
mod vectors;
