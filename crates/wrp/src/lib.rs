#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod builder;
mod decode;
mod encode;
mod error;
mod field;
#[cfg(feature = "json")]
mod json;
mod limits;
pub mod link;
mod list;
mod locator;
mod message;
mod message_type;
mod metadata;
mod qos;
#[cfg(feature = "serde")]
mod serde_form;
mod validate;

pub use builder::{Builder, Crud, Event, Request};
pub use decode::MessageRef;
pub use error::{DecodeError, DecodeErrorKind, Expected, LimitExceeded};
pub use field::{Field, Kind, Rule};
#[cfg(feature = "json")]
pub use json::JsonError;
pub use limits::Limits;
pub use list::{TextList, TextMap};
pub use locator::{DeviceId, DeviceIdError, Locator, LocatorError, Scheme};
pub use message::Message;
pub use message_type::MessageType;
pub use qos::{Qos, QosLevel};
pub use validate::Invalid;
