//! Faults planted between the runner and our server: a proxy that hides frames from it, as from one that overlooks them, or changes what it says.

use super::{each_is_found, failing};
use conformance::wire::ours;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The server never sees frames of this type, whose flags have these bits, but for so many of them.
    Overlooks {
        kind: u8,
        flags: u8,
        but: usize,
    },
    /// It never sees data in front of the first OPEN.
    OverlooksDataOfNothing,
    /// Bit 6 is cleared on the way.
    ClearsBit6,
    AnswersPingsWithOtherData,
    HashesSomethingElse,
    ClosesWithoutAWord,
    ClosesWithAnotherCode,
    StaysAfterClose,
    LosesFin,
    ChangesContent,
    AnswersTwice,
    ChoosesAnotherVersion,
}

const PING: u8 = 0x01;
const HELLO: u8 = 0x04;
const CLOSE: u8 = 0x08;
const DATA: u8 = 0x11;

const fn overlooks(kind: u8, flags: u8, but: usize) -> Fault {
    Fault::Overlooks { kind, flags, but }
}

async fn serve(fault: Fault) -> (ours::Ours, String) {
    let ours = ours::serve("smrp", "tcp", "").await.unwrap();
    let behind = format!("127.0.0.1:{}", ours.url.port().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smrp+tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&behind).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(pass(near_in, far_out, move |frame, seen| to_server(fault, frame, seen), false, fault));
            tokio::spawn(pass(far_in, near_out, move |frame, _| to_runner(fault, frame), true, fault));
        }
    });
    (ours, url)
}

/// The length of the frame at the front, where it is whole, and where its body begins.
fn frame_len(octets: &[u8]) -> Option<(usize, usize)> {
    let len_len = 1 << (octets.get(2)? >> 6);
    let len = octets.get(2..2 + len_len)?.iter().fold(0, |len: usize, octet| len << 8 | usize::from(*octet));
    let body = 2 + len_len;
    let whole = body + (len & (usize::MAX >> (usize::BITS as usize - 8 * len_len + 2)));
    (octets.len() >= whole).then_some((whole, body))
}

/// Passes the preface on as it is (of the server, with its version), then frame by frame what `change` makes of them.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    change: impl Fn(&[u8], &[u8]) -> Vec<u8>,
    is_server: bool,
    fault: Fault,
) {
    let (mut octets, mut chunk, mut seen, mut is_begun) = (Vec::new(), vec![0; 65_536], Vec::new(), false);
    loop {
        let len = from.read(&mut chunk).await.unwrap_or(0);
        if len == 0 {
            break;
        }
        octets.extend_from_slice(&chunk[..len]);
        let mut out = Vec::new();
        if !is_begun && octets.len() >= 10 {
            let len = 10 + usize::from(u16::from_be_bytes([octets[8], octets[9]]));
            if octets.len() < len {
                continue;
            }
            out.extend(octets.drain(..len));
            if is_server && fault == Fault::ChoosesAnotherVersion {
                out[14] ^= 2;
            }
            is_begun = true;
        }
        while let (true, Some((len, _))) = (is_begun, frame_len(&octets)) {
            let frame: Vec<u8> = octets.drain(..len).collect();
            out.extend(change(&frame, &seen));
            seen.push(frame[0]);
        }
        if to.write_all(&out).await.is_err() {
            break;
        }
    }
    if is_server && fault == Fault::StaysAfterClose {
        std::future::pending::<()>().await;
    }
}

fn to_server(fault: Fault, frame: &[u8], seen: &[u8]) -> Vec<u8> {
    let is_hidden = match fault {
        Fault::Overlooks { kind, flags, but } => {
            frame[0] == kind && frame[1] & flags == flags && seen.iter().filter(|one| **one == kind).count() >= but
        }
        Fault::OverlooksDataOfNothing => frame[0] == DATA && !seen.contains(&0x10),
        _ => false,
    };
    let mut frame = frame.to_vec();
    if fault == Fault::ClearsBit6 {
        frame[1] &= !0x40;
    }
    if is_hidden { Vec::new() } else { frame }
}

fn to_runner(fault: Fault, frame: &[u8]) -> Vec<u8> {
    let (_, body) = frame_len(frame).unwrap();
    let mut changed = frame.to_vec();
    match (fault, frame[0]) {
        (Fault::AnswersPingsWithOtherData, PING) => changed[body] ^= 1,
        // The hash is its first parameter, behind id and length.
        (Fault::HashesSomethingElse, HELLO) => changed[body + 2] ^= 1,
        (Fault::ClosesWithoutAWord, CLOSE) => changed.clear(),
        (Fault::ClosesWithAnotherCode, CLOSE) => changed[body] ^= 1,
        (Fault::LosesFin, DATA) => changed[1] &= !1,
        (Fault::ChangesContent, DATA) => *changed.last_mut().unwrap() ^= 1,
        (Fault::AnswersTwice, DATA) => changed.extend(frame),
        _ => {}
    }
    changed
}

const FAULTS: [(Fault, &str); 20] = [
    (overlooks(0xf3, 0x80, 0), "smrp-wire-critical-unknown"),
    (overlooks(HELLO, 0, 1), "smrp-wire-second-hello"),
    (overlooks(0x42, 0, 0), "smrp-wire-frame-of-another-service"),
    (overlooks(0x1d, 0, 0), "smrp-wire-frame-of-packets"),
    (overlooks(0x12, 0, 0), "smrp-wire-wrong-final"),
    (overlooks(0x0c, 0, 0), "smrp-wire-position-beyond"),
    (overlooks(0x0a, 0, 0), "smrp-wire-reattach-unannounced"),
    (overlooks(0x0d, 0, 0), "smrp-wire-settings-that-shrink"),
    (overlooks(CLOSE, 0, 0), "smrp-wire-close"),
    (overlooks(DATA, 2, 0), "smrp-wire-wrong-offset"),
    (overlooks(PING, 0, 0), "smrp-wire-ping"),
    (Fault::OverlooksDataOfNothing, "smrp-wire-data-of-nothing"),
    (Fault::ClearsBit6, "smrp-wire-bit-6"),
    (Fault::AnswersPingsWithOtherData, "smrp-wire-ping"),
    (Fault::HashesSomethingElse, "smrp-wire-handshake"),
    (Fault::ClosesWithoutAWord, "smrp-wire-bit-6"),
    (Fault::ClosesWithAnotherCode, "smrp-wire-bit-6"),
    (Fault::StaysAfterClose, "smrp-wire-bit-6"),
    (Fault::LosesFin, "smrp-wire-request"),
    (Fault::ChangesContent, "smrp-wire-request"),
];

/// Beside those above: what takes a moment alone.
const MORE: [(Fault, &str); 2] =
    [(Fault::AnswersTwice, "smrp-wire-request"), (Fault::ChoosesAnotherVersion, "smrp-wire-handshake")];

#[tokio::test]
async fn our_server_passes_through_the_proxy() {
    let (_ours, url) = serve(Fault::None).await;
    for (_, case) in FAULTS.iter().chain(&MORE) {
        assert_eq!(failing("smrp", &url, &[case]).await, []);
    }
}

#[tokio::test]
async fn every_planted_fault_is_found() {
    let faults = FAULTS.into_iter().chain(MORE).map(|(fault, case)| (fault, "smrp", case));
    each_is_found(faults, serve).await;
}
