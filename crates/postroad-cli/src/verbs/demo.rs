//! `postroad demo`: the main job in one go, on real sockets.

use crate::args::Demo;
use crate::failure::Failure;
use crate::talk::{Talk, data_line, human_octets};
use postroad::dev_certs::DevCa;
use postroad::transfer::{Existing, FileRequest, Store, Transfer, fetch_file, file_request, offer_file, send_file};
use postroad::url::Transport;
use postroad::{ConnectOptions, Connection, Error, Incoming, ListenOptions, Message, escape};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
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
    verdict: Result<(), String>,
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
        let playing = tokio::time::timeout(STACK_TIMEOUT, play(&stack, &stage, &original));
        let played = talk.waiting(&format!("{stack} to finish"), playing).await;
        let played = played.unwrap_or_else(|_| Err(format!("it took longer than {STACK_TIMEOUT:?}")));
        rows.push(row(stack, played));
    }
    show(&rows, &original, &talk)?;
    let failed: Vec<&str> = rows.iter().filter(|row| row.verdict.is_err()).map(|row| row.stack.as_str()).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let why = rows.iter().filter_map(|row| row.verdict.as_ref().err().map(|why| format!("{}: {why}", row.stack)));
    let why = why.collect::<Vec<_>>().join("; ");
    Err(Failure::new("integrity", format!("the demo failed on {}", failed.join(", ")), why)
        .with_fix("run it again with -v, and with --stack for one of them alone"))
}

fn stacks(wanted: &[String]) -> Result<Vec<String>, Failure> {
    let all: Vec<String> = Transport::ALL.iter().map(|transport| format!("smp+{}", transport.word())).collect();
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
    let authority = match stack {
        "smp+unix" => stage.folder.path().join("demo.sock").to_string_lossy().into_owned(),
        "smp+mem" => format!("demo-{}", std::process::id()),
        "smp+ws" | "smp+wss" => "localhost:0/demo".to_owned(),
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
    server.spawn(async move {
        let connection = listener.accept().await?;
        answer(&connection, &store).await
    });
    let connection = postroad::connect_with(url, connect).await.map_err(words)?;

    let started = Instant::now();
    let (wrong_replies, message_octets) = exchange(&connection, stage.messages).await.map_err(words)?;
    let sent = send_file(&connection, &stage.file, FILE_NAME, &mut |_| {}).await.map_err(words)?;
    let back = stage.folder.path().join(format!("{name}-back"));
    let fetched = fetch_file(&connection, FILE_NAME, &back, Existing::Keep, &mut |_| {}).await.map_err(words)?;
    let seconds = started.elapsed().as_secs_f64();
    connection.close().await.map_err(words)?;
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

/// The other end: echoes requests, stores the file, gives it out.
async fn answer(connection: &Connection, store: &Store) -> Result<(), Error> {
    while let Some(incoming) = connection.receive().await? {
        match incoming {
            Incoming::RequestBody(request, body) => drop(store.put(request, body).await?),
            Incoming::Request(request) => match file_request(request.message()) {
                Some(FileRequest::Get(name)) => drop(offer_file(request, &store.path_of(&name)?, &name).await?),
                _ => {
                    let message = request.message().clone();
                    request.reply(message).await?;
                }
            },
            _ => {}
        }
    }
    connection.close().await
}

/// Sends small messages and counts the replies that are not what they should be, and the octets there and back.
async fn exchange(connection: &Connection, messages: u32) -> Result<(u32, u64), Error> {
    let mut workers = JoinSet::new();
    for worker in 0..IN_FLIGHT {
        let connection = connection.clone();
        workers.spawn(async move {
            let (mut wrong, mut octets) = (0, 0);
            let mut number = worker;
            while number < messages {
                let message = small_message(number);
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
fn small_message(number: u32) -> Message {
    let size = usize::try_from(number).ok().and_then(|at| SIZES.get(at % SIZES.len())).copied().unwrap_or_default();
    let octets = number.wrapping_mul(2_654_435_761).to_be_bytes();
    Message::from(number.to_string()).with_part(octets.into_iter().cycle().take(size).collect::<Vec<u8>>())
}

/// Everything that has to be the same.
fn verdict(evidence: &Evidence) -> Result<(), String> {
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

fn row(stack: String, played: Result<(Evidence, f64), String>) -> Row {
    match played {
        Ok((evidence, seconds)) => Row {
            stack,
            messages: evidence.messages,
            octets: evidence.message_octets + evidence.sent.len + evidence.fetched.len,
            seconds,
            sha256: evidence.on_disk.sha256.clone(),
            verdict: verdict(&evidence),
        },
        Err(why) => Row { stack, messages: 0, octets: 0, seconds: 0.0, sha256: String::new(), verdict: Err(why) },
    }
}

fn show(rows: &[Row], original: &FileMark, talk: &Talk) -> Result<(), Failure> {
    if talk.is_json() {
        return show_json(rows, original);
    }
    data_line(&format!(
        "{:<10} {:>9} {:>11} {:>8} {:>12}  result",
        "stack", "messages", "bytes", "time", "throughput"
    ))?;
    for row in rows {
        let rate = row.octets as f64 / row.seconds.max(1e-6) / f64::from(1 << 20);
        let result = match &row.verdict {
            Ok(()) => talk.green("ok"),
            Err(why) => format!("{} {why}", talk.red("FAILED")),
        };
        data_line(&format!(
            "{:<10} {:>9} {:>11} {:>7.2}s {:>7.1} MiB/s  {result}",
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
    let all_ok = rows.iter().all(|row| row.verdict.is_ok());
    let stacks: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "stack": row.stack, "messages": row.messages, "octets": row.octets, "seconds": row.seconds,
                "octets_per_second": row.octets as f64 / row.seconds.max(1e-6), "sha256": row.sha256,
                "result": if row.verdict.is_ok() { "ok" } else { "failed" }, "why": row.verdict.as_ref().err(),
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
