//! The files of wire cases as a whole.

use conformance::notation::NotationError;
use conformance::wire::case::{SYSTEMS, load, parse};
use conformance::wire::{carriers, smp, smp121, smrp, wrp};
use conformance::{repository, requirements};
use std::collections::BTreeSet;

#[test]
fn wire_cases_can_be_read_and_name_requirements_that_there_are() {
    let mut ids = BTreeSet::new();
    for system in SYSTEMS {
        let known: BTreeSet<String> =
            requirements::load(&repository(), system).unwrap().into_iter().map(|entry| entry.id).collect();
        for case in load(system).unwrap() {
            assert!(ids.insert(case.id.clone()), "{} is there twice", case.id);
            assert!(!case.why.is_empty() && !case.requirements.is_empty() && !case.steps.is_empty(), "{}", case.id);
            for id in &case.requirements {
                assert!(known.contains(id), "{} names {id}", case.id);
            }
            for line in &case.steps {
                let read = match system {
                    "carriers" if case.protocol.as_deref() != Some("smp121") => carriers::check(line),
                    "carriers" => smp121::Step::parse(line).map(drop),
                    "smrp" => smrp::check(line).map_err(|why| NotationError { text: why, reason: "no step of smrp" }),
                    "wrp" | "wrp-ssp" => wrp::Step::parse(line).map(drop),
                    "smp121" => smp121::Step::parse(line).map(drop),
                    _ => smp::Step::parse(line).map(drop),
                };
                read.unwrap_or_else(|error| panic!("{}: {error}", case.id));
            }
        }
    }
}

#[test]
fn a_file_that_is_no_file_of_wire_cases_is_refused_with_its_name() {
    for text in
        ["case = 1", "[[case]]\nid = 'a'\nrequirements = []\nkind = 'positive'\nwhy = ''\nsteps = []\nconfig = {}"]
    {
        assert!(parse("sockets.toml", text).unwrap_err().to_string().contains("sockets.toml"));
    }
}
