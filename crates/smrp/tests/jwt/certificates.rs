//! Certificates that TLS has verified.

use crate::{Key, channel, forged, shown};
use rcgen::{CertificateParams, DistinguishedName, DnType, SanType};
use smrp::x509::{Certificates, subject_of};
use smrp::{Channel, Credential};

fn certificate(names: &[SanType], common_names: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names.to_vec();
    params.distinguished_name = DistinguishedName::new();
    for name in common_names {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    params.distinguished_name.push(DnType::OrganizationName, "not this one");
    params.self_signed(&Key::p256().pair).unwrap().der().to_vec()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn mail(name: &str) -> SanType {
    SanType::Rfc822Name(name.try_into().unwrap())
}

#[test]
fn the_subject_is_the_best_name_that_there_is() {
    //= SMRP-A12
    let subject = |names: &[SanType]| subject_of(&certificate(names, &["common"]));
    let expect = |name: &str| Some(name.to_owned());
    assert_eq!(subject(&[]), expect("common"));
    assert_eq!(subject(&[mail("a@b.example")]), expect("a@b.example"));
    assert_eq!(subject(&[mail("a@b.example"), uri("smrp:robot7")]), expect("smrp:robot7"));
    assert_eq!(subject(&[uri("smrp:robot7"), dns("one.example"), dns("two.example")]), expect("one.example"));
    // Names that are there and none that counts: the common name is not believed beside them.
    assert_eq!(subject(&[SanType::IpAddress([10, 0, 0, 1].into())]), None);
    assert_eq!(subject_of(&certificate(&[], &[])), None);
}

#[test]
fn names_that_could_fool_somebody_are_none() {
    //= SMRP-A12
    let common = |name: &str| subject_of(&certificate(&[], &[name]));
    assert_eq!(common(""), None);
    assert_eq!(common("robot7\nroot"), None);
    assert_eq!(common("robot7\0.example"), None);
    assert_eq!(common(&"x".repeat(256)).map(|name| name.len()), Some(256));
    assert_eq!(common(&"x".repeat(257)), None);
}

#[test]
fn octets_that_are_no_certificate_have_no_subject() {
    //= SMRP-A12
    let good = certificate(&[dns("one.example"), uri("smrp:x")], &["common"]);
    for len in 0..good.len() {
        assert_eq!(subject_of(&good[..len]), None, "{len}");
    }
    // One octet changed, anywhere: another name or none, and no panic.
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x55;
        drop(subject_of(&changed));
    }
}

#[test]
fn the_certificate_of_the_carrier_lets_in_and_its_absence_does_not() {
    //= SMRP-A12
    let with = Channel::default().with_certificate(certificate(&[dns("robot7.example")], &[]));
    let claim = shown(Credential::Certificate, &with);
    let grant = Certificates::new().check(&claim).unwrap();
    assert_eq!(grant.subject.as_deref(), Some("robot7.example"));
    assert!(forged(1, &[], &channel(1)).is_none(), "nobody is asked");
    let nameless = Channel::default().with_certificate(certificate(&[], &[]));
    assert_eq!(Certificates::new().check(&shown(Credential::Certificate, &nameless)), None);
    // A token beside the certificate is another method.
    let token = shown(Credential::Bearer("t".to_owned()), &with);
    assert_eq!(Certificates::new().check(&token), None);
}
