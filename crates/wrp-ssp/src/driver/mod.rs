//! Streams of tokio: [`Segmented`] cuts what an `AsyncRead` gives, [`StreamReader`] joins and is an `AsyncRead`.

mod join;
mod segment;

pub use join::StreamReader;
pub use segment::Segmented;
