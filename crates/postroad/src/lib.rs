//! Message protocols over any road: one URL, one message API.
#![forbid(unsafe_code)]

pub mod escape;
pub mod inspect;
mod message;
pub mod url;
mod words;

pub use bytes::Bytes;
pub use message::Message;
pub use url::{Url, UrlError};
