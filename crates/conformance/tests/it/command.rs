//! The report and the command's exit codes.

use conformance::case::{Case, Kind, Settings};
use conformance::report::{CaseResult, Report};
use conformance::requirements::Requirement;
use conformance::run::Failure;
use conformance::without;
use std::collections::BTreeMap;
use std::process::{Command, Output};

fn requirement(id: &str, level: &str) -> Requirement {
    Requirement {
        system: "made up".into(),
        id: id.into(),
        level: level.into(),
        clause: "a clause".into(),
        text: "a text".into(),
        status: "done".into(),
    }
}

fn result(id: &str, requirement: &str, passed: bool) -> CaseResult {
    let failure = Failure { step: 1, cutting: "uncut".into(), detail: "planted".into() };
    CaseResult {
        case: Case {
            id: id.into(),
            requirements: vec![requirement.into()],
            kind: Kind::Negative,
            why: "why".into(),
            config: Settings::default(),
            steps: Vec::new(),
        },
        failure: (!passed).then_some(failure),
    }
}

#[test]
fn a_must_needs_a_passing_case_or_a_test_and_others_do_not() {
    let requirements = || vec![requirement("X-1", "must"), requirement("X-2", "should"), requirement("X-3", "may")];
    let with = |results, tests: &[(&str, usize)]| {
        let tests: BTreeMap<String, usize> = tests.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
        Report::new(results, requirements(), &tests).faults()
    };
    assert_eq!(with(vec![], &[]), ["X-1 is a MUST without case or test"]);
    assert_eq!(with(vec![], &[("X-1", 1)]), Vec::<String>::new());
    assert_eq!(with(vec![result("a", "X-1", true)], &[]), Vec::<String>::new());
    let faults = with(vec![result("a", "X-1", false)], &[]);
    assert!(faults[0].contains("case a failed") && faults[1].contains("X-1 is a MUST"), "{faults:?}");
    assert_eq!(with(vec![result("a", "X-9", true)], &[("X-1", 1)]), ["a case names X-9, which is no requirement"]);
}

#[test]
fn a_failed_case_fails_its_requirement_even_beside_a_passing_one() {
    let results = vec![result("a", "X-1", true), result("b", "X-1", false)];
    let report = Report::new(results, vec![requirement("X-1", "must")], &BTreeMap::new());
    assert!(report.table().contains("FAILED"), "{}", report.table());
    assert!(report.markdown().contains("| `b` | negative | X-1 | why | FAILED |"), "{}", report.markdown());
    assert_eq!(report.json()["requirements"][0]["failed"][0], "b");
    assert_eq!(report.faults().len(), 1);
}

/// A case of another kind than [`result`]'s.
fn positive(id: &str, requirement: &str) -> CaseResult {
    let result = result(id, requirement, true);
    CaseResult { case: Case { kind: Kind::Positive, ..result.case }, ..result }
}

#[test]
fn a_must_of_which_a_kind_is_missing_is_listed() {
    let with = |cases: Vec<CaseResult>, reasons: &str| {
        let of = |level| {
            let report = Report::new(cases.clone(), vec![requirement("X-1", level)], &BTreeMap::new());
            report.with_reasons(without::parse("x", reasons).unwrap()).json()["requirements"][0]["lacks"].to_string()
        };
        [of("must"), of("should")]
    };
    let none = "without = []";
    assert_eq!(with(vec![], none), [r#"["positive","negative"]"#, "[]"]);
    assert_eq!(with(vec![result("a", "X-1", true)], none), [r#"["positive"]"#, "[]"]);
    assert_eq!(with(vec![positive("a", "X-1")], none), [r#"["negative"]"#, "[]"]);
    assert_eq!(with(vec![result("a", "X-1", false)], none), [r#"["positive","negative"]"#, "[]"]);
    assert_eq!(with(vec![result("a", "X-1", true), positive("b", "X-1")], none), ["[]", "[]"]);
    let reason = "[[without]]\nlacks = 'negative'\nreason = 'so'\nids = ['X-1']";
    assert_eq!(with(vec![positive("a", "X-1")], reason), ["[]", "[]"]);
    assert_eq!(with(vec![], reason), [r#"["positive"]"#, "[]"]);
}

#[test]
fn what_is_missing_is_a_fault_where_both_kinds_are_due() {
    let faults = |system: &str| {
        let entry = Requirement { system: system.into(), ..requirement("X-1", "must") };
        Report::new(vec![positive("a", "X-1")], vec![entry], &BTreeMap::new()).faults()
    };
    assert_eq!(faults("made up"), Vec::<String>::new());
    let due = without::BOTH_KINDS_DUE.first().unwrap();
    let line = "X-1 is a MUST without a negative case; add it, or a reason to cases/without.toml";
    assert_eq!(faults(due), [line]);
}

#[test]
fn a_reason_for_a_lack_that_there_is_not_is_a_fault() {
    let faults = |reasons: &str| {
        let report = Report::new(vec![positive("a", "X-1")], vec![requirement("X-1", "may")], &BTreeMap::new());
        report.with_reasons(without::parse("x", reasons).unwrap()).faults()
    };
    let entry = |lacks: &str, reason: &str, id: &str| {
        format!("[[without]]\nlacks = '{lacks}'\nreason = '{reason}'\nids = ['{id}']\n")
    };
    assert_eq!(faults(&entry("negative", "so", "X-1")), Vec::<String>::new());
    assert_eq!(faults(&entry("both", "so", "X-1")), ["without.toml says that X-1 has no positive case, and it has"]);
    assert_eq!(faults(&entry("negative", "so", "X-2")), ["without.toml names X-2, which is no requirement"]);
    assert_eq!(faults(&entry("negative", " ", "X-1")), ["without.toml gives no reason for X-1"]);
    assert_eq!(faults(&entry("negative", "so", "X-1").repeat(2)), ["without.toml names X-1 twice"]);
    assert!(without::parse("x", &entry("neither", "so", "X-1")).is_err());
}

fn command(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance")).args(arguments).output().unwrap()
}

#[test]
fn one_system_runs_alone() {
    for system in conformance::SYSTEMS {
        let output = command(&["--system", system]);
        assert_eq!(output.status.code(), Some(0), "{system}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn one_case_runs_alone_and_shows_its_steps() {
    let output = command(&["--case", "example-1-decodes"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("event message 'hello world'"), "{text}");
}

#[test]
fn wrong_arguments_and_unknown_cases_have_their_exit_codes() {
    assert_eq!(command(&["--loud"]).status.code(), Some(2));
    assert_eq!(command(&["--case"]).status.code(), Some(2));
    assert_eq!(command(&["--case", "no-such-case"]).status.code(), Some(1));
}

#[test]
fn the_list_has_every_case() {
    let output = command(&["--list"]);
    let load = |system| conformance::case::load(&conformance::cases_directory(system)).unwrap().len();
    let count: usize = conformance::SYSTEMS.map(load).into_iter().sum();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), count);
}
