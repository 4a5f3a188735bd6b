//! What was taken apart, as lines of text.

use super::{InspectedFrame, Value};

/// Octets in a line of text, at most.
const SHOWN_LEN: usize = 64;

impl core::fmt::Display for Value {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Code(code) => write!(f, "{code}"),
            Self::Octets(octets) => {
                let shown = octets.get(..octets.len().min(SHOWN_LEN)).unwrap_or_default();
                let is_text = !shown.is_empty() && shown.iter().all(|octet| (0x20..0x7F).contains(octet));
                match is_text {
                    true => write!(f, "\"{}\"", shown.escape_ascii())?,
                    false => shown.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?,
                }
                if octets.len() > shown.len() {
                    write!(f, "... ({} octets)", octets.len())?;
                }
                Ok(())
            }
            Self::Parameters(list) => {
                f.write_str("{")?;
                for (at, parameter) in list.iter().enumerate() {
                    let between = if at == 0 { "" } else { " " };
                    match (parameter.name, &parameter.value) {
                        (Some(name), Self::Secret(_)) => write!(f, "{between}{name} {}", parameter.value)?,
                        (Some(name), value) => write!(f, "{between}{name}={value}")?,
                        (None, value) => write!(f, "{between}{:#x}={value}", parameter.id)?,
                    }
                }
                f.write_str("}")
            }
            Self::Secret(len) => write!(f, "({len} octets)"),
        }
    }
}

/// As a line: its name, its flags, its fields.
impl core::fmt::Display for InspectedFrame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name {
            Some(name) => f.write_str(name)?,
            None => write!(f, "type {:#x}", self.number)?,
        }
        if !self.flag_names.is_empty() {
            write!(f, " {}", self.flag_names.join("+"))?;
        }
        for field in &self.fields {
            let name = field.name.replace(' ', "_");
            match &field.value {
                Value::Secret(_) => write!(f, " {name} {}", field.value)?,
                value => write!(f, " {name}={value}")?,
            }
        }
        if let Some(fault) = &self.fault {
            write!(f, " FAULT {}: {}", fault.code(), fault.kind)?;
        }
        Ok(())
    }
}
