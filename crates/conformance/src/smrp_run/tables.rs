//! What docs/smrp.md lists besides frames: codes, settings, and the parameters of section 8 and 9.

use crate::repository;
use crate::smrp::{Row, table};
use std::sync::OnceLock;

/// What the octets of a field or a parameter are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number.
    Number,
    /// A code of section 18.
    Code,
    /// The type of a frame.
    FrameType,
    /// Octets as they are.
    Octets,
    /// A list of parameters.
    Parameters,
}

/// A parameter by name.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) rows: Vec<Row>,
    codes: Vec<(u64, String)>,
    settings: Vec<Parameter>,
}

/// The tables, read once.
pub(crate) fn tables() -> Result<&'static Tables, String> {
    static TABLES: OnceLock<Result<Tables, String>> = OnceLock::new();
    TABLES.get_or_init(Tables::read).as_ref().map_err(Clone::clone)
}

impl Tables {
    fn read() -> Result<Self, String> {
        let page = std::fs::read_to_string(repository().join("docs/smrp.md")).map_err(|error| error.to_string())?;
        let section = |from: &str, to: &str| {
            let rest = page.split_once(from).map(|(_, rest)| rest);
            rest.and_then(|rest| rest.split_once(to)).map(|(section, _)| section).ok_or(format!("no section {from}"))
        };
        let codes = codes(section("## 18. Codes", "## 19.")?);
        let settings = settings(section("## 7. Settings", "## 8.")?);
        if codes.len() < 30 || settings.len() < 16 {
            return Err(format!("{} codes and {} settings in docs/smrp.md", codes.len(), settings.len()));
        }
        Ok(Self { rows: table()?, codes, settings })
    }

    pub(crate) fn row_named(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    pub(crate) fn row_of(&self, number: u8) -> Option<&Row> {
        self.rows.iter().find(|row| row.number == number)
    }

    pub(crate) fn code(&self, name: &str) -> Option<u64> {
        self.codes.iter().find(|(_, other)| other == name).map(|(number, _)| *number)
    }

    /// The name of a code, or its number.
    pub(crate) fn code_name(&self, number: u64) -> String {
        let found = self.codes.iter().find(|(other, _)| *other == number);
        found.map_or_else(|| format!("{number:#x}"), |(_, name)| name.clone())
    }

    /// The parameters that a frame's list may have, by name.
    pub(crate) fn parameters(&self, frame: &str) -> Vec<Parameter> {
        let list: &[(u64, &str, Kind)] = match frame {
            "HELLO" | "SETTINGS" => return self.settings.clone(),
            "AUTH" => &[(2, "token", Kind::Octets), (4, "signature", Kind::Octets), (6, "key", Kind::Octets)],
            "AUTH_RESULT" => {
                &[(2, "subject", Kind::Octets), (4, "scope", Kind::Octets), (6, "expires_ms", Kind::Number)]
            }
            "OPEN" | "META" => &[
                (2, "name", Kind::Octets),
                (4, "type", Kind::Octets),
                (6, "header", Kind::Octets),
                (8, "status", Kind::Number),
            ],
            _ => &[],
        };
        list.iter().map(|&(id, name, kind)| Parameter { id, name: name.into(), kind }).collect()
    }
}

fn codes(section: &str) -> Vec<(u64, String)> {
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let entries = cells.flat_map(|cell| cell.split(", ")).filter_map(|entry| {
        let (number, name) = entry.trim().split_once(' ')?;
        let is_name = name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        Some((u64::from_str_radix(number, 16).ok()?, name.to_owned())).filter(|_| is_name)
    });
    entries.collect()
}

fn settings(section: &str) -> Vec<Parameter> {
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
        let id = u64::from_str_radix(cells.next()?, 16).ok()?;
        let (name, default) = (cells.next()?.to_owned(), cells.next()?);
        let is_number = default.starts_with(|c: char| c.is_ascii_digit());
        Some(Parameter { id, name, kind: if is_number { Kind::Number } else { Kind::Octets } })
    });
    rows.collect()
}
