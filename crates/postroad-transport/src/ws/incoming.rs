//! Frames that came from the socket, undone where they lie: what stays is payload, unmasked, side by side.
//!
//! A byte stream needs no whole messages, so payload goes on as it comes, straight into the caller's buffer. Every header
//! is judged here; well-formed control frames are handed on whole, for tungstenite to act on.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::config::Limits;
use super::frame::{CONTROL_LEN_MAX, CONTROL_PAYLOAD_LEN_MAX, HEADER_LEN_MAX, move_masked};

/// Where in the row of frames the next byte stands.
#[derive(Debug)]
pub(super) struct Incoming {
    is_server: bool,
    frame_len_max: usize,
    message_len_max: usize,
    place: Place,
    /// Payload of the message so far, while the frame that ends it has not begun.
    unfinished: Option<usize>,
    /// The header so far, or the control frame.
    kept: Kept,
}

/// What the next byte is.
#[derive(Debug, Clone, Copy)]
enum Place {
    Header,
    /// The mask begins with the byte that is next.
    Payload {
        left: usize,
        mask: Option<[u8; 4]>,
    },
    Control {
        left: usize,
    },
}

/// A control frame, or a beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    bytes: [u8; CONTROL_LEN_MAX],
    len: usize,
}

impl Kept {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends as many of `bytes` as fit into the first `len_max`; how many those are.
    fn extend(&mut self, bytes: &[u8], len_max: usize) -> usize {
        let count = bytes.len().min(len_max.saturating_sub(self.len));
        if let (Some(to), Some(from)) = (self.bytes.get_mut(self.len..self.len + count), bytes.get(..count)) {
            to.copy_from_slice(from);
            self.len += count;
        }
        count
    }
}

/// How far a read has been gone through: `..to` is payload, `from..` was not looked at.
#[derive(Debug, Default)]
pub(super) struct Cut {
    from: usize,
    pub(super) to: usize,
}

/// Why [`Incoming::step`] stopped.
#[derive(Debug)]
pub(super) enum Step {
    /// All was looked at.
    Done,
    /// Here a control frame ends; go on after acting on it.
    Control(Kept),
    Failed(Fault),
}

/// What the peer did that cannot be borne.
#[derive(Debug)]
pub(super) enum Fault {
    /// It began a text message.
    Text,
    /// It broke a rule or a limit.
    Rule(WsError),
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Self {
        Self::Rule(WsError::Protocol(error))
    }
}

impl Incoming {
    pub(super) fn new(role: Role, limits: &Limits) -> Self {
        Self {
            is_server: matches!(role, Role::Server),
            frame_len_max: limits.frame_len_max,
            message_len_max: limits.message_len_max,
            place: Place::Header,
            unfinished: None,
            kept: Kept { bytes: [0; CONTROL_LEN_MAX], len: 0 },
        }
    }

    /// Moves payload to the front of `bytes`, up to the end of a control frame, a failure or the end of `bytes`.
    pub(super) fn step(&mut self, bytes: &mut [u8], cut: &mut Cut) -> Step {
        while cut.from < bytes.len() {
            let rest = bytes.get(cut.from..).unwrap_or_default();
            match &mut self.place {
                Place::Header => match self.take_header(rest) {
                    Ok(used) => cut.from += used,
                    Err(fault) => return Step::Failed(fault),
                },
                Place::Payload { left, mask } => {
                    let len = rest.len().min(*left);
                    *left -= len;
                    let is_over = *left == 0;
                    match mask {
                        Some(mask) => {
                            move_masked(bytes, cut.from, cut.to, len, *mask);
                            mask.rotate_left(len % 4);
                        }
                        None => bytes.copy_within(cut.from..cut.from + len, cut.to),
                    }
                    cut.from += len;
                    cut.to += len;
                    if is_over {
                        self.place = Place::Header;
                    }
                    continue;
                }
                Place::Control { left } => {
                    let used = self.kept.extend(rest, self.kept.len + *left);
                    *left -= used;
                    cut.from += used;
                }
            }
            if matches!(self.place, Place::Control { left: 0 }) {
                let frame = self.kept;
                self.kept.len = 0;
                self.place = Place::Header;
                return Step::Control(frame);
            }
        }
        Step::Done
    }

    /// Takes bytes of a header, and where it is whole what follows from it; how many of `rest` were used.
    fn take_header(&mut self, rest: &[u8]) -> Result<usize, Fault> {
        let known = self.kept.len;
        let taken = self.kept.extend(rest, HEADER_LEN_MAX);
        let mut cursor = Cursor::new(self.kept.as_bytes());
        let parsed = FrameHeader::parse(&mut cursor).map_err(Fault::Rule)?;
        let Some((header, payload_len)) = parsed else { return Ok(taken) };
        let header_len = usize::try_from(cursor.position()).unwrap_or(HEADER_LEN_MAX);
        let payload_len = usize::try_from(payload_len).unwrap_or(usize::MAX);
        self.judge(&header, payload_len)?;
        self.kept.len = header_len;
        match header.opcode {
            OpCode::Control(_) => self.place = Place::Control { left: payload_len },
            OpCode::Data(_) => {
                self.kept.len = 0;
                let so_far = self.unfinished.take().unwrap_or(0).saturating_add(payload_len);
                self.unfinished = (!header.is_final).then_some(so_far);
                if payload_len > 0 {
                    self.place = Place::Payload { left: payload_len, mask: header.mask };
                }
            }
        }
        Ok(header_len.saturating_sub(known))
    }

    /// Whether the frame may come here and now.
    fn judge(&self, header: &FrameHeader, payload_len: usize) -> Result<(), Fault> {
        if payload_len > self.frame_len_max {
            return Err(too_long(payload_len, self.frame_len_max));
        }
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(ProtocolError::NonZeroReservedBits.into());
        }
        match (self.is_server, header.mask) {
            (true, None) => return Err(ProtocolError::UnmaskedFrameFromClient.into()),
            (false, Some(_)) => return Err(ProtocolError::MaskedFrameFromServer.into()),
            _ => {}
        }
        let data = match header.opcode {
            OpCode::Control(_) if !header.is_final => return Err(ProtocolError::FragmentedControlFrame.into()),
            OpCode::Control(_) if payload_len > CONTROL_PAYLOAD_LEN_MAX => {
                return Err(ProtocolError::ControlFrameTooBig.into());
            }
            OpCode::Control(_) => return Ok(()),
            OpCode::Data(data) => data,
        };
        match (data, self.unfinished) {
            (Data::Text, _) => return Err(Fault::Text),
            (Data::Continue, None) => return Err(ProtocolError::UnexpectedContinueFrame.into()),
            (Data::Continue, Some(_)) | (_, None) => {}
            (data, Some(_)) => return Err(ProtocolError::ExpectedFragment(data).into()),
        }
        match self.unfinished.unwrap_or(0).saturating_add(payload_len) {
            len if len > self.message_len_max => Err(too_long(len, self.message_len_max)),
            _ => Ok(()),
        }
    }
}

fn too_long(size: usize, max_size: usize) -> Fault {
    Fault::Rule(WsError::Capacity(CapacityError::MessageTooLong { size, max_size }))
}

#[cfg(test)]
mod tests {
    use super::super::frame::copy_masked;
    use super::*;

    fn incoming(role: Role) -> Incoming {
        Incoming::new(role, &Limits::default().with_frame_len_max(70_000).with_message_len_max(100_000))
    }

    /// A frame as a peer of that role would send it.
    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut frame = match payload.len() {
            len @ 0..126 => vec![first, bit | u8::try_from(len).unwrap()],
            len @ 126..65_536 => [&[first, bit | 126][..], &u16::try_from(len).unwrap().to_be_bytes()].concat(),
            len => [&[first, bit | 127][..], &(len as u64).to_be_bytes()].concat(),
        };
        frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
        let mut masked = vec![0; payload.len()];
        copy_masked(&mut masked, payload, mask.unwrap_or_default());
        frame.extend(masked);
        frame
    }

    /// What comes of `wire` when it is read `piece_len` at a time: payload, control frames, the failure.
    fn read(incoming: &mut Incoming, wire: &[u8], piece_len: usize) -> (Vec<u8>, Vec<Vec<u8>>, Option<Fault>) {
        let (mut payload, mut controls) = (Vec::new(), Vec::new());
        for piece in wire.chunks(piece_len) {
            let mut bytes = piece.to_vec();
            let mut cut = Cut::default();
            let fault = loop {
                match incoming.step(&mut bytes, &mut cut) {
                    Step::Done => break None,
                    Step::Control(frame) => controls.push(frame.as_bytes().to_vec()),
                    Step::Failed(fault) => break Some(fault),
                }
            };
            payload.extend_from_slice(&bytes[..cut.to]);
            if fault.is_some() {
                return (payload, controls, fault);
            }
        }
        (payload, controls, None)
    }

    #[test]
    fn payload_is_the_same_in_any_cutting_and_control_frames_come_whole() {
        for (role, mask) in [(Role::Server, Some([1, 2, 250, 4])), (Role::Client, None)] {
            let long: Vec<u8> = (0..=250).cycle().take(66_000).collect();
            let ping = frame(0x89, b"ping", mask);
            let pong = frame(0x8a, &[5; 125], mask);
            let wire = [
                frame(0x82, b"one", mask),
                frame(0x82, b"", mask),
                ping.clone(),
                frame(0x02, &long[..300], mask),
                pong.clone(),
                frame(0x00, b"", mask),
                frame(0x80, &long[300..], mask),
                frame(0x82, &long, mask),
                frame(0x89, b"", mask),
            ]
            .concat();
            let expected = [b"one", &long[..], &long].concat();
            for piece_len in [1, 2, 3, 5, 13, 14, 15, 64, 1000, 65_549, 65_550, wire.len()] {
                let (payload, controls, fault) = read(&mut incoming(role), &wire, piece_len);
                assert!(fault.is_none(), "{role:?} {piece_len}: {fault:?}");
                assert!(payload == expected, "{role:?} {piece_len}");
                assert_eq!(controls, [ping.clone(), pong.clone(), frame(0x89, b"", mask)], "{role:?} {piece_len}");
            }
        }
    }

    #[test]
    fn each_rule_of_frames_is_held_by_the_header_alone() {
        use ProtocolError as Rule;
        let long_ping: Vec<u8> = frame(0x89, &[0; 126], Some([0; 4]))[..8].to_vec();
        let cases: [(&[&[u8]], Rule); 9] = [
            (&[b"\x82\x01x"], Rule::UnmaskedFrameFromClient),
            (&[b"\xc2\x81\0\0\0\0"], Rule::NonZeroReservedBits),
            (&[b"\xa9\x81\0\0\0\0"], Rule::NonZeroReservedBits),
            (&[b"\x83\x81\0\0\0\0"], Rule::InvalidOpcode(3)),
            (&[b"\x8b\x81\0\0\0\0"], Rule::InvalidOpcode(11)),
            (&[b"\x80\x81\0\0\0\0"], Rule::UnexpectedContinueFrame),
            (&[b"\x02\x81\0\0\0\0x", b"\x82\x81\0\0\0\0"], Rule::ExpectedFragment(Data::Binary)),
            (&[b"\x09\x80\0\0\0\0"], Rule::FragmentedControlFrame),
            (&[&long_ping], Rule::ControlFrameTooBig),
        ];
        for (wire, expected) in cases {
            let (_, controls, fault) = read(&mut incoming(Role::Server), &wire.concat(), 4);
            let Some(Fault::Rule(WsError::Protocol(rule))) = fault else { panic!("{fault:?} for {expected}") };
            assert_eq!((rule, controls), (expected, Vec::<Vec<u8>>::new()));
        }
        let (.., fault) = read(&mut incoming(Role::Client), b"\x82\x81\0\0\0\0", 100);
        assert!(matches!(fault, Some(Fault::Rule(WsError::Protocol(Rule::MaskedFrameFromServer)))), "{fault:?}");
        let (.., fault) = read(&mut incoming(Role::Client), b"\x01\x05", 100);
        assert!(matches!(fault, Some(Fault::Text)), "{fault:?}");
    }

    #[test]
    fn frames_and_messages_pass_at_their_limits_and_fail_past_them() {
        let too_long = |wire: &[u8]| match read(&mut incoming(Role::Client), wire, 10_000).2 {
            None => None,
            Some(Fault::Rule(WsError::Capacity(CapacityError::MessageTooLong { size, max_size }))) => {
                Some((size, max_size))
            }
            other => panic!("{other:?}"),
        };
        let zeros = vec![0; 70_001];
        assert_eq!(too_long(&frame(0x82, &zeros[1..], None)), None);
        assert_eq!(too_long(&frame(0x82, &zeros, None)), Some((70_001, 70_000)));
        let message = |last_len: usize| {
            [
                frame(0x02, &zeros[..60_000], None),
                frame(0x00, &zeros[..30_000], None),
                frame(0x80, &zeros[..last_len], None),
            ]
            .concat()
        };
        assert_eq!(too_long(&message(10_000)), None);
        // The next message counts from nothing again.
        assert_eq!(too_long(&message(10_000).repeat(2)), None);
        assert_eq!(too_long(&message(10_001)), Some((100_001, 100_000)));
        assert_eq!(too_long(b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), Some((usize::MAX, 70_000)));
    }
}
