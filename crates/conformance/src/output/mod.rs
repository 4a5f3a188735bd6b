//! What a run of cases says: a summary for people, JSON and JUnit for programs, a page for browsers.

mod html;
mod junit;

pub use html::page;
pub use junit::suites;

use crate::case::Kind;
use core::fmt::Write as _;
use core::time::Duration;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was as expected.
    Passed,
    /// What was not.
    Failed(String),
    /// It failed, as an exception says it would: the exception, and what was not as expected.
    Excepted(String),
    /// It passed although an exception says it would fail: the exception.
    Stale(String),
    /// It did not run, and why.
    Skipped(String),
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Excepted(_) => "excepted",
            Self::Stale(_) => "stale exception",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What there is to say about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(detail) | Self::Excepted(detail) | Self::Stale(detail) | Self::Skipped(detail) => detail,
        }
    }

    /// Whether the run is a failure by it.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Stale(_))
    }
}

/// A case that ran, or was to run.
#[derive(Clone, Debug)]
pub struct Row {
    /// The protocol, or `carriers`.
    pub system: String,
    /// The case.
    pub id: String,
    /// Whether it keeps or breaks the rule.
    pub kind: Kind,
    /// The requirements that it shows.
    pub requirements: Vec<String>,
    /// Why what it expects is right.
    pub why: String,
    /// Where it ran: the word of a carrier, or `engine`.
    pub carrier: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How many rows have which verdict: passed, failed, excepted, stale, skipped.
#[must_use]
pub fn counts(rows: &[Row]) -> [(&'static str, usize); 5] {
    ["passed", "failed", "excepted", "stale exception", "skipped"]
        .map(|word| (word, rows.iter().filter(|row| row.verdict.word() == word).count()))
}

/// Everything that makes the run a failure, one line each. A run of which nothing ran is one.
#[must_use]
pub fn faults(rows: &[Row]) -> Vec<String> {
    let of = |row: &Row| format!("{} over {}: {}: {}", row.id, row.carrier, row.verdict.word(), row.verdict.detail());
    let mut faults: Vec<String> = rows.iter().filter(|row| row.verdict.is_fault()).map(of).collect();
    if rows.iter().all(|row| matches!(row.verdict, Verdict::Skipped(_))) {
        faults.push("not one case ran".into());
    }
    faults
}

/// For people: what did not simply pass, why, and the counts of each carrier.
#[must_use]
pub fn summary(rows: &[Row]) -> String {
    let mut text = String::new();
    let of_word = |word: &'static str| rows.iter().filter(move |row| row.verdict.word() == word);
    for word in ["failed", "stale exception", "excepted"] {
        for row in of_word(word) {
            let _ = writeln!(text, "{word}: {} over {}: {}", row.id, row.carrier, row.verdict.detail());
            if word == "failed" {
                let _ = writeln!(text, "    {} ({})", row.why, row.requirements.join(" "));
            }
        }
    }
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for row in of_word("skipped") {
        let reason = format!("{} over {}: {}", row.system, row.carrier, row.verdict.detail());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    for (reason, count) in reasons {
        let _ = writeln!(text, "skipped: {count} of {reason}");
    }
    let mut places: Vec<(&str, &str)> = Vec::new();
    for row in rows {
        let place = (row.system.as_str(), row.carrier.as_str());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    for place in places {
        let here: Vec<Row> =
            rows.iter().filter(|row| (row.system.as_str(), row.carrier.as_str()) == place).cloned().collect();
        let _ = writeln!(text, "{:<12} {:<7} {}", place.0, place.1, in_words(&here));
    }
    let _ = writeln!(text, "{:<20} {}", "in all", in_words(rows));
    text
}

fn in_words(rows: &[Row]) -> String {
    let told = counts(rows).into_iter().filter(|(word, count)| *word == "passed" || *count > 0);
    told.map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// For programs.
#[must_use]
pub fn json(rows: &[Row]) -> serde_json::Value {
    let cases = rows.iter().map(|row| {
        serde_json::json!({
            "system": row.system,
            "id": row.id,
            "carrier": row.carrier,
            "kind": row.kind.name(),
            "requirements": row.requirements,
            "verdict": row.verdict.word(),
            "detail": row.verdict.detail(),
            "milliseconds": u64::try_from(row.took.as_millis()).unwrap_or(u64::MAX),
        })
    });
    let counts: serde_json::Map<String, serde_json::Value> =
        counts(rows).into_iter().map(|(word, count)| (word.to_owned(), count.into())).collect();
    serde_json::json!({
        "schema": "postroad-conformance/1", "cases": cases.collect::<Vec<_>>(), "counts": counts, "faults": faults(rows),
    })
}

/// Text within XML or HTML. Characters that XML 1.0 cannot have become question marks.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            character if (character as u32) < 0x20 => out.push('?'),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_have_is_escaped_or_replaced() {
        assert_eq!(
            escape("a<b> & \"c\" 'd' \u{0}\u{1b}\u{fffe}é\n"),
            "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; ???é\n"
        );
    }
}
