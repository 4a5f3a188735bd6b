//! Quality of service.

/// How much a message matters: 0 to 99, higher is more. Others can be read and are not valid.
//= WRP-Q1
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qos(pub i64);

/// The four levels that servers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QosLevel {
    /// Below 25.
    Low,
    /// 25 to 49.
    Medium,
    /// 50 to 74.
    High,
    /// 75 and up.
    Critical,
}

impl Qos {
    /// The least.
    pub const LOW: Self = Self(0);
    /// The least of the medium level.
    pub const MEDIUM: Self = Self(25);
    /// The least of the high level.
    pub const HIGH: Self = Self(50);
    /// The least of the critical level.
    pub const CRITICAL: Self = Self(75);

    /// True for 0 to 99.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self.0, 0..=99)
    }

    /// The level. What is not valid has the level it is nearest to.
    #[must_use]
    pub const fn level(self) -> QosLevel {
        match self.0 {
            ..25 => QosLevel::Low,
            25..50 => QosLevel::Medium,
            50..75 => QosLevel::High,
            75.. => QosLevel::Critical,
        }
    }
}
