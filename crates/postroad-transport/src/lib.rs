#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod accept;
mod address;
#[cfg(feature = "dev-certs")]
pub mod dev_certs;
mod error;
#[cfg(any(feature = "tcp", feature = "memory", all(unix, feature = "unix")))]
mod forward;
#[cfg(any(feature = "tcp", all(unix, feature = "unix")))]
pub mod guard;
#[cfg(any(feature = "tls", feature = "ws"))]
mod limit;
#[cfg(any(feature = "tcp", feature = "memory", all(unix, feature = "unix")))]
mod listener;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(all(target_os = "linux", feature = "raw-ip"))]
pub mod raw;
#[cfg(any(feature = "tls", feature = "ws"))]
mod refuse;
#[cfg(all(target_os = "linux", any(feature = "raw-ip", feature = "udp")))]
mod sockets;
#[cfg(any(feature = "tcp", feature = "memory", all(unix, feature = "unix")))]
mod stream;
#[cfg(feature = "memory")]
mod sync;
#[cfg(feature = "tcp")]
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "udp")]
pub mod udp;
#[cfg(all(unix, feature = "unix"))]
pub mod unix;
#[cfg(feature = "ws")]
pub mod ws;

pub use address::PeerAddr;
pub use error::{CarrierError, ErrorKind, Speaks};
#[cfg(any(feature = "tcp", feature = "memory", all(unix, feature = "unix")))]
pub use listener::{CarrierListener, Pending};
#[cfg(any(feature = "tcp", feature = "memory", all(unix, feature = "unix")))]
pub use stream::Carrier;
