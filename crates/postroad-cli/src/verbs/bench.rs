//! `postroad bench`: rate and latency of requests against an echo.

use crate::args::Bench;
use crate::failure::Failure;
use crate::talk::{Talk, data_line, human_octets};
use hdrhistogram::Histogram;
use postroad::{ConnectOptions, Connection, Message};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Latencies are kept with three significant digits up to this many microseconds.
const LATENCY_MAX: u64 = 60_000_000;

pub(crate) async fn run(verb: Bench, talk: Talk) -> Result<(), Failure> {
    let connection = super::connect(&verb.url, ConnectOptions::new(), &talk).await?;
    let payload: Vec<u8> = (0..verb.size).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
    let message = Message::from(payload);
    // One for a start, so that a peer that does not echo is found at once.
    let first = connection.request(message.clone());
    let reply = talk.waiting(&format!("the first reply of {}", connection.peer()), first).await?;
    check(&reply, &message)?;
    talk.say(&format!("measuring for {:?} with {} requests under way", verb.duration, verb.in_flight));
    let warm_up = verb.duration / 10;
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..verb.in_flight {
        workers.spawn(ask_until(
            connection.clone(),
            message.clone(),
            started + warm_up,
            started + warm_up + verb.duration,
        ));
    }
    let mut all = histogram()?;
    while let Some(worker) = workers.join_next().await {
        let part = worker.map_err(|error| Failure::new("bug", "a worker ended", error.to_string()))??;
        all.add(&part).map_err(|error| Failure::new("bug", "could not add up", error.to_string()))?;
    }
    let _ended_otherwise = connection.close().await;
    tell(&verb, &connection, &all, &talk)
}

fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_max(LATENCY_MAX, 3).map_err(|error| Failure::new("bug", "could not measure", error.to_string()))
}

fn check(reply: &Message, message: &Message) -> Result<(), Failure> {
    if reply == message {
        return Ok(());
    }
    Err(Failure::new("peer", "the peer does not echo", "its reply is not what it was asked")
        .with_fix("run the other end with: postroad serve URL --echo"))
}

async fn ask_until(
    connection: Connection,
    message: Message,
    from: Instant,
    until: Instant,
) -> Result<Histogram<u64>, Failure> {
    let mut latencies = histogram()?;
    loop {
        let asked_at = Instant::now();
        if asked_at >= until {
            return Ok(latencies);
        }
        let reply = connection.request(message.clone()).await?;
        let micros = asked_at.elapsed().as_micros();
        check(&reply, &message)?;
        if asked_at >= from {
            latencies.saturating_record(u64::try_from(micros).unwrap_or(LATENCY_MAX));
        }
    }
}

fn tell(verb: &Bench, connection: &Connection, latencies: &Histogram<u64>, talk: &Talk) -> Result<(), Failure> {
    let seconds = verb.duration.as_secs_f64();
    let rate = latencies.len() as f64 / seconds;
    let octets_per_second = rate * verb.size as f64;
    let at = |quantile: f64| latencies.value_at_quantile(quantile);
    if talk.is_json() {
        return data_line(
            &json!({
                "schema": "postroad-bench/1", "url": connection.url().to_string(), "size": verb.size,
                "in_flight": verb.in_flight, "seconds": seconds, "requests": latencies.len(),
                "requests_per_second": rate, "octets_per_second_each_way": octets_per_second,
                "latency_us": {
                    "min": latencies.min(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
                    "max": latencies.max(), "mean": latencies.mean(),
                },
            })
            .to_string(),
        );
    }
    let shown = |micros: u64| format!("{:?}", Duration::from_micros(micros));
    let whole_rate = octets_per_second.clamp(0.0, 1e18);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the line above")]
    let each_way = human_octets(whole_rate as u64);
    data_line(&format!("{rate:.0} requests/s of {} octets, {each_way}/s each way", verb.size))?;
    data_line(&format!(
        "latency p50 {} p90 {} p99 {} p99.9 {} max {}",
        shown(at(0.5)),
        shown(at(0.9)),
        shown(at(0.99)),
        shown(at(0.999)),
        shown(latencies.max())
    ))
}
