//! Figures as text, JSON and Markdown.

use crate::args::Settings;
use crate::figure::{Bound, Count, Figure, Race, Spread, Verdict};
use crate::machine::{self, Noise};
use crate::net;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Everything measured in one run.
pub(crate) struct Report {
    figures: Vec<Figure>,
    conditions: Vec<(&'static str, String)>,
}

impl Report {
    pub(crate) fn new(settings: &Settings, figures: Vec<Figure>, noise: &Noise) -> Self {
        let mut conditions = machine::description();
        let congestion = net::congestion().unwrap_or_else(|error| format!("unknown: {error:#}"));
        conditions.push(("topology", format!("{}; TCP congestion control {congestion}", net::TOPOLOGY)));
        conditions.push((
            "rounds",
            format!(
                "{} of {:.2} s per contender, in turns, after one that does not count",
                settings.rounds,
                settings.round_time.as_secs_f64()
            ),
        ));
        if let Some(loop_ms) = noise.dense_loop_ms() {
            let text = format!(
                "a loop of fixed work, timed after each round, took {} ms; where it varies, so do the figures, for reasons \
                 outside this program",
                shown(loop_ms)
            );
            conditions.push(("noise", text));
        }
        conditions.push((
            "allocator",
            "the system's, behind a counter of its own for each thread: a few ns for each allocation, for all alike"
                .into(),
        ));
        Self { figures, conditions }
    }

    pub(crate) fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for (what, value) in &self.conditions {
            line(&mut out, &format!("{what}: {value}"));
        }
        for figure in &self.figures {
            match figure {
                Figure::Race(race) => race_text(&mut out, race),
                Figure::Count(count) => line(
                    &mut out,
                    &format!("\n{}: {} {}{}", count.name, number(count.value), count.unit, bound_of(count)),
                ),
            }
        }
        out
    }

    /// One object.
    pub(crate) fn json(&self) -> Value {
        let conditions: serde_json::Map<_, _> =
            self.conditions.iter().map(|(what, value)| ((*what).to_owned(), json!(value))).collect();
        let figures: Vec<Value> = self.figures.iter().map(figure_json).collect();
        json!({ "conditions": conditions, "figures": figures })
    }

    /// For `docs/performance.md`.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::from(HEAD);
        for (what, value) in &self.conditions {
            line(&mut out, &format!("- {what}: {value}."));
        }
        out.push_str(READING);
        let mut group = "";
        let mut note = "";
        for figure in &self.figures {
            let (this_group, this_note) = match figure {
                Figure::Race(race) => (race.group, race.note),
                Figure::Count(count) => (count.group, ""),
            };
            if this_group != group {
                group = this_group;
                note = "";
                line(&mut out, &format!("\n## {group}"));
                if matches!(figure, Figure::Count(_)) {
                    line(&mut out, "\n| figure | value | aim | how |\n|---|---|---|---|");
                }
            }
            if this_note != note {
                note = this_note;
                line(&mut out, &format!("\n{note}"));
            }
            match figure {
                Figure::Race(race) => race_markdown(&mut out, race),
                Figure::Count(count) => {
                    let aim = count.at_most.map_or("-".into(), |most| {
                        let word = if count.value <= most { "met" } else { "**missed**" };
                        format!("at most {}: {word}", number(most))
                    });
                    let value = format!("{} {}", number(count.value), count.unit);
                    line(&mut out, &format!("| {} | {value} | {aim} | {} |", count.name, count.note));
                }
            }
        }
        out
    }
}

const HEAD: &str = "\
# Performance

Written by `cargo xtask bench -- --markdown`; figures hold for the machine and the run below, ratios travel better than
absolute numbers. Each contender is measured beside its peers, in turns.

";

const READING: &str = "
Shown are medians over the rounds with the smallest and largest in parentheses. A ratio is the median of the ratios within
rounds, so what slows the machine for a while falls on both sides. CPU is processor time of the whole process, both ends, per
item. A write is a call of either end, to TLS where there is TLS. Figures marked `*` were measured while other processes used more than 12 % of the machine.
";

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Three significant digits or so.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 => format!("{value:.2}"),
        small if small >= 0.01 || small == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.6}"),
    }
}

fn shown(spread: Spread) -> String {
    format!("{} ({} to {})", number(spread.median), number(spread.min), number(spread.max))
}

fn mark(race: &Race) -> &'static str {
    if race.foreign_share > 0.12 { " *" } else { "" }
}

/// The aim in words, with what came of it.
fn verdict_text(verdict: &Verdict) -> String {
    let (what, word, bound) = match verdict.aim.bound {
        Bound::TimeAtMost(most) => ("time", "at most", most),
        Bound::RateAtLeast(least) => ("rate", "at least", least),
        Bound::MicrosAtMost(most) => {
            return format!("time of {}: {} us; aim at most {most} us", verdict.aim.ours, shown(verdict.ratio));
        }
    };
    let cpu = verdict.cpu_ratio.map_or(String::new(), |ratio| format!(", CPU {}", shown(ratio)));
    format!("{what} of {} over {}: {}{cpu}; aim {word} {bound}", verdict.aim.ours, verdict.peer, shown(verdict.ratio))
}

fn bound_of(count: &Count) -> String {
    count.at_most.map_or(String::new(), |most| {
        format!(", aim at most {}: {}", number(most), if count.value <= most { "met" } else { "MISSED" })
    })
}

fn cells(race: &Race) -> Vec<[String; 5]> {
    let cell = |spread: Option<Spread>| spread.map_or("-".into(), shown);
    let rows = race.rows.iter().map(|row| {
        let p99 = row.p99().map(|nanos| race.unit.spread(nanos));
        let wall = row.wall().map(|nanos| race.unit.spread(nanos));
        [row.name.to_owned(), cell(wall), cell(row.cpu()), cell(p99), cell(row.items_per_write())]
    });
    rows.collect()
}

fn race_text(out: &mut String, race: &Race) {
    line(out, &format!("\n{}{} [{}]", race.name, mark(race), race.unit.name()));
    for [name, value, cpu, p99, per_write] in cells(race) {
        let mut text = format!("  {name:<40} {value:<28}");
        if cpu != "-" {
            // Writing to a string cannot fail.
            let _ = write!(text, " cpu {cpu} ns");
        }
        if p99 != "-" {
            let _ = write!(text, " p99 {p99}");
        }
        if per_write != "-" {
            let _ = write!(text, " per write {per_write}");
        }
        line(out, text.trim_end());
    }
    for verdict in &race.verdicts {
        line(out, &format!("  {}: {}", verdict_text(verdict), if verdict.is_met { "met" } else { "MISSED" }));
    }
}

fn race_markdown(out: &mut String, race: &Race) {
    line(out, &format!("\n### {}{}\n", race.name, mark(race)));
    let rows = cells(race);
    let has = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|cell| cell != "-"));
    let row = |out: &mut String, [name, value, cpu, p99, per_write]: [&str; 5]| {
        let mut text = format!("| {name} | {value} |");
        for (column, cell) in [(2, cpu), (3, p99), (4, per_write)] {
            if has(column) {
                let _ = write!(text, " {cell} |");
            }
        }
        line(out, &text);
    };
    row(out, ["", race.unit.name(), "CPU, ns", "p99", "items per write"]);
    row(out, ["---"; 5]);
    for [name, value, cpu, p99, per_write] in &rows {
        row(out, [name, value, cpu, p99, per_write]);
    }
    for (index, verdict) in race.verdicts.iter().enumerate() {
        if index == 0 {
            line(out, "");
        }
        line(out, &format!("- {}: {}.", verdict_text(verdict), if verdict.is_met { "met" } else { "**missed**" }));
    }
}

fn spread_json(spread: Option<Spread>) -> Value {
    spread.map_or(Value::Null, |Spread { median, min, max }| json!({ "median": median, "min": min, "max": max }))
}

fn figure_json(figure: &Figure) -> Value {
    match figure {
        Figure::Count(Count { group, name, note, unit, value, at_most }) => json!({
            "group": group, "name": name, "note": note, "unit": unit, "value": value, "at_most": at_most,
            "is_met": figure.is_met(),
        }),
        Figure::Race(race) => {
            let rows = race.rows.iter().map(|row| {
                let p99 = row.p99().map(|nanos| race.unit.spread(nanos));
                json!({
                    "name": row.name,
                    "value": spread_json(row.wall().map(|nanos| race.unit.spread(nanos))),
                    "cpu_ns": spread_json(row.cpu()),
                    "p99": spread_json(p99),
                    "items_per_write": spread_json(row.items_per_write()),
                })
            });
            let verdicts = race.verdicts.iter().map(|verdict| {
                let (kind, bound) = match verdict.aim.bound {
                    Bound::TimeAtMost(most) => ("time_at_most", most),
                    Bound::RateAtLeast(least) => ("rate_at_least", least),
                    Bound::MicrosAtMost(most) => ("micros_at_most", most),
                };
                json!({
                    "ours": verdict.aim.ours, "peer": verdict.peer, "kind": kind, "bound": bound,
                    "ratio": spread_json(Some(verdict.ratio)), "cpu_ratio": spread_json(verdict.cpu_ratio),
                    "is_met": verdict.is_met,
                })
            });
            json!({
                "group": race.group, "name": race.name, "note": race.note, "unit": race.unit.name(),
                "foreign_share": race.foreign_share, "is_met": figure.is_met(),
                "rows": rows.collect::<Vec<_>>(), "verdicts": verdicts.collect::<Vec<_>>(),
            })
        }
    }
}
