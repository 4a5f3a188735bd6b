//! Everybody else.

pub(super) mod bare;
pub(super) mod delimited;
pub(super) mod http2;
pub(super) mod tungstenite;
pub(super) mod yamux;
