//! Which requirement has which proof, as a table for people, JSON for programs and Markdown for the repository.

use crate::case::{Case, Kind};
use crate::requirements::Requirement;
use crate::run::Failure;
use crate::without::{self, BOTH_KINDS_DUE, Without};
use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

/// A case and what became of it.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The case.
    pub case: Case,
    /// `None` where it passed.
    pub failure: Option<Failure>,
}

/// A requirement and its proof.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// The requirement.
    pub requirement: Requirement,
    /// Its cases that passed, by id.
    pub passed: Vec<String>,
    /// How many of them keep it, and how many break it.
    pub passed_counts: [usize; 2],
    /// Its cases that failed, by id.
    pub failed: Vec<String>,
    /// How many tests carry its tag.
    pub test_count: usize,
}

impl Coverage {
    /// How many cases of a kind passed.
    #[must_use]
    pub const fn count_of(&self, kind: Kind) -> usize {
        let [positive, negative] = self.passed_counts;
        match kind {
            Kind::Positive => positive,
            Kind::Negative => negative,
        }
    }

    /// Passed, failed, or without a proof.
    #[must_use]
    pub const fn verdict(&self) -> &'static str {
        match (self.failed.is_empty(), self.passed.is_empty() && self.test_count == 0) {
            (false, _) => "FAILED",
            (true, true) => "without proof",
            (true, false) => "passed",
        }
    }

    /// True where a MUST has neither a passing case nor a tagged test, and is not merely planned.
    #[must_use]
    pub fn is_must_without_proof(&self) -> bool {
        let is_due = self.requirement.level == "must" && self.requirement.status != "planned";
        is_due && self.passed.is_empty() && self.test_count == 0
    }
}

/// The outcome of a whole run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every case, in order.
    pub results: Vec<CaseResult>,
    /// Every requirement, in order.
    pub coverage: Vec<Coverage>,
    /// Ids that cases name and no requirement has.
    pub unknown_ids: Vec<String>,
    /// Reasons for a lack of cases.
    pub without: Vec<Without>,
}

impl Report {
    /// Puts results, requirements and tests side by side.
    #[must_use]
    pub fn new(results: Vec<CaseResult>, requirements: Vec<Requirement>, tests: &BTreeMap<String, usize>) -> Self {
        let known: BTreeSet<&str> = requirements.iter().map(|requirement| requirement.id.as_str()).collect();
        let named = results.iter().flat_map(|result| &result.case.requirements);
        let unknown_ids = named.filter(|id| !known.contains(id.as_str())).cloned().collect::<BTreeSet<_>>();
        let unknown_ids = unknown_ids.into_iter().collect();
        let cases_of = |id: &str, passing: bool| {
            let of = |result: &&CaseResult| {
                result.failure.is_none() == passing && result.case.requirements.iter().any(|named| named == id)
            };
            results.iter().filter(of).map(|result| result.case.id.clone()).collect::<Vec<_>>()
        };
        let count_of = |id: &str, kind: Kind| {
            let of = |result: &&CaseResult| {
                result.failure.is_none()
                    && result.case.kind == kind
                    && result.case.requirements.iter().any(|named| named == id)
            };
            results.iter().filter(of).count()
        };
        let coverage = requirements
            .into_iter()
            .map(|requirement| Coverage {
                passed: cases_of(&requirement.id, true),
                passed_counts: [Kind::Positive, Kind::Negative].map(|kind| count_of(&requirement.id, kind)),
                failed: cases_of(&requirement.id, false),
                test_count: tests.get(&requirement.id).copied().unwrap_or(0),
                requirement,
            })
            .collect();
        Self { results, coverage, unknown_ids, without: Vec::new() }
    }

    /// The same with reasons for a lack of cases.
    #[must_use]
    pub fn with_reasons(self, without: Vec<Without>) -> Self {
        Self { without, ..self }
    }

    /// MUSTs that lack cases without a reason, with the kinds that they lack.
    fn lacking<'a>(&'a self) -> impl Iterator<Item = (&'a Requirement, Vec<Kind>)> {
        let of = |coverage: &'a Coverage| (&coverage.requirement, without::missing(coverage, &self.without));
        self.coverage.iter().map(of).filter(|(_, kinds)| !kinds.is_empty())
    }

    /// Everything that makes the run a failure, one line each.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let failed = self.results.iter().filter_map(|result| {
            result.failure.as_ref().map(|failure| format!("case {} failed: {failure}", result.case.id))
        });
        let unknown = self.unknown_ids.iter().map(|id| format!("a case names {id}, which is no requirement"));
        let bare = self.coverage.iter().filter(|coverage| coverage.is_must_without_proof());
        let bare = bare.map(|coverage| format!("{} is a MUST without case or test", coverage.requirement.id));
        let lacking = self.lacking().filter(|(requirement, _)| BOTH_KINDS_DUE.contains(&requirement.system.as_str()));
        let lacking = lacking.map(|(requirement, kinds)| {
            let kinds: Vec<_> = kinds.into_iter().map(Kind::name).collect();
            format!(
                "{} is a MUST without a {} case; add it, or a reason to cases/without.toml",
                requirement.id,
                kinds.join(" and a ")
            )
        });
        let reasons = without::faults(&self.coverage, &self.without);
        failed.chain(unknown).chain(bare).chain(lacking).chain(reasons).collect()
    }

    /// The table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (clause, coverages) in self.by_clause() {
            let _ = writeln!(text, "{clause}");
            for coverage in coverages {
                let _ = writeln!(
                    text,
                    "  {:<22} {:<6} {:>3} positive {:>3} negative {:>3} tests  {}",
                    coverage.requirement.id,
                    coverage.requirement.level,
                    coverage.count_of(Kind::Positive),
                    coverage.count_of(Kind::Negative),
                    coverage.test_count,
                    coverage.verdict()
                );
            }
        }
        let failed_count = self.results.iter().filter(|result| result.failure.is_some()).count();
        let _ =
            writeln!(text, "{} cases, {failed_count} failed; {} requirements", self.results.len(), self.coverage.len());
        for (kind, ids) in self.lacking_by_kind() {
            let _ = writeln!(text, "{} MUSTs without a {kind} case and without a reason: {}", ids.len(), ids.join(" "));
        }
        text
    }

    /// Ids of MUSTs that lack cases without a reason, by kind; kinds that none lacks are left out.
    fn lacking_by_kind(&self) -> Vec<(&'static str, Vec<&str>)> {
        let of = |kind: Kind| {
            let lacking = self.lacking().filter(|(_, kinds)| kinds.contains(&kind));
            (kind.name(), lacking.map(|(requirement, _)| requirement.id.as_str()).collect::<Vec<_>>())
        };
        [Kind::Positive, Kind::Negative].map(of).into_iter().filter(|(_, ids)| !ids.is_empty()).collect()
    }

    /// The page for the repository. The same cases, requirements and tags give the same page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "# Conformance\n\n\
             Generated by `cargo xtask conformance --write`; do not edit. Cases are data in `crates/conformance/cases`: what a peer sends and an\n\
             application does, and what must come of it; those of streams run under many ways of cutting them. Tests are those tagged with the\n\
             requirement's id in `crates`; they are counted here, and pass in `cargo xtask test`. Every requirement is in `docs/requirements`.\n\
             A positive case keeps the rule, a negative one breaks it or meets its limit; each MUST has both or a reason below.\n\n",
        );
        let count = |level: &str| self.coverage.iter().filter(|coverage| coverage.requirement.level == level).count();
        let _ = writeln!(
            text,
            "{} requirements ({} must, {} should, {} may), {} cases.\n",
            self.coverage.len(),
            count("must"),
            count("should"),
            count("may"),
            self.results.len()
        );
        text.push_str("## By clause\n\n| clause | requirement | level | positive | negative | tests | result |\n");
        text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
        for coverage in &self.coverage {
            let Requirement { id, level, clause, .. } = &coverage.requirement;
            let (positive, negative) = (coverage.count_of(Kind::Positive), coverage.count_of(Kind::Negative));
            let (tests, verdict) = (coverage.test_count, coverage.verdict());
            let _ = writeln!(text, "| {clause} | `{id}` | {level} | {positive} | {negative} | {tests} | {verdict} |");
        }
        text.push_str("\n## MUSTs without a case of a kind\n\n| requirements | lack | why |\n| --- | --- | --- |\n");
        for Without { lacks, reason, ids } in &self.without {
            let _ = writeln!(text, "| {} | {} | {reason} |", ids.join(" "), lacks.name());
        }
        for (kind, ids) in self.lacking_by_kind() {
            let _ = writeln!(text, "| {} | {kind} | not written yet |", ids.join(" "));
        }
        text.push_str("\n## Cases\n\n| case | kind | requirements | why | result |\n| --- | --- | --- | --- | --- |\n");
        for CaseResult { case, failure } in &self.results {
            let verdict = if failure.is_none() { "passed" } else { "FAILED" };
            let ids = case.requirements.join(" ");
            let _ = writeln!(text, "| `{}` | {} | {ids} | {} | {verdict} |", case.id, case.kind.name(), case.why);
        }
        text
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let cases = self.results.iter().map(|result| {
            serde_json::json!({
                "id": result.case.id,
                "requirements": result.case.requirements,
                "kind": result.case.kind.name(),
                "passed": result.failure.is_none(),
                "failure": result.failure.as_ref().map(ToString::to_string),
            })
        });
        let coverage = self.coverage.iter().map(|coverage| {
            serde_json::json!({
                "id": coverage.requirement.id,
                "level": coverage.requirement.level,
                "clause": coverage.requirement.clause,
                "passed": coverage.passed,
                "positive": coverage.count_of(Kind::Positive),
                "negative": coverage.count_of(Kind::Negative),
                "lacks": without::missing(coverage, &self.without).into_iter().map(Kind::name).collect::<Vec<_>>(),
                "failed": coverage.failed,
                "tests": coverage.test_count,
                "result": coverage.verdict(),
            })
        });
        serde_json::json!({ "cases": cases.collect::<Vec<_>>(), "requirements": coverage.collect::<Vec<_>>(), "faults": self.faults() })
    }

    /// Requirements in order, under the clause they come from.
    fn by_clause(&self) -> Vec<(&str, Vec<&Coverage>)> {
        let mut clauses: Vec<(&str, Vec<&Coverage>)> = Vec::new();
        for coverage in &self.coverage {
            match clauses.last_mut() {
                Some((clause, list)) if *clause == coverage.requirement.clause => list.push(coverage),
                _ => clauses.push((&coverage.requirement.clause, vec![coverage])),
            }
        }
        clauses
    }
}
