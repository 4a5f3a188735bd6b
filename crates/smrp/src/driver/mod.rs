//! Sessions and streams as futures, over anything that reads and writes octets.
//!
//! One task for each session does all I/O: it reads once for all streams and writes once for all that are ready. Handles
//! work on the machine directly, under a lock that is never held across an await, and wake that task.

mod acceptor;
mod blocks;
mod carrier;
mod io;
mod messages;
#[cfg(feature = "qlog")]
mod qlog;
mod renewal;
mod requests;
mod session;
mod shared;
mod streams;
mod task;
mod telling;
mod waiting;

pub use acceptor::{Accepted, Acceptor, AcceptorLimits, Authenticate};
pub use carrier::{Carrier, Credentials, Octets, Redial};
pub use messages::{MessageReceiver, MessageSender};
#[cfg(feature = "qlog")]
pub use qlog::{Qlog, QlogOptions};
pub use requests::{IncomingRequest, Reply};
pub use session::{Dial, Session};
pub use streams::{Bidi, IncomingStream, RecvStream, SendStream};
