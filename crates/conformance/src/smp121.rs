//! Cases of the Simple Messaging Protocol, IP protocol 121: datagrams in, datagrams and events out, in virtual time.
//!
//! The endpoint under test is 10.0.0.2, its peer 10.0.0.1 (fd00::2 and fd00::1 with profile `ipv6`). [`notation`] says how segments are written, [`run`] what happens in a case.

pub mod notation;
mod run;
mod settings;

pub use run::run;
