//! Wire cases: their data.

pub use crate::case::is_wire_file;
use crate::case::{Kind, LoadError, load_as, parse_as};
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

/// The cases of a file's text.
///
/// # Errors
/// [`LoadError`] where it is no file of wire cases.
pub fn parse(file: &str, text: &str) -> Result<Vec<WireCase>, LoadError> {
    parse_as(file, text)
}

/// All wire cases of a system, in order of file name and place.
///
/// # Errors
/// [`LoadError`] where a file cannot be read or is none, or an id is there twice.
pub fn load(system: &str) -> Result<Vec<WireCase>, LoadError> {
    let takes = |name: &str| system == CARRIERS || is_wire_file(name);
    load_as(&cases_directory(system), takes, |case: &WireCase| &case.id)
}
