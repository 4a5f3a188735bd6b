//! Checks that the examples in docs/wire/*.md have the form which tests rely on. What they mean is checked by the tests of the protocol crates.

use std::collections::BTreeSet;

use crate::run::Fault;

const FORM: &str =
    "an example is a fenced block `hex name=NAME` of octets in hex, with one line `= JSON` that says what they are";
const KEYS: [&str; 8] = ["units", "end", "missing", "events", "open", "call", "pseudo", "segment"];

/// What is wrong with the examples of one page. A page without any is fine.
pub(crate) fn check(page: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```hex") else { continue };
        let mut fault = |what: &str| faults.push(Fault::new(format!("{page}:{}: {what}", at + 1), FORM));
        match info.trim().strip_prefix("name=") {
            Some(name) if !name.is_empty() && !name.contains(' ') => {
                if !names.insert(name) {
                    fault(&format!("a second example is named {name}"));
                }
            }
            _ => fault("an example without a name"),
        }
        let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let (expected, octets): (Vec<&str>, Vec<&str>) = block.into_iter().partition(|line| line.starts_with('='));
        let digits: String =
            octets.iter().flat_map(|line| line.split('#').take(1)).flat_map(str::split_whitespace).collect();
        if digits.is_empty() || digits.len() % 2 == 1 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            fault("octets that are not pairs of hex digits");
        }
        match expected.as_slice() {
            [one] if is_expectation(one.trim_start_matches('=')) => {}
            [_] => fault("an expectation that is no JSON object of the keys the page names"),
            _ => fault("not exactly one line that begins with `=`"),
        }
    }
    faults
}

fn is_expectation(text: &str) -> bool {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    value.as_object().is_some_and(|object| !object.is_empty() && object.keys().all(|key| KEYS.contains(&key.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: &str = "text\n```hex name=a\n01 00 # one\n00\n= {\"units\":[]}\n```\nmore\n```text\nxx\n```\n";

    #[test]
    fn a_well_formed_example_passes() {
        assert_eq!(check("p", FINE), []);
    }

    #[test]
    fn every_broken_example_is_red() {
        for (from, to) in [
            ("name=a", ""),
            ("name=a", "name="),
            ("01 00", "01 0"),
            ("01 00", "01 zz"),
            ("= {", "  {"),
            ("\"units\"", "\"unit\""),
            ("[]}", "[]"),
            ("= {\"units\":[]}", "= {\"units\":[]}\n= {\"units\":[]}"),
            ("= {\"units\":[]}", "= {}"),
        ] {
            assert!(!check("p", &FINE.replacen(from, to, 1)).is_empty(), "{from} -> {to}");
        }
        assert_eq!(check("p", &FINE.repeat(2)).len(), 1, "the same name twice");
    }

    #[test]
    fn the_page_of_the_framing_protocol_has_examples() {
        let page = crate::run::Root::find().unwrap().path("docs/wire/smp-framing.md");
        let text = crate::run::text_of(&page).unwrap();
        assert!(text.matches("\n```hex name=").count() >= 16);
        assert_eq!(check("page", &text), []);
    }
}
