//! One file a verb.

pub(crate) mod bench;
pub(crate) mod cert;
pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod demo;
pub(crate) mod forward;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod request;
pub(crate) mod send;
pub(crate) mod serve;

use crate::failure::Failure;
use crate::talk::Talk;
use postroad::{ConnectOptions, Connection, Url};

/// Connects, and says so where it takes long.
pub(crate) async fn connect(url: &str, options: ConnectOptions, talk: &Talk) -> Result<Connection, Failure> {
    let url: Url = url.parse().map_err(Failure::from)?;
    let mut what = format!("the connection to {}", url.clone().without_options());
    if url.transport() == postroad::url::Transport::Mem {
        what.push_str(", which is inside this process");
    }
    talk.waiting(&what, postroad::connect_with(url, options)).await.map_err(|error| {
        let is_refused = error.kind() == postroad::ErrorKind::Connect;
        let mut failure = Failure::from(error);
        if is_refused && failure.fix.is_empty() {
            failure.fix = "start a server there: postroad serve URL --echo".to_owned();
        }
        failure
    })
}

/// Ctrl-C, or what a service manager sends. It is caught from the call on, not from the first wait: whoever reads that we are ready may
/// send it at once.
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}
