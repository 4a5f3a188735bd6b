//! Captures that tshark has written. Without tshark the test says in one line that it was skipped; with `CI=true` that is a failure.

use super::*;
use std::io::Write as _;
use std::process::Command;

fn has_tshark() -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "tshark is missing; CI has to have it");
        let _ = writeln!(std::io::stderr(), "skipped: tshark is missing");
    }
    found
}

//= SMP121-O11
#[test]
fn what_tshark_writes_is_read() {
    if !has_tshark() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.pcap");
    let mut file = pcap_head(Order::Big, true, RAW);
    for (at, packet) in packets(5).iter().enumerate() {
        pcap_packet(&mut file, Order::Big, (1_700_000_000, at as u32), packet, packet.len());
    }
    std::fs::write(&ours, &file).unwrap();
    for format in ["pcapng", "nsecpcap", "pcap"] {
        let theirs = folder.path().join(format);
        let status =
            Command::new("tshark").arg("-r").arg(&ours).args(["-F", format, "-w"]).arg(&theirs).output().unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
        let read = read(std::fs::File::open(&theirs).unwrap());
        assert_eq!(data(&read), [b"aaa", b"bbb", b"ccc", b"ddd", b"eee"], "{format}");
        let nanos = if format == "pcap" { 0 } else { 4 };
        assert_eq!(read.times[4], Some(Duration::new(1_700_000_000, nanos)), "{format}");
    }
}
