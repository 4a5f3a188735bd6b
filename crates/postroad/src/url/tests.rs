use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Url {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> UrlError {
    text.parse::<Url>().expect_err(text)
}

#[test]
fn every_stack_that_exists_is_taken() {
    for text in [
        "smp+tcp://127.0.0.1:7001",
        "smp+tls://relay.example:7001",
        "smp+ws://localhost:8080/api/v2/device",
        "smp+wss://localhost/x%20y",
        "smp+unix:///run/a%20b.sock",
        "smp+unix://relative/x.sock",
        "smp+mem://inbox",
        "smp+tcp://[::1]:0",
        "smp121://10.0.0.2/printer",
        "smp121://[2001:db8::2]/print%20er",
        "smp121://printer.example/a/b",
        "smp121+udp://127.0.0.1:4000/%FF",
        "smp121+udp://[::1]:0//printer",
        "smp121+mem://in%2Fbox/printer",
        "wrp+ws://localhost:8080",
        "wrp+wss://a.example/api/v3/device?device=mac:112233445566/config&dest=event:x&token=/run/t&reconnect=on",
        "wrp+tcp://localhost:7001?encoding=gzip+fastest",
        "wrp+unix:///run/x.sock",
        "wrp+smp+tls://localhost:7001?mode=lenient&max_message_size=1000",
        "wrp+smp+mem://inbox?dest=self:",
        "smp+smrp+tcp://h:1/in/box?mode=lenient&heartbeat=1s&reconnect=off&plaintext=on",
        "wrp+smrp+wss://h/x?device=mac:112233445566&token=t&ca=c",
    ] {
        assert_eq!(parsed(text).to_string(), text);
    }
}

#[test]
fn web_sockets_have_the_ports_of_the_web() {
    assert_eq!(parsed("smp+ws://a.example").port(), Some(80));
    assert_eq!(parsed("smp+wss://a.example").port(), Some(443));
    assert_eq!(parsed("smp+wss://a.example:443").to_string(), "smp+wss://a.example");
    assert_eq!(*refused("smp+tcp://a.example").kind(), UrlErrorKind::NoPort);
}

//= WRP-N2
#[test]
fn devices_have_a_path_of_their_own_on_a_web_socket_and_nowhere_else() {
    let path = |text: &str| match parsed(text).address() {
        Address::Network { path, .. } => path.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(path("wrp+ws://h:1"), "/api/v2/device");
    assert_eq!(parsed("wrp+wss://h/api/v2/device").to_string(), "wrp+wss://h");
    assert_eq!(path("wrp+ws://h:1/"), "/");
    assert_eq!(parsed("wrp+ws://h:1/").to_string(), "wrp+ws://h:1/");
    assert_eq!(path("wrp+smp+ws://h:1"), "/");
    assert_eq!(path("smp+ws://h:1"), "/");
}

#[test]
fn a_mailslot_has_a_name_of_octets_and_a_node() {
    let url = parsed("smp121+udp://a.example/a%2fb%20%ff?profile=rdos&busy=off&max_size=64KiB&dscp=46&bind=::1");
    assert_eq!((url.mailslot(), url.port()), (Some(&b"a/b \xff"[..]), Some(12_121)));
    assert_eq!(
        url.to_string(),
        "smp121+udp://a.example/a/b%20%FF?profile=rdos&busy=off&max_size=65536&bind=::1&dscp=46"
    );
    assert_eq!(parsed("smp121+udp://h:12121/x").to_string(), "smp121+udp://h/x");
    assert_eq!(parsed("smp121+udp://h:1/x").with_port(7).to_string(), "smp121+udp://h:7/x");
    assert_eq!(parsed("smp121://h/x").port(), None);
    assert_eq!(parsed("smp121://h/x").with_port(7).to_string(), "smp121://h/x");
    let longest = format!("smp121://h/{}", "%FF".repeat(255));
    assert_eq!(parsed(&longest).to_string(), longest);
    assert_eq!(*refused(&format!("{longest}x")).kind(), UrlErrorKind::MailslotName(256));
}

#[test]
fn options_are_read_with_units() {
    let url =
        parsed("smp+tls://h:1?mode=node&max_message_size=64KiB&heartbeat=off&peer_timeout=1500ms&ca=%2Ftmp/a+b.pem");
    let options = url.options();
    assert_eq!(options.mode, Some(Mode::Node11));
    assert_eq!(options.max_message_size, Some(65_536));
    assert_eq!(options.heartbeat, Some(Interval::Off));
    assert_eq!(options.peer_timeout.and_then(Interval::duration), Some(std::time::Duration::from_millis(1500)));
    assert_eq!(options.ca.as_deref(), Some(Path::new("/tmp/a+b.pem")));
    assert_eq!(parsed(&url.to_string()), url);
}

/// What is wrong, where, and what to write instead: one row an error.
#[test]
fn errors_name_the_fault_the_place_and_the_remedy() {
    let rows: &[(&str, usize, &str, &str)] = &[
        ("localhost:7001", 0, "no `://`", "did you mean `smp+tcp://localhost:7001`?"),
        ("/run/x.sock", 0, "no `://`", "did you mean `smp+unix:///run/x.sock`?"),
        ("", 0, "no `://`", "smp+tcp://localhost:7001"),
        ("tcp://h:1", 0, "without a protocol", "did you mean `smp+tcp://h:1`?"),
        ("smp://h:1", 0, "without a carrier", "did you mean `smp+tcp://h:1`?"),
        ("smp+tsl://h:1", 4, "unknown word `tsl`", "did you mean `smp+tls://`?"),
        ("snp+tcp://h:1", 0, "unknown word `snp`", "did you mean `smp+tcp://`?"),
        ("http://h:1", 0, "unknown word `http`", "smp+tcp://, smp+tls://, smp+ws://"),
        ("wrp://h:1", 0, "without a carrier", "did you mean `wrp+ws://h:1`?"),
        ("wrp+udp://h:1", 0, "is no stack", "one of these: wrp+ws://, wrp+wss://, wrp+tcp://"),
        ("wrp+smp://h:1", 0, "is no stack", "wrp+smp+tcp://"),
        ("wrp+smrp+udp://h:1", 0, "is no stack", "wrp+smp+tcp://"),
        ("wrp+ws://me@h/x", 9, "user name", "`device=`"),
        ("wrp+tcp://h", 11, "no port", "add one: wrp+tcp://h:7001"),
        ("wrp+ws://h?device=mac:1", 18, "no value of `device`", "mac:112233445566"),
        ("wrp+ws://h?dest=nowhere", 16, "no value of `dest`", "event:status"),
        ("wrp+ws://h?encoding=zstd", 20, "no value of `encoding`", "gzip"),
        ("wrp+tcp://h:1?token=x", 14, "does not go", "it goes with wrp+ws://, wrp+wss://"),
        ("wrp+tcp://h:1?heartbeat=1s", 14, "does not go", "wrp+ws://"),
        ("wrp+tcp://h:1?mode=strict", 14, "does not go", "wrp+smp+tcp://"),
        ("smp+smrp+udp://h:1", 0, "is no stack", "smp+smrp+tcp://"),
        ("smp+smrp://h:1", 0, "is no stack", "smp+smrp+tcp://"),
        ("smp+smrp+tcp://me@h:1", 15, "user name", "`token=FILE`"),
        ("smp+smrp+mem://x/y", 16, "path", "leave the path out"),
        ("smp+udp://h:1", 0, "`smp+udp` is no stack", "it goes by one of these: smp+tcp://"),
        ("smp+tcp+tls://h:1", 0, "is no stack", "it goes by one of these"),
        ("smp121+tcp://h/x", 0, "is no stack", "one of these: smp121://, smp121+udp://, smp121+mem://"),
        ("smp121+ip://h/x", 0, "is no stack", "did you mean `smp121://h/x`?"),
        ("smp112://h/x", 0, "unknown word `smp112`", "did you mean `smp121://`?"),
        ("udp://h/x", 0, "without a protocol", "did you mean `smp121+udp://h/x`?"),
        ("ip://h/x", 0, "without a protocol", "did you mean `smp121://h/x`?"),
        ("smrp+udp://h:1", 0, "is no stack", "one of these: smrp+tcp://, smrp+tls://"),
        ("smrp://h:1", 0, "without a carrier", "did you mean `smrp+tcp://h:1`?"),
        ("smrp+tcp://me@h/x", 11, "user name", "`token=FILE`"),
        ("smp+tls://h:1?qlog=x", 14, "does not go", "smrp+tcp://"),
        ("smrp+tls://h:1?plaintext=on", 15, "does not go", "smrp+tcp://"),
        ("smp121://", 9, "nothing behind", "smp121://10.0.0.2/printer"),
        ("smp121:///x", 9, "nothing behind", "smp121://10.0.0.2/printer"),
        ("smp121+udp://me@h/x", 13, "user name", "hosts and no users"),
        ("smp121://10.0.0.2", 17, "no mailslot", "smp121://10.0.0.2/printer"),
        ("smp121+udp://h:5/", 17, "no mailslot", "smp121+udp://localhost/printer"),
        ("smp121+mem://x", 14, "no mailslot", "smp121+mem://inbox/printer"),
        ("smp121+mem:///x", 13, "nothing behind", "smp121+mem://inbox/printer"),
        (
            "smp121://h:12121/x",
            11,
            "IP protocol 121 has none",
            "`smp121://h/x`; or go over UDP: `smp121+udp://h:12121/x`",
        ),
        ("smp121+udp://h:70000/x", 15, "is no port", "1 to 65535"),
        ("smp121://::1/x", 9, "is no host", "[::1]/printer"),
        ("smp121://h/a%00b", 11, "mailslot name of 3 octets", "no NUL"),
        ("smp121://h/x?segment=a", 21, "no value of `segment`", "556"),
        ("smp121://h/x?dscp=64", 18, "no value of `dscp`", "0 to 63"),
        ("smp121://h/x?bind=eth0", 18, "no value of `bind`", "10.0.0.1"),
        ("smp121://h/x?busy=1", 18, "no value of `busy`", "on or off"),
        ("smp121://h/x?profile=node", 21, "no value of `profile`", "spec or rdos"),
        ("smp121://h/x?heartbeat=1s", 13, "does not go", "it goes with smp+tcp://"),
        ("smp121+mem://h/x?bind=::1", 17, "does not go", "it goes with smp121://, smp121+udp://"),
        ("smp+tcp://h:1?profile=rdos", 14, "does not go", "it goes with smp121://"),
        ("smp121://h/x?maxsize=1", 13, "unknown option", "did you mean `max_size=`?"),
        ("smp+tcp://", 10, "nothing behind", "smp+tcp://localhost:7001"),
        ("smp+unix://", 11, "nothing behind", "smp+unix:///run/app.sock"),
        ("smp+mem://", 10, "nothing behind", "smp+mem://inbox"),
        ("smp+tcp://me:pw@h:1", 10, "user name", "leave it out"),
        ("smp+tcp://h", 11, "no port", "add one: smp+tcp://h:7001"),
        ("smp+tcp://h:70000", 12, "`70000` is no port", "1 to 65535"),
        ("smp+tcp://h:", 12, "`` is no port", "1 to 65535"),
        ("smp+tcp://h:7o", 12, "`7o` is no port", "1 to 65535"),
        ("smp+tcp://::1", 10, "`::1` is no host", "[::1]:7001"),
        ("smp+tcp://[::g]:1", 10, "is no host", "brackets"),
        ("smp+tcp://256.1.1.1:1", 10, "is no host", "IPv4"),
        ("smp+tcp://a b:1", 10, "is no host", "host name"),
        ("smp+tcp://h:1/path", 13, "cannot have", "leave the path out"),
        ("smp+ws://h/a b", 12, "cannot have", "percent-encode"),
        ("smp+unix:///a%2", 13, "`%`", "%25"),
        ("smp+tcp://h:1?hartbeat=1s", 14, "unknown option `hartbeat`", "did you mean `heartbeat=`?"),
        ("smp+tcp://h:1?colour=red", 14, "unknown option", "options of this stack: mode"),
        ("smp+tcp://h:1?ca=x", 14, "does not go", "smp+tls://, smp+wss://"),
        ("smp+tls://h:1?origin=x", 14, "does not go", "smp+ws://, smp+wss://"),
        ("smp+tcp://h:1?heartbeat=1s&heartbeat=2s", 27, "twice", "leave one"),
        ("smp+tcp://h:1?heartbeat=soon", 24, "`soon` is no value of `heartbeat`", "10s"),
        ("smp+tcp://h:1?heartbeat=10", 24, "is no value", "10s"),
        ("smp+tcp://h:1?mode=", 14, "`` is no value of `mode`", "strict"),
        ("smp+tcp://h:1?max_message_size=99999999999999999999", 31, "is no value", "octets"),
    ];
    for (text, at, what, remedy) in rows {
        let error = refused(text);
        let shown = error.to_string();
        assert_eq!(error.at(), *at, "{shown}");
        assert!(shown.contains(what), "{shown}: {what}");
        assert!(shown.contains(remedy), "{shown}: {remedy}");
    }
}

#[test]
fn foreign_text_is_escaped_in_errors() {
    assert!(!refused("smp+\u{1b}[31m://x").to_string().contains('\u{1b}'));
}

fn hosts() -> impl Strategy<Value = Host> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}(\\.[a-z][a-z0-9]{0,8}){0,3}".prop_map(Host::Name),
        any::<std::net::Ipv4Addr>().prop_map(|ip| Host::Ip(ip.into())),
        any::<std::net::Ipv6Addr>().prop_map(|ip| Host::Ip(ip.into())),
    ]
}

fn intervals() -> impl Strategy<Value = Interval> {
    prop_oneof![
        Just(Interval::Off),
        (0u64..10_000_000).prop_map(|ms| Interval::Every(std::time::Duration::from_millis(ms)))
    ]
}

fn files() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(1u8..=255, 1..20).prop_map(percent::path_from)
}

fn urls() -> impl Strategy<Value = Url> {
    let modes = prop::sample::select(vec![Mode::Strict, Mode::Lenient, Mode::Node10, Mode::Node11]);
    let common = (
        prop::option::of(modes),
        prop::option::of(any::<usize>()),
        prop::option::of(any::<usize>()),
        prop::option::of(intervals()),
        prop::option::of(intervals()),
        prop::option::of(intervals()),
        prop::option::of(intervals()),
    );
    let slot = (
        prop::option::of(prop::sample::select(vec![Profile::Spec, Profile::Rdos])),
        prop::option::of(any::<bool>()),
        prop::option::of(any::<usize>()),
        prop::option::of(any::<usize>()),
        prop::option::of(any::<IpAddr>()),
        prop::option::of(0u8..64),
    );
    let tls = (
        prop::option::of(files()),
        prop::option::of(files()),
        prop::option::of(files()),
        prop::option::of(files()),
        prop::option::of("[!-~]{1,12}"),
        prop::option::of("[!-~]{1,12}"),
    );
    let locators = prop::sample::select(vec!["mac:112233445566", "uuid:a b/c?&=%", "self:", "event:x/y"]);
    let wrp = (
        prop::option::of(locators.clone()),
        prop::option::of(locators),
        prop::option::of(files()),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::sample::select(vec!["gzip", "deflate+best", "identity"])),
    );
    let stacks = prop::sample::select(Stack::ALL.to_vec());
    let network = (hosts(), any::<u16>(), "(/[a-z0-9._~-]{0,6}){0,3}");
    let names = ("\\PC{1,12}", prop::collection::vec(1u8..=255, 1..20));
    (stacks, network, files(), names, common, tls, slot, wrp).prop_map(
        |(stack, network, file, (name, mailslot), common, tls, slot, wrp)| {
            let mut options = UrlOptions::default();
            (options.connect_timeout, options.request_timeout) = (common.5, common.6);
            match stack.protocol() {
                Protocol::Smp => {
                    (options.mode, options.max_message_size, options.message_len_max) = (common.0, common.1, common.2);
                    (options.heartbeat, options.peer_timeout) = (common.3, common.4);
                }
                Protocol::Smp121 => {
                    (options.profile, options.busy, options.max_size, options.segment) =
                        (slot.0, slot.1, slot.2, slot.3);
                    if stack.transport() != Transport::Mem {
                        (options.bind, options.dscp) = (slot.4, slot.5);
                    }
                }
                Protocol::Smrp => {
                    (options.message_len_max, options.peer_timeout) = (common.2, common.4);
                    (options.token, options.reconnect) = (wrp.2.clone(), wrp.3);
                    options.qlog = wrp.2;
                    (options.jwks, options.issuer, options.audience) = (tls.0.clone(), tls.4.clone(), tls.5.clone());
                    if !stack.transport().is_tls() {
                        options.plaintext = wrp.3;
                    }
                }
                Protocol::Wrp => {
                    (options.max_message_size, options.message_len_max) = (common.1, common.2);
                    if stack.has(Protocol::Smp) {
                        options.mode = common.0;
                    }
                    if stack.has(Protocol::Smp) || stack.is_device_link() {
                        (options.heartbeat, options.peer_timeout) = (common.3, common.4);
                    }
                    options.device = wrp.0.map(str::to_owned);
                    options.dest = wrp.1.map(str::to_owned);
                    options.reconnect = wrp.3;
                    options.encoding = wrp.4.map(str::to_owned);
                    if stack.is_device_link() {
                        options.token = wrp.2;
                    }
                }
            }
            if stack.transport().is_tls() {
                (options.ca, options.cert, options.key, options.client_ca) = (tls.0, tls.1, tls.2, tls.3);
                options.server_name = tls.4;
            }
            if stack.transport().is_ws() {
                options.origin = tls.5;
            }
            let address = address(stack, network, file, name, mailslot);
            Url { stack, address, options }
        },
    )
}

fn address(stack: Stack, network: (Host, u16, String), file: PathBuf, name: String, mailslot: Vec<u8>) -> Address {
    let (host, port, path) = network;
    let has_path = stack.transport().is_ws() || stack.protocol() == Protocol::Smrp;
    let path = if has_path && !path.is_empty() { path } else { stack.default_path().to_owned() };
    match (stack.protocol(), stack.transport()) {
        (Protocol::Smp121, transport) => {
            let node = match transport {
                Transport::Udp => Node::Udp(host, port),
                Transport::Mem => Node::Memory(name),
                _ => Node::Ip(host),
            };
            Address::Mailslot { node, name: mailslot }
        }
        (_, Transport::Unix) => Address::Path(file),
        (_, Transport::Mem) => Address::Name(name),
        _ => Address::Network { host, port, path },
    }
}

proptest! {
    #[test]
    fn display_round_trips(url in urls()) {
        let text = url.to_string();
        prop_assert_eq!(text.parse::<Url>().map_err(|error| error.to_string()), Ok(url));
    }

    #[test]
    fn any_text_is_taken_or_refused_and_never_panics(text in "\\PC{0,40}", tail in "[a-z+:/?=&%\\[\\]@0-9.]{0,40}") {
        let _ = text.parse::<Url>();
        for stack in ["smp+ws", "smp121", "smp121+udp", "smp121+mem", "wrp+ws", "wrp+smp+wss", "smp+smrp+tls"] {
            let with_scheme = format!("{stack}://{tail}");
            match with_scheme.parse::<Url>() {
                Ok(url) => prop_assert_eq!(url.to_string().parse::<Url>(), Ok(url)),
                Err(error) => prop_assert!(error.at() <= with_scheme.len()),
            }
        }
    }
}
