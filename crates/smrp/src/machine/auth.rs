//! Who the initiator is: AUTH and its answer.

use super::SessionMachine;
use super::event::{Event, Grant};
use super::ledger::Charge;
use super::link::Stage;
use crate::Role;
use crate::access::{Access, SCOPES_MAX};
use crate::credential::{Claim, Credential, method};
use crate::error::ConfigError;
use crate::wire::{Code, Frame, Parameters, ParametersBuilder, number, parameter};
use core::time::Duration;
use std::sync::Arc;
use wirekit::Instant;

/// AUTH in a row that may fail before the link is closed.
const AUTH_FAILURES_MAX: u8 = 5;

impl SessionMachine {
    //= SMRP-A1, SMRP-A2, SMRP-A11, SMRP-X1
    pub(super) fn on_auth(&mut self, parameters: &Parameters, method: u8) {
        if self.role == Role::Initiator {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::AUTH, "AUTH from the acceptor");
        }
        self.ledger.charge(Charge::Auth);
        // Nobody demands anything, and nothing secret was shown.
        if !self.config.demands_auth && matches!(method, method::NONE | method::CERTIFICATE) {
            return self.put_result(Code::NO_ERROR, ParametersBuilder::new());
        }
        let claim = Claim::of(method, parameters, self.link.channel.clone());
        //= SMRP-A6
        if claim.token.as_ref().is_some_and(|token| token.len() > crate::config::TOKEN_LEN_MAX) {
            return self.fail_rule(Code::AUTH_FAILED, number::AUTH, "a token above the limit");
        }
        self.link.decided_from = self.link.stage;
        self.link.stage = Stage::Deciding;
        if claim.is_whole() { self.events.push_back(Event::Authenticate(Box::new(claim))) } else { self.auth_refused() }
    }

    fn put_result(&mut self, code: Code, parameters: ParametersBuilder) {
        self.link.put(&Frame::AuthResult { code, parameters: parameters.build() });
    }

    /// Answers [`Event::Authenticate`]: what the initiator may do, or that it is not believed.
    //= SMRP-A3, SMRP-A14
    pub fn authenticated(&mut self, now: Instant, grant: Option<Grant>) {
        let now = self.at(now);
        if self.link.stage != Stage::Deciding || self.end.is_some() {
            return;
        }
        // Streams that one identity opened do not become those of another.
        let is_same = |grant: &Grant| !self.access.was_granted || self.access.subject() == grant.subject.as_deref();
        match grant.filter(is_same) {
            Some(grant) => self.granted(now, &grant),
            None => self.auth_refused(),
        }
    }

    fn auth_refused(&mut self) {
        self.link.auth_failures += 1;
        self.ledger.charge(Charge::AuthFailed);
        self.put_result(Code::AUTH_FAILED, ParametersBuilder::new());
        if self.link.auth_failures >= AUTH_FAILURES_MAX {
            return self.fail_rule(Code::AUTH_FAILED, number::AUTH, "too many credentials that are not believed");
        }
        self.link.stage = self.link.decided_from;
    }

    fn granted(&mut self, now: Instant, grant: &Grant) {
        let mut list = ParametersBuilder::new();
        if let Some(subject) = &grant.subject {
            list = list.with(parameter::SUBJECT, subject.as_bytes());
        }
        for scope in grant.scopes.iter().flatten().take(SCOPES_MAX) {
            list = list.with(parameter::SCOPE, scope.as_bytes());
        }
        if let Some(after) = grant.expires_after {
            list = list.with_number(parameter::EXPIRES_MS, u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        }
        self.put_result(Code::NO_ERROR, list);
        self.access = Access::of(grant, &self.access, now);
        self.expires_at = grant.expires_after.map(|after| now + after);
        self.link.auth_failures = 0;
        self.link.is_authenticated = true;
        if self.link.decided_from == Stage::Auth {
            self.establish(now)
        } else {
            self.link.stage = self.link.decided_from
        }
    }

    pub(super) fn on_auth_result(&mut self, now: Instant, code: Code, parameters: &Parameters) {
        if self.role == Role::Acceptor {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::AUTH_RESULT, "AUTH_RESULT from the initiator");
        }
        if !core::mem::take(&mut self.link.auth_is_out) {
            return self.fail_rule(Code::PROTOCOL_VIOLATION, number::AUTH_RESULT, "AUTH_RESULT without AUTH");
        }
        if core::mem::take(&mut self.link.auth_again) {
            let config = self.config.clone();
            self.link.put_auth(&config.credential);
        }
        if code != Code::NO_ERROR {
            self.events.push_back(Event::AuthRefused(code));
            //= SMRP-A19
            if self.link.stage == Stage::Reattaching {
                self.link_lost(now);
            }
            return;
        }
        let subject = parameters.get(parameter::SUBJECT);
        let subject = subject.and_then(|text| core::str::from_utf8(&text).ok().map(str::to_owned));
        let expires_after = parameters.number(parameter::EXPIRES_MS).flatten().map(Duration::from_millis);
        self.expires_at = expires_after.map(|after| now + after);
        if core::mem::take(&mut self.link.awaits_auth) && self.epoch == 0 {
            self.events.push_back(Event::Established);
        }
        self.events.push_back(Event::Authenticated { subject, expires_after });
    }

    /// Takes another credential for the links to come.
    ///
    /// # Errors
    /// [`ConfigError`] where it must not be shown on the carrier that the session has; the one before stays.
    pub fn set_credential(&mut self, credential: Credential) -> Result<(), ConfigError> {
        credential.check(self.config.security, self.config.is_local, &self.link.channel)?;
        self.replace_credential(credential);
        Ok(())
    }

    fn replace_credential(&mut self, credential: Credential) {
        let mut config = self.config.as_ref().clone();
        config.credential = credential;
        self.config = Arc::new(config);
    }

    /// Shows another credential, now where there is a link, and on the links to come.
    ///
    /// # Errors
    /// As [`set_credential`](Self::set_credential).
    //= SMRP-A10, SMRP-A18
    pub fn authenticate(&mut self, credential: Credential) -> Result<(), ConfigError> {
        self.set_credential(credential)?;
        if self.role == Role::Initiator && self.end.is_none() && self.link.stage != Stage::Over {
            let config = self.config.clone();
            self.link.put_auth(&config.credential);
        }
        Ok(())
    }
}
