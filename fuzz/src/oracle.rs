//! A reader of the wire that is as simple as can be, and shares nothing with the real one.

/// One unit: code, ID and number of frames, arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    pub code: u8,
    pub ident: Option<(u16, u32)>,
    pub arguments: Vec<Vec<u8>>,
    pub wire_len: usize,
}

/// The whole units in `octets`; what is left over is the start of one more.
pub fn units(octets: &[u8]) -> Vec<Plain> {
    let mut rest = octets.iter().copied();
    let mut units = Vec::new();
    loop {
        let before = rest.len();
        match unit(&mut rest) {
            Some(plain) => units.push(Plain { wire_len: before - rest.len(), ..plain }),
            None => return units,
        }
    }
}

fn unit(rest: &mut impl Iterator<Item = u8>) -> Option<Plain> {
    let meta = rest.next()?;
    let code = meta / 16;
    let ident = if (1..=3).contains(&code) {
        let id = number(rest, 2)? as u16;
        Some((id, number(rest, 4)?))
    } else {
        None
    };
    let mut arguments = Vec::new();
    for _ in 0..meta % 16 {
        let mut argument = Vec::new();
        for _ in 0..number(rest, 2)? {
            argument.push(rest.next()?);
        }
        arguments.push(argument);
    }
    Some(Plain { code, ident, arguments, wire_len: 0 })
}

fn number(rest: &mut impl Iterator<Item = u8>, octets: usize) -> Option<u32> {
    let mut value = 0u32;
    for _ in 0..octets {
        value = value * 256 + u32::from(rest.next()?);
    }
    Some(value)
}

/// The same from a unit of the real reader.
pub fn plain(unit: &smp_framing::Unit, wire_len: usize) -> Plain {
    Plain {
        code: unit.code().number(),
        ident: unit.ident().map(|ident| (ident.id, ident.number)),
        arguments: unit.arguments().iter().map(<[u8]>::to_vec).collect(),
        wire_len,
    }
}
