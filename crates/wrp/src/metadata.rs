//! Metadata: values by name, in the order in which the names came.

/// Up to here each name is compared with each; above, an index is sorted.
const COMPARE_COUNT_MAX: usize = 16;

/// Of each name one entry: where it came first, with the value that came last.
//= WRP-R7, WRP-J3
pub(crate) fn last_of_each_name(mut entries: Vec<(String, String)>) -> Vec<(String, String)> {
    if !has_repeated(&entries) {
        return entries;
    }
    // Positions by name, and those of one name in order: a stable sort.
    let mut by_name: Vec<usize> = (0..entries.len()).collect();
    by_name.sort_by(|&left, &right| entries[left].0.cmp(&entries[right].0));
    let runs = by_name.chunk_by(|&left, &right| entries[left].0 == entries[right].0);
    let kept: Vec<(usize, usize)> = runs.filter_map(|run| Some((*run.first()?, *run.last()?))).collect();
    let mut is_kept = vec![false; entries.len()];
    for (first, last) in kept {
        is_kept[first] = true;
        if first != last {
            entries[first].1 = core::mem::take(&mut entries[last].1);
        }
    }
    let mut is_kept = is_kept.into_iter();
    entries.retain(|_| is_kept.next().unwrap_or(true));
    entries
}

fn has_repeated(entries: &[(String, String)]) -> bool {
    if entries.len() <= COMPARE_COUNT_MAX {
        return entries
            .iter()
            .enumerate()
            .any(|(index, (name, _))| entries[..index].iter().any(|(known, _)| known == name));
    }
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}
