//! The end under test: a session of ours, its configuration, and the link that asks to become another one of it.

use super::Session as Wanted;
use super::proof::{BINDING, Key};
use crate::case::Settings as CaseSettings;
use bytes::BytesMut;
use core::time::Duration;
use smrp::{Budget, Channel, Config, Credential, Input, LedgerMode, Limits, Role, Security, SessionMachine, Transmit};
use std::sync::Arc;
use wirekit::{Instant, Machine};

/// Octets that go to the carrier at once, as drivers do it.
const TRANSMIT_LEN: usize = 128 << 10;

/// A machine with what it has not read yet.
pub(crate) struct Half {
    pub(crate) machine: SessionMachine,
    pub(crate) inbox: BytesMut,
}

impl Half {
    pub(crate) fn new(role: Role, config: Config, seed: u8, now: Instant) -> Result<Self, smrp::ConfigError> {
        let machine = SessionMachine::new(role, Arc::new(config), [seed; 32], now)?;
        Ok(Self { machine, inbox: BytesMut::new() })
    }

    /// Hands in what has come, as far as it is wanted.
    pub(crate) fn feed(&mut self, now: Instant) {
        while self.machine.wants_octets() && !self.inbox.is_empty() {
            let before = self.inbox.len();
            let Ok(()) = self.machine.handle(now, Input::Received(&mut self.inbox));
            if self.inbox.len() == before {
                break;
            }
        }
    }

    /// What goes out at once.
    pub(crate) fn transmit(&mut self, now: Instant) -> Vec<u8> {
        let mut out = Transmit::new(TRANSMIT_LEN);
        self.machine.poll_transmit(now, &mut out);
        out.take().to_vec()
    }
}

/// Which end a case has under test.
pub(crate) fn role(wanted: &Wanted) -> Result<Role, String> {
    match wanted.role.as_deref() {
        None | Some("acceptor") => Ok(Role::Acceptor),
        Some("initiator") => Ok(Role::Initiator),
        Some(other) => Err(format!("{other}: neither acceptor nor initiator")),
    }
}

pub(crate) fn security(word: Option<&str>) -> Result<Security, String> {
    match word {
        None | Some("plaintext") => Ok(Security::Plaintext),
        Some("tls") => Ok(Security::Tls),
        Some("inner") => Ok(Security::Inner),
        Some(other) => Err(format!("{other}: neither plaintext, tls nor inner")),
    }
}

/// The configuration of a case.
pub(crate) fn config(settings: &CaseSettings) -> Result<Config, String> {
    let wanted = &settings.session;
    let mut channel = Channel::default();
    if wanted.binding {
        channel = channel.with_binding(BINDING);
    }
    if wanted.certificate {
        channel = channel.with_certificate(&b"certificate"[..]);
    }
    let mut config = Config::new(security(wanted.security.as_deref())?, !wanted.leaves_host)
        .with_settings(declared(wanted)?)
        .with_limits(limits(settings)?)
        .with_channel(channel)
        .with_credential(credential(wanted)?);
    config.demands_auth = wanted.demands_auth;
    config.sends_grease = wanted.grease;
    config.ledger = if wanted.observes { LedgerMode::Observe } else { LedgerMode::Enforce };
    config.budget = wanted.budget.map(Budget::new);
    Ok(config)
}

fn credential(wanted: &Wanted) -> Result<Credential, String> {
    let token = wanted.token.clone();
    match (wanted.shows.as_deref(), token) {
        (None, None) => Ok(Credential::None),
        (None, Some(token)) => Ok(Credential::Bearer(token)),
        (Some("certificate"), None) => Ok(Credential::Certificate),
        (Some("key"), None) => Ok(Credential::RawKey(Arc::new(Key))),
        (Some("key"), Some(token)) => Ok(Credential::Bound { token, signer: Arc::new(Key) }),
        (Some(other), _) => Err(format!("{other}: no such credential")),
    }
}

fn declared(wanted: &Wanted) -> Result<smrp::Settings, String> {
    let mut settings = smrp::Settings::default();
    settings.agent.clone_from(&wanted.agent);
    for (name, value) in &wanted.settings {
        let field = match name.as_str() {
            "max_frame" => &mut settings.max_frame,
            "init_max_data" => &mut settings.init_max_data,
            "init_max_stream" => &mut settings.init_max_stream,
            "max_streams_bidi" => &mut settings.max_streams_bidi,
            "max_streams_uni" => &mut settings.max_streams_uni,
            "idle_ms" => &mut settings.idle_ms,
            "max_datagram" => &mut settings.max_datagram,
            "max_meta" => &mut settings.max_meta,
            "resumable_ms" => &mut settings.resumable_ms,
            "min_ping_ms" => &mut settings.min_ping_ms,
            "init_max_msgs" => &mut settings.init_max_msgs,
            "max_message" => &mut settings.max_message,
            "ack_every" => &mut settings.ack_every,
            _ => return Err(format!("{name}: no such setting")),
        };
        *field = *value;
    }
    Ok(settings)
}

fn limits(settings: &CaseSettings) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for (name, value) in &settings.limits {
        let (len, time) = (usize::try_from(*value).unwrap_or(usize::MAX), Duration::from_millis(*value));
        match name.as_str() {
            "replay_len_max" => limits.replay_len_max = len,
            "send_buffer_len_max" => limits.send_buffer_len_max = len,
            "stream_window_max" => limits.stream_window_max = *value,
            "session_window_max" => limits.session_window_max = *value,
            "assembly_len_max" => limits.assembly_len_max = *value,
            "control_len_max" => limits.control_len_max = len,
            "datagram_queue_len_max" => limits.datagram_queue_len_max = len,
            "replies_len_max" => limits.replies_len_max = len,
            "preface_timeout" => limits.preface_timeout = time,
            "handshake_timeout" => limits.handshake_timeout = time,
            "refused_timeout" => limits.refused_timeout = time,
            _ => return Err(format!("{name}: no such limit")),
        }
    }
    Ok(limits)
}
