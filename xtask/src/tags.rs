//! Finding requirement tags in Rust files. The rule is in the help of `cargo xtask reqs`: a line-based rule that needs no parser, so that
//! a reader can apply it by eye.

use crate::run::Fault;

/// What a tag counts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Proof: the test's name, or the file where the whole file is meant.
    Test(String),
    /// A test that does not run by itself.
    Ignored(String),
    /// A citation beside the code that does it.
    Code,
}

/// One id named at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The id as written.
    pub(crate) id: String,
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// Test or citation.
    pub(crate) kind: Kind,
}

/// All tags of one file, and what is wrong with those that are none. `path` is relative to the workspace.
pub(crate) fn scan(path: &str, text: &str, prefixes: &[String]) -> (Vec<Tag>, Vec<Fault>) {
    let lines: Vec<&str> = text.lines().collect();
    let tests_from = test_code_from(path, &lines);
    let (mut tags, mut faults) = (Vec::new(), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        let ids = match parse(line, prefixes) {
            Line::Other => continue,
            Line::Tag(ids) => ids,
            Line::Malformed(why) => {
                faults.push(Fault::new(format!("{path}:{}: malformed tag, {why}", at + 1), FORM));
                continue;
            }
        };
        let kind = if at < tests_from { Some(Kind::Code) } else { test_of(path, &lines, at, tests_from) };
        match kind {
            Some(kind) => tags.extend(ids.into_iter().map(|id| Tag { id, line: at + 1, kind: kind.clone() })),
            None => {
                faults.push(Fault::new(format!("{path}:{}: tag in test code that belongs to no test", at + 1), PLACE))
            }
        }
    }
    (tags, faults)
}

const FORM: &str = "a tag is two slashes, an equals sign, a space and ids, alone on its line";
const PLACE: &str = "put it directly above the test function, inside it, or at the head of a test file that has tests";

enum Line {
    Other,
    Tag(Vec<String>),
    Malformed(&'static str),
}

fn parse(line: &str, prefixes: &[String]) -> Line {
    let names_one = |text: &str| {
        let text = text.trim_start().to_ascii_uppercase();
        prefixes.iter().any(|prefix| text.starts_with(prefix.as_str()))
    };
    let trimmed = line.trim();
    if let Some(rest) = trimmed.strip_prefix("//=") {
        if rest.starts_with('=') {
            return Line::Other;
        }
        let ids: Vec<String> = rest.split([' ', ',']).filter(|id| !id.is_empty()).map(str::to_owned).collect();
        return match () {
            () if ids.is_empty() => Line::Malformed("no id"),
            () if !rest.starts_with(' ') => Line::Malformed("no space behind the equals sign"),
            () if ids.iter().any(|id| !is_id(id)) => Line::Malformed("something that is no id"),
            () => Line::Tag(ids),
        };
    }
    // A comment that wants to be a tag: other slashes, or spaces where none belong.
    if trimmed.starts_with("//") {
        let inner = trimmed.trim_start_matches(['/', '!', ' ', '\t']);
        return match inner.strip_prefix('=') {
            Some(rest) if names_one(rest) => {
                Line::Malformed("the comment does not begin with two slashes and the equals sign")
            }
            _ => Line::Other,
        };
    }
    match trimmed.split_once("//=") {
        Some((_, rest)) if names_one(rest) => Line::Malformed("it stands behind code"),
        _ => Line::Other,
    }
}

fn is_id(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    text.contains('-') && text.split('-').all(part)
}

/// The first line (from 0) that is test code; behind the last if there is none.
fn test_code_from(path: &str, lines: &[&str]) -> usize {
    if path.split('/').any(|part| part == "tests" || part == "tests.rs") {
        return 0;
    }
    let opens_module = |at: usize| {
        let mut behind = lines.iter().skip(at + 1).map(|line| line.trim());
        let first = behind.find(|line| !line.is_empty() && !line.starts_with("#[") && !line.starts_with("//"));
        first.is_some_and(|line| {
            (line.starts_with("mod ") || line.starts_with("pub(crate) mod ")) && line.ends_with('{')
        })
    };
    let mark = |line: &&str| line.trim().starts_with("#[cfg(test)]") || line.trim().starts_with("#[cfg(all(test");
    (0..lines.len()).find(|at| lines.get(*at).is_some_and(mark) && opens_module(*at)).unwrap_or(lines.len())
}

/// The test that a tag in test code belongs to: the function right below it, else the one around it, else the whole file.
fn test_of(path: &str, lines: &[&str], at: usize, tests_from: usize) -> Option<Kind> {
    let below = (at + 1..lines.len()).find(|line| !is_around_functions(lines, *line));
    let own = below.filter(|line| function_name(lines, *line).is_some());
    let around = || (tests_from..at).rev().find(|line| function_name(lines, *line).is_some());
    let Some(function) = own.or_else(around) else {
        let has_tests = lines.iter().skip(tests_from).any(|line| is_test_attribute(line));
        return has_tests.then(|| Kind::Test(path.to_owned()));
    };
    let name = format!("{path}::{}", function_name(lines, function)?);
    // What stands directly above the function, its attributes among it.
    let head = (tests_from..function).rev().take_while(|line| is_around_functions(lines, *line));
    let attributes: Vec<&str> = head.filter_map(|line| lines.get(line).copied()).collect();
    if !attributes.iter().any(|line| is_test_attribute(line)) {
        return None;
    }
    let ignored = attributes.iter().any(|line| line.trim().starts_with("#[ignore"));
    Some(if ignored { Kind::Ignored(name) } else { Kind::Test(name) })
}

/// Whether a line is a comment, an attribute or empty.
fn is_around_functions(lines: &[&str], at: usize) -> bool {
    let line = lines.get(at).map_or("", |line| line.trim());
    line.is_empty() || line.starts_with("//") || (line.starts_with("#[") && line.ends_with(']'))
}

fn is_test_attribute(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("#[test]") || line.starts_with("#[tokio::test") || line.starts_with("#[test_")
}

fn function_name<'a>(lines: &[&'a str], at: usize) -> Option<&'a str> {
    let mut rest = lines.get(at)?.trim();
    for word in ["pub ", "pub(crate) ", "pub(super) ", "const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    name.split(['(', '<']).next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tag line, written so that this file does not contain one.
    fn tag(rest: &str) -> String {
        format!("//{}{rest}", '=')
    }

    fn scan_one(path: &str, text: &str) -> (Vec<(String, Kind)>, Vec<String>) {
        let (tags, faults) = scan(path, text, &["SMPF".to_owned()]);
        (tags.into_iter().map(|tag| (tag.id, tag.kind)).collect(), faults.into_iter().map(|fault| fault.what).collect())
    }

    #[test]
    fn a_tag_beside_code_cites_and_one_at_a_test_proves() {
        let text = format!(
            "{}\nfn wrap() {{}}\n#[cfg(test)]\nmod tests {{\n    {}\n    #[test]\n    fn wraps() {{\n        {}\n    }}\n}}\n",
            tag(" SMPF-R6"),
            tag(" SMPF-R6, SMPF-R7"),
            tag(" SMPF-R5"),
        );
        let (tags, faults) = scan_one("crates/a/src/b.rs", &text);
        assert!(faults.is_empty(), "{faults:?}");
        let proof = Kind::Test("crates/a/src/b.rs::wraps".to_owned());
        let expected =
            [("SMPF-R6", Kind::Code), ("SMPF-R6", proof.clone()), ("SMPF-R7", proof.clone()), ("SMPF-R5", proof)];
        assert_eq!(tags, expected.map(|(id, kind)| (id.to_owned(), kind)));
    }

    #[test]
    fn in_a_tests_folder_everything_is_test_code() {
        let text = format!(
            "//! About.\n{}\nuse x;\n\n#[tokio::test]\n{}\nasync fn runs() {{}}\n",
            tag(" SMPF-R1"),
            tag(" SMPF-R2")
        );
        let (tags, faults) = scan_one("crates/a/tests/it/c.rs", &text);
        assert!(faults.is_empty(), "{faults:?}");
        let kinds: Vec<Kind> = tags.into_iter().map(|(_, kind)| kind).collect();
        let file = "crates/a/tests/it/c.rs";
        assert_eq!(kinds, [Kind::Test(file.to_owned()), Kind::Test(format!("{file}::runs"))]);
    }

    #[test]
    fn a_tag_at_a_helper_proves_nothing_and_is_red() {
        let helper = format!("{}\nfn helper() {{}}\n#[test]\nfn a_test() {{}}\n", tag(" SMPF-R1"));
        assert_eq!(scan_one("a/tests/x.rs", &helper).1.len(), 1);
        let no_tests = format!("{}\nuse x;\n", tag(" SMPF-R1"));
        assert_eq!(scan_one("a/tests/x.rs", &no_tests).1.len(), 1);
    }

    #[test]
    fn an_ignored_test_is_told_apart() {
        let text = format!("{}\n#[test]\n#[ignore = \"needs npm\"]\nfn far() {{}}\n", tag(" SMPF-R1"));
        assert_eq!(
            scan_one("a/tests/x.rs", &text).0,
            [("SMPF-R1".to_owned(), Kind::Ignored("a/tests/x.rs::far".to_owned()))]
        );
    }

    #[test]
    fn every_broken_form_is_red() {
        for broken in [
            tag("SMPF-R1"),
            tag(""),
            tag(" SMPF-r1"),
            tag(" SMPF-R1 because"),
            tag(" SMPF-"),
            format!("// {} SMPF-R1", '='),
            format!("///{} SMPF-R1", '='),
            format!("//!{} SMPF-R1", '='),
            format!("// {}SMPF", '='),
            format!("// {} smpf-r1", '='),
            format!("let x = 1; {}", tag(" SMPF-R1")),
        ] {
            let (tags, faults) = scan_one("a/src/x.rs", &broken);
            assert_eq!((tags.len(), faults.len()), (0, 1), "{broken}");
        }
    }

    #[test]
    fn ordinary_comments_are_left_alone() {
        for fine in
            ["// ==== heading", "//== rule", "// x = SMPF", "// SMPF-R1 is why", "let a = \"//=\";", "/// a == b"]
        {
            assert_eq!(scan_one("a/src/x.rs", fine), (vec![], vec![]), "{fine}");
        }
    }
}
