//! What a failure of rustls means to the person who reads the message.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use crate::error::{CarrierError, ErrorKind, Speaks};

/// The carrier error for a failed read, write or handshake. `peer_was_heard` tells whether any byte of the peer came.
pub(super) fn from_io(
    action: &'static str,
    address: &dyn fmt::Display,
    error: io::Error,
    handshake: Option<Handshake>,
) -> CarrierError {
    if let Some(inner) = CarrierError::from_io(&error) {
        return inner.clone().at(address);
    }
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return from_tls(action, tls.clone(), handshake.is_some()).at(address);
    }
    let hung_up = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    );
    match handshake {
        Some(Handshake { we_are_client: true, peer_was_heard: false }) if hung_up => {
            CarrierError::mismatch(Speaks::Tls, None).at(address).caused_by(error)
        }
        Some(_) if hung_up => CarrierError::new(ErrorKind::Handshake, action, "peer hung up during the TLS handshake")
            .at(address)
            .caused_by(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            CarrierError::new(ErrorKind::Truncated, action, "peer ended the connection without closing TLS")
                .at(address)
                .remedy_is("treat what came as incomplete: it may have been cut on the way")
        }
        _ => CarrierError::io(action, error).at(address),
    }
}

/// How far a handshake had come when it failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handshake {
    pub(super) we_are_client: bool,
    pub(super) peer_was_heard: bool,
}

fn from_tls(action: &'static str, error: rustls::Error, in_handshake: bool) -> CarrierError {
    use rustls::Error as E;
    let (kind, cause) = match &error {
        E::InvalidCertificate(certificate) => {
            (certificate_kind(certificate), format!("the certificate of the peer is refused: {certificate}"))
        }
        E::NoCertificatesPresented => {
            (ErrorKind::CertificateRequired, "the peer gave no client certificate".to_owned())
        }
        E::AlertReceived(alert) => (alert_kind(*alert), format!("the peer refused with the TLS alert {alert:?}")),
        E::NoApplicationProtocol => (ErrorKind::NoCommonProtocol, "no application protocol in common".to_owned()),
        E::PeerIncompatible(why) => (ErrorKind::NoCommonProtocol, format!("the ends have no TLS in common: {why:?}")),
        E::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
            if in_handshake =>
        {
            return CarrierError::mismatch(Speaks::Tls, Some(Speaks::Plain)).caused_by(error);
        }
        _ if in_handshake => (ErrorKind::Handshake, format!("the TLS handshake failed: {error}")),
        _ => (ErrorKind::Protocol, format!("the peer broke TLS: {error}")),
    };
    CarrierError::new(kind, action, cause).caused_by(error)
}

fn certificate_kind(error: &CertificateError) -> ErrorKind {
    use CertificateError as C;
    match error {
        C::UnknownIssuer => ErrorKind::CertificateUnknownIssuer,
        C::NotValidForName | C::NotValidForNameContext { .. } => ErrorKind::CertificateWrongName,
        C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
            ErrorKind::CertificateExpired
        }
        _ => ErrorKind::Certificate,
    }
}

fn alert_kind(alert: AlertDescription) -> ErrorKind {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => ErrorKind::CertificateRequired,
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => ErrorKind::Certificate,
        A::NoApplicationProtocol | A::ProtocolVersion | A::InsufficientSecurity => ErrorKind::NoCommonProtocol,
        _ => ErrorKind::Handshake,
    }
}
