//! The whole tool on a stack in memory, which needs no other binary: what is planted in the client is found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::process::Command;

/// Exit code and verdict.
fn soak(plant: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--only", "smp+mem", "--seconds", "16", "--seed", "3", "--json"])
        .args(plant)
        .output()
        .unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), said["stacks"][0]["broken"].to_string())
}

#[test]
fn without_a_fault_of_ours_every_promise_is_kept() {
    assert_eq!(soak(&[]), (Some(0), "[]".to_owned()));
}

#[test]
fn what_is_planted_in_a_client_is_found() {
    let (code, broken) = soak(&["--plant", "leak,lost,wrong,descriptors,panic"]);
    assert_eq!(code, Some(1), "{broken}");
    let found = [
        "memory of the client grew",
        " requests had no end",
        "1 replies were not what was sent",
        "descriptors of the client",
        "panicked",
    ];
    for words in found {
        assert!(broken.contains(words), "{words}: {broken}");
    }
}

#[test]
fn a_wrong_command_line_is_refused() {
    for wrong in [&["--minutes"][..], &["--seconds", "1"], &["--plant", "gold"], &["--only", "smp+carrier-pigeon"]] {
        let status = Command::new(env!("CARGO_BIN_EXE_soak")).args(wrong).output().unwrap().status;
        assert_eq!(status.code(), Some(2), "{wrong:?}");
    }
}
