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
    let wanted = "smp+tcp smp+tls smp+ws smp+wss smp+unix smp+mem smp121 smp121+udp smp121+mem \
                  wrp+ws wrp+wss wrp+tcp wrp+tls wrp+unix wrp+mem \
                  wrp+smp+tcp wrp+smp+tls wrp+smp+ws wrp+smp+wss wrp+smp+unix wrp+smp+mem \
                  smrp+tcp smrp+tls smrp+ws smrp+wss smrp+unix smrp+mem \
                  smp+smrp+tcp smp+smrp+tls smp+smrp+ws smp+smrp+wss smp+smrp+unix smp+smrp+mem \
                  wrp+smrp+tcp wrp+smrp+tls wrp+smrp+ws wrp+smrp+wss wrp+smrp+unix wrp+smrp+mem";
    assert_eq!(names, wanted.split_whitespace().collect::<Vec<_>>());
    for stack in stacks {
        if stack["stack"] == "smp121" && stack["result"] == "skipped" {
            eprintln!("skipped: {}", stack["why"]);
            assert!(stack["why"].as_str().unwrap().contains("CAP_NET_RAW"), "{stack}");
            continue;
        }
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

/// Runs the demo of raw IP as a user without privileges; `None`, with a line that says so, where that cannot be.
fn unprivileged_demo(path: Option<&str>) -> Option<(i32, serde_json::Value)> {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("postroad");
    std::fs::copy(env!("CARGO_BIN_EXE_postroad"), &program).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, vec![7; 100_000]).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    if let Some(path) = path {
        command.args(["env", &format!("PATH={path}")]);
    }
    command.arg(&program).args(["demo", "--json", "--stack", "smp121", "--messages", "20", "--file"]).arg(&file);
    let is_root = std::process::Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let output = command.output();
    let (true, Ok(output)) = (is_root, output) else {
        eprintln!("skipped: only root can run it as somebody else, with setpriv");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    Some((output.status.code().unwrap(), json(&text)["stacks"][0].clone()))
}

#[test]
fn without_the_privilege_raw_ip_goes_into_a_network_of_its_own_or_says_why_not() {
    let Some((code, row)) = unprivileged_demo(None) else { return };
    assert_eq!(code, 0, "{row}");
    match row["result"].as_str() {
        Some("ok") => {
            assert!(row["way"].as_str().unwrap().contains("unshare -rn"), "{row}");
            assert_eq!(row["messages"], 20);
        }
        Some("skipped") => {
            eprintln!("skipped: {}", row["why"]);
            assert!(row["why"].as_str().unwrap().contains("CAP_NET_RAW"), "{row}");
        }
        _ => panic!("{row}"),
    }
}

#[test]
fn a_machine_without_any_way_to_raw_ip_skips_it_and_fails_nothing() {
    let Some((code, row)) = unprivileged_demo(Some("/nonexistent")) else { return };
    assert_eq!((code, row["result"].as_str()), (0, Some("skipped")), "{row}");
    assert!(row["why"].as_str().unwrap().contains("`unshare` could not be run"), "{row}");
}

#[test]
fn an_empty_file_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("empty");
    std::fs::write(&file, "").unwrap();
    good(&[
        "demo",
        "--stack",
        "smp+tcp",
        "--stack",
        "smp+mem",
        "--stack",
        "smp121+udp",
        "--messages",
        "1",
        "--file",
        file.to_str().unwrap(),
    ]);
}

#[test]
fn a_demo_that_cannot_be_fails() {
    let error = bad(&["demo", "--file", "/nonexistent/file"], 1);
    assert!(error.contains("/nonexistent/file"), "{error}");
    bad(&["demo", "--stack", "smp+quic"], 2);
}
