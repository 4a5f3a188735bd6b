//! `postroad forward`: a port here that leads to one over there.

use crate::args::Forward;
use crate::failure::Failure;
use crate::talk::{Talk, data_line};
use postroad::ConnectOptions;
use postroad::Url;
use postroad::forward::{self, Options, Place};
use serde_json::json;

pub(crate) async fn run(verb: Forward, talk: Talk) -> Result<(), Failure> {
    let (local, target): (Place, Place) = (verb.listen.parse()?, verb.to.parse()?);
    let url: Url = verb.url.parse().map_err(Failure::from)?;
    let options = Options::new()
        .with_connections_max(usize::try_from(verb.connections_max).unwrap_or(usize::MAX))
        .with_connect_timeout(verb.connect_timeout);
    let what = format!("the session with {}", url.clone().without_options());
    let opening = forward::Forward::open(&local, url, target.clone(), ConnectOptions::new(), options);
    let forward = talk.waiting(&what, opening).await?;
    let local = forward.local().to_string();
    let interrupted = super::interrupted();
    if talk.is_json() {
        let target = target.to_string();
        data_line(&json!({"schema": "postroad-forward/1", "forwarding": local, "to": target}).to_string())?;
    } else {
        data_line(&format!("forwarding {local} to {target}"))?;
    }
    forward.run_until(interrupted).await.map_err(Failure::from)
}
