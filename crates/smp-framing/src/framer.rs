//! Messages to units: whole where they fit, else frames.

use crate::arguments::{ARGC_MAX, ARGUMENT_LEN_MAX, LENGTH_LEN};
use crate::wire::TransmitBuffer;
use crate::{Arguments, Code, EncodeError, FrameIdent, Unit};
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;

/// True where `arguments` go as one unit under `max_message_size`; exactly that size still is whole.
///
/// # Errors
/// [`EncodeError`] where they cannot go at all: more than 15, or no room for payload beside their LENGTHs.
//= SMPF-R2 SMPF-CONV-1 SMPF-DEF-1 SMPF-DEF-5
#[inline]
pub fn is_whole(arguments: &Arguments, max_message_size: usize) -> Result<bool, EncodeError> {
    let count = arguments.count();
    if count > ARGC_MAX {
        return Err(EncodeError::ArgumentCount { count });
    }
    if arguments.arguments_len() <= max_message_size {
        // Arguments kept as they came off the wire have no long one among them.
        return Ok(arguments.as_wire().is_some() || arguments.iter().all(|payload| payload.len() <= ARGUMENT_LEN_MAX));
    }
    check_room(count, max_message_size)?;
    Ok(false)
}

fn check_room(count: usize, max_message_size: usize) -> Result<(), EncodeError> {
    if max_message_size <= count * LENGTH_LEN && count > 0 {
        return Err(EncodeError::MaxMessageSize { max_message_size, count });
    }
    Ok(())
}

/// A piece of payload and the argument that it belongs to.
type Piece = (u8, Bytes);

/// Cuts one message into frames: in argument order, each frame as full as it goes, but see [`push`](Self::push).
///
/// Every frame has all the message's arguments, those with nothing in it with LENGTH 0, so argument boundaries survive.
/// Payloads are shared, not copied. The message may be known whole ([`new`](Self::new)) or come in pieces
/// ([`streaming`](Self::streaming)); only in the second case the LAST FRAME may be empty.
///
/// ```
/// use smp_framing::{Code, framer::Framer};
///
/// let codes: Vec<Code> = Framer::new(vec![7; 20].into(), 10, 1, 0)?.map(|frame| frame.code()).collect();
/// assert_eq!(codes, [Code::NewFrame, Code::ContinuingFrame, Code::LastFrame]);
/// # Ok::<(), smp_framing::EncodeError>(())
/// ```
//= SMPF-R11 SMPF-R5 SMPF-R6 SMPF-R8 SMPF-CONV-2 SMPF-CONV-3 SMPF-PAY-1
#[derive(Clone, Debug)]
pub struct Framer {
    pieces: VecDeque<Piece>,
    pieces_len: usize,
    finished: bool,
    count: u8,
    max_message_size: usize,
    ident: FrameIdent,
    next_code: Option<Code>,
    /// The first frame must be a NEW FRAME even where it takes all: the peer may have a message open under this ID.
    reuses_id: bool,
    /// The pieces of the frame being made, kept for its memory.
    frame: Vec<Piece>,
}

impl Framer {
    /// The frames of `arguments` with `id`, numbered from `first_number`. A message that would be whole makes one frame.
    ///
    /// # Errors
    /// [`EncodeError`] as [`is_whole`].
    pub fn new(arguments: Arguments, max_message_size: usize, id: u16, first_number: u32) -> Result<Self, EncodeError> {
        is_whole(&arguments, max_message_size)?;
        let count = u8::try_from(arguments.count()).unwrap_or(u8::MAX);
        let mut framer = Self::streaming(count, max_message_size, id, first_number)?;
        for (index, part) in (0..count).zip(arguments.into_vec()) {
            framer.push(index, part);
        }
        framer.finish();
        Ok(framer)
    }

    /// The frames of a message of `count` arguments whose content is still to come.
    ///
    /// # Errors
    /// [`EncodeError`] for more than 15 arguments, or no room for payload beside their LENGTHs.
    pub fn streaming(count: u8, max_message_size: usize, id: u16, first_number: u32) -> Result<Self, EncodeError> {
        if usize::from(count) > ARGC_MAX {
            return Err(EncodeError::ArgumentCount { count: usize::from(count) });
        }
        check_room(usize::from(count), max_message_size)?;
        Ok(Self {
            pieces: VecDeque::new(),
            pieces_len: 0,
            finished: false,
            count,
            max_message_size,
            ident: FrameIdent { id, number: first_number },
            next_code: Some(Code::NewFrame),
            reuses_id: false,
            frame: Vec::new(),
        })
    }

    /// Appends `payload` to argument `index`. A piece for an index that there is not is dropped.
    ///
    /// Until the message is finished, what is more than one frame and less than two goes in halves: no frame is a scrap
    /// unless the pieces are.
    pub fn push(&mut self, index: u8, payload: Bytes) {
        debug_assert!(index < self.count, "the caller checks the index");
        if index < self.count && !payload.is_empty() {
            self.pieces_len += payload.len();
            self.pieces.push_back((index, payload));
        }
    }

    /// No more content comes: the frame that takes the rest is the last.
    pub const fn finish(&mut self) {
        self.finished = true;
    }

    /// True where no more content comes.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// True where a frame can be made now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.next_code.is_some() && (self.finished || !self.pieces.is_empty())
    }

    /// True once the last frame was made.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.next_code.is_none()
    }

    /// True once the first frame was made.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        !matches!(self.next_code, Some(Code::NewFrame))
    }

    /// Octets of payload that wait.
    #[must_use]
    pub const fn pending_len(&self) -> usize {
        self.pieces_len
    }

    /// How many arguments the message has.
    #[must_use]
    pub const fn argument_count(&self) -> u8 {
        self.count
    }

    /// Sets the ID, before the first frame. One that a given-up message had is opened anew, whatever the peer kept of it.
    pub(crate) const fn set_id(&mut self, id: u16, reuses_id: bool) {
        self.ident.id = id;
        self.reuses_id = reuses_id;
    }

    /// Appends the next frame to `out`; `false` where there is none to make now.
    pub(crate) fn encode_next(&mut self, out: &mut TransmitBuffer) -> bool {
        let Some((code, ident)) = self.next_frame() else { return false };
        out.put_frame(code, ident, self.count, &self.frame);
        self.frame.clear();
        true
    }

    /// Moves the content of the next frame into `self.frame`, sorted by argument.
    fn next_frame(&mut self) -> Option<(Code, FrameIdent)> {
        if !self.is_ready() {
            return None;
        }
        let code = self.next_code?;
        self.cut();
        let must_open = self.reuses_id && code == Code::NewFrame;
        let is_last = self.finished && self.pieces.is_empty() && !must_open;
        let ident = self.ident;
        self.ident.number = ident.number.wrapping_add(1);
        self.next_code = (!is_last).then_some(Code::ContinuingFrame);
        Some((if is_last { Code::LastFrame } else { code }, ident))
    }

    /// Octets of payload for the next frame: as many as it takes; but where more content may come and a little more than
    /// one frame is there, half of it. Pieces slightly longer than a frame would leave a scrap each, and a stream of full
    /// and tiny frames is slow: the kernel keeps a buffer for each write, and the window shrinks with what buffers hold.
    fn frame_len(&self) -> usize {
        let room = self.max_message_size.saturating_sub(usize::from(self.count) * LENGTH_LEN);
        let full = room.min(ARGUMENT_LEN_MAX);
        if !self.finished && (full + 1..2 * full).contains(&self.pieces_len) {
            self.pieces_len.div_ceil(2)
        } else {
            room
        }
    }

    fn cut(&mut self) {
        let mut room = self.frame_len();
        let mut part_room = ARGUMENT_LEN_MAX;
        let mut part = 0;
        while let Some((index, payload)) = self.pieces.front_mut() {
            if *index < part {
                // Back to an argument before: that takes a frame of its own.
                break;
            }
            if *index > part {
                part = *index;
                part_room = ARGUMENT_LEN_MAX;
            }
            let len = payload.len().min(room).min(part_room);
            if len == 0 {
                break;
            }
            self.frame.push((part, payload.split_to(len)));
            self.pieces_len -= len;
            room -= len;
            part_room -= len;
            if payload.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

/// The frames as units. Joins pieces of one argument by copying; a connection encodes without.
impl Iterator for Framer {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        let (code, ident) = self.next_frame()?;
        let mut arguments = vec![Bytes::new(); usize::from(self.count)];
        for (index, payload) in self.frame.drain(..) {
            if let Some(argument) = arguments.get_mut(usize::from(index)) {
                if argument.is_empty() {
                    *argument = payload;
                } else {
                    let mut joined = BytesMut::from(core::mem::take(argument));
                    joined.put(payload);
                    *argument = joined.freeze();
                }
            }
        }
        Some(Unit::assemble(code, ident, arguments.into()))
    }
}

/// Hands out IDs: up by one from 0, after 65,535 comes 0, those in use passed over.
//= SMPF-R7
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdSequence {
    next: u16,
}

impl IdSequence {
    /// The next ID that is not in use. The caller keeps fewer than 65,536 in use.
    pub(crate) fn next(&mut self, in_use: impl Fn(u16) -> bool) -> u16 {
        for _ in 0..u16::MAX {
            if !in_use(self.next) {
                break;
            }
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_wrap_and_pass_over_those_in_use() {
        //= SMPF-R7
        let mut ids = IdSequence { next: 65_534 };
        assert_eq!(ids.next(|_| false), 65_534);
        assert_eq!(ids.next(|_| false), 65_535);
        assert_eq!(ids.next(|id| id < 2), 2);
        assert_eq!(ids.next(|_| false), 3);
    }

    #[test]
    fn a_message_as_large_as_the_maximum_is_whole_and_one_octet_more_is_not() {
        //= SMPF-R2 SMPF-R3
        assert_eq!(is_whole(&vec![0; 8].into(), 10), Ok(true));
        assert_eq!(is_whole(&vec![0; 9].into(), 10), Ok(false));
        assert_eq!(is_whole(&vec![0; 65_535].into(), 100_000), Ok(true));
        assert_eq!(is_whole(&vec![0; 65_536].into(), 100_000), Ok(false));
    }

    #[test]
    fn a_message_of_unknown_length_closes_with_an_empty_frame_where_nothing_is_left() {
        let mut framer = Framer::streaming(1, 31, 4, 9).unwrap();
        assert!(framer.next().is_none());
        framer.push(0, Bytes::from_static(b"ab"));
        framer.push(0, Bytes::from_static(b"cd"));
        let first = framer.next().unwrap();
        assert_eq!((first.code(), first.arguments()), (Code::NewFrame, &"abcd".into()));
        assert!(framer.next().is_none());
        framer.finish();
        let last = framer.next().unwrap();
        assert_eq!((last.code(), last.ident().unwrap().number, last.arguments()), (Code::LastFrame, 10, &"".into()));
        assert!(framer.next().is_none() && framer.is_done());
    }

    #[test]
    fn going_back_to_an_argument_before_begins_a_frame() {
        let mut framer = Framer::streaming(2, 31, 0, 0).unwrap();
        for (index, payload) in [(1, "x"), (0, "a"), (1, "y")] {
            framer.push(index, payload.into());
        }
        framer.finish();
        let frames: Vec<_> = framer.map(|unit| unit.into_arguments()).collect();
        assert_eq!(frames, [["".into(), "x".into()].into(), Arguments::from(["a".into(), "y".into()])]);
    }

    #[test]
    fn a_maximum_without_room_for_payload_is_refused_and_one_octet_of_it_is_enough() {
        let five = || Arguments::from(vec![Bytes::from_static(b"xx"); 5]);
        let refused = Framer::new(five(), 10, 0, 0).unwrap_err();
        assert_eq!(refused, EncodeError::MaxMessageSize { max_message_size: 10, count: 5 });
        assert_eq!(Framer::new(five(), 11, 0, 0).unwrap().count(), 10, "one octet each");
        assert!(Framer::streaming(15, 31, 0, 0).is_ok());
        assert_eq!(Framer::streaming(16, 100, 0, 0).unwrap_err(), EncodeError::ArgumentCount { count: 16 });
    }

    #[test]
    fn numbers_wrap_and_only_the_first_frame_is_new() {
        //= SMPF-R8
        let frames = Framer::new(vec![0; 20].into(), 10, 5, u32::MAX).unwrap();
        let said: Vec<_> = frames.map(|frame| (frame.code(), frame.ident().unwrap().number)).collect();
        assert_eq!(said, [(Code::NewFrame, u32::MAX), (Code::ContinuingFrame, 0), (Code::LastFrame, 1)]);
    }

    #[test]
    fn a_little_more_than_one_frame_of_what_still_comes_goes_in_halves_and_leaves_no_scrap() {
        //= SMPF-R11
        let lens = |piece_len: usize, is_finished: bool| {
            let mut framer = Framer::streaming(1, 102, 0, 0).unwrap();
            framer.push(0, vec![7; piece_len].into());
            if is_finished {
                framer.finish();
            }
            framer.map(|frame| frame.arguments().payload_len()).collect::<Vec<_>>()
        };
        assert_eq!(lens(100, false), [100], "full");
        assert_eq!(lens(101, false), [51, 50]);
        assert_eq!(lens(199, false), [100, 99]);
        assert_eq!(lens(200, false), [100, 100]);
        assert_eq!(lens(301, false), [100, 100, 51, 50]);
        assert_eq!(lens(101, true), [100, 1], "what is known whole: as full as it goes");
    }

    #[test]
    fn an_argument_longer_than_a_length_goes_on_in_the_next_frame() {
        //= SMPF-R3 SMPF-R11
        let long = || Bytes::from(vec![7; 70_000]);
        let frames = Framer::new([long(), long()].into(), 200_000, 0, 0).unwrap();
        let lens: Vec<Vec<usize>> = frames.map(|frame| frame.arguments().iter().map(<[u8]>::len).collect()).collect();
        assert_eq!(lens, [[65_535, 0], [4465, 65_535], [0, 4465]]);
    }
}
