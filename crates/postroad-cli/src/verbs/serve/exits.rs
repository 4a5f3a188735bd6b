//! `serve --forward-to`: the end of forwards that reaches targets.

use super::{DRAIN_TIMEOUT, announce};
use crate::args::Serve;
use crate::failure::Failure;
use crate::talk::Talk;
use crate::verbs::interrupted;
use postroad::ListenOptions;
use postroad::forward::{Exit, Options, Place};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(super) async fn run(verb: Serve, talk: Talk) -> Result<(), Failure> {
    if verb.connect {
        return Err(Failure::usage("`--forward-to` does not go with `--connect`", "forwards come to who listens")
            .with_fix("leave `--connect` out"));
    }
    let targets = verb.forward_to.iter().map(|target| target.parse::<Place>()).collect::<Result<Vec<_>, _>>()?;
    let connections_max = usize::try_from(verb.connections_max).unwrap_or(usize::MAX);
    let listen = ListenOptions::new().with_connections_max(connections_max);
    let options = Options::new().with_connections_max(connections_max);
    let mut exits = Vec::new();
    for url in &verb.urls {
        exits.push(Exit::listen(url, targets.clone(), listen.clone(), options).await?);
    }
    let (stop, _) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let interrupted_once = interrupted();
    for exit in exits {
        announce(exit.url(), &talk)?;
        let mut stopped = stop.subscribe();
        tasks.spawn(exit.run_until(async move { drop(stopped.wait_for(|stopped| *stopped).await) }));
    }
    tokio::select! {
        () = interrupted_once => {}
        // One ends only where it failed.
        Some(ended) = tasks.join_next() => return ended.unwrap_or(Ok(())).map_err(Failure::from),
    }
    talk.say("stopping: no new connections, those that are open go on to their end; once more to end at once");
    stop.send_replace(true);
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => Ok(()),
        () = interrupted() => Err(Failure::new("interrupted", "ended at once", "what was open was cut off")),
        () = tokio::time::sleep(DRAIN_TIMEOUT) => {
            Err(Failure::new("timeout", "ended without finishing", format!("it took longer than {DRAIN_TIMEOUT:?}")))
        }
    }
}
