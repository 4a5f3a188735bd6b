//! How an end behaves.

use crate::budget::Budget;
use crate::credential::{Channel, Credential};
use crate::error::ConfigError;
use crate::settings::Settings;
use crate::wire::Security;
use core::time::Duration;

/// The longest token.
//= SMRP-A6
pub const TOKEN_LEN_MAX: usize = 8_192;

/// Bounds on what a peer or the application could make grow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of session frames kept for another link. Default 4 MiB.
    pub replay_len_max: usize,
    /// Octets that a stream takes from the application before it is full. Default 256 KiB.
    pub send_buffer_len_max: usize,
    /// The window of a stream at its widest. Default 8 MiB.
    pub stream_window_max: u64,
    /// The window of the session at its widest. Default 16 MiB.
    pub session_window_max: u64,
    /// Octets of messages and requests that are being put together, in all. Default 16 MiB.
    pub assembly_len_max: u64,
    /// Octets of control that wait. Default 64 KiB.
    pub control_len_max: usize,
    /// Octets of datagrams that wait to be sent, and as many that wait to be taken. Default 256 KiB.
    pub datagram_queue_len_max: usize,
    /// Octets of whole replies that wait to be sent. Default 4 MiB; beyond it the application gets no more requests of the peer until some were sent.
    pub replies_len_max: usize,
    /// Time for the preface. Default 3 s.
    pub preface_timeout: Duration,
    /// Time for the whole handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// Time that a peer may take nothing while something waits for it. Default 30 s.
    pub write_timeout: Duration,
    /// Of the initiator: time that every attempt at another link may be refused, because nobody listens there, before the session ends. Default 3 s; 0
    /// ends it with the first one.
    pub refused_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            replay_len_max: 4 << 20,
            send_buffer_len_max: 256 << 10,
            stream_window_max: 8 << 20,
            session_window_max: 16 << 20,
            assembly_len_max: 16 << 20,
            control_len_max: 64 << 10,
            datagram_queue_len_max: 256 << 10,
            replies_len_max: 4 << 20,
            preface_timeout: Duration::from_secs(3),
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            refused_timeout: Duration::from_secs(3),
        }
    }
}

/// Whether wasted work is only counted, or acted upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LedgerMode {
    /// Acted upon.
    #[default]
    Enforce,
    /// Counted.
    Observe,
}

/// How an end behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// What is declared to the peer.
    pub settings: Settings,
    /// Our own bounds.
    pub limits: Limits,
    /// What the carrier is.
    pub security: Security,
    /// True where the carrier does not leave the host.
    pub is_local: bool,
    /// What the carrier knows of its first connection.
    pub channel: Channel,
    /// Of the initiator: who it says it is.
    pub credential: Credential,
    /// Of the acceptor: whether an initiator has to say who it is.
    pub demands_auth: bool,
    /// What wasted work leads to.
    pub ledger: LedgerMode,
    /// Whether grease is sent.
    pub sends_grease: bool,
    /// What all sessions that share it may hold together; `None` for any.
    pub budget: Option<Budget>,
}

impl Config {
    /// Of an end over this kind of carrier; `is_local` where it does not leave the host.
    #[must_use]
    pub fn new(security: Security, is_local: bool) -> Self {
        Self {
            settings: Settings::default(),
            limits: Limits::default(),
            security,
            is_local,
            channel: Channel::default(),
            credential: Credential::None,
            demands_auth: false,
            ledger: LedgerMode::default(),
            sends_grease: true,
            budget: None,
        }
    }

    /// With these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// With these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With what the carrier knows of its first connection.
    #[must_use]
    pub fn with_channel(mut self, channel: Channel) -> Self {
        self.channel = channel;
        self
    }

    /// With this credential.
    #[must_use]
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    /// Sharing this budget of memory with others.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Demanding that initiators say who they are.
    #[must_use]
    pub fn demanding_auth(mut self) -> Self {
        self.demands_auth = true;
        self
    }

    /// Checks everything together.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that cannot be.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.settings.check()?;
        if self.security == Security::Inner {
            return Err(ConfigError::InnerSecurity);
        }
        self.credential.check(self.security, self.is_local, &self.channel)?;
        let limits = &self.limits;
        let limit = |field, reason| Err(ConfigError::Limit { field, reason });
        if limits.replay_len_max < 128 << 10 {
            return limit("replay_len_max", "must be 128 KiB or more");
        }
        if limits.stream_window_max < self.settings.init_max_stream {
            return limit("stream_window_max", "must not be below init_max_stream");
        }
        if limits.session_window_max < self.settings.init_max_data {
            return limit("session_window_max", "must not be below init_max_data");
        }
        if limits.send_buffer_len_max == 0 || limits.control_len_max < 4_096 {
            return limit("control_len_max", "must be 4 KiB or more, and send_buffer_len_max above 0");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_goes_where_it_can_be_read() {
        //= SMRP-A4, SMRP-A6, SMRP-A8
        let token = Credential::Bearer("secret".to_owned());
        let remote = Config::new(Security::Plaintext, false).with_credential(token.clone());
        assert_eq!(remote.check(), Err(ConfigError::TokenInPlaintext));
        assert_eq!(Config::new(Security::Tls, false).with_credential(token.clone()).check(), Ok(()));
        assert_eq!(Config::new(Security::Plaintext, true).with_credential(token.clone()).check(), Ok(()));
        assert!(!format!("{token:?} {remote:?}").contains("secret"));
        let long = |len| Config::new(Security::Tls, false).with_credential(Credential::Bearer("x".repeat(len))).check();
        assert_eq!(long(TOKEN_LEN_MAX), Ok(()));
        assert!(matches!(long(TOKEN_LEN_MAX + 1), Err(ConfigError::TokenLen { .. })));
    }

    #[test]
    fn what_is_not_spoken_is_refused_at_once() {
        //= SMRP-P13
        assert_eq!(Config::new(Security::Inner, false).check(), Err(ConfigError::InnerSecurity));
    }
}
