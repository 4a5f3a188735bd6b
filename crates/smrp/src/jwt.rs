//! JSON Web Tokens as credentials: section 8 of the specification.

use crate::config::TOKEN_LEN_MAX;
use crate::credential::method;
use crate::driver::Authenticate;
use crate::keys::PublicKey;
use crate::{Claim, Grant};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::future::{Future, ready};
use core::pin::Pin;
use core::time::Duration;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// How far clocks may differ.
const SKEW_DEFAULT: Duration = Duration::from_secs(60);
const SKEW_MAX: Duration = Duration::from_secs(300);

/// An algorithm that an issuer may use. There is neither `none` nor a symmetric one to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signature {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256.
    Es256,
    /// RSA with SHA-256.
    Rs256,
}

impl Signature {
    const fn algorithm(self) -> Algorithm {
        match self {
            Self::EdDsa => Algorithm::EdDSA,
            Self::Es256 => Algorithm::ES256,
            Self::Rs256 => Algorithm::RS256,
        }
    }
}

/// Why a token is not believed. Says nothing of the token itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// No token, or none that can be read.
    #[error("no token that can be read")]
    Malformed,
    /// Longer than 8,192 octets.
    #[error("a token above the limit")]
    TooLong,
    /// Not one of the issuers.
    #[error("its issuer is not known")]
    Issuer,
    /// Not one of the issuer's algorithms.
    #[error("its algorithm is not one of its issuer's")]
    Algorithm,
    /// No key of the issuer's made the signature.
    #[error("no key of its issuer made its signature")]
    Signature,
    /// `iss`, `aud`, `exp` or `nbf` is missing.
    #[error("a claim that is demanded is missing")]
    Missing,
    /// For somebody else.
    #[error("it is for another audience")]
    Audience,
    /// Too late.
    #[error("it has expired")]
    Expired,
    /// Too early.
    #[error("it is not valid yet")]
    NotYet,
    /// It names a key, and nobody showed that the key is there.
    #[error("it is bound to a key, and was shown without a proof of it")]
    Bound,
    /// It names no key that a proof could be made with, or one of a kind that is not spoken.
    #[error("it is not bound to a key of Ed25519 or P-256")]
    NotBound,
    /// The key that it names did not sign this connection.
    #[error("the key that it is bound to has not signed this connection")]
    Proof,
}

/// Keys that cannot be used.
#[derive(Debug, Error)]
#[error("the keys of {issuer} cannot be read: {why}")]
pub struct KeysError {
    issuer: String,
    why: String,
}

struct Issuer {
    name: String,
    algorithms: Vec<Algorithm>,
    /// Each with its id, where it has one.
    keys: Vec<(Option<String>, DecodingKey)>,
}

/// Who issues the tokens that let initiators in, and for whom the tokens must be.
pub struct Issuers {
    audience: String,
    skew: Duration,
    list: Vec<Issuer>,
}

impl core::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names: Vec<&str> = self.list.iter().map(|issuer| issuer.name.as_str()).collect();
        f.debug_struct("Issuers").field("audience", &self.audience).field("issuers", &names).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<u64>,
    nbf: Option<u64>,
    scope: Option<String>,
    /// Which key the token is bound to. There, whatever it is, as soon as it is named: `null` is no way out of it.
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Issuers {
    /// Nobody yet; tokens must be for `audience`.
    #[must_use]
    pub fn new(audience: impl Into<String>) -> Self {
        Self { audience: audience.into(), skew: SKEW_DEFAULT, list: Vec::new() }
    }

    /// With clocks that may differ by so much, 300 s at most. Default 60 s.
    #[must_use]
    pub fn with_skew(mut self, skew: Duration) -> Self {
        self.skew = skew.min(SKEW_MAX);
        self
    }

    /// With an issuer, the algorithms that it uses, and its keys as a JSON Web Key Set.
    ///
    /// # Errors
    /// [`KeysError`] where the keys cannot be read or there are none.
    pub fn with_issuer(mut self, name: &str, algorithms: &[Signature], jwks: &str) -> Result<Self, KeysError> {
        let failed = |why: String| KeysError { issuer: name.to_owned(), why };
        // What is wrong with a file says where, and not what stands there: it may be the wrong one, with a secret in it.
        let set: Set = serde_json::from_str(jwks).map_err(|error| {
            failed(format!("no set of JSON Web Keys: see line {}, column {}", error.line(), error.column()))
        })?;
        // Those that are not understood are passed over, as RFC 7517 has it: sets have keys for other purposes too.
        let keys: Vec<_> = set
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
            .filter_map(|jwk| Some((jwk.common.key_id.clone(), DecodingKey::from_jwk(&jwk).ok()?)))
            .collect();
        if keys.is_empty() {
            return Err(failed("there are none of a kind that is spoken".to_owned()));
        }
        let algorithms = algorithms.iter().map(|algorithm| algorithm.algorithm()).collect();
        self.list.push(Issuer { name: name.to_owned(), algorithms, keys });
        Ok(self)
    }

    /// What a token entitles whoever has it to, at a time in seconds since 1970.
    ///
    /// # Errors
    /// [`TokenError`]; a token that is bound to a key is refused.
    //= SMRP-A5, SMRP-A6, SMRP-A7
    pub fn check(&self, token: &str, unix_now: u64) -> Result<Grant, TokenError> {
        let claims = self.claims(token)?;
        if claims.cnf.is_some() {
            return Err(TokenError::Bound);
        }
        self.grant(&claims, unix_now)
    }

    /// What a claim entitles to: of method 3 what its token does, of method 4 too where the key that the token is bound to has signed the
    /// connection.
    ///
    /// # Errors
    /// [`TokenError`].
    //= SMRP-A5, SMRP-A7
    pub fn check_claim(&self, claim: &Claim, unix_now: u64) -> Result<Grant, TokenError> {
        let token = claim.token.as_deref().and_then(|token| core::str::from_utf8(token).ok());
        let token = token.ok_or(TokenError::Malformed)?;
        match claim.method {
            method::BEARER => self.check(token, unix_now),
            method::BOUND => {
                let claims = self.claims(token)?;
                let key = key_of(claims.cnf.as_ref(), claim.key.as_deref()).ok_or(TokenError::NotBound)?;
                if !key.proves(claim) {
                    return Err(TokenError::Proof);
                }
                self.grant(&claims, unix_now)
            }
            _ => Err(TokenError::Malformed),
        }
    }

    /// What a token says, its signature checked and nothing else.
    fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(TokenError::TooLong);
        }
        // Who says it issued it decides which keys are tried; nothing else of it is believed before one of them fits.
        let issuer = self.issuer_of(token)?;
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // Nothing that must be understood is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        if !issuer.algorithms.contains(&header.alg) {
            return Err(TokenError::Algorithm);
        }
        let mut validation = Validation::new(header.alg);
        // The claims are checked below, against the time that is handed in.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = issuer
            .keys
            .iter()
            .filter(|(id, _)| header.kid.is_none() || id.is_none() || *id == header.kid)
            .find_map(|(_, key)| decode::<Claims>(token, key, &validation).ok())
            .ok_or(TokenError::Signature)?;
        Ok(claims.claims)
    }

    fn issuer_of(&self, token: &str) -> Result<&Issuer, TokenError> {
        let payload = token.split('.').nth(1).ok_or(TokenError::Malformed)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
        let name = claims.iss.ok_or(TokenError::Missing)?;
        self.list.iter().find(|issuer| issuer.name == name).ok_or(TokenError::Issuer)
    }

    fn grant(&self, claims: &Claims, now: u64) -> Result<Grant, TokenError> {
        let (Some(audience), Some(exp), Some(nbf)) = (&claims.aud, claims.exp, claims.nbf) else {
            return Err(TokenError::Missing);
        };
        let is_for_us = match audience {
            Audience::One(one) => *one == self.audience,
            Audience::Many(many) => many.contains(&self.audience),
        };
        let skew = self.skew.as_secs();
        if !is_for_us {
            return Err(TokenError::Audience);
        }
        if now >= exp.saturating_add(skew) {
            return Err(TokenError::Expired);
        }
        if now.saturating_add(skew) < nbf {
            return Err(TokenError::NotYet);
        }
        let left = Duration::from_secs(exp.saturating_add(skew) - now);
        let mut grant = Grant { subject: claims.sub.clone(), ..Grant::default() }.with_expiry(left);
        if let Some(scope) = &claims.scope {
            grant = grant.with_scopes(scope.split_whitespace().map(str::to_owned).collect());
        }
        Ok(grant)
    }
}

/// The key that `cnf` names: as a JSON Web Key, or by the thumbprint of the one that was shown.
//= SMRP-A7
fn key_of(cnf: Option<&Value>, shown: Option<&[u8]>) -> Option<PublicKey> {
    let cnf = cnf?.as_object()?;
    // Of two ways to name a key one could say another than the other.
    if cnf.len() != 1 {
        return None;
    }
    if let Some(jwk) = cnf.get("jwk") {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let octets = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        return match (text("kty")?, text("crv")?) {
            ("OKP", "Ed25519") => PublicKey::from_ed25519(&octets("x")?).ok(),
            ("EC", "P-256") => PublicKey::from_p256(&octets("x")?, &octets("y")?).ok(),
            _ => None,
        };
    }
    let thumbprint = cnf.get("jkt")?.as_str()?;
    PublicKey::from_spki_der(shown?).ok().filter(|key| thumbprint_of(key) == thumbprint)
}

/// RFC 7638 with SHA-256.
fn thumbprint_of(key: &PublicKey) -> String {
    let octets = key.octets();
    let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    let json = match octets.split_at_checked(32) {
        Some((x, [])) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        Some((x, y)) => format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y)),
        None => return String::new(),
    };
    text(&Sha256::digest(json))
}

impl Authenticate for Issuers {
    fn authenticate<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Option<Grant>> + Send + 'a>> {
        let checked = self.check_claim(claim, unix_now());
        if let Err(error) = &checked {
            tracing::debug!("a token was not believed: {error}");
        }
        Box::pin(ready(checked.ok()))
    }
}

#[allow(clippy::disallowed_methods, reason = "tokens speak of the time of day, which a driver may read")]
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
