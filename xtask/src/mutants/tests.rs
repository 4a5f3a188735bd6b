use super::*;

fn mutant(id: &str, find: &str, replace: &str) -> Mutant {
    let text = |text: &str| text.to_owned();
    Mutant {
        system: text("smp121"),
        id: text(id),
        file: text("a.rs"),
        find: text(find),
        replace: text(replace),
        fault: text("wrong"),
    }
}

#[test]
fn a_fault_is_planted_where_it_stands_once() {
    let planted = |find, replace, source| list::applied(&mutant("a", find, replace), source);
    assert_eq!(planted("<", "<=", "if a < b {}"), Ok("if a <= b {}".to_owned()));
    assert!(planted("<", "<=", "if a > b {}").unwrap_err().contains("0 times"));
    assert!(planted("<", "<=", "a < b && c < d").unwrap_err().contains("2 times"));
    assert!(planted("<", "<", "a < b").is_err(), "nothing is changed");
    assert!(planted(" ", "", "a b").is_err(), "nothing is found");
}

#[test]
fn lists_that_are_short_doubled_or_out_of_date_are_red() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root(folder.path().to_path_buf());
    std::fs::write(root.path("a.rs"), "if a < b {}").unwrap();
    let said = |all: &[Mutant]| {
        let faults = list::faults(&root, all);
        faults.into_iter().map(|fault| fault.what).filter(|what| !what.contains("planted faults")).collect::<Vec<_>>()
    };
    assert_eq!(said(&[mutant("a", "<", "<=")]), Vec::<String>::new());
    assert!(said(&[mutant("a", "<", "<="), mutant("a", "a", "b")])[0].contains("two mutants are named a"));
    assert!(said(&[mutant("a", ">", ">=")])[0].contains("cannot be planted"));
    let short = list::faults(&root, &[mutant("a", "<", "<=")]);
    assert!(short.iter().any(|fault| fault.what.ends_with("smp121.toml has 1 planted faults")), "{short:?}");
}

#[test]
fn the_lists_of_this_repository_apply() {
    let root = Root::find().unwrap();
    assert_eq!(list::faults(&root, &list::load(&root).unwrap()), []);
}

#[test]
fn who_survives_or_does_not_compile_is_a_fault() {
    let of = |fate| fault_of(&mutant("a", "<", "<="), &fate).map(|fault| fault.what);
    assert_eq!(of(Fate::Caught { count: 1, first: "x".to_owned() }), None);
    assert_eq!(of(Fate::Stuck), None);
    assert_eq!(of(Fate::Survived).unwrap(), "a survived: wrong");
    assert!(of(Fate::NoBuild { first: "error[E1]".to_owned() }).unwrap().contains("does not compile"));
}

#[test]
fn the_page_has_a_line_for_each_and_says_who_survived() {
    let (a, b) = (mutant("a", "<", "<="), mutant("b", "<", ">"));
    let caught = Fate::Caught { count: 3, first: "x".to_owned() };
    let page = page("", &[(&a, caught), (&b, Fate::Survived)]);
    assert!(page.contains("1 of 2 were noticed."), "{page}");
    assert!(page.contains("| wrong | `a.rs` | 3 | `x` |\n| wrong | `a.rs` | none | survived |\n"), "{page}");
}

#[test]
fn the_sections_of_systems_that_were_not_run_stay() {
    let of = |system: &str| Mutant { system: system.to_owned(), ..mutant("a", "<", "<=") };
    let (a, b) = (of("smp121"), of("wrp"));
    let first = page("", &[(&a, Fate::Survived), (&b, Fate::Survived)]);
    let second = page(&first, &[(&a, Fate::Stuck)]);
    assert_eq!(second, first.replacen("0 of 1", "1 of 1", 1).replacen("none | survived", "all | they never end", 1));
    assert_eq!(page(&second, &[(&b, Fate::Survived)]), second);
}

#[test]
fn a_wrong_command_line_is_refused() {
    let parsed = |args: &[&str]| parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>());
    assert!(parsed(&["--quick"]).is_err());
    assert!(parsed(&["--write", "smp121-window-once"]).is_err(), "a page of some would lose the others");
    assert!(parsed(&["--write", "smp121"]).is_ok());
    assert_eq!(parsed(&["smp121", "x"]).unwrap().names, ["smp121", "x"]);
}
