#![doc = include_str!("../README.md")]
//!
//! - [`Instant`], [`Deadline`] and [`earliest`]: time as an argument, a deadline that says why it exists.
//! - [`Machine`]: the five calls that each protocol machine has.
//! - [`Reader`] and [`Writer`]: cursors over bytes that stop at the end instead of panicking.
//! - [`checksum`]: the Internet checksum of RFC 1071.
//! - [`datagram`]: what a driver asks of a carrier of datagrams.
#![forbid(unsafe_code)]

pub mod checksum;
mod cursor;
pub mod datagram;
mod machine;
mod time;

pub use cursor::{Full, Reader, Short, Writer};
pub use machine::Machine;
pub use time::{Deadline, Instant, earliest};
