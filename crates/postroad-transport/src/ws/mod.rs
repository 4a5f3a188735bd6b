//! WebSocket (RFC 6455) as a byte stream: `ws` over TCP, `wss` over TLS. For protocols whose messages are those of the
//! WebSocket, [`Stream::into_messages`] makes [`Messages`] of one that was just opened; what follows is about byte streams.
//!
//! Each write becomes binary messages; message boundaries carry no meaning, and a reader takes messages of any cutting,
//! fragmented ones too. Text messages are refused. Pings are answered, the close handshake is made on shutdown, an end
//! without it is an error ([`ErrorKind::Truncated`](crate::ErrorKind::Truncated)). There is no half-close: after a
//! shutdown nothing can be written, and what the peer sent before it closed can still be read.
//!
//! Handshake parsing, frame headers, control frames and the close handshake are tungstenite's. Payload does not pass through
//! it: incoming frames are undone where they lie in the reader's buffer, outgoing ones are laid out once, straight into the
//! buffer that the socket is written from.
//!
//! A server refuses browser pages of other origins unless they are allowed by name; programs send no `Origin` and pass.

mod adapter;
mod client;
mod config;
mod frame;
mod head;
mod held;
mod incoming;
mod judge;
mod messages;
mod origin;
mod outgoing;
mod server;
mod stream;

pub use client::{ClientConfig, connect, handshake};
pub use config::Limits;
pub use judge::{Asked, Refuse, Status};
pub use messages::{Messages, Unit};
pub use server::{Server, ServerConfig};
pub use stream::Stream;

#[cfg(feature = "tls")]
pub use client::connect_tls;
