//! What GZIP (RFC 1952) puts around DEFLATE.

use super::DecodeFault;
use crate::Level;
use flate2::Crc;

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;

/// Without a time or a name, from an unknown system, as the reference writes it.
//= SSP-E6
pub(super) const fn header(level: Level) -> [u8; 10] {
    let extra_flags = match level {
        Level::Best => 2,
        Level::Fastest => 4,
        Level::None | Level::Default => 0,
    };
    [MAGIC[0], MAGIC[1], MAGIC[2], 0, 0, 0, 0, 0, extra_flags, 0xff]
}

/// Checksum and length.
pub(super) fn trailer(plain: &[u8]) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(plain);
    let [a, b, c, d] = crc.sum().to_le_bytes();
    let [e, f, g, h] = crc.amount().to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// What is behind the header of a member.
//= SSP-E8
pub(super) fn skip_header(member: &[u8]) -> Result<&[u8], DecodeFault> {
    let (fixed, mut rest) = member.split_at_checked(10).ok_or_else(|| short(member))?;
    if !fixed.starts_with(&MAGIC) {
        return Err(DecodeFault::Corrupt("GZIP data"));
    }
    let flags = fixed.get(3).copied().unwrap_or(0);
    if flags & EXTRA != 0 {
        let (len, behind) = rest.split_first_chunk::<2>().ok_or(DecodeFault::Truncated)?;
        rest = behind.get(usize::from(u16::from_le_bytes(*len))..).ok_or(DecodeFault::Truncated)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|octet| *octet == 0).ok_or(DecodeFault::Truncated)?;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }
    if flags & HEADER_CRC != 0 {
        let (wanted, behind) = rest.split_first_chunk::<2>().ok_or(DecodeFault::Truncated)?;
        let mut crc = Crc::new();
        crc.update(member.get(..member.len() - rest.len()).unwrap_or_default());
        if crc.sum().to_le_bytes().first_chunk() != Some(wanted) {
            return Err(DecodeFault::Checksum("header"));
        }
        rest = behind;
    }
    Ok(rest)
}

/// A beginning of a header is cut data; anything else is none.
fn short(member: &[u8]) -> DecodeFault {
    let is_beginning = member.iter().zip(MAGIC).all(|(came, wanted)| *came == wanted);
    if is_beginning { DecodeFault::Truncated } else { DecodeFault::Corrupt("GZIP data") }
}

/// Checks what is behind the data of a member; what is behind that.
//= SSP-E8
pub(super) fn check_trailer<'a>(behind: &'a [u8], plain: &[u8]) -> Result<&'a [u8], DecodeFault> {
    let (said, rest) = behind.split_first_chunk::<8>().ok_or(DecodeFault::Truncated)?;
    let wanted = trailer(plain);
    if said.first_chunk::<4>() != wanted.first_chunk::<4>() {
        return Err(DecodeFault::Checksum("data"));
    }
    if *said != wanted {
        return Err(DecodeFault::Length);
    }
    Ok(rest)
}
