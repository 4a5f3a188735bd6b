//! Errors, by who is to blame.

use thiserror::Error;

/// The caller asked for something that the wire cannot carry.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// More arguments than half an octet can count.
    #[error("{count} arguments are more than a unit's 15: join some, or send several messages")]
    ArgumentCount {
        /// How many there were.
        count: usize,
    },
    /// An argument too long for a LENGTH, in a unit that cannot be cut into frames.
    #[error("argument {index} has {len} octets, more than the 65,535 of a unit that cannot be cut into frames")]
    ArgumentLength {
        /// Which argument, from 0.
        index: usize,
        /// How long it was.
        len: usize,
    },
    /// Codes 10 to 12 are reserved.
    #[error("code {code} is reserved: use 13 to 15 for codes of your own")]
    ReservedCode {
        /// The code's number.
        code: u8,
    },
    /// MAX-MESSAGE-SIZE leaves no room for payload beside the LENGTH octets.
    #[error("a maximum message size of {max_message_size} leaves no room for payload beside {count} LENGTHs: at least {} are needed", count * 2 + 1)]
    MaxMessageSize {
        /// The size that was set.
        max_message_size: usize,
        /// How many arguments the message has.
        count: usize,
    },
}

/// A limit of ours was reached.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("limit {limit} reached: {got} of at most {max}")]
pub struct LimitExceeded {
    /// Which one.
    pub limit: Limit,
    /// Its value.
    pub max: u64,
    /// What it would have come to.
    pub got: u64,
}

/// The name of a limit, as in [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::unit_len_max`](crate::Limits::unit_len_max).
    UnitLen,
    /// [`Limits::open_ids_max`](crate::Limits::open_ids_max).
    OpenIds,
    /// [`Limits::broken_ids_max`](crate::Limits::broken_ids_max).
    BrokenIds,
    /// [`Limits::message_len_max`](crate::Limits::message_len_max).
    MessageLen,
    /// [`Limits::assembly_len_max`](crate::Limits::assembly_len_max).
    AssemblyLen,
    /// [`Limits::small_units_per_second_max`](crate::Limits::small_units_per_second_max).
    SmallUnits,
    /// [`Limits::assembly_idle_timeout`](crate::Limits::assembly_idle_timeout), in milliseconds.
    AssemblyIdle,
    /// [`Limits::paused_timeout`](crate::Limits::paused_timeout), in milliseconds.
    Paused,
}

impl core::fmt::Display for Limit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnitLen => "unit_len_max",
            Self::OpenIds => "open_ids_max",
            Self::BrokenIds => "broken_ids_max",
            Self::MessageLen => "message_len_max",
            Self::AssemblyLen => "assembly_len_max",
            Self::SmallUnits => "small_units_per_second_max",
            Self::AssemblyIdle => "assembly_idle_timeout",
            Self::Paused => "paused_timeout",
        })
    }
}

/// A setting that cannot be, found by `build()`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    /// The setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}
