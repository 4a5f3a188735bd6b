//! WebSockets (RFC 6455) of the runner's own: heads and frames as they are, right or wrong. The carriers under test have another codec.

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// No head is longer.
pub const HEAD_LEN_MAX: usize = 16 * 1024;
/// No frame that is read is longer: it is refused by its length alone.
pub const FRAME_LEN_MAX: u64 = 32 << 20;

/// The key that a client of the runner sends; one is as good as another where nobody is between.
pub const KEY: &str = "cG9zdHJvYWQgc29ja2V0cw==";

/// What a frame is, by its opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// More of the message begun.
    pub const CONTINUATION: Self = Self(0);
    /// A message of text.
    pub const TEXT: Self = Self(1);
    /// A message of octets.
    pub const BINARY: Self = Self(2);
    /// The last word.
    pub const CLOSE: Self = Self(8);
    /// To be answered.
    pub const PING: Self = Self(9);
    /// The answer.
    pub const PONG: Self = Self(10);
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether the message ends with it.
    pub fin: bool,
    /// The three reserved bits.
    pub reserved: u8,
    /// What it is.
    pub opcode: Opcode,
    /// Whether it came masked.
    pub masked: bool,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message of octets.
    #[must_use]
    pub fn binary(payload: &[u8], masked: bool) -> Self {
        Self { fin: true, reserved: 0, opcode: Opcode::BINARY, masked, payload: payload.to_vec() }
    }

    /// A control frame, or any other.
    #[must_use]
    pub const fn new(opcode: Opcode, payload: Vec<u8>, masked: bool) -> Self {
        Self { fin: true, reserved: 0, opcode, masked, payload }
    }

    /// Its octets; the mask is always the same.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let mut octets = vec![u8::from(self.fin) << 7 | (self.reserved & 7) << 4 | (self.opcode.0 & 15)];
        let len = self.payload.len();
        match (u8::try_from(len), u16::try_from(len)) {
            (Ok(len), _) if len < 126 => octets.push(mask_bit | len),
            (_, Ok(len)) => {
                octets.push(mask_bit | 126);
                octets.extend(len.to_be_bytes());
            }
            _ => {
                octets.push(mask_bit | 127);
                octets.extend((len as u64).to_be_bytes());
            }
        }
        if self.masked {
            octets.extend(MASK);
            octets.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(octet, mask)| octet ^ mask));
        } else {
            octets.extend(&self.payload);
        }
        octets
    }

    /// The frame at the start of `octets` and its length there, `None` where it is not whole yet.
    ///
    /// # Errors
    /// Where it claims to be longer than [`FRAME_LEN_MAX`].
    pub fn read(octets: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let &[first, second, ref rest @ ..] = octets else { return Ok(None) };
        let short = u64::from(second & 0x7f);
        let extra = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((extended, rest)) = rest.split_at_checked(extra) else { return Ok(None) };
        let len = if extra == 0 { short } else { extended.iter().fold(0, |len, octet| len << 8 | u64::from(*octet)) };
        if len > FRAME_LEN_MAX {
            return Err(format!("a frame that says it has {len} octets"));
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let masked = second & 0x80 != 0;
        let Some((mask, rest)) = rest.split_at_checked(if masked { 4 } else { 0 }) else { return Ok(None) };
        let Some(payload) = rest.get(..len) else { return Ok(None) };
        let payload = match masked {
            true => payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask).collect(),
            false => payload.to_vec(),
        };
        let opcode = Opcode(first & 15);
        let frame = Self { fin: first & 0x80 != 0, reserved: first >> 4 & 7, opcode, masked, payload };
        Ok(Some((frame, 2 + extra + mask.len() + len)))
    }
}

/// The head of a request or of an answer, cut up.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// The first line.
    pub first: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The head at the start of `octets` and its length there, `None` where it is not whole yet.
    ///
    /// # Errors
    /// Where it is too long, or no head.
    pub fn read(octets: &[u8]) -> Result<Option<(Self, usize)>, String> {
        let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if octets.len() > HEAD_LEN_MAX { Err("a head without end".into()) } else { Ok(None) };
        };
        let text = String::from_utf8_lossy(octets.get(..end).unwrap_or_default()).into_owned();
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.map(header).collect::<Option<Vec<_>>>().ok_or("a line of the head is no header")?;
        Ok(Some((Self { first, headers }, end + 4)))
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(this, _)| this == name).map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.first.split(' ').nth(1)?.parse().ok()
    }
}

/// What a client asks with. `extra` are further lines, each with its end.
#[must_use]
pub fn request(host: &str, path: &str, extra: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{extra}\r\n"
    )
}

/// Whether an answer lets the client in: what is wrong with it.
///
/// # Errors
/// What is wrong with it.
pub fn check_answer(head: &Head) -> Result<(), String> {
    if head.status() != Some(101) {
        return Err(format!("the WebSocket was refused: {}", head.first));
    }
    let has = |name, word: &str| head.header(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err("an answer 101 without Upgrade and Connection".into());
    }
    if head.header("sec-websocket-accept") != Some(derive_accept_key(KEY.as_bytes()).as_str()) {
        return Err("an answer 101 with a wrong Sec-WebSocket-Accept".into());
    }
    Ok(())
}

/// The answer to a client's request; with the sub-protocol, where the client offers it.
///
/// # Errors
/// Where it asks for no WebSocket.
pub fn answer(request: &Head, protocol: Option<&str>) -> Result<String, String> {
    let key =
        request.header("sec-websocket-key").ok_or_else(|| format!("no WebSocket is asked for: {}", request.first))?;
    let accept = derive_accept_key(key.as_bytes());
    let offered = request.header("sec-websocket-protocol").unwrap_or_default();
    let chosen = protocol.filter(|protocol| offered.split(',').any(|word| word.trim() == *protocol));
    let chosen = chosen.map_or_else(String::new, |protocol| format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{chosen}\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written_and_not_before_they_are_whole() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            for masked in [false, true] {
                let frame = Frame { fin: len != 1, reserved: 2, opcode: Opcode::PING, masked, payload: vec![7; len] };
                let octets = frame.octets();
                assert_eq!(Frame::read(&octets).unwrap(), Some((frame, octets.len())));
                for cut in [0, 1, octets.len() - 1] {
                    assert_eq!(Frame::read(&octets[..cut]).unwrap(), None, "{len} cut at {cut}");
                }
            }
        }
        // The frames of RFC 6455, section 5.7.
        assert_eq!(Frame::new(Opcode::TEXT, b"Hello".to_vec(), false).octets(), b"\x81\x05Hello");
        assert_eq!(
            Frame::new(Opcode::TEXT, b"Hello".to_vec(), true).octets(),
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
        assert!(Frame::read(&[0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn heads_are_read_when_they_are_whole_and_answers_are_checked() {
        assert!(Head::read(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap().is_none());
        assert!(Head::read(&vec![b'a'; HEAD_LEN_MAX + 1]).is_err());
        let text = request("x", "/p", "Sec-WebSocket-Protocol: b, a\r\n");
        let (asked, len) = Head::read(text.as_bytes()).unwrap().unwrap();
        assert_eq!((len, asked.first.as_str()), (text.len(), "GET /p HTTP/1.1"));
        let answered = |text: &str| check_answer(&Head::read(text.as_bytes()).unwrap().unwrap().0);
        let good = answer(&asked, Some("a")).unwrap();
        assert!(good.contains("Sec-WebSocket-Protocol: a\r\n"));
        assert_eq!(answered(&good), Ok(()));
        assert!(answered(&good.replace("Accept: ", "Accept: x")).is_err());
        assert!(answered(&good.replace("101", "200")).is_err());
        assert!(answered(&good.replace("Upgrade: websocket", "Upgrade: h2c")).is_err());
    }
}
