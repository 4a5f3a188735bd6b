//! The case files as a whole.

use conformance::case::{Case, Kind, Step, load, parse_file};
use conformance::{cases_directory, repository, requirements};
use std::collections::BTreeMap;

fn all() -> Vec<Case> {
    load(&cases_directory("smp-framing")).unwrap()
}

#[test]
fn every_case_can_be_read_and_expects_something() {
    let cases = all();
    assert!(cases.len() >= 110, "{} cases", cases.len());
    for case in cases {
        let steps: Vec<Step> =
            case.steps.iter().map(|line| Step::parse(line).unwrap_or_else(|e| panic!("{}: {e}", case.id))).collect();
        let expects = |step: &Step| !matches!(step, Step::Receive(_) | Step::End | Step::Wait(_) | Step::Act(_, None));
        assert!(steps.iter().any(expects), "{} expects nothing", case.id);
        assert!(!case.why.is_empty() && !case.requirements.is_empty(), "{}", case.id);
    }
}

#[test]
fn cases_name_requirements_that_there_are() {
    let known: Vec<String> =
        requirements::load(&repository(), "smp-framing").unwrap().into_iter().map(|entry| entry.id).collect();
    for case in all() {
        for id in &case.requirements {
            assert!(known.contains(id), "{} names {id}", case.id);
        }
    }
}

#[test]
fn every_reading_and_limit_is_shown_from_both_sides() {
    let mut kinds: BTreeMap<String, Vec<Kind>> = BTreeMap::new();
    for case in all() {
        for id in case.requirements {
            kinds.entry(id).or_default().push(case.kind);
        }
    }
    // Readings that only allow something: there is nothing to break.
    let only_allow = ["SMPF-R5", "SMPF-R8", "SMPF-R20"];
    // Limits whose other side is that nothing happens, which every other case shows.
    let only_refuse = ["SMPF-L-OUTGOING", "SMPF-L-LINGER"];
    let only_hold = ["SMPF-L-EVENTS"];
    for (id, kinds) in kinds.iter().filter(|(id, _)| id.starts_with("SMPF-R") || id.starts_with("SMPF-L")) {
        let has = |kind, excepted: &[&[&str]]| kinds.contains(&kind) || excepted.concat().contains(&id.as_str());
        assert!(has(Kind::Positive, &[&only_refuse]), "{id} has no positive case");
        assert!(has(Kind::Negative, &[&only_allow, &only_hold]), "{id} has no negative case");
    }
    let readings = (1..=21).map(|number| format!("SMPF-R{number}"));
    assert_eq!(readings.filter(|id| !kinds.contains_key(id)).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_no_case_file_is_refused_with_its_name() {
    for (text, reason) in [
        ("case = 1", "invalid type"),
        ("[[case]]\nid = 'a'\nrequirements = []\nkind = 'positive'\nwhy = ''\nsteps = []\nextra = 1", "unknown field"),
        ("[[case]]\nid = 'a'\nrequirements = []\nkind = 'neither'\nwhy = ''\nsteps = []", "unknown variant"),
    ] {
        let error = parse_file("x.toml", text).unwrap_err().to_string();
        assert!(error.contains("x.toml") && error.contains(reason), "{error}");
    }
}

#[test]
fn lines_that_are_no_steps_are_refused() {
    for line in [
        "",
        "recieve 0",
        "receive",
        "receive*x 0",
        "wait 3",
        "wait 3h",
        "do",
        "do nothing",
        "refused",
        "open x",
        "event",
    ] {
        assert!(Step::parse(line).is_err(), "{line}");
    }
}
