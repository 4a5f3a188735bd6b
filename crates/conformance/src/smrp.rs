//! A codec for the frames of SMRP that knows the table in section 6.1 of docs/smrp.md and nothing of the crate `smrp`: what both agree on is
//! what the specification says, and not what one of them happens to do.

use crate::repository;
use core::fmt::Write as _;

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The type.
    pub number: u8,
    /// Its name.
    pub name: String,
    /// Whether it belongs to the session and counts for its position.
    pub is_session: bool,
    /// Whether it may come on carriers of octets.
    pub on_octets: bool,
    /// Flags by name.
    pub flags: Vec<(u8, String)>,
    pub(crate) fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(crate) enum Field {
    /// So many octets as a number, or as they are.
    Fixed {
        name: String,
        len: usize,
    },
    Varint {
        name: String,
    },
    /// What is left.
    Rest {
        name: String,
    },
    /// As many octets as the number before says.
    Counted {
        name: String,
    },
    /// As often as the field of that name says, or until the end.
    List {
        fields: Vec<Field>,
        count: Option<String>,
    },
    /// There where the flag is set.
    When {
        flag: u8,
        fields: Vec<Field>,
    },
}

/// A value read or written, with its field's name.
pub type Value = (String, Vec<u8>);

/// The table, read from the specification.
///
/// # Errors
/// Where a row cannot be understood.
pub fn table() -> Result<Vec<Row>, String> {
    let page = std::fs::read_to_string(repository().join("docs/smrp.md")).map_err(|error| error.to_string())?;
    let section = page.split("### 6.1").nth(1).and_then(|rest| rest.split("## 7.").next()).ok_or("no section 6.1")?;
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| type") && !line.starts_with("| ---"));
    rows.map(row).collect()
}

fn row(line: &str) -> Result<Row, String> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [number, name, scope, carrier, flags, body] = cells[..] else {
        return Err(format!("a row of {} cells: {line}", cells.len()));
    };
    let hex = |text: &str| u8::from_str_radix(text, 16).map_err(|error| format!("{line}: {error}"));
    let flags = flags.split(", ").filter(|flag| !flag.is_empty()).map(|flag| {
        let (bit, name) = flag.split_once(' ').ok_or_else(|| format!("{line}: a flag without a name"))?;
        Ok::<_, String>((hex(bit)?, name.to_owned()))
    });
    let flags = flags.collect::<Result<Vec<_>, _>>()?;
    let fields = fields(&body.replace("1,024", "1024"), &flags)?;
    let (is_session, on_octets) = (scope == "S", carrier.contains('b'));
    Ok(Row { number: hex(number)?, name: name.to_owned(), is_session, on_octets, flags, fields })
}

/// Cuts at commas outside of brackets.
fn pieces(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut list) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                list.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    list.extend(text.get(from..));
    list.into_iter().map(str::trim).filter(|piece| !piece.is_empty()).collect()
}

fn fields(text: &str, flags: &[(u8, String)]) -> Result<Vec<Field>, String> {
    let mut list = Vec::new();
    for piece in pieces(text) {
        list.push(field(piece, flags)?);
    }
    Ok(list)
}

fn field(piece: &str, flags: &[(u8, String)]) -> Result<Field, String> {
    if let Some(inner) = piece.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let (inner, flag) = inner.rsplit_once(' ').ok_or_else(|| format!("{piece}: no flag"))?;
        let bit = flags.iter().find(|(_, name)| name == flag).ok_or_else(|| format!("{piece}: no flag {flag}"))?.0;
        return Ok(Field::When { flag: bit, fields: fields(inner, flags)? });
    }
    if let Some((inner, how)) = piece.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        let count = match how.trim() {
            "... rest" => None,
            "..." => Some("count".to_owned()),
            how => Some(how.strip_prefix("x ").ok_or_else(|| format!("{piece}: how often?"))?.to_owned()),
        };
        return Ok(Field::List { fields: fields(inner, flags)?, count });
    }
    if let Some((inner, count)) = piece.split_once(" x ") {
        return Ok(Field::List { fields: fields(inner, flags)?, count: Some(count.to_owned()) });
    }
    let Some((name, kind)) = piece.rsplit_once(' ') else { return Ok(Field::Counted { name: piece.to_owned() }) };
    let (name, fixed) = (name.to_owned(), |len| Field::Fixed { name: name.to_owned(), len });
    Ok(match kind {
        "v" => Field::Varint { name },
        "rest" => Field::Rest { name },
        "u8" => fixed(1),
        "u16" => fixed(2),
        "u32" => fixed(4),
        "u64" => fixed(8),
        len => fixed(len.parse().map_err(|_| format!("{piece}: what is {len}?"))?),
    })
}

/// Reads a body by the table.
///
/// # Errors
/// Where the fields end before or behind it.
pub fn read(row: &Row, flags: u8, body: &[u8]) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    let mut left = body;
    read_fields(&row.fields, flags, &mut left, &mut values)?;
    if left.is_empty() { Ok(values) } else { Err(format!("{} octets behind the last field", left.len())) }
}

pub(crate) fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

pub(crate) fn varint(left: &mut &[u8]) -> Result<u64, String> {
    let first = *left.first().ok_or("cut off")?;
    let octets = take(left, 1 << (first >> 6))?;
    let bits = octets.len() * 8 - 2;
    Ok(number(octets) & ((1 << bits) - 1))
}

pub(crate) fn take<'a>(left: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
    let taken = left.get(..len).ok_or("cut off")?;
    *left = left.get(len..).unwrap_or_default();
    Ok(taken)
}

fn read_fields(fields: &[Field], flags: u8, left: &mut &[u8], values: &mut Vec<Value>) -> Result<(), String> {
    for field in fields {
        let last = match values.last() {
            Some((_, octets)) => number(octets),
            None => 0,
        };
        match field {
            Field::Fixed { name, len } => values.push((name.clone(), take(left, *len)?.to_vec())),
            Field::Varint { name } => values.push((name.clone(), varint(left)?.to_be_bytes().to_vec())),
            Field::Rest { name } => values.push((name.clone(), core::mem::take(left).to_vec())),
            Field::Counted { name } => {
                let len = usize::try_from(last).map_err(|_| "cut off")?;
                values.push((name.clone(), take(left, len)?.to_vec()));
            }
            Field::List { fields, count: None } => {
                while !left.is_empty() {
                    read_fields(fields, flags, left, values)?;
                }
            }
            Field::List { fields, count: Some(count) } => {
                let times = values.iter().rev().find(|(name, _)| name == count).map_or(0, |(_, octets)| number(octets));
                for _ in 0..times {
                    read_fields(fields, flags, left, values)?;
                }
            }
            Field::When { flag, fields } if flags & flag != 0 => read_fields(fields, flags, left, values)?,
            Field::When { .. } => {}
        }
    }
    Ok(())
}

/// Writes a body by the table; `choose` gives a number below its argument.
pub fn write(row: &Row, flags: u8, choose: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_fields(row, &row.fields, flags, choose, &mut out, 0);
    out
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: u64) {
    let (len, tag) = match value {
        0..=0x3F => (1, 0),
        0x40..=0x3FFF => (2, 1 << 14),
        0x4000..=0x3FFF_FFFF => (4, 2 << 30),
        _ => (8, 3 << 62),
    };
    let octets = (value | tag).to_be_bytes();
    out.extend_from_slice(octets.get(8 - len..).unwrap_or_default());
}

fn write_fields(
    row: &Row,
    fields: &[Field],
    flags: u8,
    choose: &mut impl FnMut(u64) -> u64,
    out: &mut Vec<u8>,
    count: u64,
) {
    let mut count = count;
    let mut fields = fields.iter().peekable();
    while let Some(field) = fields.next() {
        match field {
            Field::Fixed { name, len }
                if name == "count" || (name == "length" && matches!(fields.peek(), Some(Field::Counted { .. }))) =>
            {
                count = choose(4);
                let octets = count.to_be_bytes();
                out.extend_from_slice(octets.get(8 - len..).unwrap_or_default());
            }
            // A class that does not exist is refused.
            Field::Fixed { name, .. } if name.starts_with("class") && row.name == "MAX_STREAMS" => {
                out.push(u8::from(choose(2) == 1))
            }
            Field::Fixed { name, .. } if name.starts_with("class u8") => out.push(u8::from(choose(2) == 1)),
            Field::Fixed { len, .. } => out.extend((0..*len).map(|_| choose(256).to_le_bytes()[0])),
            Field::Varint { name } if name == "count" => {
                count = choose(4);
                put_varint(out, count);
            }
            Field::Varint { name } if name == "length" && fields.peek().is_some() => {
                let octets = content(
                    row,
                    match fields.next() {
                        Some(Field::Counted { name } | Field::Rest { name }) => name,
                        _ => "",
                    },
                    choose,
                );
                put_varint(out, octets.len() as u64);
                out.extend(octets);
            }
            Field::Varint { .. } => {
                let bits = choose(62);
                put_varint(out, choose(1 << bits));
            }
            Field::Rest { name } => out.extend(content(row, name, choose)),
            Field::Counted { .. } => out.extend((0..count).map(|_| choose(256).to_le_bytes()[0])),
            Field::List { fields, count: Some(_) } => {
                (0..count).for_each(|_| write_fields(row, fields, flags, choose, out, 0))
            }
            Field::List { fields, count: None } => {
                (0..choose(4)).for_each(|_| write_fields(row, fields, flags, choose, out, 0))
            }
            Field::When { flag, fields } if flags & flag != 0 => write_fields(row, fields, flags, choose, out, 0),
            Field::When { .. } => {}
        }
    }
}

/// Octets that such a field may hold.
fn content(row: &Row, name: &str, choose: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
    match name {
        "zeros" => vec![0; usize::try_from(choose(9)).unwrap_or(0)],
        "handle" => (0..16 + choose(20)).map(|_| choose(256).to_le_bytes()[0]).collect(),
        "parameters" => {
            let mut out = Vec::new();
            for id in [0x40, 0x4000].into_iter().take(usize::try_from(choose(3)).unwrap_or(0)) {
                put_varint(&mut out, id);
                let len = choose(5);
                put_varint(&mut out, len);
                out.extend((0..len).map(|_| choose(256).to_le_bytes()[0]));
            }
            out
        }
        _ if ["redirect", "topic", "name"].contains(&name) || row.name == "CLOSE" => {
            (0..choose(12)).map(|_| b'a' + choose(26).to_le_bytes()[0]).collect()
        }
        _ => (0..choose(20)).map(|_| choose(256).to_le_bytes()[0]).collect(),
    }
}

/// The test vectors of the specification: each frame with each set of its flags.
///
/// # Errors
/// As [`table`].
pub fn vectors() -> Result<String, String> {
    let mut text = String::from(
        "# Frames of SMRP, made from the table in section 6.1 of docs/smrp.md by `cargo xtask spec --write`, with a codec that shares no code with the\n# implementation. `frame` is hexadecimal; fields are in the order of the table.\n",
    );
    for row in table()? {
        for flags in sets(&row) {
            let body = write(&row, flags, &mut sequence(u64::from(row.number) << 8 | u64::from(flags)));
            let mut frame = vec![row.number, flags];
            put_varint(&mut frame, body.len() as u64);
            frame.extend(&body);
            let values = read(&row, flags, &body)?;
            let shown: Vec<String> = values.iter().map(|(name, octets)| format!("{name} = {}", hex(octets))).collect();
            let _infallible = write!(
                text,
                "\n[[frame]]\nname = \"{}\"\nflags = {flags}\nfields = \"{}\"\nframe = \"{}\"\n",
                row.name,
                shown.join(", "),
                hex(&frame)
            );
        }
    }
    Ok(text)
}

/// All sets of a type's flags.
pub fn sets(row: &Row) -> Vec<u8> {
    let mask = row.flags.iter().fold(0, |mask, (bit, _)| mask | bit);
    (0..=mask).filter(|flags| flags & !mask == 0).collect()
}

/// Numbers that look random and are the same each time.
pub fn sequence(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % below.max(1)
    }
}

/// Octets as text.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _infallible = write!(text, "{octet:02x}");
        text
    })
}
