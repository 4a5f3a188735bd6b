//! Cases of SMRP, in process and in virtual time: what the peer sends, what the application does, what must come of it.
//!
//! The peer's frames are written and ours are read with the table of section 6.1 of docs/smrp.md and the lists of codes and settings there, not with
//! the codec of the crate `smrp`. A case names which end is under test; without a word it is the acceptor, on a carrier that does not leave the host.
//! Each case runs with the octets of the peer whole, and cut into pieces of 1, 3, 7 and 1,000.
//!
//! | line | meaning |
//! | --- | --- |
//! | `begin`, `begin resumable_ms=60000` | the whole handshake, with these settings of the peer; PINGs of the end under test are answered, and its TICKET is taken |
//! | `greet`, `greet reattaching` | prefaces and HELLOs alone |
//! | `receive preface versions=9,1 security=2` | the peer's preface; also `nonce= parameters= magic=`, and `length= count= cut= extra=` that spoil it |
//! | `receive FRAME field=value FLAG ...` | a frame of the peer: names, fields and flags as in section 6.1, parameters by their names, `#40=0a` by id |
//! | `receive*3 ...` | several times, as any step may be; `stream=0+4` is 4 more each time |
//! | `flight*3 ...` | the same, and all of it is read at once |
//! | `receive flags=40 length=9 cut=1 extra=1 long-length FRAME ...` | a frame that is spoilt: flags besides, another length, a body that is shorter or longer |
//! | `receive UNKNOWN type=f3 body=0102 CRITICAL` | a type that is not in the registry, above fe behind 0xFF |
//! | `receive hex 00 01 ...` | octets |
//! | `sent FRAME field=value ...` | the next thing that goes out; `field=*` is any value, `...` anything more; `sent preface ...` and `sent old FRAME` on the link before too |
//! | `lost FRAME ...` | the same, and it never comes to the peer |
//! | `whatever` | what was sent so far does not matter |
//! | `event EVENT ...` | the next thing that the application is told; `says='text'` is part of what people read |
//! | `do ACTION`, `refused WORD ACTION` | the application acts, and it works, or is refused with that word |
//! | `read 0 'abc'`, `read 0 end`, `read 0 message 'abc'`, `read 0 whole 'abc'`, `read datagram 5 'abc'` | the application takes exactly this |
//! | `closed CODE FRAME` | CLOSE with this code because of this frame, nothing behind it, and the end of the session told |
//! | `cannot-start WORD` | the configuration is refused |
//! | `silent` | nothing was sent, nothing was told |
//! | `wait 30s` | time passes, and what is due happens at its time |
//! | `hold`, `go` | the carrier takes nothing, and takes again |
//! | `end` | the link ends without CLOSE |
//! | `link`, `link security=tls` | the peer opens another link to the acceptor |
//! | `streams 3`, `counted frames_skipped 1` | streams that are there, figures of `Stats` |
//! | `reading`, `not-reading` | whether octets are taken from the carrier |
//! | `hidden 'secret'` | no event so far and no `Debug` form has it |
//!
//! Numbers are decimal, `0x` hexadecimal, or `max` for 2^62 - 1; `position` is that of the one who says it; `ticket` is the handle that came last, `ticket1`
//! the first. Of an OPEN, `kind=octets` is the default, as are urgency 3 and incremental; its opposite is `sequential`.
//!
//! What was sent or told and no line expects is a failure at the end.

mod actions;
mod body;
mod end;
mod events;
mod expecting;
pub(crate) mod frames;
mod links;
pub(crate) mod peer;
mod proof;
mod run;
mod tables;

use serde::Deserialize;
use std::collections::BTreeMap;

pub use run::run;

/// The end under test, as far as it differs from an acceptor with the defaults of the crate on a carrier that does not leave the host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// `acceptor` or `initiator`.
    pub role: Option<String>,
    /// `plaintext`, `tls` or `inner`.
    pub security: Option<String>,
    /// True where the carrier leaves the host.
    pub leaves_host: bool,
    /// True where TLS 1.3 gives an exporter.
    pub binding: bool,
    /// True where TLS has verified a certificate of the peer.
    pub certificate: bool,
    /// Of the acceptor: the initiator has to say who it is.
    pub demands_auth: bool,
    /// Of the initiator: its token.
    pub token: Option<String>,
    /// Of the initiator: `certificate`, or `key`, which proves the token where there is one.
    pub shows: Option<String>,
    /// True where wasted work is only counted.
    pub observes: bool,
    /// True where grease is sent.
    pub grease: bool,
    /// Octets that it may hold together with others.
    pub budget: Option<u64>,
    /// Its software, where it says so.
    pub agent: Option<String>,
    /// What it declares, by name.
    pub settings: BTreeMap<String, u64>,
    /// True where cutting what comes changes what happens, as where it matters how much is read at once.
    pub uncut: bool,
}
