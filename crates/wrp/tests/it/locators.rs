//! Locators beyond what the vectors have.

use wrp::{DeviceId, Locator, Message, Scheme};

//= WRP-D1, WRP-D3
#[test]
fn white_space_goes_around_the_text_and_the_authority_and_stays_in_a_service() {
    let locator: Locator = "\u{3000}serial: a b / svc / x\n".parse().unwrap();
    assert_eq!((locator.scheme(), locator.authority()), (Scheme::Serial, "a b"));
    assert_eq!((locator.service(), locator.ignored()), (" svc ", "/ x"));
    assert!("mac :112233445566".parse::<Locator>().is_err(), "none before the colon");
}

//= WRP-D6, WRP-D8
#[test]
fn a_device_has_no_service_and_self_no_authority() {
    let id: DeviceId = "MAC:AA-BB-CC-DD-EE-FF/config".parse().unwrap();
    assert_eq!((id.to_string(), id.authority()), ("mac:aabbccddeeff".to_owned(), "aabbccddeeff"));
    assert_eq!("self:/x".parse::<DeviceId>().unwrap().to_string(), "self:");
    let refused = "self:x".parse::<DeviceId>().unwrap_err().to_string();
    assert_eq!(refused, "\"self:x\" is no device: self: has no authority; a service is behind a `/`");
}

//= WRP-D5
#[test]
fn messages_name_the_device_that_they_come_from() {
    let from = |source: &str| Message { source: source.into(), ..Message::default() }.source_device();
    assert_eq!(from("mac:112233445566/x").unwrap().to_string(), "mac:112233445566");
    assert_eq!(from("dns:example.com"), None);
    assert_eq!(from("talaria"), None);
}

/// What comes from a peer is cut before it is shown.
//= WRP-L1
#[test]
fn errors_show_the_beginning_of_a_long_text() {
    let refused = "x".repeat(1_000_000).parse::<Locator>().unwrap_err().to_string();
    assert!(refused.len() < 250, "{}", refused.len());
}
