//! What a reader takes.

/// Limits of a reader. Nothing is ever allocated because a message announces it; these bound what it may really hold.
//= WRP-L1
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a whole message. Default 16 MiB.
    pub message_len_max: usize,
    /// Octets of one text or key. Default 64 KiB.
    pub text_len_max: usize,
    /// Octets of the payload. Default 16 MiB.
    pub payload_len_max: usize,
    /// Entries of one list or map, and of the message itself. Default 1,024.
    pub entries_max: usize,
    /// How deep values of unknown fields may be nested. Default 32, at most 32.
    pub depth_max: usize,
    /// Octets behind the message that are passed over instead of refused. Default 0. The reference takes any number.
    //= WRP-R8
    pub trailing_len_max: usize,
}

impl Limits {
    /// None but the depth: for what was checked before, and for tests.
    pub const NONE: Self = Self {
        message_len_max: usize::MAX,
        text_len_max: usize::MAX,
        payload_len_max: usize::MAX,
        entries_max: usize::MAX,
        depth_max: 32,
        trailing_len_max: 0,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_len_max: 16 << 20,
            text_len_max: 64 << 10,
            payload_len_max: 16 << 20,
            entries_max: 1024,
            depth_max: 32,
            trailing_len_max: 0,
        }
    }
}
