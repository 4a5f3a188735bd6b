//! Metadata: values by name, in the order in which the names came.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Up to here each name is compared with each.
const COMPARE_COUNT_MAX: usize = 16;

/// Of each name one entry: where it came first, with the value that came last.
//= WRP-R7, WRP-J3
pub(crate) fn last_of_each_name(entries: Vec<(String, String)>) -> Vec<(String, String)> {
    if !has_repeated(&entries) {
        return entries;
    }
    let mut by_name: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (at, (name, value)) in entries.into_iter().enumerate() {
        match by_name.entry(name) {
            Entry::Vacant(entry) => _ = entry.insert((at, value)),
            Entry::Occupied(entry) => entry.into_mut().1 = value,
        }
    }
    let mut kept: Vec<(usize, (String, String))> =
        by_name.into_iter().map(|(name, (at, value))| (at, (name, value))).collect();
    kept.sort_unstable_by_key(|(at, _)| *at);
    kept.into_iter().map(|(_, entry)| entry).collect()
}

fn has_repeated(entries: &[(String, String)]) -> bool {
    let mut names = entries.iter().map(|(name, _)| name);
    if entries.len() <= COMPARE_COUNT_MAX {
        while let Some(name) = names.next() {
            if names.clone().any(|other| other == name) {
                return true;
            }
        }
        return false;
    }
    let mut known = BTreeSet::new();
    !names.all(|name| known.insert(name))
}
