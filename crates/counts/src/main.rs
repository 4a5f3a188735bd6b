//! Does one hot path so many times, for a tool that counts instructions: `counts PATH N`. Prints how many allocations an item took.
//! `counts` alone lists the paths. `cargo xtask counts` holds both numbers against `docs/counts.toml`.

mod codecs;
mod mailslots;
mod messages;
mod sessions;

use anyhow::{Context as _, bail};
use std::io::Write as _;

/// A path: its name, and what does it `count` times.
type Path = (&'static str, fn(u64) -> anyhow::Result<()>);

const PATHS: &[Path] = &[
    ("smrp-frame-encode", codecs::smrp_encode),
    ("smrp-frame-decode", codecs::smrp_decode),
    ("smrp-request", sessions::requests),
    ("smrp-message", sessions::messages),
    ("smrp-echo", sessions::echo),
    ("smrp-bulk-64k", sessions::bulk),
    ("smp-message", messages::smp),
    ("smp121-exchange", mailslots::exchanges),
    ("wrp-encode", codecs::wrp_encode),
    ("wrp-decode", codecs::wrp_decode),
    ("ssp-packet-64k", codecs::ssp_packets),
];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout();
    let [name, count] = &args[..] else {
        for (name, _) in PATHS {
            writeln!(out, "{name}")?;
        }
        return Ok(());
    };
    let count: u64 = count.parse().context("a number of items")?;
    let Some((_, path)) = PATHS.iter().find(|(path, _)| path == name) else { bail!("no path {name:?}") };
    let mut done = Ok(());
    let info = testkit::allocations::measure(|| done = path(count));
    done?;
    writeln!(out, "{}", info.count_total)?;
    Ok(())
}
