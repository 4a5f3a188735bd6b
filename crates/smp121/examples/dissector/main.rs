//! Prints the Wireshark dissector: the tables from `smp121::wire::layout`, then the logic from `logic.lua` beside this file.
//! `cargo xtask dissector --write` puts it into `docs/wire/smp121.lua`.

use smp121::wire::layout::{ACCEPTED, ACTIONS, Base, FAULTS, FLAGS, Field, HEADER, OUTSTANDING, RECORD, UDP_PORT};
use smp121::wire::{HEADER_LEN, NAME_LEN_MAX, PROTOCOL, RESPONSE_HEADER_LEN};
use std::fmt::Write as _;
use std::io::Write as _;

const LOGIC: &str = include_str!("logic.lua");

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(dissector().as_bytes())
}

fn dissector() -> String {
    let mut lua = String::from(
        "-- Simple Messaging Protocol (IP protocol 121) for Wireshark and tshark, 4.0 or newer.\n\
         -- Made by `cargo xtask dissector --write` from the table of the crate smp121; changes here are lost.\n\n",
    );
    let _ = write!(
        lua,
        "local PROTOCOL, UDP_PORT = {PROTOCOL}, {UDP_PORT}\n\
         local HEADER_LEN, RECORD_LEN, NAME_LEN_MAX = {HEADER_LEN}, {RESPONSE_HEADER_LEN}, {NAME_LEN_MAX}\n\n"
    );
    table(&mut lua, "HEADER", HEADER.iter().map(field));
    table(&mut lua, "RECORD", RECORD.iter().map(field));
    let _ = writeln!(lua, "local ACCEPTED = {}\nlocal OUTSTANDING = {}\n", field(&ACCEPTED), field(&OUTSTANDING));
    table(
        &mut lua,
        "FLAGS",
        FLAGS.iter().map(|flag| {
            let (bits, key, name, meaning) = (flag.flag.octet(), flag.key, flag.name, flag.meaning);
            format!("{{ bits = {bits:#04x}, key = {key:?}, name = {name:?}, meaning = {meaning:?} }}")
        }),
    );
    table(
        &mut lua,
        "ACTIONS",
        ACTIONS
            .iter()
            .map(|action| format!("[{}] = {{ name = {:?}, len = {} }}", action.code, action.name, action.data_len)),
    );
    table(
        &mut lua,
        "FAULTS",
        FAULTS
            .iter()
            .map(|fault| format!("{{ word = {:?}, drops = {}, text = {:?} }}", fault.word, fault.drops, fault.text)),
    );
    lua.push_str(LOGIC);
    lua
}

fn field(field: &Field) -> String {
    let Field { key, name, offset, len, base, meaning } = field;
    let base = match base {
        Base::Decimal => "base.DEC",
        Base::Hex => "base.HEX",
    };
    format!("{{ key = {key:?}, name = {name:?}, at = {offset}, len = {len}, base = {base}, meaning = {meaning:?} }}")
}

fn table(lua: &mut String, name: &str, rows: impl Iterator<Item = String>) {
    let _ = writeln!(lua, "local {name} = {{");
    for row in rows {
        let _ = writeln!(lua, "  {row},");
    }
    lua.push_str("}\n\n");
}
