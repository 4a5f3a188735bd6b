//! The gate on requirements goes red on each fault it is there for.

use super::*;

const ENTRY: &str =
    "[[requirement]]\nid = \"T-A\"\nlevel = \"must\"\nclause = \"c\"\ntext = \"t\"\nstatus = \"done\"\n";

/// A workspace in a temporary folder: requirements, one code file, one test file, one case file.
fn faults(requirements: &str, code: &str, tests: &str, cases: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("docs/requirements/t.toml", &format!("prefix = \"T\"\n{requirements}"));
    put("crates/a/src/lib.rs", code);
    put("crates/a/tests/it/main.rs", tests);
    put("crates/conformance/cases/x/y.toml", cases);
    let survey = survey(&Root(folder.path().to_path_buf())).unwrap();
    judge(&survey).into_iter().map(|fault| fault.what).collect()
}

fn tagged_test(ids: &str) -> String {
    format!("//{} {ids}\n#[test]\nfn proves() {{}}\n", '=')
}

#[test]
fn a_tested_requirement_passes() {
    assert_eq!(faults(ENTRY, "", &tagged_test("T-A"), ""), [""; 0]);
}

#[test]
fn done_without_a_test_is_red() {
    assert_eq!(faults(ENTRY, "", "", ""), ["T-A is done and has no test"]);
    let cited = format!("//{} T-A\nfn f() {{}}\n", '=');
    assert_eq!(faults(ENTRY, &cited, "", ""), ["T-A is done and has no test"], "a citation is no test");
    let ignored = format!("//{} T-A\n#[test]\n#[ignore]\nfn f() {{}}\n", '=');
    assert_eq!(faults(ENTRY, "", &ignored, ""), ["T-A is done and has no test but ignored ones"]);
    assert_eq!(faults(&ENTRY.replace("done", "planned"), "", "", ""), [""; 0]);
}

#[test]
fn a_conformance_case_counts_as_a_test() {
    assert_eq!(faults(ENTRY, "", "", "[[case]]\nid = \"one\"\nrequirement = \"T-A\"\n"), [""; 0]);
    assert_eq!(faults(ENTRY, "", "", "[group]\n[[group.case]]\nrequirements = [\"T-A\"]\n"), [""; 0]);
}

#[test]
fn an_unknown_id_is_red_wherever_it_stands() {
    let found = faults(ENTRY, "", &tagged_test("T-A, T-B"), "");
    assert_eq!(found, ["crates/a/tests/it/main.rs::proves: unknown id T-B"]);
    let found = faults(ENTRY, "", &tagged_test("T-A"), "[[case]]\nid = \"one\"\nrequirement = \"T-C\"\n");
    assert_eq!(found, ["crates/conformance/cases/x/y.toml: one: unknown id T-C"]);
    let found = faults(ENTRY, &format!("//{} T-D\n", '='), &tagged_test("T-A"), "");
    assert_eq!(found, ["crates/a/src/lib.rs:1: unknown id T-D"]);
}

#[test]
fn a_malformed_tag_is_red() {
    let found = faults(ENTRY, &format!("// {} T-A\n", '='), &tagged_test("T-A"), "");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("crates/a/src/lib.rs:1: malformed tag"), "{found:?}");
}

#[test]
fn a_duplicate_id_is_red() {
    let found = faults(&format!("{ENTRY}{ENTRY}"), "", &tagged_test("T-A"), "");
    assert_eq!(found, ["docs/requirements/t.toml: T-A is there twice (also in docs/requirements/t.toml)"]);
}

#[test]
fn a_broken_entry_is_red() {
    for (from, to) in [("must", "perhaps"), ("done", "finished"), ("text = \"t\"\n", ""), ("T-A", "U-A")] {
        assert!(!faults(&ENTRY.replace(from, to), "", &tagged_test("T-A"), "").is_empty(), "{to}");
    }
    assert_eq!(faults("", "", "", ""), ["docs/requirements holds no requirements"]);
}

#[test]
fn writing_marks_only_the_ids_given() {
    let planned = ENTRY.replace("done", "planned");
    let text = format!("{planned}\n{}", planned.replace("T-A", "T-B"));
    let after = with_done(&text, &BTreeSet::from(["T-B".to_owned()]));
    assert_eq!(after, format!("{planned}\n{}", ENTRY.replace("T-A", "T-B")));
}

#[test]
fn the_requirements_of_this_repository_are_well_formed() {
    let survey = survey(&Root::find().unwrap()).unwrap();
    assert!(survey.requirements.len() >= 100, "{}", survey.requirements.len());
    let own = survey.faults.iter().filter(|fault| fault.what.starts_with(FOLDER)).count();
    assert_eq!(own, 0, "{:?}", survey.faults);
}
