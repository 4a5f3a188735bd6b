//! The flag octet.

use super::layout::FLAGS;
use core::fmt;
use core::ops::BitOr;

/// The flags of a segment: octet 12 of the header.
///
/// The figure of the source numbers its bits from the left without saying which end of the octet that is. The deployed
/// implementation, by the author of the source, takes the first one drawn as the lowest bit, and so do we.
//= SMP121-W6
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag: a segment of response records only.
    pub const NONE: Self = Self(0);
    /// The first segment of a message.
    pub const SOM: Self = Self(0x01);
    /// The last segment of a message. It informs; the total size decides.
    pub const EOM: Self = Self(0x02);
    /// Part of a request.
    pub const REQ: Self = Self(0x04);
    /// Part of a reply.
    pub const RPY: Self = Self(0x08);
    /// Name resolution; a request with [`REQ`](Self::REQ), a reply with [`RPY`](Self::RPY).
    pub const NAM: Self = Self(0x10);
    /// A reset. What stands behind the response records has no meaning.
    pub const RST: Self = Self(0x20);
    /// The two bits that the source draws as zero.
    pub const RESERVED: Self = Self(0xc0);

    /// The flags of an octet, reserved bits among them.
    #[must_use]
    pub const fn from_octet(octet: u8) -> Self {
        Self(octet)
    }

    /// The octet.
    #[must_use]
    pub const fn octet(self) -> u8 {
        self.0
    }

    /// True where all of `others` are set.
    #[must_use]
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// True where one of `others` is set.
    #[must_use]
    pub const fn intersects(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// These and `others`.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, others: Self) -> Self {
        self.with(others)
    }
}

/// The names of those that are set, as in `SOM|EOM|REQ`, and `-` for none.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        let mut write = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            let separator = if core::mem::take(&mut first) { "" } else { "|" };
            write!(f, "{separator}{text}")
        };
        for known in FLAGS.iter().filter(|known| !known.flag.intersects(Self::RESERVED)) {
            if self.contains(known.flag) {
                write(f, format_args!("{}", known.name))?;
            }
        }
        match self.0 & Self::RESERVED.0 {
            0 if self.0 == 0 => f.write_str("-"),
            0 => Ok(()),
            reserved => write(f, format_args!("reserved {reserved:#04x}")),
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_in_the_order_of_the_figure() {
        assert_eq!((Flags::SOM | Flags::EOM | Flags::REQ).to_string(), "SOM|EOM|REQ");
        assert_eq!(Flags::from_octet(0x60).to_string(), "RST|reserved 0x40");
        assert_eq!(Flags::from_octet(0x80).to_string(), "reserved 0x80");
        assert_eq!(Flags::NONE.to_string(), "-");
    }

    #[test]
    fn containing_asks_for_all_and_intersecting_for_one() {
        let flags = Flags::SOM | Flags::REQ;
        assert!(flags.contains(Flags::SOM) && !flags.contains(Flags::SOM | Flags::EOM));
        assert!(flags.intersects(Flags::SOM | Flags::EOM) && !flags.intersects(Flags::NAM | Flags::RST));
    }
}
