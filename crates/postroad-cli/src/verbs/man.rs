//! `postroad man`.

use crate::args::{Cli, Man};
use crate::failure::Failure;
use crate::talk::{Talk, data};
use clap::CommandFactory;
use std::io;
use std::path::Path;

const EXIT_STATUS: &str = ".SH \"EXIT STATUS\"\n.TP\n0\nDone.\n.TP\n1\nFailed; standard error says what, why, and how to go on.\n.TP\n2\nThe command line, a URL or a setting is wrong; nothing was done.\n";

pub(crate) fn run(verb: &Man, talk: &Talk) -> Result<(), Failure> {
    match &verb.dir {
        None => {
            let mut page = Vec::new();
            let written = clap_mangen::Man::new(Cli::command()).render(&mut page);
            written.map_err(|error| Failure::output(&error))?;
            page.extend_from_slice(EXIT_STATUS.as_bytes());
            data(&page)
        }
        Some(folder) => {
            let count = write_all(folder).map_err(|error| {
                let shown = postroad::escape::text(&folder.to_string_lossy());
                Failure::file(format!("could not write the pages to `{shown}`"), &error)
                    .with_fix("give a folder that can be written to")
            })?;
            talk.say(&format!("wrote {count} pages"));
            Ok(())
        }
    }
}

fn write_all(folder: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let mut command = Cli::command();
    command.build();
    let pages = std::iter::once(&command).chain(command.get_subcommands().filter(|verb| verb.get_name() != "help"));
    let mut count = 0;
    for command in pages {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page)?;
        page.extend_from_slice(EXIT_STATUS.as_bytes());
        std::fs::write(folder.join(format!("{name}.1")), page)?;
        count += 1;
    }
    Ok(count)
}
