//! What a frame is made of: its header, and the mask over its payload.

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Two bytes, eight of length, four of mask.
pub(super) const HEADER_LEN_MAX: usize = 14;
/// Masked at once: a size that compilers turn into wide registers.
const BLOCK_LEN: usize = 64;
/// RFC 6455, section 5.5.
pub(super) const CONTROL_PAYLOAD_LEN_MAX: usize = 125;
/// A whole control frame.
pub(super) const CONTROL_LEN_MAX: usize = HEADER_LEN_MAX + CONTROL_PAYLOAD_LEN_MAX;

/// The header of a final binary frame, on the stack.
#[derive(Debug)]
pub(super) struct Header {
    bytes: [u8; HEADER_LEN_MAX],
    len: usize,
}

impl Header {
    pub(super) fn new(payload_len: usize, mask: Option<[u8; 4]>) -> Self {
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), mask, ..FrameHeader::default() };
        let mut bytes = [0; HEADER_LEN_MAX];
        let mut room = &mut bytes[..];
        // No header is longer than the room.
        let _ = header.format(payload_len as u64, &mut room);
        let len = HEADER_LEN_MAX - room.len();
        Self { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Fills `to` with `from`, each byte with the mask byte of its place (RFC 6455, section 5.3); both are of one length.
pub(super) fn copy_masked(to: &mut [u8], from: &[u8], mask: [u8; 4]) {
    let wide = repeated(mask);
    let (to_blocks, to_rest) = to.as_chunks_mut::<BLOCK_LEN>();
    let (from_blocks, from_rest) = from.as_chunks::<BLOCK_LEN>();
    for (to, from) in to_blocks.iter_mut().zip(from_blocks) {
        *to = masked(*from, &wide);
    }
    for ((to, from), mask) in to_rest.iter_mut().zip(from_rest).zip(wide) {
        *to = from ^ mask;
    }
}

/// Moves `len` bytes at `from` down to `to`, which is not behind it, each with the mask byte of its place.
pub(super) fn move_masked(bytes: &mut [u8], from: usize, to: usize, len: usize, mask: [u8; 4]) {
    let wide = repeated(mask);
    let mut at = 0;
    while at + BLOCK_LEN <= len {
        // From where the block goes to the end of where it is.
        let Some(window) = bytes.get_mut(to + at..from + at + BLOCK_LEN) else { break };
        if let Some(block) = window.last_chunk::<BLOCK_LEN>() {
            let moved = masked(*block, &wide);
            if let Some(place) = window.first_chunk_mut::<BLOCK_LEN>() {
                *place = moved;
            }
        }
        at += BLOCK_LEN;
    }
    bytes.copy_within(from + at..from + len, to + at);
    for (byte, mask) in bytes.get_mut(to + at..to + len).unwrap_or_default().iter_mut().zip(wide) {
        *byte ^= mask;
    }
}

fn repeated(mask: [u8; 4]) -> [u8; BLOCK_LEN] {
    std::array::from_fn(|at| mask.get(at % 4).copied().unwrap_or_default())
}

#[inline]
fn masked(mut block: [u8; BLOCK_LEN], wide: &[u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    for (byte, mask) in block.iter_mut().zip(wide) {
        *byte ^= mask;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

    fn plain_and_masked(len: usize) -> (Vec<u8>, Vec<u8>) {
        let plain: Vec<u8> = (0..=250).cycle().take(len).collect();
        let masked = plain.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        (plain, masked)
    }

    #[test]
    fn masking_is_byte_by_byte_whatever_the_length() {
        for len in 0..4 * BLOCK_LEN {
            let (plain, expected) = plain_and_masked(len);
            let mut masked = vec![0xee; len];
            copy_masked(&mut masked, &plain, MASK);
            assert_eq!(masked, expected, "length {len}");
        }
    }

    #[test]
    fn moving_down_masks_once_and_touches_nothing_else_however_near_it_goes() {
        for distance in [0, 1, 4, 14, 63, 64, 65, 200] {
            for len in [0, 1, 63, 64, 65, 127, 128, 300] {
                let (plain, expected) = plain_and_masked(len);
                let mut bytes = [&[9; 3][..], &vec![8; distance], &plain, &[7; 5]].concat();
                move_masked(&mut bytes, 3 + distance, 3, len, MASK);
                assert_eq!(bytes[..3], [9; 3]);
                assert_eq!(bytes[3..3 + len], expected, "{distance} {len}");
                assert_eq!(bytes[3 + distance + len..], [7; 5]);
            }
        }
    }

    #[test]
    fn headers_have_the_lengths_of_the_rfc() {
        assert_eq!(Header::new(125, None).as_bytes(), [0x82, 125]);
        assert_eq!(Header::new(126, None).as_bytes(), [0x82, 126, 0, 126]);
        assert_eq!(Header::new(65_535, Some([1, 2, 3, 4])).as_bytes(), [0x82, 254, 255, 255, 1, 2, 3, 4]);
        assert_eq!(Header::new(65_536, Some([1; 4])).as_bytes().len(), HEADER_LEN_MAX);
    }
}
