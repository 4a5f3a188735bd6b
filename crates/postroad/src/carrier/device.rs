//! The WebSockets of devices: what they say when they connect, and who is let in.

use crate::options::{ConnectOptions, ListenOptions, config, read_file};
use crate::url::Url;
use crate::{Error, ErrorKind};
use postroad_transport::{CarrierError, ErrorKind as CarrierKind, ws};
use sha2::{Digest, Sha256};
use std::path::Path;
use wrp::Locator;
use wrp::link::{CONVEY, DEVICE_NAME, Hello, MESSAGE_LEN_MAX, PATH, PATHS};

/// The socket is read in pieces of this size: messages of streams are longer than what other protocols read at a time.
const READ_BUFFER_LEN: usize = 64 * 1024;

/// The longest token.
const TOKEN_LEN_MAX: usize = 8 * 1024;

/// Limits of a WebSocket whose messages are those of WRP.
//= WRP-N8
pub(super) fn limits(url: &Url, limits: ws::Limits) -> ws::Limits {
    if !url.stack().is_device_link() {
        return limits;
    }
    let len = url.options().max_message_size.unwrap_or(MESSAGE_LEN_MAX);
    limits.with_message_len_max(len).with_frame_len_max(len).with_read_buffer_len(READ_BUFFER_LEN)
}

/// The headers of a device.
//= WRP-N1, WRP-N3, WRP-N4, WRP-N13
pub(super) async fn client(
    mut client: ws::ClientConfig,
    url: &Url,
    options: &ConnectOptions,
) -> Result<ws::ClientConfig, Error> {
    if !url.stack().is_device_link() {
        return Ok(client);
    }
    let device = url.options().device.as_deref().or(options.device.as_deref());
    let device = device.and_then(|device| device.parse::<Locator>().ok());
    let Some(device) = device.and_then(|device| device.device_id()) else {
        let why = "`device=` names no device";
        return Err(config(why, "give a locator of a device, as in mac:112233445566, uuid:… or serial:…"));
    };
    let token = token_of(url, options).await?;
    for (name, value) in (Hello { device, token, convey: None }).headers() {
        client = client.with_header(name, &value);
    }
    Ok(client)
}

/// Lets devices in that say who they are and, where there are tokens, have one of them.
//= WRP-N1, WRP-N3, WRP-N4
pub(super) async fn server(
    mut server: ws::ServerConfig,
    url: &Url,
    path: &str,
    options: &ListenOptions,
) -> Result<ws::ServerConfig, Error> {
    if !url.stack().is_device_link() {
        return Ok(server);
    }
    if path == PATH {
        server = PATHS.iter().skip(1).fold(server, |server, path| server.with_path(path));
    }
    let tokens = Tokens::of(url, options).await?;
    Ok(server.with_kept_headers([DEVICE_NAME, CONVEY]).with_judge(move |asked| {
        let refuse = |status, why: String| ws::Refuse { status, why };
        let hello = Hello::read(|name| asked.header(name))
            .map_err(|error| refuse(ws::Status::BadRequest, error.to_string()))?;
        match hello.token {
            _ if tokens.is_empty() => Ok(()),
            None => Err(refuse(ws::Status::Unauthorized, "a bearer token is needed".to_owned())),
            Some(token) if tokens.admits(&token) => Ok(()),
            Some(_) => Err(refuse(ws::Status::Unauthorized, "the bearer token lets nobody in".to_owned())),
        }
    }))
}

/// What to do where a server does not let a device in.
pub(super) fn remedy(url: &Url, error: &CarrierError) -> Option<&'static str> {
    if !url.stack().is_device_link() {
        return None;
    }
    match error.kind() {
        CarrierKind::CredentialsRefused => Some(
            "give a token that lets this device in with `token=FILE`, or over wss a certificate with `cert=` and `key=`",
        ),
        CarrierKind::PathRefused => Some("devices connect at /api/v2/device; see whether the server has another path"),
        _ => None,
    }
}

/// The token that this end shows, where it has one. It is read each time, so that a new one is used as soon as it is there.
pub(crate) async fn token_of(url: &Url, options: &ConnectOptions) -> Result<Option<String>, Error> {
    match &url.options().token {
        Some(path) => {
            let first = tokens_of(path).await?.into_iter().next();
            let empty =
                || config(format!("the file of `token=` is empty: `{}`", shown(path)), "write the token into it");
            first.map(Some).ok_or_else(empty)
        }
        None => Ok(options.token.as_ref().map(|token| token.0.clone())),
    }
}

/// The tokens that let others in, as digests: comparing them says nothing about how much of a token was right.
pub(crate) struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    pub(crate) async fn of(url: &Url, options: &ListenOptions) -> Result<Self, Error> {
        let tokens = match &url.options().token {
            Some(path) => tokens_of(path).await?,
            None => options.tokens.iter().map(|token| token.0.clone()).collect(),
        };
        if url.options().token.is_some() && tokens.is_empty() {
            let why = "the file of `token=` is empty, so nobody would get in";
            return Err(config(why, "write tokens into it, one a line"));
        }
        Ok(Self(tokens.iter().map(|token| Sha256::digest(token.as_bytes()).into()).collect()))
    }

    /// True where nobody has to show one.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn admits(&self, token: &str) -> bool {
        self.0.contains(&Sha256::digest(token.as_bytes()).into())
    }
}

fn shown(path: &Path) -> String {
    crate::escape::text(&path.to_string_lossy())
}

/// The tokens of a file, one a line.
async fn tokens_of(path: &Path) -> Result<Vec<String>, Error> {
    let octets = read_file("token", path, "give the path of a file with a bearer token in it").await?;
    let text = String::from_utf8(octets).ok();
    let lines = || text.iter().flat_map(|text| text.lines()).map(str::trim).filter(|line| !line.is_empty());
    let is_token = |line: &str| line.len() <= TOKEN_LEN_MAX && line.bytes().all(|octet| octet.is_ascii_graphic());
    if text.is_none() || !lines().all(is_token) {
        let what = format!("could not use `{}`, the file of `token=`", shown(path));
        return Err(Error::new(ErrorKind::Config, what, "it has a line that is no token")
            .with_remedy("a token is printable ASCII without spaces"));
    }
    Ok(lines().map(str::to_owned).collect())
}
