//! A unit: what stands on the wire between two boundaries.

use crate::{Arguments, Code};

/// The ID and frame number of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameIdent {
    /// Which message of the connection and direction the frame belongs to.
    pub id: u16,
    /// The frame's number; the next frame of the message has the next one, after 4,294,967,295 comes 0.
    pub number: u32,
}

/// A whole unit: a message, a frame or a control unit. One allocation-free view of the read buffer.
///
/// The code and the presence of an ID agree by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    code: Code,
    ident: FrameIdent,
    arguments: Arguments,
}

impl Unit {
    /// A unit that is no frame, `None` for the three frame codes.
    #[must_use]
    pub fn plain(code: Code, arguments: impl Into<Arguments>) -> Option<Self> {
        (!code.is_frame()).then(|| Self::assemble(code, FrameIdent { id: 0, number: 0 }, arguments.into()))
    }

    /// A frame, `None` for a code that is none.
    #[must_use]
    pub fn frame(code: Code, ident: FrameIdent, arguments: impl Into<Arguments>) -> Option<Self> {
        code.is_frame().then(|| Self::assemble(code, ident, arguments.into()))
    }

    /// For callers that know that `ident` is read only where `code` is a frame's.
    #[inline(always)]
    pub(crate) const fn assemble(code: Code, ident: FrameIdent, arguments: Arguments) -> Self {
        Self { code, ident, arguments }
    }

    /// What the unit is.
    #[inline]
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// ID and frame number, of frames.
    #[inline]
    #[must_use]
    pub fn ident(&self) -> Option<FrameIdent> {
        self.code.is_frame().then_some(self.ident)
    }

    /// The content.
    #[inline]
    #[must_use]
    pub const fn arguments(&self) -> &Arguments {
        &self.arguments
    }

    /// The content, by value.
    #[inline]
    #[must_use]
    pub fn into_arguments(self) -> Arguments {
        self.arguments
    }

    pub(crate) fn into_parts(self) -> (Code, FrameIdent, Arguments) {
        (self.code, self.ident, self.arguments)
    }
}
