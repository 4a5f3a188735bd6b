//! What is special about TCP.

use std::time::{Duration, Instant};

use postroad_transport::tcp::{self, TcpConfig};
use postroad_transport::{CarrierError, ErrorKind};

use crate::support::soon;

#[tokio::test]
async fn both_ends_send_small_writes_at_once_and_use_the_asked_congestion_control() {
    let config = TcpConfig::default().with_congestion_control(Some("reno"));
    let listener = tcp::Listener::bind("127.0.0.1:0", config.clone()).await.unwrap();
    let address = listener.local_addr().to_string();
    let (client, server) = tokio::join!(tcp::connect(&address, &config), listener.accept());
    for end in [client.unwrap(), server.unwrap()] {
        assert!(end.get_ref().nodelay().unwrap());
        let socket = socket2::SockRef::from(end.get_ref());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(60)));
        let name = socket.tcp_congestion().unwrap();
        assert_eq!(name.split(|byte| *byte == 0).next().unwrap(), b"reno");
    }
}

#[tokio::test]
async fn an_unknown_congestion_control_is_a_config_error() {
    let listener = tcp::Listener::bind("127.0.0.1:0", TcpConfig::default()).await.unwrap();
    let config = TcpConfig::default().with_congestion_control(Some("no-such-thing"));
    let error = soon(tcp::connect(&listener.local_addr().to_string(), &config)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("no-such-thing"), "{error}");
}

#[tokio::test]
async fn a_silent_address_times_out() {
    // A listener with a full queue answers no more, which is what a dropping firewall looks like.
    let config = TcpConfig::default().with_backlog(1);
    let listener = tcp::Listener::bind("127.0.0.1:0", config).await.unwrap();
    let address = listener.local_addr().to_string();
    let config = TcpConfig::default().with_connect_timeout(Duration::from_millis(300));
    let mut held = Vec::new();
    let start = Instant::now();
    let error = soon(async {
        loop {
            match tcp::connect(&address, &config).await {
                Ok(stream) => held.push(stream),
                Err(error) => return error,
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains(&address), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn bad_addresses_are_told_apart() {
    async fn kind(address: &str) -> ErrorKind {
        let error = soon(tcp::connect(address, &TcpConfig::default())).await.unwrap_err();
        CarrierError::kind(&error)
    }
    assert_eq!(kind("localhost").await, ErrorKind::Config);
    assert_eq!(kind("127.0.0.1:99999").await, ErrorKind::Config);
    assert_eq!(kind("no-such-host.invalid:1").await, ErrorKind::Dns);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = tcp::Listener::bind("127.0.0.1:0", TcpConfig::default()).await.unwrap();
    let address = first.local_addr().to_string();
    let error = tcp::Listener::bind(&address, TcpConfig::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn times_that_the_kernel_cannot_keep_are_refused_not_bent() {
    async fn outcome(config: TcpConfig) -> Result<(), CarrierError> {
        let listener = tcp::Listener::bind("127.0.0.1:0", TcpConfig::default()).await.unwrap();
        let connected = tcp::connect(&listener.local_addr().to_string(), &config).await.map(drop);
        let bound = tcp::Listener::bind("127.0.0.1:0", config).await.map(drop);
        assert_eq!(connected.is_ok(), bound.is_ok());
        connected
    }
    let keepalive = |idle| TcpConfig::default().with_keepalive(Some(idle));
    let dead_after = |time| TcpConfig::default().with_dead_after(time);
    let (second, least) = (Duration::from_secs(1), Duration::from_nanos(1));
    let (longest, longest_dead) = (Duration::from_secs(32_767), Duration::from_secs(98_301));
    for config in [keepalive(second), keepalive(longest), dead_after(second), dead_after(longest_dead)] {
        outcome(config.clone()).await.unwrap_or_else(|error| panic!("{config:?}: {error}"));
    }
    for (config, setting) in [
        (keepalive(second - least), "keepalive"),
        (keepalive(second + least), "keepalive"),
        (keepalive(Duration::ZERO), "keepalive"),
        (keepalive(longest + second), "keepalive"),
        (dead_after(second - least), "dead_after"),
        (dead_after(longest_dead + least), "dead_after"),
    ] {
        let error = outcome(config.clone()).await.expect_err("must be refused");
        assert_eq!(error.kind(), ErrorKind::Config, "{config:?}: {error}");
        assert!(error.to_string().contains(setting), "{error}");
    }
}
