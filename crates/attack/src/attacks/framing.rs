//! Attacks on the Streaming Message Protocol, which has no credit and no ledger: its bounds are those of memory. What nobody put together or took is
//! bounded by `assembly_len_max`, 64 MiB.

use super::Promise::Bears;
use super::{Attack, attack};
use crate::bystander::honest;
use crate::field::Field;
use std::time::Instant;

const STACK: &str = "smp+tcp";

pub(crate) fn list() -> Vec<Attack> {
    vec![
        attack(
            "honest-smp",
            STACK,
            "control",
            "64 B requests as fast as they are answered, 64 at once",
            Bears,
            |field| honest(field, STACK),
        ),
        attack("smp-empty-messages", STACK, "8/P2", "messages without arguments", Bears, empty_messages),
        attack("smp-open-messages", STACK, "8/P2", "all 65,536 ids begun with one octet each", Bears, open_messages),
        attack("smp-endless-frames", STACK, "8/P2", "frames of one message that never ends", Bears, endless_frames),
        attack("smp-slow-reader", STACK, "3/ws", "messages that are sent back and never read", Bears, slow_reader),
        attack("smp-errors", STACK, "8/P2", "ERROR units", Bears, errors),
        attack("smp-noise", STACK, "8/P2", "noise", Bears, noise),
    ]
}

/// Connects again and again, writes what `next` makes, and throws away what comes, where `reads` says so.
fn flood(field: &mut Field, reads: bool, mut next: impl FnMut(u64) -> Vec<u8>) {
    while !field.is_over() {
        let Some(mut stream) = field.connect() else { continue };
        let opened = Instant::now();
        let reading = stream.try_clone().ok().filter(|_| reads);
        let reader = reading.map(|mut reading| {
            std::thread::spawn(
                move || while matches!(std::io::Read::read(&mut reading, &mut [0; 64 << 10]), Ok(1..)) {},
            )
        });
        let mut number = 0;
        while field.write(&mut stream, &next(number)) && !field.is_over() {
            number += 1;
        }
        if !field.is_over() {
            field.ended("end of the connection", opened);
        }
        drop(stream.shutdown(std::net::Shutdown::Both));
        drop(reader.map(std::thread::JoinHandle::join));
    }
}

fn frame(code: u8, id: u16, number: u32, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap_or(u16::MAX);
    [&[code << 4 | 1][..], &id.to_be_bytes(), &number.to_be_bytes(), &len.to_be_bytes(), content].concat()
}

fn empty_messages(field: &mut Field) {
    flood(field, true, |_| vec![0; 4_096]);
}

fn open_messages(field: &mut Field) {
    flood(field, true, |number| frame(1, u16::try_from(number & 0xFFFF).unwrap_or_default(), 0, b"x"));
}

fn endless_frames(field: &mut Field) {
    flood(field, true, |number| {
        let code = if number == 0 { 1 } else { 2 };
        frame(code, 7, u32::try_from(number).unwrap_or(u32::MAX), &[7; 60_000])
    });
}

fn slow_reader(field: &mut Field) {
    let message = [&[1][..], &60_000_u16.to_be_bytes(), &[7; 60_000]].concat();
    flood(field, false, |_| message.clone());
}

fn errors(field: &mut Field) {
    let unit = [&[9 << 4 | 1][..], &5_u16.to_be_bytes(), b"\x1b[31m"].concat().repeat(500);
    flood(field, true, |_| unit.clone());
}

fn noise(field: &mut Field) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    flood(field, true, |_| {
        (0..512)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_be_bytes()
            })
            .collect()
    });
}
