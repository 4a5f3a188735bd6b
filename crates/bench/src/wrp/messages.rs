//! MessagePack of single messages.

use crate::figure::{Aim, Bound, Unit};
use crate::harness::{Batch, Contender, Plan};
use anyhow::Context as _;
use bytes::Bytes;
use std::hint::black_box;
use wrp::{Limits, Message, MessageRef, Request};

const WRP: &str = "wrp";
const WRP_OWNED: &str = "wrp, owned";
const WRP_VALIDATED: &str = "wrp, owned and validated";
const RMP: &str = "rmp-serde";
const RMP_OWNED: &str = "rmp-serde, owned";

const COUNT: u32 = 500;

const ENCODE_NOTE: &str = "A request with all the fields that it can have, some 400 octets, into a buffer that is used again. rmp-serde writes the \
    same fields of a derived struct as a map. The reference in Go takes 211 ns where it does not validate (on another machine); the aim of the \
    plan is 120 ns.";
const DECODE_NOTE: &str = "The same request. wrp borrows and allocates nothing, as rmp-serde does into a struct of borrowed texts, which has to allocate \
    its lists; owned, each text is copied. The reference takes 1,314 ns; the aim of the plan is 300 ns. rmp-serde has no limits and believes counts up to a bound of its own.";
const EVENT_NOTE: &str =
    "An event with a payload of 64 KiB: the payload is copied once when it is written, and never when it is read.";

/// All fields of a request.
fn request() -> anyhow::Result<Message> {
    let builder = Request::new(
        "dns:talaria.example.com/console",
        "mac:112233445566/config/device",
        "546514d4-9cb6-41c9-88ca-ccd4c130c525",
    );
    let builder = builder.content_type("application/json").accept("application/json").status(200).rdr(0);
    let builder = builder
        .header("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("X-Example: value");
    let builder =
        builder.metadata("/boot-time", "1542834188").payload(r#"{"command":"GET","names":["Device.DeviceInfo"]}"#);
    Ok(builder.partner_id("partner").session_id("session-42").qos(wrp::Qos(57)).build()?)
}

fn event() -> anyhow::Result<Message> {
    Ok(wrp::Event::new("mac:112233445566/log", "event:log").payload(vec![7; 65_536]).build()?)
}

/// The same fields as a derived struct.
#[derive(serde::Serialize, serde::Deserialize)]
struct Owned {
    msg_type: i64,
    source: String,
    dest: String,
    transaction_uuid: String,
    content_type: String,
    accept: String,
    status: i64,
    rdr: i64,
    headers: Vec<String>,
    metadata: std::collections::BTreeMap<String, String>,
    #[serde(with = "serde_bytes")]
    payload: Vec<u8>,
    partner_ids: Vec<String>,
    session_id: String,
    qos: i64,
}

#[derive(serde::Deserialize)]
#[allow(dead_code, reason = "what is read is dropped")]
struct Borrowed<'a> {
    msg_type: i64,
    source: &'a str,
    dest: &'a str,
    transaction_uuid: &'a str,
    content_type: &'a str,
    accept: &'a str,
    status: i64,
    rdr: i64,
    headers: Vec<&'a str>,
    metadata: std::collections::BTreeMap<&'a str, &'a str>,
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
    partner_ids: Vec<&'a str>,
    session_id: &'a str,
    qos: i64,
}

impl From<Message> for Owned {
    fn from(message: Message) -> Self {
        Self {
            msg_type: message.msg_type.0,
            source: message.source,
            dest: message.dest,
            transaction_uuid: message.transaction_uuid,
            content_type: message.content_type,
            accept: message.accept,
            status: message.status.unwrap_or(0),
            rdr: message.rdr.unwrap_or(0),
            headers: message.headers,
            metadata: message.metadata.into_iter().collect(),
            payload: message.payload.unwrap_or_default().to_vec(),
            partner_ids: message.partner_ids,
            session_id: message.session_id,
            qos: message.qos.0,
        }
    }
}

/// Runs something so many times.
struct Times<F>(F);

impl<F: FnMut() -> anyhow::Result<()>> Batch for Times<F> {
    fn prepare(&mut self) {}

    fn run(&mut self) -> anyhow::Result<u32> {
        for _ in 0..COUNT {
            (self.0)()?;
        }
        Ok(COUNT)
    }
}

fn encodes(message: Message) -> impl Batch {
    let mut out = Vec::new();
    Times(move || {
        out.clear();
        black_box(&message).encode_into(&mut out);
        black_box(&out);
        Ok(())
    })
}

fn rmp_encodes(message: Message) -> impl Batch {
    let owned = Owned::from(message);
    let mut out = Vec::new();
    Times(move || {
        out.clear();
        rmp_serde::encode::write_named(&mut out, black_box(&owned))?;
        black_box(&out);
        Ok(())
    })
}

fn borrows(octets: Bytes) -> impl Batch {
    let limits = Limits::default();
    Times(move || {
        black_box(MessageRef::decode(black_box(&octets), &limits)?);
        Ok(())
    })
}

fn owns(octets: Bytes, validates: bool) -> impl Batch {
    let limits = Limits::default();
    Times(move || {
        let message = Message::decode(black_box(&octets), &limits)?;
        if validates {
            message.validate()?;
        }
        black_box(message);
        Ok(())
    })
}

pub(super) fn plans() -> anyhow::Result<Vec<Plan<'static>>> {
    let octets = request()?.encode();
    let rmp_octets = rmp_serde::to_vec_named(&Owned::from(request()?))?;
    anyhow::ensure!(octets.len() < 500, "some 400 octets");
    // Both read what the other writes.
    rmp_serde::from_slice::<Owned>(&octets).context("rmp-serde reads what wrp writes")?;
    MessageRef::decode(&rmp_octets, &Limits::default()).context("wrp reads what rmp-serde writes")?;
    let event_octets = event()?.encode();
    let rmp_borrows = {
        let octets = octets.clone();
        Times(move || {
            black_box(rmp_serde::from_slice::<Borrowed<'_>>(black_box(&octets))?);
            Ok(())
        })
    };
    let rmp_owns = {
        let octets = octets.clone();
        Times(move || {
            black_box(rmp_serde::from_slice::<Owned>(black_box(&octets))?);
            Ok(())
        })
    };
    let at_most = |ours, peers| Aim { ours, peers, bound: Bound::TimeAtMost(1.0) };
    let plan = |name: &str, note, contenders, aims| Plan {
        group: "wrp",
        name: name.into(),
        note,
        unit: Unit::Nanos,
        contenders,
        aims,
    };
    Ok(vec![
        plan(
            "WRP, all fields, encode",
            ENCODE_NOTE,
            vec![Contender::batched(WRP, encodes(request()?)), Contender::batched(RMP, rmp_encodes(request()?))],
            vec![at_most(WRP, &[RMP])],
        ),
        plan(
            "WRP, all fields, decode",
            DECODE_NOTE,
            vec![
                Contender::batched(WRP, borrows(octets.clone())),
                Contender::batched(WRP_OWNED, owns(octets.clone(), false)),
                Contender::batched(WRP_VALIDATED, owns(octets, true)),
                Contender::batched(RMP, rmp_borrows),
                Contender::batched(RMP_OWNED, rmp_owns),
            ],
            vec![at_most(WRP, &[RMP]), at_most(WRP_OWNED, &[RMP_OWNED])],
        ),
        plan(
            "WRP, event of 64 KiB, decode",
            EVENT_NOTE,
            vec![
                Contender::batched(WRP, borrows(event_octets.clone())),
                Contender::batched(WRP_OWNED, owns(event_octets, false)),
            ],
            vec![],
        ),
    ])
}
