//! Attacks of connections that never become a session, or one that is somebody else's.

use super::Promise::{Bears, Ends};
use super::{Attack, attack, longer};
use crate::bystander::honest;
use crate::field::Field;
use crate::peer::{Peer, encode, greeting, preface};
use bytes::Bytes;
use smrp::wire::{Frame, ParametersBuilder, parameter};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const STACK: &str = "smrp+tcp";
/// Connections that are held at the same time.
const CONNECTIONS: usize = 500;

pub(crate) fn list() -> Vec<Attack> {
    vec![
        attack(
            "honest-smrp",
            STACK,
            "control",
            "64 B requests as fast as they are answered, 64 at once",
            Bears,
            |field| honest(field, STACK),
        ),
        longer(attack("silent-connections", STACK, "5.1/7", "500 connections that say nothing", Ends(""), silent), 5),
        longer(attack("slow-preface", STACK, "5.1/7", "500 prefaces, an octet every 50 ms", Ends(""), slow_preface), 5),
        longer(
            attack(
                "no-hello",
                STACK,
                "5.1/7",
                "500 prefaces without a HELLO, for 12 s",
                Ends("PROTOCOL_VIOLATION"),
                no_hello,
            ),
            12,
        ),
        attack(
            "guessed-tickets",
            STACK,
            "5.1/17",
            "REATTACH with handles that were guessed",
            Ends("RESUME_REFUSED"),
            tickets,
        ),
        attack(
            "replayed-reattach",
            STACK,
            "5.1/17",
            "one REATTACH, octet for octet, on connection after connection",
            Ends("RESUME_REFUSED"),
            replay,
        ),
        attack("churn", STACK, "5.1/25", "sessions that are opened and cut at once", Bears, churn),
        attack("other-protocols", STACK, "5.1/19", "TLS, HTTP and SSH", Ends(""), other_protocols),
    ]
}

/// Opens `CONNECTIONS` and gives each the next octets of `said` every 50 ms, until all are ended or the time is over.
fn hold(field: &mut Field, said: &[u8], piece: usize) {
    let mut held: Vec<(TcpStream, Instant)> = Vec::new();
    while held.len() < CONNECTIONS && !field.is_over() {
        if let Some(stream) = field.connect() {
            held.push((stream, Instant::now()));
        }
    }
    let mut pieces = said.chunks(piece.max(1));
    let mut came = [0; 1_024];
    while !field.is_over() {
        let next = pieces.next().unwrap_or_default();
        held.retain_mut(|(stream, opened)| {
            let is_open = field.write(stream, next) && is_open(field, stream, &mut came);
            if !is_open {
                field.ended(told(&came), *opened);
            }
            is_open
        });
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Looks whether the end is there, without waiting.
fn is_open(field: &Field, stream: &mut TcpStream, came: &mut [u8]) -> bool {
    drop(stream.set_nonblocking(true));
    let open = loop {
        match field.read(stream, came, Duration::ZERO) {
            None => break false,
            Some(0) => break true,
            Some(_) => {}
        }
    };
    drop(stream.set_nonblocking(false));
    open
}

/// The CLOSE in what came last, where there is one.
fn told(came: &[u8]) -> String {
    // Two octets of head and one of length in front of the code; enough for the one that is expected here.
    let close = came.windows(17).any(|window| window == b"handshake took to");
    if close { "CLOSE PROTOCOL_VIOLATION" } else { "end of the connection" }.to_owned()
}

fn silent(field: &mut Field) {
    hold(field, &[], 1);
}

fn slow_preface(field: &mut Field) {
    // A preface has 29 octets or more: it is never through within its 3 s.
    hold(field, &[&preface()[..], &[0; 64]].concat(), 1);
}

fn no_hello(field: &mut Field) {
    let preface = preface();
    hold(field, &preface, preface.len());
}

fn reattach(handle: Bytes, epoch: u64) -> Vec<u8> {
    let said = greeting(ParametersBuilder::new().with(parameter::REATTACHING, &[]));
    [said, encode(&[Frame::Reattach { epoch, received: 0, handle }])].concat()
}

fn tickets(field: &mut Field) {
    let mut number = 0_u64;
    while !field.is_over() {
        number += 1;
        let reattaching = ParametersBuilder::new().with(parameter::REATTACHING, &[]);
        let Some(mut peer) = Peer::connect(field, reattaching) else { continue };
        let handle = Bytes::from([number.to_be_bytes(); 4].concat());
        if peer.send(field, &encode(&[Frame::Reattach { epoch: 1, received: 0, handle }])) {
            peer.wait(field, Duration::from_millis(200));
        }
    }
}

/// Begins a session that resumes and takes its ticket, goes back to it once, and then says the same without end.
fn replay(field: &mut Field) {
    let resumable = ParametersBuilder::new().with_number(parameter::RESUMABLE_MS, 60_000);
    let Some(mut first) = field.connect() else { return };
    field.write(&mut first, &greeting(resumable));
    let Some(handle) = ticket(field, &mut first) else { return };
    let said = reattach(handle, 1);
    while !field.is_over() {
        let Some(mut stream) = field.connect() else { continue };
        let opened = Instant::now();
        field.write(&mut stream, &said);
        let mut came = vec![0; 4_096];
        let mut last = Vec::new();
        while let Some(len) = field.read(&mut stream, &mut came, Duration::from_millis(100)) {
            if len == 0 {
                break;
            }
            last.extend_from_slice(came.get(..len).unwrap_or_default());
        }
        if last.windows(22).any(|window| window == b"session is not taken b") {
            field.ended("CLOSE RESUME_REFUSED", opened);
        }
    }
}

/// The handle of the TICKET that comes behind a handshake.
fn ticket(field: &Field, stream: &mut TcpStream) -> Option<Bytes> {
    use smrp::wire::{Header, Preface};
    let mut buffer = bytes::BytesMut::new();
    let mut came = [0; 4_096];
    let mut has_preface = false;
    loop {
        let len = field.read(stream, &mut came, Duration::from_secs(1))?;
        buffer.extend_from_slice(came.get(..len)?);
        if !has_preface {
            let Ok(Some((_, len))) = Preface::decode(&buffer) else { continue };
            drop(buffer.split_to(len));
            has_preface = true;
        }
        while let Ok(Some(header)) = Header::decode(&buffer) {
            if buffer.len() < header.len + header.body_len {
                break;
            }
            let octets = buffer.split_to(header.len + header.body_len).freeze();
            if let Ok(Frame::Ticket { handle, .. }) = Frame::decode(header, &octets, 0, true) {
                return Some(handle);
            }
        }
        if field.is_over() {
            return None;
        }
    }
}

fn churn(field: &mut Field) {
    let resumable = || ParametersBuilder::new().with_number(parameter::RESUMABLE_MS, 60_000);
    while !field.is_over() {
        drop(Peer::connect(field, resumable()));
    }
}

fn other_protocols(field: &mut Field) {
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 500]].concat();
    let mut said = [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.2\r\n", &hello].into_iter().cycle();
    let mut came = [0; 1_024];
    while !field.is_over() {
        let (Some(mut stream), Some(said)) = (field.connect(), said.next()) else { continue };
        let opened = Instant::now();
        field.write(&mut stream, said);
        while field.read(&mut stream, &mut came, Duration::from_millis(200)).is_some_and(|len| len > 0) {}
        field.ended("end of the connection", opened);
    }
}
