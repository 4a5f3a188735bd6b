#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod inspect;
pub mod profile;
pub mod wire;

pub use profile::Profile;
