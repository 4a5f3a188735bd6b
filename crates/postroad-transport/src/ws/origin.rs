//! Which browser pages may open a WebSocket. Browsers let any page try, and say which page it is; so the server must ask.

use tokio_tungstenite::tungstenite::http::uri::Authority;
use tokio_tungstenite::tungstenite::http::{HeaderMap, Uri};

/// Who is let in besides programs, which send no `Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origins {
    /// Pages of these origins, and of the host that was asked for.
    These(Vec<String>),
    /// Every page.
    Any,
}

impl Default for Origins {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl Origins {
    pub(super) fn allow(&self, headers: &HeaderMap) -> bool {
        let Self::These(allowed) = self else { return true };
        let mut origins = headers.get_all("Origin").iter();
        let (origin, more) = (origins.next(), origins.next());
        let Some(origin) = origin else { return true };
        // Two origins are nobody's honest request.
        let (Ok(origin), None) = (origin.to_str(), more) else { return false };
        allowed.iter().any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(origin))
            || same_host(origin, headers)
    }
}

/// Whether the page came from the host (and port) that this request asks for.
fn same_host(origin: &str, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all("Host").iter();
    let (Some(Ok(host)), None) = (hosts.next().map(|host| host.to_str()), hosts.next()) else { return false };
    let (Ok(origin), Ok(host)) = (origin.parse::<Uri>(), host.parse::<Authority>()) else { return false };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let Some(page) = origin.authority() else { return false };
    page.host().eq_ignore_ascii_case(host.host())
        && page.port_u16().unwrap_or(default_port) == host.port_u16().unwrap_or(default_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        origins.allow(&map)
    }

    #[test]
    fn only_programs_and_pages_of_the_same_host_pass_by_default() {
        let default = Origins::default();
        let host = ("host", "example.org:8080");
        assert!(allowed(&default, &[host]));
        assert!(allowed(&default, &[host, ("origin", "http://example.org:8080")]));
        assert!(allowed(&default, &[host, ("origin", "http://EXAMPLE.org:8080")]));
        assert!(allowed(&default, &[("host", "example.org"), ("origin", "https://example.org:443")]));
        for origin in [
            "http://evil.example",
            "http://example.org",
            "http://example.org:8081",
            "http://example.org.evil:8080",
            "null",
            "",
            "file://example.org:8080",
        ] {
            assert!(!allowed(&default, &[host, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn two_origins_or_no_host_are_refused() {
        let page = ("origin", "http://example.org");
        assert!(!allowed(&Origins::default(), &[("host", "example.org"), page, page]));
        assert!(!allowed(&Origins::default(), &[page]));
    }

    #[test]
    fn named_origins_pass_and_any_means_any() {
        let these = Origins::These(vec!["https://app.example/".to_owned()]);
        assert!(allowed(&these, &[("host", "h"), ("origin", "https://app.example")]));
        assert!(!allowed(&these, &[("host", "h"), ("origin", "https://app.example.evil")]));
        assert!(allowed(&Origins::Any, &[("host", "h"), ("origin", "https://evil.example")]));
    }
}
