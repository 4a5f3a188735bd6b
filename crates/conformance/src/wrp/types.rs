//! Steps that need nothing but their line: types, qualities of service, locators.

use super::{expect, or_nothing};
use wrp::{DeviceId, Event, Locator, MessageType, Qos};

/// Takes a step; `None` where it is none of these.
pub(super) fn step(word: &str, rest: &str) -> Option<Result<(), String>> {
    let got = match word {
        "number" => number,
        "named" => named,
        "level" => level,
        "partners" => partners,
        "locator" => locator,
        "device" => device,
        "device-of" => device_of,
        "again" => again,
        _ => return None,
    };
    let Some((text, wanted)) = rest.split_once(" => ") else { return Some(Err("TEXT => ...".into())) };
    Some(got(text).and_then(|got| expect(&got.as_str(), &wanted)))
}

fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn number(text: &str) -> Result<String, String> {
    let kind = MessageType(integer(text)?);
    let word = |is: bool, word: &str| if is { format!(" {word}") } else { String::new() };
    let name = if kind.is_valid() { kind.to_string() } else { "-".to_owned() };
    Ok(name + &word(kind.requires_transaction(), "transaction") + &word(kind.supports_qos_ack(), "ack"))
}

fn named(text: &str) -> Result<String, String> {
    Ok(MessageType::from_name(text).map_or_else(|| "-".to_owned(), |kind| kind.0.to_string()))
}

fn level(text: &str) -> Result<String, String> {
    let qos = Qos(integer(text)?);
    Ok(if qos.is_valid() { format!("{:?}", qos.level()) } else { format!("{:?} invalid", qos.level()) })
}

fn partners(text: &str) -> Result<String, String> {
    let builder = text.split(',').fold(Event::new("self:", "event:x"), |builder, id| builder.partner_id(id.trim()));
    Ok(builder.build().map_err(|fault| fault.to_string())?.partner_ids.join(","))
}

fn locator(text: &str) -> Result<String, String> {
    Ok(match text.parse::<Locator>() {
        Err(_) => "-".to_owned(),
        Ok(locator) => {
            let parts = [locator.authority(), locator.service(), locator.ignored()].map(or_nothing);
            format!("{} {}", locator.scheme().name(), parts.join(" "))
        }
    })
}

fn device(text: &str) -> Result<String, String> {
    Ok(text.parse::<DeviceId>().map_or_else(|_| "-".to_owned(), |id| id.to_string()))
}

fn device_of(text: &str) -> Result<String, String> {
    let locator: Locator = text.parse().map_err(|_| format!("`{text}` is no locator"))?;
    Ok(locator.device_id().map_or_else(|| "-".to_owned(), |id| id.to_string()))
}

fn again(text: &str) -> Result<String, String> {
    let locator: Locator = text.parse().map_err(|_| format!("`{text}` is no locator"))?;
    let written = locator.to_string();
    match written.parse::<Locator>() {
        Ok(read) if read == locator => Ok(written),
        other => Err(format!("`{written}` is read as {other:?}")),
    }
}
