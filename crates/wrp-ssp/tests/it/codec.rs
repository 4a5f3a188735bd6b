//! Payloads, compressed and back.

use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Instant;
use testkit::vectors::wrp::{json_lines, random};
use wrp_ssp::codec::{Caps, Compressor, DecodeFault, Decompressor, RATIO_FREE_LEN, compressed_len_max};
use wrp_ssp::{Encoding, Level};

const CAPS: Caps = Caps { len_max: 4 << 20, ratio_max: 100 };

fn compressed(encoding: Encoding, level: Level, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Compressor::new(encoding, level).compress(plain, &mut out);
    out
}

fn read(encoding: Encoding, payload: &[u8], caps: Caps) -> Result<Vec<u8>, DecodeFault> {
    Decompressor::default().decompress(encoding, payload, caps).map(<[u8]>::to_vec)
}

const LEVELS: [Level; 4] = [Level::None, Level::Fastest, Level::Default, Level::Best];

//= SSP-E5, SSP-E6, SSP-S8
#[test]
fn what_is_compressed_is_read_again_and_never_longer_than_said() {
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate] {
        for level in LEVELS {
            let (mut compressor, mut decompressor) = (Compressor::new(encoding, level), Decompressor::default());
            for plain in [vec![7], json_lines(1, 65_536), random(2, 65_536), random(3, 100), vec![0; 65_536]] {
                let mut payload = Vec::new();
                compressor.compress(&plain, &mut payload);
                assert_eq!(
                    decompressor.decompress(encoding, &payload, Caps { ratio_max: 2000, ..CAPS }).unwrap(),
                    plain
                );
                assert!(payload.len() <= compressed_len_max(plain.len()) + 18, "{encoding:?} {level:?}");
            }
            assert!(compressed(encoding, level, b"").is_empty(), "nothing is nothing");
        }
    }
}

//= SSP-E6
#[test]
fn gzip_has_no_time_no_name_and_says_the_level() {
    for (level, extra_flags) in [(Level::None, 0), (Level::Fastest, 4), (Level::Default, 0), (Level::Best, 2)] {
        let payload = compressed(Encoding::Gzip, level, b"abc");
        assert_eq!(payload[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra_flags, 0xff]);
        assert_eq!(payload[payload.len() - 4..], [3, 0, 0, 0]);
    }
}

//= SSP-E7, SSP-E8
#[test]
fn every_header_field_of_gzip_is_passed_over_and_checked() {
    let data = compressed(Encoding::Gzip, Level::Default, b"hello");
    let (head, tail) = data.split_at(10);
    let with = |flags: u8, fields: &[u8]| {
        let mut head = head.to_vec();
        head[3] = flags;
        [&head, fields, tail].concat()
    };
    let hello = |payload: &[u8]| read(Encoding::Gzip, payload, CAPS);
    assert_eq!(hello(&with(4, &[3, 0, 9, 9, 9])).unwrap(), b"hello");
    assert_eq!(hello(&with(8, b"name\0")).unwrap(), b"hello");
    assert_eq!(hello(&with(16, b"\0")).unwrap(), b"hello");
    assert_eq!(hello(&with(8 + 16, b"name\0comment\0")).unwrap(), b"hello");
    assert_eq!(hello(&with(2, &[0, 0])), Err(DecodeFault::Checksum("header")));
    for cut in [with(4, &[255, 255]), with(8, &[b'x'; 3])[..13].to_vec(), with(2, &[])[..11].to_vec()] {
        assert_eq!(hello(&cut), Err(DecodeFault::Truncated), "{cut:x?}");
    }
    let twice = [&data[..], &data[..]].concat();
    assert_eq!(hello(&twice).unwrap(), b"hellohello");
    assert_eq!(hello(&[&data[..], &[0]].concat()), Err(DecodeFault::Corrupt("GZIP data")));
    for (at, wanted) in [(0, DecodeFault::Corrupt("GZIP data")), (1, DecodeFault::Corrupt("GZIP data"))] {
        let mut broken = data.clone();
        broken[at] ^= 1;
        assert_eq!(hello(&broken), Err(wanted));
    }
    let mut broken = data.clone();
    let end = broken.len();
    broken[end - 8] ^= 1;
    assert_eq!(hello(&broken), Err(DecodeFault::Checksum("data")));
    let mut broken = data.clone();
    broken[end - 1] ^= 1;
    assert_eq!(hello(&broken), Err(DecodeFault::Length));
}

/// The reference takes it for the end of the stream.
//= SSP-E9
#[test]
fn an_empty_payload_that_should_be_compressed_is_an_error() {
    assert_eq!(read(Encoding::Gzip, b"", CAPS), Err(DecodeFault::Truncated));
    assert_eq!(read(Encoding::Deflate, b"", CAPS), Err(DecodeFault::Truncated));
    assert_eq!(read(Encoding::Identity, b"", CAPS).unwrap(), b"");
}

//= SSP-E7
#[test]
fn deflate_is_raw_and_what_is_behind_it_means_nothing() {
    let data = compressed(Encoding::Deflate, Level::Default, b"hello hello hello");
    assert_eq!(read(Encoding::Deflate, &[&data[..], b"garbage"].concat(), CAPS).unwrap(), b"hello hello hello");
    let zlib = [&[0x78, 0x9c][..], &data, &[0; 4]].concat();
    assert!(matches!(read(Encoding::Deflate, &zlib, CAPS), Err(DecodeFault::Corrupt(_))));
    assert!(read(Encoding::Deflate, &compressed(Encoding::Gzip, Level::Default, b"x"), CAPS).is_err());
}

//= SSP-L3, SSP-L4
#[test]
fn a_bomb_ends_at_the_limit_and_takes_no_more_memory_than_that() {
    for encoding in [Encoding::Gzip, Encoding::Deflate] {
        let bomb = compressed(encoding, Level::Best, &vec![0; 32 << 20]);
        let mut decompressor = Decompressor::default();
        let mut fault = None;
        let info = testkit::allocations::measure(|| {
            fault = Some(decompressor.decompress(encoding, &bomb, CAPS).unwrap_err());
        });
        let max = bomb.len() * 100;
        assert_eq!(fault, Some(DecodeFault::TooLong { payload_len: bomb.len(), max, limit: "ratio_max" }));
        assert!(info.bytes_max < 2 * max as u64 + 1_000_000, "{} octets at once", info.bytes_max);
        let wide = Caps { len_max: 1 << 20, ratio_max: usize::MAX };
        let limited = read(encoding, &bomb, wide).unwrap_err();
        assert_eq!(limited, DecodeFault::TooLong { payload_len: bomb.len(), max: 1 << 20, limit: "packet_len_max" });
    }
    let exact = compressed(Encoding::Deflate, Level::Best, &vec![0; RATIO_FREE_LEN]);
    assert_eq!(read(Encoding::Deflate, &exact, Caps { ratio_max: 1, ..CAPS }).unwrap().len(), RATIO_FREE_LEN);
    let more = compressed(Encoding::Deflate, Level::Best, &vec![0; RATIO_FREE_LEN + 1]);
    assert!(read(Encoding::Deflate, &more, Caps { ratio_max: 1, ..CAPS }).is_err());
    let one = compressed(Encoding::Identity, Level::Best, &[0; 11]);
    assert!(read(Encoding::Identity, &one, Caps { len_max: 10, ratio_max: 1 }).is_err());
}

/// Each member costs work, so the payload bounds how many there are.
//= SSP-E8
#[test]
fn fifty_thousand_empty_members_are_read_in_a_bounded_time() {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0];
    member.extend([0; 8]);
    let start = Instant::now();
    assert_eq!(read(Encoding::Gzip, &member.repeat(50_000), CAPS).unwrap(), b"");
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

proptest! {
    //= SSP-E7, SSP-L3
    #[test]
    fn damaged_payloads_are_an_error_or_octets_within_the_limit(
        plain in vec(any::<u8>(), 0..2000),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        is_gzip in any::<bool>(),
    ) {
        let encoding = if is_gzip { Encoding::Gzip } else { Encoding::Deflate };
        let mut payload = compressed(encoding, Level::Default, &plain);
        for (at, octet) in damage {
            if !payload.is_empty() {
                let at = at.index(payload.len());
                payload[at] = octet;
            }
        }
        if let Ok(read) = read(encoding, &payload, CAPS) {
            prop_assert!(read.len() <= CAPS.len_max);
            // A damaged gzip payload is only read where what is in it is still right.
            prop_assert!(!is_gzip || read == plain || plain.is_empty());
        }
    }

    //= SSP-E7
    #[test]
    fn cut_payloads_are_never_read(plain in vec(any::<u8>(), 1..2000), cut in any::<prop::sample::Index>(), is_gzip in any::<bool>()) {
        let encoding = if is_gzip { Encoding::Gzip } else { Encoding::Deflate };
        let payload = compressed(encoding, Level::Default, &plain);
        let cut = cut.index(payload.len());
        prop_assert_eq!(read(encoding, &payload[..cut], CAPS), Err(DecodeFault::Truncated));
    }
}

//= SSP-E1, SSP-E3, SSP-E4
#[test]
fn encodings_have_names_with_a_level_behind_at_will() {
    for (name, encoding, level) in [
        ("", Encoding::Identity, Level::Default),
        ("identity", Encoding::Identity, Level::Default),
        ("gzip", Encoding::Gzip, Level::Default),
        ("gzip+none", Encoding::Gzip, Level::None),
        ("gzip+fastest", Encoding::Gzip, Level::Fastest),
        ("gzip+huffman", Encoding::Gzip, Level::Fastest),
        ("deflate", Encoding::Deflate, Level::Default),
        ("deflate+best", Encoding::Deflate, Level::Best),
    ] {
        assert_eq!(Encoding::parse(name), Ok((encoding, level)), "{name}");
    }
    let headers = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate].map(Encoding::header);
    assert_eq!(headers, [None, Some("gzip"), Some("deflate")]);
    assert!(Encoding::parse(&"x".repeat(10_000)).unwrap_err().to_string().len() < 300);
}
