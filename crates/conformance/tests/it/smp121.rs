//! The cases of protocol 121 as a whole, and that a case can fail.

use crate::made_up;
use conformance::case::{Case, load};
use conformance::{cases_directory, repository, requirements, smp121};

fn all() -> Vec<Case> {
    load(&cases_directory("smp121")).unwrap()
}

#[test]
fn every_case_passes_and_names_requirements_that_there_are() {
    let known: Vec<String> =
        requirements::load(&repository(), "smp121").unwrap().into_iter().map(|entry| entry.id).collect();
    let cases = all();
    assert!(cases.len() >= 225, "{} cases", cases.len());
    for case in cases {
        assert_eq!(smp121::run(&case), Ok(()), "{}", case.id);
        assert!(!case.why.is_empty() && !case.requirements.is_empty(), "{}", case.id);
        assert!(case.requirements.iter().all(|id| known.contains(id)), "{}: {:?}", case.id, case.requirements);
    }
}

#[test]
fn every_flow_and_rule_has_a_case() {
    let named: Vec<String> = all().into_iter().flat_map(|case| case.requirements).collect();
    let flows = (1..=13).map(|number| format!("SMP121-F{number}"));
    let rules = "ABCDEFGHIJK".chars().map(|rule| format!("SMP121-R-{rule}"));
    let missing: Vec<String> =
        flows.chain(rules).filter(|id| !named.iter().any(|named| named.starts_with(id))).collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// What is not so has to fail, at its step and with its word.
#[test]
fn a_case_that_is_not_so_fails() {
    let begin = ["do define 'a' 10", "receive name-request 'a'"];
    for (behind, step, word) in [
        (&["sent name-reply n0 m 11 16 'a'"][..], 2, "expected `name-reply n0 m 11"),
        (&["silent"], 2, "expected silence"),
        (&[], 2, "nothing more was expected"),
        (&["sent name-reply n0 m 10 16 'a'", "sent records"], 3, "got None"),
        (
            &["sent name-reply n0 m 10 16 'a'", "receive request n0 m whole 'x'", "refused nothing take"],
            4,
            "expected refusal",
        ),
        (&["sent name-reply n0 m 10 16 'a'", "do take"], 3, "refused with nothing"),
        (&["sent name-reply n0 m 10 16 'a'", "dropped flags 1"], 3, "dropped flags 0"),
        (&["sent name-reply n0 m 10 16 'a'", "receive request n0 m 0/9 'x'", "idle"], 4, "not idle"),
        (&["sent name-reply n0 m 10 16 'a'", "event done 0 'x'"], 3, "event: expected"),
        (&["sent name-reply n0 m 10 16 'a'", "counted requests 1"], 3, "requests 0, expected 1"),
        (&["sent hex 00"], 2, "sent hex: got"),
    ] {
        let failure = smp121::run(&made_up(&[&begin[..], behind].concat())).unwrap_err();
        assert_eq!(failure.step, step, "{failure}");
        assert!(failure.detail.contains(word), "{failure}");
    }
}

#[test]
fn lines_that_are_no_steps_are_refused() {
    for line in [
        "",
        "recieve records",
        "receive",
        "receive nothing",
        "receive request 1 2 here 'x'",
        "receive request n0 2 whole 'x'",
        "receive request 1 m whole 'x'",
        "receive records + nod 1 2",
        "receive colour=red records",
        "wait 3",
        "do",
        "do nothing",
        "do answer 0 'x'",
        "dropped everything 1",
        "counted everything 1",
        "report",
        "report too-long",
        "sent hex 0",
    ] {
        assert!(smp121::run(&made_up(&[line])).is_err(), "{line}");
    }
}
