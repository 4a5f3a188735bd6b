//! What happened between two machines, as a ladder in the manner of section 2.5.

use super::world::{Fate, Line, Side, World};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const LABEL: usize = 8;
const MIDDLE: usize = 46;

/// The ladder of everything since [`World::begin`].
pub(crate) fn ladder(world: &World) -> String {
    let mut text = format!("{:>4}{:<LABEL$}{:<width$}SMP B\n", "", "SMP A", "", width = MIDDLE + 10);
    let mut undisturbed: BTreeSet<usize> = BTreeSet::new();
    let mut row = 0;
    for (at, line) in world.log.iter().enumerate() {
        let (left, middle, right) = match line {
            Line::Note { side: Side::A, text } => (*text, String::new(), ""),
            Line::Note { side: Side::B, text } => ("", String::new(), *text),
            Line::Left { packet, label } => {
                let packet_of = &world.packets[*packet];
                let came = world.log.iter().skip(at).find_map(|line| match line {
                    Line::Came { packet: other, is_late: false, label } if other == packet => Some(*label),
                    _ => None,
                });
                if came.is_some() {
                    undisturbed.insert(*packet);
                }
                let far = match packet_of.fate {
                    Some(Fate::Lost) => "Lost!",
                    Some(Fate::Late(_) | Fate::Overtaken) => "...",
                    _ => came.unwrap_or(""),
                };
                let what = packet_of.seen.describe(&|number| world.label(number));
                drawn(packet_of.from, label, &what, far)
            }
            Line::Came { packet, is_late: true, label } => {
                let packet_of = &world.packets[*packet];
                let what = packet_of.seen.describe(&|number| world.label(number));
                drawn(packet_of.from, "...", &what, label)
            }
            Line::Came { .. } => continue,
        };
        row += 1;
        let _ = writeln!(
            text,
            "{}",
            format!("{row:>2}. {left:<LABEL$}{middle:<width$}{right}", width = MIDDLE + 10).trim_end()
        );
    }
    text
}

/// The end that something left has `near` beside it, the other one `far`.
fn drawn<'a>(from: Side, near: &'a str, what: &str, far: &'a str) -> (&'a str, String, &'a str) {
    match from {
        Side::A => (near, format!("--> {what:<MIDDLE$} -->"), far),
        Side::B => (far, format!("<-- {what:<MIDDLE$} <--"), near),
    }
}
