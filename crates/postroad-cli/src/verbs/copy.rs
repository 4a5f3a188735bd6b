//! `postroad copy`.

use crate::args::Copy;
use crate::failure::Failure;
use crate::talk::{Talk, data_line, human_octets};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use postroad::transfer::{Existing, Progress, Transfer, fetch_file, send_file};
use postroad::{ConnectOptions, Connection, ErrorKind, escape};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files that are on their way at the same time; more wait.
const AT_ONCE: usize = 16;

/// Which way it goes.
#[derive(Clone)]
enum Plan {
    Upload { path: PathBuf, url: String, name: String },
    Download { url: String, path: PathBuf, name: String },
}

impl Plan {
    fn url(&self) -> &str {
        match self {
            Self::Upload { url, .. } | Self::Download { url, .. } => url,
        }
    }
}

pub(crate) async fn run(verb: Copy, talk: Talk) -> Result<(), Failure> {
    let plans = plans(&verb)?;
    for plan in &plans {
        if let Plan::Upload { path, .. } = plan {
            look_at(path)?;
        }
    }
    let url = plans.first().map(Plan::url).unwrap_or_default();
    let options = ConnectOptions::new().require(postroad::Capability::Files);
    let connection = super::connect(url, options, &talk).await?;
    let bar = Bar::new(&talk);
    let existing = if verb.force { Existing::Replace } else { Existing::Keep };
    let mut waiting = plans.into_iter();
    // All in this task: when it is interrupted, what is unfinished is removed before the process ends.
    let mut copies = FuturesUnordered::new();
    for plan in waiting.by_ref().take(AT_ONCE) {
        copies.push(copy(&connection, plan, existing, &bar));
    }
    let copying = async {
        let mut failures = Vec::new();
        while let Some(copied) = copies.next().await {
            match copied {
                Ok(transfer) => bar.0.suspend(|| tell(&transfer, &talk))?,
                Err(failure) => failures.push(failure),
            }
            if let Some(plan) = waiting.next() {
                copies.push(copy(&connection, plan, existing, &bar));
            }
        }
        Ok::<_, Failure>(failures)
    };
    let copied = tokio::select! {
        copied = copying => copied,
        never = say_when_it_stands(&bar, connection.peer(), talk) => match never {},
    };
    bar.clear();
    let mut failures = copied?;
    // Both ends have checked the content: how the connection ends changes nothing.
    let _ended_otherwise = connection.close().await;
    let Some(last) = failures.pop() else { return Ok(()) };
    for failure in &failures {
        talk.say(&format!("{}: {}", failure.what, failure.why));
    }
    Err(last)
}

async fn copy(connection: &Connection, plan: Plan, existing: Existing, bar: &Bar) -> Result<Transfer, Failure> {
    let mut before = Progress { done_len: 0, total_len: None };
    let mut progress = |now: Progress| {
        bar.show(before, now);
        before = now;
    };
    let copied = match &plan {
        Plan::Upload { path, name, .. } => send_file(connection, path, name, &mut progress).await,
        Plan::Download { path, name, .. } => fetch_file(connection, name, path, existing, &mut progress).await,
    };
    copied.map_err(|error| explain(error, &plan))
}

/// Says so, once for each time that nothing moves for two seconds.
async fn say_when_it_stands(bar: &Bar, peer: &str, talk: Talk) -> std::convert::Infallible {
    let (mut before, mut has_said) = (u64::MAX, false);
    loop {
        let now = bar.0.position();
        if now != before {
            has_said = false;
        } else if !has_said {
            has_said = true;
            talk.say(&format!("waiting for {peer}, {} so far", human_octets(now)));
        }
        before = now;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// What is to be copied: several files go to a server, and one comes from it.
fn plans(verb: &Copy) -> Result<Vec<Plan>, Failure> {
    if verb.from.len() > 1 && verb.name.is_some() {
        return Err(Failure::usage("--name goes with one file", format!("there are {} of them", verb.from.len()))
            .with_fix("leave it out: each has the name that it has here"));
    }
    if verb.from.len() > 1 && verb.from.iter().any(|from| from.contains("://")) {
        return Err(Failure::usage("copy fetches one file at a time", "there is more than one place to copy from")
            .with_fix("postroad copy smp+tcp://HOST:PORT FILE, once for each file"));
    }
    verb.from.iter().map(|from| plan(verb, from)).collect()
}

fn plan(verb: &Copy, from: &str) -> Result<Plan, Failure> {
    let is_url = |text: &str| text.contains("://");
    let file_name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let named = |path: &Path| match (&verb.name, file_name(path)) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(name)) => Ok(name),
        (None, None) => {
            let what = format!("`{}` names no file", escape::text(&path.to_string_lossy()));
            Err(Failure::usage(what, "the file's name at the server is not known").with_fix("give it with --name"))
        }
    };
    match (is_url(from), is_url(&verb.to)) {
        (false, true) => {
            let path = PathBuf::from(from);
            Ok(Plan::Upload { name: named(&path)?, path, url: verb.to.clone() })
        }
        (true, false) => {
            let mut path = PathBuf::from(&verb.to);
            if let (true, Some(name)) = (path.is_dir(), &verb.name) {
                path.push(postroad::transfer::safe_name(name).map_err(|error| {
                    Failure::usage(format!("`{}` is no name for a file here", escape::text(name)), error.to_string())
                })?);
            }
            Ok(Plan::Download { name: named(&path)?, path, url: from.to_owned() })
        }
        (both, _) => {
            let why = if both { "both ends are URLs" } else { "neither end is a URL" };
            Err(Failure::usage("copy goes from a file to a URL or back", why)
                .with_fix("postroad copy FILE smp+tcp://HOST:PORT, or postroad copy smp+tcp://HOST:PORT FILE"))
        }
    }
}

/// Before anything is connected.
fn look_at(path: &Path) -> Result<(), Failure> {
    let what = || format!("could not read `{}`", escape::text(&path.to_string_lossy()));
    let metadata =
        path.metadata().map_err(|error| Failure::file(what(), &error).with_fix("give the path of a file"))?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(Failure::new("file", what(), "it is no plain file")
        .with_fix("to copy a folder, make an archive of it: tar -czf x.tgz FOLDER"))
}

fn explain(error: postroad::Error, plan: &Plan) -> Failure {
    let (kind, is_trouble) = (error.kind(), crate::failure::is_connection_trouble(error.kind()));
    let mut failure = Failure::from(error);
    let (from, to) = match plan {
        Plan::Upload { path, url, .. } => (path.to_string_lossy().into_owned(), url.clone()),
        Plan::Download { path, url, .. } => (url.clone(), path.to_string_lossy().into_owned()),
    };
    failure.why = format!("{}: {}", failure.what, failure.why);
    failure.what = format!("could not copy {} to {}", escape::text(&from), escape::text(&to));
    if is_trouble {
        failure.fix =
            "nothing was left half done; see that the server runs (postroad serve URL --save DIR), and copy again"
                .to_owned();
    } else if kind == ErrorKind::Peer && failure.fix.is_empty() {
        failure.fix = "see that the server runs with --save, and see --name and its --overwrite".to_owned();
    }
    failure
}

fn tell(transfer: &Transfer, talk: &Talk) -> Result<(), Failure> {
    let seconds = transfer.duration.as_secs_f64();
    if talk.is_json() {
        return data_line(
            &json!({
                "schema": "postroad-copy/1", "name": transfer.name, "octets": transfer.len, "sha256": transfer.sha256,
                "seconds": seconds,
            })
            .to_string(),
        );
    }
    let rate = transfer.len as f64 / seconds.max(1e-6) / f64::from(1 << 20);
    talk.say(&format!(
        "copied {}, {} in {seconds:.2} s, {rate:.1} MiB/s, SHA-256 {} at both ends",
        escape::text(&transfer.name),
        human_octets(transfer.len),
        transfer.sha256
    ));
    Ok(())
}

/// A progress bar where somebody watches, nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn new(talk: &Talk) -> Self {
        let target = if talk.shows_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = "{bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// One of several files has come so much further.
    fn show(&self, before: Progress, now: Progress) {
        if let (None, Some(total)) = (before.total_len, now.total_len) {
            self.0.set_length(self.0.length().unwrap_or(0) + total);
        }
        self.0.inc(now.done_len.saturating_sub(before.done_len));
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}
