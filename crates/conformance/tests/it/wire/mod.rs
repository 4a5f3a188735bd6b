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
use std::fmt::Debug;
use tokio::task::JoinSet;

/// The cases that fail against a server at `url`, all of the system or those named.
async fn failing(system: &str, url: &str, only: &[&str]) -> Vec<(String, String)> {
    let rows = rows(system, url, only, &[]).await;
    let failed = |row: Row| match row.verdict {
        Verdict::Failed(detail) => Some((row.id, detail)),
        _ => None,
    };
    rows.into_iter().filter_map(failed).collect()
}

/// Serves each planted fault, all at once; its case has to find it. What `serve` gives beside the URL lives as long as its case runs.
async fn each_is_found<F, S, G>(
    faults: impl IntoIterator<Item = (F, &'static str, &'static str)>,
    serve: impl Fn(F) -> S + Copy + Send + 'static,
) where
    F: Copy + Debug + Send + Sync + 'static,
    S: Future<Output = (G, String)> + Send,
    G: Send,
{
    let mut running = JoinSet::new();
    for (fault, system, case) in faults {
        running.spawn(async move {
            let (_lives, url) = serve(fault).await;
            let found = failing(system, &url, &[case]).await;
            assert!(!found.is_empty(), "{fault:?} was not found by {case}");
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

async fn rows(system: &str, url: &str, only: &[&str], exceptions: &[Exception]) -> Vec<Row> {
    let mut cases = case::load(system).unwrap();
    cases.retain(|case| only.is_empty() || only.contains(&case.id.as_str()));
    assert!(only.is_empty() || cases.len() == only.len(), "a case was renamed: {only:?}");
    let target = Target::connect(url.parse().unwrap()).unwrap();
    run_all(system, &cases, &target, None, exceptions).await
}
