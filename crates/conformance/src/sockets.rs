//! The modes that run wire cases.

use crate::options::{Mode, Options};
use crate::{files, required, say};
use conformance::output::{self, Row, Verdict};
use conformance::wire::case::{self, CARRIERS, SYSTEMS, WireCase};
use conformance::wire::exceptions::{self, Exception};
use conformance::wire::link::PATIENCE;
use conformance::wire::target::Target;
use conformance::wire::{ours, run};
use core::time::Duration;
use postroad::Url;
use std::collections::BTreeSet;

/// The carriers of byte streams, in the order in which our servers are tried.
const STREAMS: [&str; 6] = ["tcp", "unix", "mem", "ws", "tls", "wss"];

/// The protocols and carriers of a system.
fn stacks(system: &str) -> &'static [(&'static str, &'static [&'static str])] {
    match system {
        "smp121" => &[("smp121", &["udp", "ip"])],
        "smrp" => &[("smrp", &STREAMS)],
        "wrp" | "wrp-ssp" => &[("wrp", &STREAMS)],
        CARRIERS => &[("smp", &STREAMS), ("smrp", &STREAMS), ("smp121", &["udp"])],
        _ => &[("smp", &STREAMS)],
    }
}

/// Runs what was chosen; the faults found.
pub(crate) fn work(options: &Options) -> Result<Vec<String>, String> {
    let exceptions = match &options.exceptions {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            exceptions::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => Vec::new(),
    };
    let mut chosen = Vec::new();
    let known = |id: &str| {
        SYSTEMS.iter().any(|system| case::load(system).is_ok_and(|all| all.iter().any(|case| case.id == id)))
    };
    if let Some(unknown) = exceptions.iter().find(|exception| !known(&exception.id)) {
        return Err(format!("an exception is about {:?}, which is no case", unknown.id));
    }
    for system in SYSTEMS.into_iter().filter(|system| options.has_system(system)) {
        let mut cases = case::load(system).map_err(|error| error.to_string())?;
        cases.retain(|case| options.has_case(&case.id));
        chosen.push((system, cases));
    }
    if chosen.iter().all(|(_, cases)| cases.is_empty()) {
        return Ok(vec!["no such wire case; --list with a mode shows them".into()]);
    }
    if options.list {
        say(&chosen.iter().flat_map(|(_, cases)| cases).map(line_of).collect::<String>());
        return Ok(Vec::new());
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let patience = options.patience.unwrap_or(PATIENCE);
    let (title, rows) = match &options.mode {
        Mode::Connect(url) => {
            let mut target = Target::connect(parse(url)?)?;
            target.patience = patience;
            (format!("Conformance of {url}"), runtime.block_on(foreign(&chosen, &target, &exceptions)))
        }
        Mode::Listen(url) => {
            let mut target = runtime.block_on(Target::listen(parse(url)?))?;
            target.patience = patience;
            say(&format!("listening {}\n", target.url));
            (format!("Conformance of who connects to {url}"), runtime.block_on(foreign(&chosen, &target, &exceptions)))
        }
        _ => ("Conformance of postroad".to_owned(), runtime.block_on(own(options, &chosen, &exceptions))),
    };
    // Servers that still linger do not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    files(options, &title, &rows, &required(options, &SYSTEMS)?)?;
    if options.json {
        say(&format!("{:#}\n", output::json(&rows)));
    } else {
        say(&output::summary(&rows));
    }
    Ok(output::faults(&rows).into_iter().map(|fault| format!("conformance: {fault}")).collect())
}

fn parse(url: &str) -> Result<Url, String> {
    url.parse().map_err(|error: postroad::UrlError| error.to_string())
}

type Chosen = [(&'static str, Vec<WireCase>)];

/// The word of the protocol that a case is about.
fn protocol_of<'a>(system: &str, case: &'a WireCase) -> &'a str {
    match system {
        CARRIERS => case.protocol.as_deref().unwrap_or("smp"),
        "smp121" => "smp121",
        "smrp" => "smrp",
        "wrp" | "wrp-ssp" => "wrp",
        _ => "smp",
    }
}

/// The cases of a system that are about a protocol over a carrier. What is for another carrier is told only where it is about the protocol.
fn about(system: &str, cases: &[WireCase], protocol: &str, carrier: &str) -> Vec<WireCase> {
    let is_about = |case: &&WireCase| {
        let is_there = system != CARRIERS || case.carriers.iter().any(|of| of == carrier);
        is_there && protocol_of(system, case) == protocol
    };
    cases.iter().filter(is_about).cloned().collect()
}

async fn foreign(chosen: &Chosen, target: &Target, exceptions: &[Exception]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (system, cases) in chosen {
        let cases = about(system, cases, target.url.protocol().word(), target.carrier());
        rows.extend(run::run_all(system, &cases, target, None, exceptions).await);
    }
    rows
}

/// Our own servers, one after the other: one for each protocol, carrier and setting that cases ask for.
async fn own(options: &Options, chosen: &Chosen, exceptions: &[Exception]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (system, cases) in chosen {
        for (protocol, carriers) in stacks(system) {
            let carriers =
                carriers.iter().filter(|carrier| options.carrier.as_deref().is_none_or(|one| one == **carrier));
            for carrier in carriers {
                let cases = about(system, cases, protocol, carrier);
                let settings: BTreeSet<Option<String>> = cases.iter().map(|case| case.options.clone()).collect();
                for setting in settings {
                    let cases: Vec<WireCase> = cases.iter().filter(|case| case.options == setting).cloned().collect();
                    rows.extend(
                        served(system, (protocol, carrier, setting.as_deref()), &cases, exceptions, options).await,
                    );
                }
            }
        }
    }
    rows
}

/// Cases against one server of ours.
async fn served(
    system: &str,
    (protocol, carrier, setting): (&str, &str, Option<&str>),
    cases: &[WireCase],
    exceptions: &[Exception],
    options: &Options,
) -> Vec<Row> {
    let all = |verdict: &Verdict| -> Vec<Row> {
        cases.iter().map(|case| run::row(system, case, carrier, verdict.clone(), Duration::ZERO)).collect()
    };
    let ours = match ours::serve(protocol, carrier, setting.unwrap_or("")).await {
        Ok(ours) => ours,
        // What may not be done here is skipped; whatever else fails is a failure.
        Err(why) if carrier == "ip" => return all(&Verdict::Skipped(format!("no right to raw sockets: {why}"))),
        Err(why) => return all(&Verdict::Failed(format!("our server did not start: {why}"))),
    };
    match Target::connect(ours.url.clone()) {
        Ok(mut target) => {
            target.ca = Some(ours.ca.clone());
            target.patience = options.patience.unwrap_or(PATIENCE);
            run::run_all(system, cases, &target, Some(&ours), exceptions).await
        }
        Err(why) => all(&Verdict::Failed(why)),
    }
}

fn line_of(case: &WireCase) -> String {
    format!("{:<40} {:<9} {}  {}\n", case.id, case.kind.name(), case.requirements.join(" "), case.why)
}
