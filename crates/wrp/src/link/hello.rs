//! What a device says when it opens its WebSocket, and how a server reads it.

use crate::{DeviceId, DeviceIdError};
use core::fmt;
use thiserror::Error;

/// Where a device connects.
//= WRP-N1
pub const PATH: &str = "/api/v2/device";

/// Where a server takes devices.
//= WRP-N1
pub const PATHS: [&str; 2] = [PATH, "/api/v3/device"];

/// Who the device is. Required.
pub const DEVICE_NAME: &str = "X-Webpa-Device-Name";

/// What the device is, as [`convey`] writes it.
pub const CONVEY: &str = "X-Webpa-Convey";

/// What the device speaks, as devices of the C client say it.
pub const DEVICE_PROTOCOLS: &str = "X-WebPA-Device-Protocols";

/// What lets the device in.
pub const AUTHORIZATION: &str = "Authorization";

/// Redirects that a device follows before it gives up.
//= WRP-N14
pub const MISDIRECTED_MAX: u32 = 5;

/// What a device says about itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// Who it is.
    pub device: DeviceId,
    /// The bearer token that lets it in.
    pub token: Option<String>,
    /// What it is, as [`convey`] writes it.
    pub convey: Option<String>,
}

/// Shows no token.
impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("device", &self.device)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("convey", &self.convey)
            .finish()
    }
}

/// Why a server does not know who connects.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The header is not there.
    #[error("the request has no {DEVICE_NAME} header: say which device this is, as in mac:112233445566")]
    NoDeviceName,
    /// The header names no device.
    #[error("{DEVICE_NAME} names no device: {0}")]
    DeviceName(#[from] DeviceIdError),
}

impl Hello {
    /// Of a device without token.
    #[must_use]
    pub const fn new(device: DeviceId) -> Self {
        Self { device, token: None, convey: None }
    }

    /// The headers of the request.
    //= WRP-N3, WRP-N4
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![(DEVICE_NAME, self.device.to_string())];
        if let Some(token) = &self.token {
            headers.push((AUTHORIZATION, format!("Bearer {token}")));
        }
        if let Some(convey) = &self.convey {
            headers.push((CONVEY, convey.clone()));
        }
        headers
    }

    /// Who connects, by a way to look up headers.
    ///
    /// # Errors
    /// [`HelloError`]: such a request is answered with 400.
    //= WRP-N3
    pub fn read<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, HelloError> {
        let device = header(DEVICE_NAME).ok_or(HelloError::NoDeviceName)?.parse()?;
        let token = header(AUTHORIZATION).and_then(bearer_token).map(str::to_owned);
        Ok(Self { device, token, convey: header(CONVEY).map(str::to_owned) })
    }
}

/// The token in an `Authorization` header of the scheme `Bearer`, in any case.
//= WRP-N4
#[must_use]
pub fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// What a device is, by name, as it goes into [`CONVEY`].
//= WRP-N5
#[cfg(feature = "json")]
#[must_use]
pub fn convey<'a>(facts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    use base64::Engine as _;
    let object: serde_json::Map<String, serde_json::Value> =
        facts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    base64::engine::general_purpose::STANDARD.encode(serde_json::Value::from(object).to_string())
}

/// What a [`CONVEY`] header says, by name; values that are no text as JSON. `None` where it is no JSON object in base64.
//= WRP-N5
#[cfg(feature = "json")]
#[must_use]
pub fn convey_from(header: &str) -> Option<Vec<(String, String)>> {
    use base64::Engine as _;
    let json = base64::engine::general_purpose::STANDARD.decode(header.trim()).ok()?;
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json).ok()?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Some(object.into_iter().map(|(name, value)| (name, text(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceId {
        "mac:11-22-33-44-55-66".parse().unwrap()
    }

    //= WRP-N3, WRP-N4
    #[test]
    fn what_a_device_says_is_read_by_its_server() {
        let mut hello = Hello::new(device());
        assert_eq!(hello.headers(), [(DEVICE_NAME, "mac:112233445566".to_owned())]);
        hello.token = Some("abc".to_owned());
        hello.convey = Some("e30=".to_owned());
        let headers = hello.headers();
        let header = |name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!(Hello::read(header), Ok(hello.clone()));
        assert!(!format!("{hello:?}").contains("abc"));
        assert_eq!(Hello::read(|_| None), Err(HelloError::NoDeviceName));
        assert!(matches!(Hello::read(|_| Some("mac:1122")), Err(HelloError::DeviceName(_))));
    }

    //= WRP-N4
    #[test]
    fn bearer_tokens_are_told_from_other_credentials() {
        assert_eq!(bearer_token("Bearer abc"), Some("abc"));
        assert_eq!(bearer_token(" bearer  abc "), Some("abc"));
        for other in ["Basic abc", "Bearer", "Bearer ", "abc", ""] {
            assert_eq!(bearer_token(other), None, "{other:?}");
        }
    }

    //= WRP-N5
    #[cfg(feature = "json")]
    #[test]
    fn what_a_device_is_goes_as_json_in_base64() {
        let header = convey([("hw-model", "X1"), ("fw-name", "a\"b")]);
        let read = convey_from(&header).unwrap();
        assert_eq!(read.len(), 2);
        assert!(read.contains(&("fw-name".to_owned(), "a\"b".to_owned())));
        assert_eq!(convey_from("eyJib290LXRpbWUiOjd9"), Some(vec![("boot-time".to_owned(), "7".to_owned())]));
        for wrong in ["", "!", "W10=", "eyI="] {
            assert_eq!(convey_from(wrong), None, "{wrong:?}");
        }
    }
}
