//! A page for browsers: requirement by requirement, carrier by carrier. One file, nothing loaded from elsewhere.

use super::{Row, counts, escape};
use crate::requirements::Requirement;
use core::fmt::Write as _;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse;width:100%;margin:.5rem 0 2rem}th,td{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top}\
thead th{position:sticky;top:0;background:#eee}td.v{text-align:center;white-space:nowrap}.passed{background:#d9f2d9}.failed{background:#f6c5c5}\
.excepted{background:#fbe6b8}.stale{background:#f3c6ea}.skipped{background:#e8e8e8}.none{color:#999}code{font-size:.9em}\
details{margin:.2rem 0}@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}thead th{background:#333}th,td{border-color:#444}\
.passed{background:#1f4a24}.failed{background:#6b2020}.excepted{background:#5c4813}.stale{background:#5a2350}.skipped{background:#333}}";

/// The page. Requirements without a case here are listed as such.
#[must_use]
pub fn page(title: &str, rows: &[Row], requirements: &[Requirement]) -> String {
    let mut carriers: Vec<&str> = Vec::new();
    for row in rows {
        if !carriers.contains(&row.carrier.as_str()) {
            carriers.push(&row.carrier);
        }
    }
    let title = escape(title);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p>"
    );
    let told: Vec<String> = counts(rows).iter().map(|(word, count)| format!("{count} {word}")).collect();
    let _ = writeln!(text, "{}.</p>", told.join(", "));
    let (shown, bare): (Vec<_>, Vec<_>) =
        requirements.iter().partition(|one| rows.iter().any(|row| row.requirements.contains(&one.id)));
    text.push_str("<h2>By clause</h2>\n<table><thead><tr><th>clause</th><th>requirement</th><th>level</th>");
    for carrier in &carriers {
        let _ = write!(text, "<th>{}</th>", escape(carrier));
    }
    text.push_str("</tr></thead><tbody>\n");
    for requirement in shown {
        line(&mut text, requirement, rows, &carriers);
    }
    text.push_str("</tbody></table>\n<h2>By case</h2>\n<table><thead><tr><th>case</th><th>why</th>");
    for carrier in &carriers {
        let _ = write!(text, "<th>{}</th>", escape(carrier));
    }
    text.push_str("</tr></thead><tbody>\n");
    cases(&mut text, rows, &carriers);
    let ids: Vec<&str> = bare.iter().map(|one| one.id.as_str()).collect();
    let _ = write!(
        text,
        "</tbody></table>\n<details><summary>{} requirements without a case here</summary><p>{}</p></details>\n</body></html>\n",
        ids.len(),
        escape(&ids.join(" "))
    );
    text
}

fn line(text: &mut String, requirement: &Requirement, rows: &[Row], carriers: &[&str]) {
    let Requirement { id, level, clause, text: says, .. } = requirement;
    let _ = write!(
        text,
        "<tr><td>{}</td><td><code>{}</code><br>{}</td><td>{}</td>",
        escape(clause),
        escape(id),
        escape(says),
        escape(level)
    );
    for carrier in carriers {
        let here: Vec<&Row> =
            rows.iter().filter(|row| row.carrier == *carrier && row.requirements.contains(id)).collect();
        cell(text, &here);
    }
    text.push_str("</tr>\n");
}

fn cases(text: &mut String, rows: &[Row], carriers: &[&str]) {
    let mut ids: Vec<&str> = Vec::new();
    for row in rows {
        if ids.contains(&row.id.as_str()) {
            continue;
        }
        ids.push(&row.id);
        let requirements = escape(&row.requirements.join(" "));
        let _ = write!(
            text,
            "<tr><td><code>{}</code><br>{requirements}</td><td>{}</td>",
            escape(&row.id),
            escape(&row.why)
        );
        for carrier in carriers {
            let here: Vec<&Row> = rows.iter().filter(|other| other.carrier == *carrier && other.id == row.id).collect();
            cell(text, &here);
        }
        text.push_str("</tr>\n");
    }
}

/// The worst of what is there gives the colour.
fn cell(text: &mut String, rows: &[&Row]) {
    let has = |word: &str| rows.iter().filter(|row| row.verdict.word() == word).count();
    let order = [
        ("failed", "failed"),
        ("stale exception", "stale"),
        ("excepted", "excepted"),
        ("passed", "passed"),
        ("skipped", "skipped"),
    ];
    let Some((_, class)) = order.iter().find(|(word, _)| has(word) > 0) else {
        text.push_str("<td class=\"v none\">–</td>");
        return;
    };
    let told = order.iter().filter(|(word, _)| has(word) > 0).map(|(word, _)| format!("{} {word}", has(word)));
    let _ = write!(text, "<td class=\"v {class}\">{}", told.collect::<Vec<_>>().join(", "));
    for row in rows.iter().filter(|row| !row.verdict.detail().is_empty()) {
        let _ =
            write!(text, "<details><summary>{}</summary>{}</details>", escape(&row.id), escape(row.verdict.detail()));
    }
    text.push_str("</td>");
}
