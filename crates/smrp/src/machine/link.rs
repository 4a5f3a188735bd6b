//! What belongs to one link and is gone with it.

use crate::config::Config;
use crate::credential::{Channel, Credential};
use crate::wire::{Frame, ParametersBuilder, Preface, Security, VERSION_1, preface_hash};
use crate::{Role, Settings};
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use wirekit::Instant;

/// How far a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The peer's preface is awaited.
    Preface,
    /// The peer's HELLO is awaited.
    Hello,
    /// Of the acceptor: AUTH is awaited, and demanded.
    Auth,
    /// Of the acceptor: the application decides about AUTH or REATTACH; nothing is read.
    Deciding,
    /// Of the initiator: REATTACH was sent.
    Reattaching,
    /// Session frames flow.
    Established,
    /// CLOSE was written, or the link is lost: nothing is read or written.
    Over,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stage: Stage,
    /// Where it was before the application decided.
    pub(crate) decided_from: Stage,
    pub(crate) channel: Channel,
    /// Link frames and the preface, as they go out.
    pub(crate) out: BytesMut,
    /// Our preface as it was sent; empty once it was hashed.
    pub(crate) our_preface: Bytes,
    pub(crate) preface_hash_expected: Option<[u8; 32]>,
    pub(crate) opened_at: Instant,
    pub(crate) heard_at: Instant,
    /// A PING that waits for its answer, and since when.
    pub(crate) ping: Option<(u64, Instant)>,
    pub(crate) ping_count: u64,
    /// When we last asked.
    pub(crate) ping_at: Instant,
    /// The newest PING of the peer that was not answered.
    pub(crate) pong: Option<u64>,
    pub(crate) pinged_at: Option<Instant>,
    /// The position last told by SESSION_ACK.
    pub(crate) told: u64,
    /// Nothing is read before this.
    pub(crate) paused_until: Option<Instant>,
    pub(crate) auth_failures: u8,
    /// AUTH was answered, or none is demanded.
    pub(crate) is_authenticated: bool,
    /// Session frames came or went on this link.
    pub(crate) has_session_frames: bool,
    /// Of the initiator: a credential was shown, and nobody has said what came of it.
    pub(crate) awaits_auth: bool,
    /// Of the initiator: AUTH waits for its answer.
    pub(crate) auth_is_out: bool,
    /// Of the initiator: the credential is another one by now.
    pub(crate) auth_again: bool,
    /// The initiator's HELLO says that REATTACH follows.
    pub(crate) is_reattaching: bool,
    pub(crate) epoch: u64,
    /// Chunks of the session that have to go out again first.
    pub(crate) again: Vec<Bytes>,
    settings_at: [Option<Instant>; SETTINGS_PER_MINUTE],
    settings_next: usize,
}

/// SETTINGS that a peer may send in a minute.
//= SMRP-X8
const SETTINGS_PER_MINUTE: usize = 8;

impl Link {
    pub(crate) fn new(now: Instant, channel: Channel) -> Self {
        Self {
            stage: Stage::Preface,
            decided_from: Stage::Auth,
            channel,
            out: BytesMut::new(),
            our_preface: Bytes::new(),
            preface_hash_expected: None,
            opened_at: now,
            heard_at: now,
            ping: None,
            ping_count: 0,
            ping_at: now,
            pong: None,
            pinged_at: None,
            told: 0,
            paused_until: None,
            auth_failures: 0,
            is_authenticated: false,
            has_session_frames: false,
            awaits_auth: false,
            auth_is_out: false,
            auth_again: false,
            is_reattaching: false,
            epoch: 0,
            again: Vec::new(),
            settings_at: [None; SETTINGS_PER_MINUTE],
            settings_next: 0,
        }
    }

    pub(crate) fn put(&mut self, frame: &Frame) {
        frame.encode(&mut self.out);
    }

    /// Of the initiator: everything of the first flight that does not depend on the peer.
    //= SMRP-P5, SMRP-P11, SMRP-S1, SMRP-S6
    pub(crate) fn greet(&mut self, config: &Config, settings: &Settings, nonce: [u8; 16], is_reattaching: bool) {
        self.is_reattaching = is_reattaching;
        let mut versions = vec![VERSION_1];
        if config.sends_grease {
            versions.push(0x0A0A_0A0A | u32::from(nonce[0] & 0xF0) << 8 | u32::from(nonce[1] & 0xF0));
        }
        let preface = self.preface(config.security, versions, nonce);
        self.our_preface = preface.clone();
        self.hello(config, settings, &[&preface], nonce);
        self.awaits_auth = self.put_auth(&config.credential);
    }

    /// Shows a credential, unless it is none. While one waits for its answer the next one does too.
    //= SMRP-A1
    pub(crate) fn put_auth(&mut self, credential: &Credential) -> bool {
        let Some(frame) = credential.auth(&self.channel) else { return false };
        self.auth_again = self.auth_is_out;
        if !core::mem::replace(&mut self.auth_is_out, true) {
            self.put(&frame);
        }
        true
    }

    pub(crate) fn preface(&mut self, security: Security, versions: Vec<u32>, nonce: [u8; 16]) -> Bytes {
        let parameters = ParametersBuilder::new().build();
        let preface = Preface { versions, security, nonce, parameters }.encode();
        self.out.extend_from_slice(&preface);
        preface
    }

    //= SMRP-P11, SMRP-C7, SMRP-F8
    pub(crate) fn hello(&mut self, config: &Config, settings: &Settings, prefaces: &[&[u8]], nonce: [u8; 16]) {
        self.put(&Frame::Hello(settings.to_parameters(&preface_hash(prefaces), self.is_reattaching)));
        if config.sends_grease {
            let body = Bytes::copy_from_slice(nonce.get(..usize::from(nonce[2] % 8)).unwrap_or_default());
            let number = 0xF0 + u64::from(nonce[3] % 15);
            self.put(&Frame::Unknown { number, flags: nonce[4] & 0x3F, body });
        }
    }

    /// Of a link that another session began, with another clock.
    pub(crate) fn forget_times(&mut self, now: Instant) {
        self.opened_at = now;
        self.heard_at = now;
        self.ping = None;
        self.pinged_at = None;
        self.paused_until = None;
        self.settings_at = [None; SETTINGS_PER_MINUTE];
    }

    /// What the acceptor's HELLO must have hashed.
    pub(crate) fn expect_hash(&mut self, role: Role, theirs: &[u8]) {
        let ours = core::mem::take(&mut self.our_preface);
        self.preface_hash_expected = Some(match role {
            Role::Initiator => preface_hash(&[&ours, theirs]),
            Role::Acceptor => preface_hash(&[theirs]),
        });
    }

    /// False where SETTINGS come too often.
    pub(crate) fn counts_settings(&mut self, now: Instant) -> bool {
        let Some(slot) = self.settings_at.get_mut(self.settings_next) else { return true };
        let is_fine = slot.is_none_or(|then| now.saturating_since(then) >= Duration::from_secs(60));
        *slot = Some(now);
        self.settings_next = (self.settings_next + 1) % SETTINGS_PER_MINUTE;
        is_fine
    }
}
