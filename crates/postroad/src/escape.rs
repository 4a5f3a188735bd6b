//! Text of others, made safe to show.

use core::fmt::Write;

/// The most characters of foreign text that are shown.
const SHOWN_MAX: usize = 512;

/// `text` with control characters, escapes and text-direction marks spelled out, cut off after 512 characters.
///
/// For everything that a peer or a file can choose and a person will read on a terminal.
#[must_use]
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(SHOWN_MAX));
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN_MAX {
            shown.push('…');
            break;
        }
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\\' => shown.push_str("\\\\"),
            _ if is_unsafe(character) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// The same for octets that may be no text: those that are none are spelled `\xNN`.
#[must_use]
pub fn octets(octets: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in octets.utf8_chunks() {
        shown.push_str(&text(chunk.valid()));
        for octet in chunk.invalid() {
            let _ = write!(shown, "\\x{octet:02x}");
        }
        if shown.len() > SHOWN_MAX * 4 {
            shown.push('…');
            break;
        }
    }
    shown
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_never_sees_an_escape() {
        assert_eq!(text("a\u{1b}[2Jb\r\n\u{202e}\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\u{202e}\\u{9b}");
        assert_eq!(octets(b"ok\xff\x00\xc3"), "ok\\xff\\u{0}\\xc3");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(text(&"x".repeat(SHOWN_MAX)).chars().count(), SHOWN_MAX);
        assert_eq!(text(&"x".repeat(SHOWN_MAX + 1)).chars().count(), SHOWN_MAX + 1);
        assert!(text(&"x".repeat(5_000)).ends_with('…'));
    }
}
