//! What is different with mailslots.

use crate::support::{Server, bad, good, json, raw_address, run, signal, text};
use std::time::{Duration, Instant};

const URL: &str = "smp121+udp://127.0.0.1:0/box";

#[test]
fn one_part_is_all_that_goes_into_a_request() {
    let server = Server::start(&[URL], &["--echo"]);
    assert_eq!(good(&["request", server.url(), "--part", "x"]), "x");
    assert_eq!(good(&["request", server.url()]), "");
    let object = json(&good(&["request", server.url(), "--json", "--part", "x"]));
    assert_eq!(object["parts"][0]["text"], "x");
    let error = bad(&["request", server.url(), "--part", "x", "--part", "y"], 1);
    assert!(error.contains("2 parts") && error.contains("fix: join them"), "{error}");
}

#[test]
fn print_says_who_asks_and_gives_the_receipt() {
    for url in
        [Some(URL.to_owned()), raw_address().map(|address| format!("smp121://{address}/box"))].into_iter().flatten()
    {
        let mut server = Server::start(&[&url], &["--print"]);
        let url = server.url().to_owned();
        good(&["send", &url, "--part", "he\u{1b}[31mllo", "--count", "2"]);
        let line = server.line();
        assert!(line.starts_with("127.0.0.1") && line.contains("request: \"he\\u{1b}[31mllo\""), "{line}");
        assert!(url.starts_with("smp121+udp") == line.starts_with("127.0.0.1:"), "raw IP has no ports: {line}");
        assert!(server.line().contains("request: "), "the second one");
        assert_eq!(good(&["request", &url, "--part", "asked"]), "");
    }
}

#[test]
fn several_mailslots_of_one_server_share_an_address() {
    for address in
        [Some("smp121+udp://127.0.0.1:0".to_owned()), raw_address().map(|address| format!("smp121://{address}"))]
            .into_iter()
            .flatten()
    {
        let address = if address.contains("udp") {
            let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            format!("smp121+udp://127.0.0.1:{port}")
        } else {
            address
        };
        let (one, two) = (format!("{address}/one"), format!("{address}/two"));
        let server = Server::start(&[&one, &two], &["--echo"]);
        assert_eq!(server.urls, [one.clone(), two.clone()]);
        assert_eq!(good(&["request", &one, "--part", "1"]), "1");
        assert_eq!(good(&["request", &two, "--part", "2"]), "2");
        let error = bad(&["request", &format!("{address}/three"), "--part", "3"], 1);
        assert!(error.contains("no mailslot `three`") && error.contains("fix: "), "{error}");
    }
}

#[test]
fn a_failing_command_is_an_error_with_its_words() {
    let server = Server::start(&[URL], &["--exec", "exit 3"]);
    let error = bad(&["request", server.url(), "--part", "x"], 1);
    assert!(error.contains("exit status: 3") && error.contains("refused a request"), "{error}");
    let save = tempfile::tempdir().unwrap();
    let server = Server::start(&[URL], &["--save", save.path().to_str().unwrap()]);
    let error = bad(&["request", server.url(), "--part", "x"], 1);
    assert!(error.contains("use `postroad copy`"), "{error}");
}

#[test]
fn a_server_that_ends_first_answers_what_it_has() {
    let mut server = Server::start(&[URL], &["--exec", "sleep 1; echo done"]);
    let url = server.url().to_owned();
    let asking = std::thread::spawn(move || run(&["request", &url, "--part", "x"]));
    std::thread::sleep(Duration::from_millis(700));
    signal(server.child.id(), "INT");
    let output = asking.join().unwrap();
    assert_eq!(text(&output.stdout), "done\n", "{}", text(&output.stderr));
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn time_outs_come_from_the_command_line_or_the_url() {
    let server = Server::start(&[URL], &["--exec", "sleep 20"]);
    for args in [
        vec!["request".to_owned(), server.url().to_owned(), "--timeout".to_owned(), "2500ms".to_owned()],
        vec!["request".to_owned(), format!("{}?request_timeout=2500ms", server.url())],
    ] {
        let started = Instant::now();
        let args: Vec<&str> = args.iter().map(String::as_str).chain(["--part", "x"]).collect();
        let error = bad(&args, 1);
        assert!(error.contains("waiting for the reply of 127.0.0.1") && error.contains("2.5s"), "{error}");
        assert!(error.contains("may have been served") && started.elapsed() < Duration::from_secs(8), "{error}");
    }
}

#[test]
fn bench_measures_an_echo() {
    let server = Server::start(&[URL], &["--echo"]);
    let object = json(&good(&["bench", server.url(), "--duration", "500ms", "--size", "1KiB", "--json"]));
    assert!(object["requests"].as_u64().unwrap() > 10, "{object}");
    let other = Server::start(&[URL], &["--print"]);
    assert!(bad(&["bench", other.url(), "--duration", "200ms"], 1).contains("does not echo"));
}

#[test]
fn what_is_there_stays_unless_force_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    let here = folder.path().join("name");
    std::fs::write(&here, "mine").unwrap();
    std::fs::write(inbox.join("name"), "theirs").unwrap();
    let server = Server::start(&[URL], &["--save", inbox.to_str().unwrap()]);
    let (path, url) = (here.to_str().unwrap().to_owned(), server.url().to_owned());
    let error = bad(&["copy", &path, &url], 1);
    assert!(error.contains("there is a file of that name") && error.contains("fix:"), "{error}");
    let error = bad(&["copy", &url, &path], 1);
    assert!(error.contains("--force"), "{error}");
    good(&["copy", &url, &path, "--force"]);
    assert_eq!(std::fs::read(&here).unwrap(), b"theirs");
    let echo = Server::start(&[URL], &["--echo"]);
    let error = bad(&["copy", &path, echo.url()], 1);
    assert!(error.contains("nothing to do with files") && error.contains("--save"), "{error}");
}

#[test]
fn a_server_killed_in_the_middle_of_a_copy_is_an_error_and_leaves_nothing_here() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    std::fs::File::create(inbox.join("big")).unwrap().set_len(4 << 30).unwrap();
    let mut server = Server::start(&[URL], &["--save", inbox.to_str().unwrap()]);
    let (url, target) = (server.url().to_owned(), folder.path().join("big"));
    let to = target.to_str().unwrap().to_owned();
    let copying = std::thread::spawn(move || run(&["copy", &format!("{url}?request_timeout=4s"), &to]));
    std::thread::sleep(Duration::from_millis(1_500));
    server.child.kill().unwrap();
    let output = copying.join().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("error: could not copy") && error.contains("fix:"), "{error}");
    let names: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["inbox"], "what this end began is cleaned up");
}
