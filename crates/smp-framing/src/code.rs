//! The meta codes.

use core::fmt;

/// What a unit is: the high half of its first octet.
//= SMPF-CODE-0 SMPF-CODE-1 SMPF-CODE-2 SMPF-CODE-3 SMPF-CODE-4 SMPF-CODE-5 SMPF-CODE-6 SMPF-CODE-7
//= SMPF-CODE-8 SMPF-CODE-9 SMPF-CODE-10 SMPF-CODE-11 SMPF-CODE-12 SMPF-CODE-13 SMPF-CODE-14 SMPF-CODE-15
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Code {
    /// A whole message.
    Message = 0,
    /// The first frame of a message.
    NewFrame = 1,
    /// A frame in the middle of a message.
    ContinuingFrame = 2,
    /// The last frame of a message, or its only one.
    LastFrame = 3,
    /// Information for the peer.
    Information = 4,
    /// An error report: a number and a text.
    Error = 5,
    /// A sign of life.
    Heartbeat = 6,
    /// The sender of this is about to close the connection.
    Stop = 7,
    /// Asks the peer to send no messages and frames for now.
    Pause = 8,
    /// Asks the peer to go on after a pause.
    Resume = 9,
    /// Reserved: parsed, never sent.
    Reserved10 = 10,
    /// Reserved: parsed, never sent.
    Reserved11 = 11,
    /// Reserved: parsed, never sent.
    Reserved12 = 12,
    /// The application's own.
    User13 = 13,
    /// The application's own.
    User14 = 14,
    /// The application's own.
    User15 = 15,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Message,
        Self::NewFrame,
        Self::ContinuingFrame,
        Self::LastFrame,
        Self::Information,
        Self::Error,
        Self::Heartbeat,
        Self::Stop,
        Self::Pause,
        Self::Resume,
        Self::Reserved10,
        Self::Reserved11,
        Self::Reserved12,
        Self::User13,
        Self::User14,
        Self::User15,
    ];

    /// The code in the high half of a unit's first octet. Every half octet is a code.
    #[inline]
    #[must_use]
    pub const fn from_meta(meta: u8) -> Self {
        #[allow(clippy::indexing_slicing, reason = "four bits index sixteen codes")]
        Self::ALL[(meta >> 4) as usize]
    }

    /// The code of this number, `None` above 15.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number on the wire, 0 to 15.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// True for the three codes whose units carry an ID and a frame number.
    #[inline]
    #[must_use]
    pub const fn is_frame(self) -> bool {
        matches!(self, Self::NewFrame | Self::ContinuingFrame | Self::LastFrame)
    }

    /// True for the codes that a PAUSE holds back: messages and frames.
    #[must_use]
    pub const fn is_data(self) -> bool {
        matches!(self, Self::Message) || self.is_frame()
    }

    /// True for the codes that a sender must not use.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        matches!(self, Self::Reserved10 | Self::Reserved11 | Self::Reserved12)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "MESSAGE",
            Self::NewFrame => "NEW FRAME",
            Self::ContinuingFrame => "CONTINUING FRAME",
            Self::LastFrame => "LAST FRAME",
            Self::Information => "INFORMATION",
            Self::Error => "ERROR",
            Self::Heartbeat => "HEARTBEAT",
            Self::Stop => "STOP",
            Self::Pause => "PAUSE",
            Self::Resume => "RESUME",
            Self::Reserved10 | Self::Reserved11 | Self::Reserved12 => "RESERVED",
            Self::User13 | Self::User14 | Self::User15 => "USER DEFINED",
        })
    }
}

/// A code that belongs to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserCode {
    /// Code 13.
    User13,
    /// Code 14.
    User14,
    /// Code 15.
    User15,
}

impl From<UserCode> for Code {
    fn from(code: UserCode) -> Self {
        match code {
            UserCode::User13 => Self::User13,
            UserCode::User14 => Self::User14,
            UserCode::User15 => Self::User15,
        }
    }
}

impl TryFrom<Code> for UserCode {
    type Error = Code;

    fn try_from(code: Code) -> Result<Self, Code> {
        match code {
            Code::User13 => Ok(Self::User13),
            Code::User14 => Ok(Self::User14),
            Code::User15 => Ok(Self::User15),
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_octet_is_the_code_of_its_number() {
        for meta in 0..=u8::MAX {
            assert_eq!(Code::from_meta(meta).number(), meta >> 4);
            assert_eq!(Code::from_number(meta >> 4), Some(Code::from_meta(meta)));
        }
        assert_eq!(Code::from_number(16), None);
    }
}
