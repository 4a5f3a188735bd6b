//! Cases over real sockets, against any implementation that plays the echo role: `docs/guide/conformance.md` says what that is.
//!
//! Nothing here uses the protocol code under test: what goes out and what comes back is made and read by codecs of the runner's own.

pub mod carriers;
pub mod case;
pub mod exceptions;
pub mod link;
pub mod ours;
pub mod pack;
pub mod packets;
pub mod run;
pub mod smp;
pub mod smp121;
pub mod smrp;
pub mod target;
pub mod tls;
pub mod wrp;
pub mod ws;
