//! Who moves the datagrams: mailslots on tokio, over any [`DatagramSocket`](wirekit::datagram::DatagramSocket).
//!
//! One task an endpoint reads the socket and keeps the time. Whoever sends or replies does the work of it in its own task,
//! as far as the socket takes it: no message waits for another task to be scheduled.

mod builder;
mod clock;
mod counters;
mod endpoint;
mod error;
mod mailslot;
mod outlet;
mod remote;
mod request;
mod shared;
mod state;
mod task;
mod waiting;

pub use builder::EndpointBuilder;
pub use counters::EndpointCounters;
pub use endpoint::Endpoint;
pub use error::{OpenError, ReceiveError, SendError, StartError};
pub use mailslot::Mailslot;
pub use remote::RemoteMailslot;
pub use request::Request;
