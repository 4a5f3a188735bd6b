//! The modes that run wire cases.

use crate::options::{Mode, Options};
use crate::{files, required, say};
use conformance::output::{self, Row, Verdict};
use conformance::wire::case::{self, SYSTEMS, WireCase};
use conformance::wire::exceptions::{self, Exception};
use conformance::wire::target::Target;
use conformance::wire::{ours, run};
use core::time::Duration;
use postroad::Url;
use postroad::url::Protocol;

/// The carriers of byte streams, in the order in which our servers are tried.
const STREAMS: [&str; 6] = ["tcp", "unix", "mem", "ws", "tls", "wss"];

/// The word of a system's protocol in URLs, and its carriers.
fn protocol(system: &str) -> (&'static str, &'static [&'static str]) {
    match system {
        "smp121" => ("smp121", &["udp", "ip"]),
        "smrp" => ("smrp", &STREAMS),
        "wrp" | "wrp-ssp" => ("wrp", &STREAMS),
        _ => ("smp", &STREAMS),
    }
}

/// The systems that a URL is about.
fn systems_of(url: &Url) -> &'static [&'static str] {
    match url.protocol() {
        Protocol::Smp => &["smp-framing"],
        Protocol::Smp121 => &["smp121"],
        Protocol::Wrp => &["wrp", "wrp-ssp"],
        _ => &["smrp"],
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
    let (title, rows) = match &options.mode {
        Mode::Connect(url) => {
            let target = Target::connect(parse(url)?)?;
            (format!("Conformance of {url}"), runtime.block_on(foreign(&chosen, &target, &exceptions)))
        }
        Mode::Listen(url) => {
            let target = runtime.block_on(Target::listen(parse(url)?))?;
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

async fn foreign(chosen: &Chosen, target: &Target, exceptions: &[Exception]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (system, cases) in chosen.iter().filter(|(system, _)| systems_of(&target.url).contains(system)) {
        rows.extend(run::run_all(system, cases, target, exceptions).await);
    }
    rows
}

/// Our own servers, one after the other.
async fn own(options: &Options, chosen: &Chosen, exceptions: &[Exception]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (system, cases) in chosen {
        let (protocol, carriers) = protocol(system);
        let carriers = carriers.iter().filter(|carrier| options.carrier.as_deref().is_none_or(|one| one == **carrier));
        for carrier in carriers {
            let served = match ours::serve(protocol, carrier, "").await {
                Ok(served) => served,
                Err(why) => {
                    // What may not be done here is skipped; whatever else fails is a failure.
                    let verdict = match *carrier == "ip" {
                        true => Verdict::Skipped(format!("no right to raw sockets: {why}")),
                        false => Verdict::Failed(format!("our server did not start: {why}")),
                    };
                    rows.extend(
                        cases.iter().map(|case| run::row(system, case, carrier, verdict.clone(), Duration::ZERO)),
                    );
                    continue;
                }
            };
            match Target::connect(served.url.clone()) {
                Ok(mut target) => {
                    target.ca = Some(served.ca.clone());
                    rows.extend(run::run_all(system, cases, &target, exceptions).await);
                }
                Err(why) => rows.extend(
                    cases
                        .iter()
                        .map(|case| run::row(system, case, carrier, Verdict::Failed(why.clone()), Duration::ZERO)),
                ),
            }
        }
    }
    rows
}

fn line_of(case: &WireCase) -> String {
    format!("{:<40} {:<9} {}  {}\n", case.id, case.kind.name(), case.requirements.join(" "), case.why)
}
