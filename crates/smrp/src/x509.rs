//! Certificates of the carrier's TLS as credentials: section 8 of the specification.

use crate::credential::method;
use crate::driver::Authenticate;
use crate::{Claim, Grant};
use core::future::{Future, ready};
use core::pin::Pin;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::CN;
use x509_cert::der::{Any, Decode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Octets of a subject.
const SUBJECT_LEN_MAX: usize = 256;

/// Whose certificate it is: of its alternative names the first DNS name, else the first URI, else the first e-mail address; only where it has no
/// alternative names at all, its common name. At most 256 octets, without control characters. `None` where it has no such name, or cannot be read.
///
/// Believes the certificate: it must be one that TLS has verified.
//= SMRP-A12
#[must_use]
pub fn subject_of(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?.tbs_certificate;
    let subject = match certificate.get::<SubjectAltName>().ok()? {
        Some((_, SubjectAltName(names))) => {
            let first = |pick: fn(&GeneralName) -> Option<&str>| names.iter().find_map(pick);
            first(|name| if let GeneralName::DnsName(name) = name { Some(name.as_str()) } else { None })
                .or_else(|| {
                    first(|name| {
                        if let GeneralName::UniformResourceIdentifier(uri) = name { Some(uri.as_str()) } else { None }
                    })
                })
                .or_else(|| {
                    first(|name| if let GeneralName::Rfc822Name(name) = name { Some(name.as_str()) } else { None })
                })?
                .to_owned()
        }
        None => {
            let mut names = certificate.subject.0.iter().flat_map(|part| part.0.iter()).filter(|part| part.oid == CN);
            let name = text_of(&names.next()?.value)?;
            // Of two names nobody could say which one counts.
            if names.next().is_some() {
                return None;
            }
            name
        }
    };
    let is_fine = !subject.is_empty() && subject.len() <= SUBJECT_LEN_MAX && !subject.chars().any(char::is_control);
    is_fine.then_some(subject)
}

fn text_of(value: &Any) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok()?.as_str().to_owned(),
        _ => return None,
    };
    Some(text)
}

/// Lets in whose certificate the carrier's TLS has verified. The subject is that of [`subject_of`]; a certificate without one lets nobody in.
///
/// Which authorities count is what the TLS listener was told.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Certificates;

impl Certificates {
    /// Anything for everybody whose certificate was verified.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// What a claim of method 1 entitles to.
    //= SMRP-A12
    #[must_use]
    pub fn check(&self, claim: &Claim) -> Option<Grant> {
        if claim.method != method::CERTIFICATE {
            return None;
        }
        subject_of(claim.channel.certificate()?).map(Grant::of)
    }
}

impl Authenticate for Certificates {
    fn authenticate<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Option<Grant>> + Send + 'a>> {
        Box::pin(ready(self.check(claim)))
    }
}
