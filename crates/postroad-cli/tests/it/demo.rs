//! `postroad demo`.

use crate::support::{bad, good, json};

#[test]
fn the_demo_works_on_every_stack_and_its_json_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, (0..1_500_000u32).map(|at| at.to_be_bytes()[3] ^ at.to_be_bytes()[1]).collect::<Vec<_>>())
        .unwrap();
    let file = file.to_str().unwrap();
    let object = json(&good(&["demo", "--json", "--file", file, "--messages", "300"]));
    assert_eq!((object["schema"].as_str(), object["result"].as_str()), (Some("postroad-demo/1"), Some("ok")));
    let stacks = object["stacks"].as_array().unwrap();
    let names: Vec<&str> = stacks.iter().map(|stack| stack["stack"].as_str().unwrap()).collect();
    assert_eq!(names, ["smp+tcp", "smp+tls", "smp+ws", "smp+wss", "smp+unix", "smp+mem"]);
    for stack in stacks {
        assert_eq!(stack["result"], "ok", "{stack}");
        assert_eq!(stack["messages"], 300);
        assert_eq!(stack["sha256"], object["file"]["sha256"]);
        assert!(stack["octets"].as_u64().unwrap() > 3_000_000);
    }
}

#[test]
fn the_demo_sends_the_program_itself_and_prints_a_table() {
    let table = good(&["demo", "--stack", "smp+tls", "--messages", "10"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("stack") && lines[1].starts_with("smp+tls") && lines[1].ends_with("ok"), "{table}");
    let len = std::fs::metadata(env!("CARGO_BIN_EXE_postroad")).unwrap().len();
    assert!(len > 1_000_000 && lines[1].contains("MiB"), "{table}");
}

#[test]
fn an_empty_file_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty");
    std::fs::write(&file, "").unwrap();
    good(&["demo", "--stack", "smp+tcp", "--stack", "smp+mem", "--messages", "1", "--file", file.to_str().unwrap()]);
}

#[test]
fn a_demo_that_cannot_be_fails() {
    let error = bad(&["demo", "--file", "/nonexistent/file"], 1);
    assert!(error.contains("/nonexistent/file"), "{error}");
    bad(&["demo", "--stack", "smp+quic"], 2);
}
