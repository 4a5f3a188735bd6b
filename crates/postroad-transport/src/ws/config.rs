//! Limits of a WebSocket, the same for both ends.

use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::frame::CONTROL_LEN_MAX;
use crate::error::{CarrierError, ErrorKind};

/// Limits and sizes of one WebSocket. All in bytes unless they are times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(super) read_buffer_len: usize,
    pub(super) write_buffer_len: usize,
    pub(super) write_buffer_len_max: usize,
    pub(super) payload_len_max: usize,
    pub(super) message_len_max: usize,
    pub(super) frame_len_max: usize,
    pub(super) head_len_max: usize,
    pub(super) handshake_timeout: Duration,
    pub(super) close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_buffer_len: 8 * 1024,
            write_buffer_len: 256 * 1024,
            write_buffer_len_max: 2 * 1024 * 1024,
            payload_len_max: 128 * 1024,
            message_len_max: 4 * 1024 * 1024,
            frame_len_max: 1024 * 1024,
            head_len_max: 16 * 1024,
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// A reader with less room than this is served from a buffer of this size, which is allocated then and stays; one with
    /// more room has the socket read straight into its own. Default 8 KiB.
    #[must_use]
    pub fn with_read_buffer_len(mut self, len: usize) -> Self {
        self.read_buffer_len = len;
        self
    }

    /// Bytes of finished frames at which the socket is written without waiting for a flush, and past which a write waits
    /// for the socket. Default 256 KiB: each write may wake a peer that sleeps, which costs more than copying 64 KiB.
    #[must_use]
    pub fn with_write_buffer_len(mut self, len: usize) -> Self {
        self.write_buffer_len = len;
        self
    }

    /// Bytes of frames, answers to pings included, that may wait for a peer that does not read. Default 2 MiB; must hold
    /// the write buffer and one message.
    #[must_use]
    pub fn with_write_buffer_len_max(mut self, len: usize) -> Self {
        self.write_buffer_len_max = len;
        self
    }

    /// Payload of one outgoing message at most; a longer write becomes several. Default 128 KiB, which
    /// holds what a protocol writes at a time, two pieces of 64 KiB; an end keeps a buffer for one such message.
    #[must_use]
    pub fn with_payload_len_max(mut self, len: usize) -> Self {
        self.payload_len_max = len;
        self
    }

    /// Payload of one incoming message at most, its fragments together. Default 4 MiB. A peer that sends more is closed
    /// with code 1009. Costs no memory: payload goes on as it comes, so a message that turns out too long was read in
    /// part.
    #[must_use]
    pub fn with_message_len_max(mut self, len: usize) -> Self {
        self.message_len_max = len;
        self
    }

    /// Payload of one incoming frame at most. Default 1 MiB. Costs no memory: payload goes on as it comes.
    #[must_use]
    pub fn with_frame_len_max(mut self, len: usize) -> Self {
        self.frame_len_max = len;
        self
    }

    /// Bytes of the HTTP head of a handshake at most, either direction. Default 16 KiB.
    #[must_use]
    pub fn with_head_len_max(mut self, len: usize) -> Self {
        self.head_len_max = len;
        self
    }

    /// How long the WebSocket handshake may take. Default 10 s.
    #[must_use]
    pub fn with_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How long a shutdown waits for the peer's close. Default 2 s.
    #[must_use]
    pub fn with_close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    pub(super) fn check(&self) -> Result<(), CarrierError> {
        let refuse = |what: &'static str, why: String| Err(CarrierError::new(ErrorKind::Config, what, why));
        for (name, value) in [
            ("set read_buffer_len", self.read_buffer_len),
            ("set write_buffer_len", self.write_buffer_len),
            ("set payload_len_max", self.payload_len_max),
            ("set message_len_max", self.message_len_max),
            ("set frame_len_max", self.frame_len_max),
            ("set head_len_max", self.head_len_max),
        ] {
            if value == 0 {
                return refuse(name, "must be at least 1".to_owned());
            }
        }
        let needed = self.write_buffer_len.saturating_add(self.payload_len_max).saturating_add(1024);
        if self.write_buffer_len_max < needed {
            return refuse(
                "set write_buffer_len_max",
                format!(
                    "{} is less than write_buffer_len + payload_len_max + 1024 = {needed}",
                    self.write_buffer_len_max
                ),
            );
        }
        Ok(())
    }

    /// For tungstenite, which here reads nothing but control frames, and writes nothing else, and that into our buffer.
    pub(super) fn for_tungstenite(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(CONTROL_LEN_MAX)
            .write_buffer_size(0)
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(CONTROL_LEN_MAX))
            .max_frame_size(Some(CONTROL_LEN_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_write_buffer_must_hold_a_message() {
        let fits = 256 * 1024 + 128 * 1024 + 1024;
        assert!(Limits::default().with_write_buffer_len_max(fits).check().is_ok());
        assert!(Limits::default().with_write_buffer_len_max(fits - 1).check().is_err());
        assert!(Limits::default().with_payload_len_max(0).check().is_err());
    }
}
