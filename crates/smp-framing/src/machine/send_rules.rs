//! What may be sent to a peer of the configured mode.

use super::event::UsageError;
use crate::config::{Config, Mode, NODE_UNIT_LEN_MAX, NodeGeneration};
use crate::framer::is_whole;
use crate::wire::{PLAIN_HEADER_LEN, check};
use crate::{Arguments, Code};

/// The checks that need nothing but the configuration, so that they can be made before something is queued.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendRules {
    pub(super) mode: Mode,
    pub(super) max_message_size: usize,
}

impl SendRules {
    pub(crate) const fn new(config: &Config) -> Self {
        let max_message_size = match config.mode {
            //= SMPF-N4
            Mode::Node(NodeGeneration::V1_1) => NODE_UNIT_LEN_MAX - PLAIN_HEADER_LEN,
            _ => config.max_message_size,
        };
        Self { mode: config.mode, max_message_size }
    }

    /// That `arguments` can go as a message; `true` where they go as one unit.
    #[inline]
    pub(crate) fn check_message(&self, arguments: &Arguments) -> Result<bool, UsageError> {
        let is_whole = is_whole(arguments, self.max_message_size)?;
        if !is_whole {
            self.check_frames(arguments.arguments_len())?;
        }
        Ok(is_whole)
    }

    /// That something of `len` octets can go as frames.
    pub(crate) const fn check_frames(&self, len: usize) -> Result<(), UsageError> {
        match self.mode {
            Mode::Node(NodeGeneration::V1_1) => Err(UsageError::TooLargeForPeer { len, max: self.max_message_size }),
            _ => Ok(()),
        }
    }

    /// That `arguments` can go in one control unit.
    pub(crate) fn check_control(&self, code: Code, arguments: &Arguments) -> Result<(), UsageError> {
        check(arguments)?;
        let Mode::Node(generation) = self.mode else { return Ok(()) };
        let count = arguments.count();
        let is_refused = match code {
            Code::User14 => count != 3,
            Code::User15 => true,
            _ => false,
        };
        if generation == NodeGeneration::V1_1 && is_refused {
            return Err(UsageError::UserCodeForNode { count });
        }
        //= SMPF-N3
        let (len, max) = (arguments.arguments_len(), NODE_UNIT_LEN_MAX - PLAIN_HEADER_LEN);
        if len > max { Err(UsageError::TooLargeForPeer { len, max }) } else { Ok(()) }
    }
}
