//! Bodies of frames from values by name, with the table of section 6.1.

use super::tables::Kind;
use crate::smrp::{Field, Row, number, put_varint};
use std::collections::BTreeMap;

/// Values by the field's name, numbers as 8 octets.
pub(crate) type Values = BTreeMap<String, Vec<u8>>;

/// A field's name as cases write it.
pub(crate) fn field_name(name: &str) -> String {
    name.replace(' ', "_")
}

/// All fields of a frame and what they hold, in order.
pub(crate) fn kinds(row: &Row) -> Vec<(String, Kind)> {
    let mut list = Vec::new();
    collect(&row.fields, &mut list);
    list
}

fn collect(fields: &[Field], list: &mut Vec<(String, Kind)>) {
    for field in fields {
        let (name, kind) = match field {
            Field::Fixed { name, len } if *len > 8 => (name, Kind::Octets),
            Field::Fixed { name, .. } | Field::Varint { name } => (name, number_kind(name)),
            Field::Rest { name } | Field::Counted { name } => {
                (name, if name == "parameters" { Kind::Parameters } else { Kind::Octets })
            }
            Field::List { fields, .. } | Field::When { fields, .. } => {
                collect(fields, list);
                continue;
            }
        };
        list.push((field_name(name), kind));
    }
}

fn number_kind(name: &str) -> Kind {
    match name {
        "code" => Kind::Code,
        "frame type" => Kind::FrameType,
        _ => Kind::Number,
    }
}

/// The flags that say that a field is there.
pub(crate) fn implied_flags(row: &Row) -> u8 {
    let flag = |field: &Field| if let Field::When { flag, .. } = field { *flag } else { 0 };
    row.fields.iter().fold(0, |mask, field| mask | flag(field))
}

/// Writes a body; sets the flags of the fields that are there.
pub(crate) fn compose(row: &Row, values: &Values, flags: &mut u8) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write(&row.fields, values, flags, &mut out)?;
    Ok(out)
}

fn write(fields: &[Field], values: &Values, flags: &mut u8, out: &mut Vec<u8>) -> Result<(), String> {
    let mut fields = fields.iter().peekable();
    while let Some(field) = fields.next() {
        let get = |name: &str| values.get(&field_name(name));
        match field {
            Field::Fixed { len, .. } if matches!(fields.peek(), Some(Field::Counted { .. })) => {
                let octets = counted(fields.next(), values);
                put_fixed(out, octets.len() as u64, *len);
                out.extend(octets);
            }
            Field::Varint { .. } if matches!(fields.peek(), Some(Field::Counted { .. })) => {
                let octets = counted(fields.next(), values);
                put_varint(out, octets.len() as u64);
                out.extend(octets);
            }
            Field::Fixed { name, len } if *len > 8 => {
                let octets = get(name).filter(|octets| octets.len() == *len);
                out.extend(octets.ok_or(format!("{name} has {len} octets"))?);
            }
            Field::Fixed { name, len } => put_fixed(out, value(name, get(name))?, *len),
            Field::Varint { name } => put_varint(out, value(name, get(name))?),
            Field::Rest { name } | Field::Counted { name } => out.extend(get(name).into_iter().flatten()),
            Field::List { .. } => return Err("a frame with a list: write its body with body=".into()),
            Field::When { flag, fields } => {
                let mut names = Vec::new();
                collect(fields, &mut names);
                if *flags & flag != 0 || names.iter().any(|(name, _)| values.contains_key(name)) {
                    *flags |= flag;
                    write(fields, values, flags, out)?;
                }
            }
        }
    }
    Ok(())
}

fn counted<'a>(field: Option<&Field>, values: &'a Values) -> &'a [u8] {
    match field {
        Some(Field::Counted { name }) => values.get(&field_name(name)).map_or(&[], Vec::as_slice),
        _ => &[],
    }
}

fn value(name: &str, octets: Option<&Vec<u8>>) -> Result<u64, String> {
    match octets {
        Some(octets) => Ok(number(octets)),
        None if ["reliable", "frame type"].contains(&name) => Ok(0),
        None => Err(format!("no {}", field_name(name))),
    }
}

fn put_fixed(out: &mut Vec<u8>, number: u64, len: usize) {
    out.extend_from_slice(number.to_be_bytes().get(8 - len.min(8)..).unwrap_or_default());
}
