//! Who gets into the sessions of a listener, and what an initiator shows.

use crate::carrier::device::{Tokens, token_of};
use crate::options::{ConnectOptions, ListenOptions, config, read_file};
use crate::url::Url;
use crate::{Error, ErrorKind};
use postroad_transport::Carrier;
use smrp::x509::Certificates;
use smrp::{Acceptor, BINDING_LABEL, Channel, Claim, Credential, Dial, Grant};
use std::path::Path;

/// The method of AUTH whose tokens are good for whoever has them.
const BEARER: u8 = 3;

/// What the carrier knows of its connection. An initiator has no use for the certificate of the other end, which TLS has checked.
pub(super) fn channel_of(carrier: &Carrier, accepts: bool) -> Channel {
    let mut channel = Channel::default();
    if let Some(binding) = carrier.export_keying_material(BINDING_LABEL, None) {
        channel = channel.with_binding(binding);
    }
    match carrier.peer_certificate_der().filter(|_| accepts) {
        Some(der) => channel.with_certificate(der.to_vec()),
        None => channel,
    }
}

/// What is shown at first: a token, else a certificate where there is one to show, else nothing.
pub(super) async fn credential(url: &Url, options: &ConnectOptions) -> Result<Credential, Error> {
    let said = url.options();
    for (name, is_there) in listener_options(url) {
        if is_there {
            return Err(config(format!("`{name}=` is for listeners"), "a client shows its token with `token=FILE`"));
        }
    }
    if let Some(token) = token_of(url, options).await? {
        return Ok(Credential::Bearer(token));
    }
    let has_certificate = said.cert.is_some() || options.identity.is_some();
    Ok(if has_certificate && url.transport().is_tls() { Credential::Certificate } else { Credential::None })
}

/// Reads the file of `token=` again for each connection, and before what the other end granted ends.
pub(super) fn renewing(dial: Dial, url: &Url, options: &ConnectOptions) -> Dial {
    if url.options().token.is_none() {
        return dial;
    }
    let (url, options) = (url.clone(), options.clone());
    dial.with_credentials(move || {
        let (url, options) = (url.clone(), options.clone());
        async move {
            let token = token_of(&url, &options).await.map_err(std::io::Error::other)?;
            Ok(token.map_or(Credential::None, Credential::Bearer))
        }
    })
}

fn listener_options(url: &Url) -> [(&'static str, bool); 3] {
    let said = url.options();
    [("jwks", said.jwks.is_some()), ("issuer", said.issuer.is_some()), ("audience", said.audience.is_some())]
}

/// The acceptor with whoever decides about its initiators: tokens in a list, tokens of an issuer, else certificates where the listener asks for
/// some, else nobody.
pub(super) async fn guarded(acceptor: Acceptor, url: &Url, options: &ListenOptions) -> Result<Acceptor, Error> {
    let said = url.options();
    if let (Some(file), Some(issuer), Some(audience)) = (&said.jwks, &said.issuer, &said.audience) {
        if said.token.is_some() {
            return Err(config("`token=` and `jwks=` both say who gets in", "leave one of them out"));
        }
        return issued(acceptor, file, issuer, audience).await;
    }
    let listed = listener_options(url);
    if let (Some((there, _)), Some((missing, _))) =
        (listed.iter().find(|(_, is_there)| *is_there), listed.iter().find(|(_, is_there)| !is_there))
    {
        let why = format!("`{there}=` is there and `{missing}=` is not");
        return Err(config(
            why,
            "give all of `jwks=FILE`, `issuer=` and `audience=`: none of them means anything alone",
        ));
    }
    let tokens = Tokens::of(url, options).await?;
    if !tokens.is_empty() {
        return Ok(acceptor.with_authentication(move |claim: &Claim| {
            let token = claim.token.as_deref().filter(|_| claim.method == BEARER)?;
            tokens.admits(core::str::from_utf8(token).ok()?).then(Grant::default)
        }));
    }
    let asks_for_certificates = said.client_ca.is_some() || options.client_ca.is_some();
    Ok(match asks_for_certificates && url.transport().is_tls() {
        true => acceptor.with_authentication(Certificates::new()),
        false => acceptor,
    })
}

#[cfg(feature = "jwt")]
async fn issued(acceptor: Acceptor, file: &Path, issuer: &str, audience: &str) -> Result<Acceptor, Error> {
    use smrp::jwt::{Issuers, Signature};
    const REMEDY: &str = "give the file of the issuer's JSON Web Key Set, with keys of Ed25519, P-256 or RSA";
    let failed = |why: String| {
        let what = format!("could not use `{}`, the file of `jwks=`", crate::escape::text(&file.to_string_lossy()));
        Error::new(ErrorKind::Config, what, why).with_remedy(REMEDY)
    };
    let octets = read_file("jwks", file, REMEDY).await?;
    let text = String::from_utf8(octets).map_err(|_| failed("it is no text".to_owned()))?;
    let algorithms = [Signature::EdDsa, Signature::Es256, Signature::Rs256];
    let issuers = Issuers::new(audience).with_issuer(issuer, &algorithms, &text);
    issuers.map(|issuers| acceptor.with_authentication(issuers)).map_err(|error| failed(error.to_string()))
}

#[cfg(not(feature = "jwt"))]
async fn issued(_: Acceptor, file: &Path, _: &str, _: &str) -> Result<Acceptor, Error> {
    const REMEDY: &str = "build with the feature `jwt` of postroad, or use `token=FILE`";
    read_file("jwks", file, REMEDY).await?;
    let why = "this program was built without JSON Web Tokens";
    Err(Error::new(ErrorKind::Unsupported, "`jwks=` cannot be used", why).with_remedy(REMEDY))
}
