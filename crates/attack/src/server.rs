//! The server under attack: the release binary, with a bound on its memory.

use std::path::Path;
use std::process::{Command, Stdio};
use testkit::process::Serving;

/// What the server may have of address space, in KiB: more than it ever needs, and what an allocation without bound hits.
const ADDRESS_SPACE_KIB: u64 = 2 << 20;

/// Starts `postroad serve URL --echo`.
pub(crate) fn start(binary: &Path, url: &str) -> Result<Serving, String> {
    let run = format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" serve \"$1\" --echo");
    let mut command = Command::new("sh");
    command.args(["-c", &run]).arg(binary).arg(url).stderr(Stdio::null());
    Serving::start(&mut command).map_err(|why| format!("{} serve {url}: {why}", binary.display()))
}

/// `host:port` of its URL.
pub(crate) fn address(server: &Serving) -> String {
    let rest = server.url.split("://").nth(1).unwrap_or_default();
    rest.split(['/', '?']).next().unwrap_or_default().to_owned()
}
