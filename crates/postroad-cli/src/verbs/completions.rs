//! `postroad completions`.

use crate::args::{Cli, Completions};
use crate::failure::Failure;
use crate::talk::data;
use clap::CommandFactory;

pub(crate) fn run(verb: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(verb.shell, &mut Cli::command(), "postroad", &mut script);
    data(&script)
}
