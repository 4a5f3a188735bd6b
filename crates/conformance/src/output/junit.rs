//! JUnit XML: what most CI systems show.

use super::{Row, Verdict, escape};
use core::fmt::Write as _;
use core::time::Duration;

/// One suite for each system over each carrier. Exceptions count as skipped, stale ones as failures.
#[must_use]
pub fn suites(rows: &[Row]) -> String {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let name = format!("{}.{}", row.system, row.carrier);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(row),
            None => groups.push((name, vec![row])),
        }
    }
    let all: Vec<&Row> = rows.iter().collect();
    let mut text =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"conformance\" {}>\n", numbers(&all));
    for (name, group) in &groups {
        let _ = writeln!(text, "  <testsuite name=\"{}\" {}>", escape(name), numbers(group));
        for row in group {
            let _ = write!(
                text,
                "    <testcase name=\"{}\" classname=\"{}\" time=\"{}\"",
                escape(&row.id),
                escape(name),
                seconds(row.took)
            );
            let message = escape(row.verdict.detail());
            let _ = match &row.verdict {
                Verdict::Passed => writeln!(text, "/>"),
                Verdict::Skipped(_) | Verdict::Excepted(_) => {
                    writeln!(text, "><skipped message=\"{message}\"/></testcase>")
                }
                Verdict::Failed(_) | Verdict::Stale(_) => {
                    let ids = escape(&row.requirements.join(" "));
                    let word = escape(row.verdict.word());
                    writeln!(
                        text,
                        "><failure type=\"{word}\" message=\"{message}\">{} ({ids})</failure></testcase>",
                        escape(&row.why)
                    )
                }
            };
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn numbers(rows: &[&Row]) -> String {
    let failures = rows.iter().filter(|row| row.verdict.is_fault()).count();
    let skipped = |row: &&&Row| matches!(row.verdict, Verdict::Skipped(_) | Verdict::Excepted(_));
    let skipped = rows.iter().filter(skipped).count();
    let took = rows.iter().map(|row| row.took).sum();
    format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{}\"",
        rows.len(),
        seconds(took)
    )
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}
