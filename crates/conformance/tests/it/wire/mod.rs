//! Wire cases against echo servers of these tests: a right one passes all of them, and each planted fault is found.

mod carriers;
mod command;
mod data;
mod smp;
mod smp121;
mod smrp;
mod wrp;

use conformance::output::{Row, Verdict};
use conformance::wire::case;
use conformance::wire::exceptions::Exception;
use conformance::wire::run::run_all;
use conformance::wire::target::Target;

/// The cases that fail against a server at `url`, all of the system or those named.
async fn failing(system: &str, url: &str, only: &[&str]) -> Vec<(String, String)> {
    let rows = rows(system, url, only, &[]).await;
    let failed = |row: Row| match row.verdict {
        Verdict::Failed(detail) => Some((row.id, detail)),
        _ => None,
    };
    rows.into_iter().filter_map(failed).collect()
}

async fn rows(system: &str, url: &str, only: &[&str], exceptions: &[Exception]) -> Vec<Row> {
    let mut cases = case::load(system).unwrap();
    cases.retain(|case| only.is_empty() || only.contains(&case.id.as_str()));
    assert!(only.is_empty() || cases.len() == only.len(), "a case was renamed: {only:?}");
    let target = Target::connect(url.parse().unwrap()).unwrap();
    run_all(system, &cases, &target, None, exceptions).await
}
