//! `postroad demo`: the main job in one go, on real sockets.

mod raw;

use crate::args::Demo;
use crate::failure::Failure;
use crate::talk::{Talk, data_line, human_octets};
use postroad::dev_certs::DevCa;
use postroad::transfer::{Answered, Existing, Store, Transfer, fetch_file, send_file};
use postroad::url::Stack;
use postroad::{Capability, ConnectOptions, Connection, Error, Incoming, ListenOptions, Message, escape};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Requests under way at once.
const IN_FLIGHT: u32 = 32;

/// Sizes of the small messages, in turn.
const SIZES: [usize; 6] = [0, 1, 16, 100, 1_492, 4_096];

/// The name of the file at the other end.
const FILE_NAME: &str = "demo-file";

/// How long one stack may take before it counts as failed.
const STACK_TIMEOUT: Duration = Duration::from_secs(120);

/// What all stacks share.
struct Stage {
    ca: DevCa,
    folder: tempfile::TempDir,
    file: PathBuf,
    messages: u32,
}

/// What one stack did.
struct Row {
    stack: String,
    messages: u32,
    octets: u64,
    seconds: f64,
    sha256: String,
    verdict: Verdict,
    /// How it was done, where there are several ways.
    way: Option<&'static str>,
}

/// How a stack came off.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Failed(String),
    /// This machine has no way to it, which is nobody's fault.
    Skipped(String),
}

impl Verdict {
    const fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    fn why(&self) -> Option<&str> {
        match self {
            Self::Ok => None,
            Self::Failed(why) | Self::Skipped(why) => Some(why),
        }
    }

    const fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// What was counted and compared on one stack.
struct Evidence {
    wrong_replies: u32,
    messages: u32,
    message_octets: u64,
    original: FileMark,
    sent: FileMark,
    fetched: FileMark,
    on_disk: FileMark,
}

/// Length and SHA-256 of a file as somebody saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileMark {
    len: u64,
    sha256: String,
}

impl From<&Transfer> for FileMark {
    fn from(transfer: &Transfer) -> Self {
        Self { len: transfer.len, sha256: transfer.sha256.clone() }
    }
}

pub(crate) async fn run(verb: Demo, talk: Talk) -> Result<(), Failure> {
    let stacks = stacks(&verb.stacks)?;
    let stage = stage(&verb)?;
    let original = mark(&stage.file)?;
    talk.say(&format!(
        "{} messages and {} of {} there and back on each stack",
        stage.messages,
        human_octets(original.len),
        escape::text(&stage.file.to_string_lossy())
    ));
    let mut rows = Vec::new();
    for stack in stacks {
        rows.push(row_of(&stack, &stage, &original, verb.in_namespace, &talk).await);
    }
    show(&rows, &original, &talk)?;
    let failed: Vec<&Row> = rows.iter().filter(|row| row.verdict.is_failed()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = failed.iter().map(|row| row.stack.as_str()).collect();
    let why = failed.iter().map(|row| format!("{}: {}", row.stack, row.verdict.why().unwrap_or_default()));
    let why = why.collect::<Vec<_>>().join("; ");
    Err(Failure::new("integrity", format!("the demo failed on {}", names.join(", ")), why)
        .with_fix("run it again with -v, and with --stack for one of them alone"))
}

async fn row_of(stack: &str, stage: &Stage, original: &FileMark, in_namespace: bool, talk: &Talk) -> Row {
    let way = match raw::way(stack, in_namespace).await {
        Ok(raw::Way::Here(way)) => way,
        Ok(raw::Way::Namespace) => {
            let running = tokio::time::timeout(STACK_TIMEOUT, raw::run(stack, stage, original));
            let row = talk.waiting(&format!("{stack} to finish"), running).await;
            return row.unwrap_or_else(|_| row_from(stack, Err(too_long()), None));
        }
        Err(why) => return Row { verdict: Verdict::Skipped(why), ..row_from(stack, Err(String::new()), None) },
    };
    let playing = tokio::time::timeout(STACK_TIMEOUT, play(stack, stage, original));
    let played = talk.waiting(&format!("{stack} to finish"), playing).await;
    row_from(stack, played.unwrap_or_else(|_| Err(too_long())), way)
}

fn too_long() -> String {
    format!("it took longer than {STACK_TIMEOUT:?}")
}

fn stacks(wanted: &[String]) -> Result<Vec<String>, Failure> {
    let all: Vec<String> = Stack::ALL.iter().map(ToString::to_string).collect();
    if let Some(unknown) = wanted.iter().find(|stack| !all.contains(stack)) {
        return Err(Failure::usage(format!("`{}` is no stack", escape::text(unknown)), "it does not exist (yet)")
            .with_fix(format!("choose from {}", all.join(", "))));
    }
    Ok(if wanted.is_empty() { all } else { wanted.to_vec() })
}

fn stage(verb: &Demo) -> Result<Stage, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new("system", "could not set the stage", error.to_string());
    let file = match &verb.file {
        Some(file) => file.clone(),
        None => std::env::current_exe().map_err(|error| failed(&error))?,
    };
    let ca = DevCa::generate().map_err(|error| failed(&error))?;
    let folder = tempfile::Builder::new().prefix("postroad-demo-").tempdir().map_err(|error| failed(&error))?;
    Ok(Stage { ca, folder, file, messages: verb.messages })
}

/// Length and checksum as the file lies on the disk, by no code that moves messages.
fn mark(path: &Path) -> Result<FileMark, Failure> {
    let (len, sha256) = postroad::transfer::checksum(path)?;
    Ok(FileMark { len, sha256 })
}

/// One stack from the listener to the last checksum.
async fn play(stack: &str, stage: &Stage, original: &FileMark) -> Result<(Evidence, f64), String> {
    let words = |error: Error| error.to_string();
    let shown = |failure: Failure| failure.to_string();
    let name = stack.replace('+', "-");
    let authority = match (stack, stack.rsplit('+').next().unwrap_or_default()) {
        ("smp121", _) => format!("{}/demo", raw::address()),
        (_, "udp") => "127.0.0.1:0/demo".to_owned(),
        ("smp121+mem", _) => format!("demo-{}/demo", std::process::id()),
        (_, "unix") => stage.folder.path().join(format!("{name}.sock")).to_string_lossy().into_owned(),
        (_, "mem") => format!("demo-{}-{name}", std::process::id()),
        // Devices have a path of their own.
        ("wrp+ws" | "wrp+wss", _) => "localhost:0".to_owned(),
        (_, "ws" | "wss") => "localhost:0/demo".to_owned(),
        _ => "localhost:0".to_owned(),
    };
    let identity = stage.ca.issue_server(&["localhost", "127.0.0.1", "::1"]).map_err(|error| error.to_string())?;
    let listen = ListenOptions::new().with_identity_pem(identity.certificate_pem, identity.key_pem);
    let connect = ConnectOptions::new().with_ca_pem(stage.ca.certificate_pem());
    let store_folder = stage.folder.path().join(format!("{name}-there"));
    std::fs::create_dir_all(&store_folder).map_err(|error| error.to_string())?;

    let mut listener = postroad::listen_with(format!("{stack}://{authority}"), listen).await.map_err(words)?;
    let url = listener.url().clone();
    let store = Store::new(store_folder, Existing::Keep);
    let mut server = JoinSet::new();
    let (stop, stopped) = oneshot::channel();
    server.spawn(async move {
        let connection = listener.accept().await?;
        answer(&connection, &store, stopped).await
    });
    let connection = postroad::connect_with(url, connect).await.map_err(words)?;

    let started = Instant::now();
    let (wrong_replies, message_octets) = exchange(&connection, stage.messages).await.map_err(words)?;
    let sent = send_file(&connection, &stage.file, FILE_NAME, &mut |_| {}).await.map_err(words)?;
    let back = stage.folder.path().join(format!("{name}-back"));
    let fetched = fetch_file(&connection, FILE_NAME, &back, Existing::Keep, &mut |_| {}).await.map_err(words)?;
    let seconds = started.elapsed().as_secs_f64();
    connection.close().await.map_err(words)?;
    // Nobody says goodbye to a mailslot.
    let _ended_already = stop.send(());
    while let Some(ended) = server.join_next().await {
        ended.map_err(|error| error.to_string())?.map_err(words)?;
    }
    let on_disk = mark(&back).map_err(shown)?;
    let _not_needed_any_more = std::fs::remove_file(&back);
    let evidence = Evidence {
        wrong_replies,
        messages: stage.messages,
        message_octets,
        original: original.clone(),
        sent: (&sent).into(),
        fetched: (&fetched).into(),
        on_disk,
    };
    Ok((evidence, seconds))
}

/// The other end: echoes requests, stores the file, gives it out. A connection ends when its peer closes it, a mailslot when
/// it is told to.
async fn answer(connection: &Connection, store: &Store, mut stopped: oneshot::Receiver<()>) -> Result<(), Error> {
    let ends_by_itself = connection.can(Capability::BothWays);
    loop {
        let incoming = tokio::select! {
            incoming = connection.receive() => incoming?,
            _ = &mut stopped, if !ends_by_itself => None,
        };
        match incoming {
            Some(Incoming::RequestBody(request, body)) => drop(store.put(request, body).await?),
            Some(Incoming::Request(request)) => {
                if let Answered::Other(request) = store.answer(request).await? {
                    let message = request.message().clone();
                    request.reply(message).await?;
                }
            }
            Some(_) => {}
            None => return connection.close().await,
        }
    }
}

/// Sends small messages and counts the replies that are not what they should be, and the octets there and back.
async fn exchange(connection: &Connection, messages: u32) -> Result<(u32, u64), Error> {
    let mut workers = JoinSet::new();
    let has_parts = connection.can(Capability::Parts);
    for worker in 0..IN_FLIGHT {
        let connection = connection.clone();
        workers.spawn(async move {
            let (mut wrong, mut octets) = (0, 0);
            let mut number = worker;
            while number < messages {
                let message = small_message(number, has_parts);
                octets += 2 * message.payload_len() as u64;
                let reply = connection.request(message.clone()).await?;
                wrong += u32::from(reply != message);
                number += IN_FLIGHT;
            }
            Ok::<_, Error>((wrong, octets))
        });
    }
    let (mut wrong, mut octets) = (0, 0);
    while let Some(worker) = workers.join_next().await {
        // A worker that panicked is as wrong as can be.
        let (more_wrong, more_octets) = worker.unwrap_or(Ok((1, 0)))?;
        wrong += more_wrong;
        octets += more_octets;
    }
    Ok((wrong, octets))
}

/// A message that no other has: its number, and content of a size that changes from one to the next.
fn small_message(number: u32, has_parts: bool) -> Message {
    let size = usize::try_from(number).ok().and_then(|at| SIZES.get(at % SIZES.len())).copied().unwrap_or_default();
    let octets = number.wrapping_mul(2_654_435_761).to_be_bytes();
    let content: Vec<u8> = octets.into_iter().cycle().take(size).collect();
    if has_parts {
        return Message::from(number.to_string()).with_part(content);
    }
    Message::from([format!("{number} ").as_bytes(), &content].concat())
}

/// Everything that has to be the same.
fn compare(evidence: &Evidence) -> Result<(), String> {
    let Evidence { wrong_replies, original, .. } = evidence;
    if *wrong_replies > 0 {
        return Err(format!("{wrong_replies} of {} replies were not what was sent", evidence.messages));
    }
    let seen = [
        ("the receiver got", &evidence.sent),
        ("came back", &evidence.fetched),
        ("lies on the disk", &evidence.on_disk),
    ];
    match seen.into_iter().find(|(_, mark)| *mark != original) {
        None => Ok(()),
        Some((where_, mark)) => Err(format!(
            "what {where_} has {} octets and SHA-256 {}, the file has {} and {}",
            mark.len, mark.sha256, original.len, original.sha256
        )),
    }
}

fn row_from(stack: &str, played: Result<(Evidence, f64), String>, way: Option<&'static str>) -> Row {
    let stack = stack.to_owned();
    match played {
        Ok((evidence, seconds)) => Row {
            stack,
            messages: evidence.messages,
            octets: evidence.message_octets + evidence.sent.len + evidence.fetched.len,
            seconds,
            sha256: evidence.on_disk.sha256.clone(),
            verdict: compare(&evidence).map_or_else(Verdict::Failed, |()| Verdict::Ok),
            way,
        },
        Err(why) => {
            let verdict = Verdict::Failed(why);
            Row { stack, messages: 0, octets: 0, seconds: 0.0, sha256: String::new(), verdict, way }
        }
    }
}

fn show(rows: &[Row], original: &FileMark, talk: &Talk) -> Result<(), Failure> {
    if talk.is_json() {
        return show_json(rows, original);
    }
    data_line(&format!(
        "{:<14} {:>9} {:>11} {:>8} {:>12}  result",
        "stack", "messages", "bytes", "time", "throughput"
    ))?;
    for row in rows {
        let rate = row.octets as f64 / row.seconds.max(1e-6) / f64::from(1 << 20);
        let result = match &row.verdict {
            Verdict::Ok => talk.green("ok"),
            Verdict::Failed(why) => format!("{} {why}", talk.red("FAILED")),
            Verdict::Skipped(why) => format!("skipped: {why}"),
        };
        let way = row.way.map_or_else(String::new, |way| format!(", {way}"));
        data_line(&format!(
            "{:<14} {:>9} {:>11} {:>7.2}s {:>7.1} MiB/s  {result}{way}",
            row.stack,
            row.messages,
            human_octets(row.octets),
            row.seconds,
            rate
        ))?;
    }
    data_line(&format!("SHA-256 of the file: {}", original.sha256))
}

fn show_json(rows: &[Row], original: &FileMark) -> Result<(), Failure> {
    let all_ok = !rows.iter().any(|row| row.verdict.is_failed());
    let stacks: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "stack": row.stack, "messages": row.messages, "octets": row.octets, "seconds": row.seconds,
                "octets_per_second": row.octets as f64 / row.seconds.max(1e-6), "sha256": row.sha256,
                "result": row.verdict.word(), "why": row.verdict.why(), "way": row.way,
            })
        })
        .collect();
    data_line(
        &json!({
            "schema": "postroad-demo/1", "result": if all_ok { "ok" } else { "failed" },
            "file": {"len": original.len, "sha256": original.sha256}, "stacks": stacks,
        })
        .to_string(),
    )
}

#[cfg(test)]
mod tests;
