//! Reading Cargo and requirement files as TOML.

use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// A TOML file as a table; the error names the file.
pub(crate) fn table(path: &Path) -> Result<Table> {
    crate::run::text_of(path)?.parse().with_context(|| format!("{} is not valid TOML", path.display()))
}

/// The strings of a list under a key; nothing if there is none.
pub(crate) fn strings(table: &Table, key: &str) -> Vec<String> {
    let list = table.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The tables of a list of tables under a key; nothing if there is none.
pub(crate) fn tables<'a>(table: &'a Table, key: &str) -> Vec<&'a Table> {
    let list = table.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_table).collect()
}
