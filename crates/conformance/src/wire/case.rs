//! Wire cases: their data.

pub use crate::case::is_wire_file;
use crate::case::{Kind, LoadError};
use crate::cases_directory;
use serde::Deserialize;

/// The systems that have wire cases, each in its folder of `cases`.
pub const SYSTEMS: [&str; 6] = ["smp-framing", "smp121", "smrp", "wrp", "wrp-ssp", CARRIERS];

/// What lies beneath: all files of its folder are wire cases.
pub const CARRIERS: &str = "carriers";

/// A case as its file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireCase {
    /// Its name, the only one of all wire cases.
    pub id: String,
    /// The requirements that it shows.
    pub requirements: Vec<String>,
    /// Whether the rule is kept or broken by what the runner sends.
    pub kind: Kind,
    /// Why what is expected is right.
    pub why: String,
    /// The carriers that it is for; all of its system where there are none.
    #[serde(default)]
    pub carriers: Vec<String>,
    /// Of carriers: the protocol on it, as in a URL; `smp` where nothing is said.
    pub protocol: Option<String>,
    /// Of carriers: what the server's URL has behind the path, as `?origin=https://a.example`, or `client-ca` where it wants clients to have certificates.
    pub options: Option<String>,
    /// What is sent, and what is expected: see the module of the system.
    pub steps: Vec<String>,
}

#[derive(Deserialize)]
struct CaseFile {
    case: Vec<WireCase>,
}

/// The cases of a file's text.
///
/// # Errors
/// [`LoadError`] where it is no file of wire cases.
pub fn parse(file: &str, text: &str) -> Result<Vec<WireCase>, LoadError> {
    let parsed: CaseFile = toml::from_str(text)
        .map_err(|error| LoadError { file: file.to_owned(), reason: error.to_string().replace('\n', " ") })?;
    Ok(parsed.case)
}

/// All wire cases of a system, in order of file name and place.
///
/// # Errors
/// [`LoadError`] where a file cannot be read or is none, or an id is there twice.
pub fn load(system: &str) -> Result<Vec<WireCase>, LoadError> {
    let directory = cases_directory(system);
    let fail = |file: String, reason: String| LoadError { file, reason };
    let entries =
        std::fs::read_dir(&directory).map_err(|error| fail(directory.display().to_string(), error.to_string()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.retain(|name| is_wire_file(name) || (system == CARRIERS && name.ends_with(".toml")));
    names.sort();
    let mut cases = Vec::new();
    for name in names {
        let text =
            std::fs::read_to_string(directory.join(&name)).map_err(|error| fail(name.clone(), error.to_string()))?;
        cases.extend(parse(&name, &text)?);
    }
    let mut ids = std::collections::BTreeSet::new();
    match cases.iter().find(|case: &&WireCase| !ids.insert(case.id.clone())) {
        Some(double) => Err(fail(system.to_owned(), format!("the id {} is there twice", double.id))),
        None => Ok(cases),
    }
}
