//! What holds for every carrier alike.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use postroad_transport::{CarrierError, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::{ALL, HALF_CLOSING, connect, listener, pair, random_bytes, soon};

#[tokio::test]
async fn bytes_arrive_as_they_were_sent_in_any_cutting() {
    let cuttings: [(usize, usize, usize); 8] = [
        // (bytes in all, bytes per write, bytes per read)
        (3_000, 1, 1),
        (20_000, 7, 13),
        (50_000, 125, 126),
        (50_000, 127, 1000),
        (300_000, 65_535, 4096),
        (300_000, 65_536, 65_536),
        (300_000, 65_537, 1),
        (3_000_000, 500_000, 100_000),
    ];
    for name in ALL {
        for (seed, (len, write_len, read_len)) in (1..).zip(cuttings) {
            let (client, mut server) = pair(name).await;
            let sent = random_bytes(len, seed);
            let echo = tokio::spawn(async move {
                let mut buf = vec![0; read_len];
                let mut left = len;
                while left > 0 {
                    let count = server.read(&mut buf).await.unwrap();
                    assert!(count > 0, "{name}: end of stream {left} bytes too early");
                    server.write_all(&buf[..count]).await.unwrap();
                    server.flush().await.unwrap();
                    left -= count;
                }
                server
            });
            let (mut reader, mut writer) = tokio::io::split(client);
            let data = sent.clone();
            let write = tokio::spawn(async move {
                for chunk in data.chunks(write_len) {
                    writer.write_all(chunk).await.unwrap();
                    if write_len > 1 {
                        writer.flush().await.unwrap();
                    }
                }
                writer.flush().await.unwrap();
                writer
            });
            let mut got = vec![0; len];
            soon(reader.read_exact(&mut got)).await.unwrap();
            assert!(got == sent, "{name}: bytes changed at {len}/{write_len}/{read_len}");
            drop((write.await.unwrap(), echo.await.unwrap()));
        }
    }
}

#[tokio::test]
async fn vectored_writes_keep_order_and_lengths() {
    for name in ALL {
        let (mut client, mut server) = pair(name).await;
        let sent = random_bytes(400_000, 7);
        let expected = sent.clone();
        let read = tokio::spawn(async move {
            let mut got = vec![0; expected.len()];
            server.read_exact(&mut got).await.unwrap();
            assert!(got == expected, "{name}");
            server
        });
        let mut rest = &sent[..];
        while !rest.is_empty() {
            // Pieces of many lengths, empty ones too, more of them than a carrier may take at once.
            let mut pieces = Vec::new();
            let mut ahead = rest;
            for at in 0..40 {
                let (piece, more) = ahead.split_at(((at * at * 37) % 9001).min(ahead.len()));
                pieces.push(io::IoSlice::new(piece));
                ahead = more;
            }
            let count = soon(poll_fn(|cx| Pin::new(&mut client).poll_write_vectored(cx, &pieces))).await.unwrap();
            assert!(count > 0, "{name}");
            rest = &rest[count..];
        }
        client.flush().await.unwrap();
        drop((soon(read).await.unwrap(), client));
    }
}

#[tokio::test]
async fn a_shutdown_ends_one_direction_where_the_carrier_can() {
    for name in HALF_CLOSING {
        let (mut client, mut server) = pair(name).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        soon(server.read_to_end(&mut got)).await.unwrap();
        assert_eq!(got, b"question", "{name}");
        server.write_all(b"answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut got = Vec::new();
        soon(client.read_to_end(&mut got)).await.unwrap();
        assert_eq!(got, b"answer", "{name}");
    }
}

#[tokio::test]
async fn an_orderly_end_is_an_end_of_stream_on_both_ends() {
    for name in ALL {
        let (mut client, mut server) = pair(name).await;
        client.write_all(b"last words").await.unwrap();
        let server = tokio::spawn(async move {
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            server.shutdown().await.unwrap();
            got
        });
        soon(client.shutdown()).await.unwrap();
        assert_eq!(soon(server).await.unwrap(), b"last words", "{name}");
        let mut got = Vec::new();
        soon(client.read_to_end(&mut got)).await.unwrap();
        assert!(got.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_peer_that_vanishes_in_mid_transfer_is_an_error_or_an_end_never_a_hang() {
    for name in ALL {
        let (mut client, mut server) = pair(name).await;
        let peer = tokio::spawn(async move {
            server.write_all(&[7; 1000]).await.unwrap();
            server.flush().await.unwrap();
            let mut some = [0; 1000];
            server.read_exact(&mut some).await.unwrap();
            drop(server);
        });
        client.write_all(&[1; 1000]).await.unwrap();
        client.flush().await.unwrap();
        let mut got = Vec::new();
        let end = soon(client.read_to_end(&mut got)).await;
        assert_eq!(got.len(), 1000, "{name}");
        match (name, end) {
            // A cut connection must not look like an orderly end where the carrier can tell.
            ("tls" | "ws" | "wss", Err(error)) => {
                let kind = CarrierError::from_io(&error).map(CarrierError::kind);
                assert_eq!(kind, Some(ErrorKind::Truncated), "{name}: {error}");
            }
            ("tls" | "ws" | "wss", Ok(_)) => panic!("{name}: a cut connection looked like an orderly end"),
            (_, end) => assert!(end.is_ok(), "{name}: {end:?}"),
        }
        let writing = async {
            loop {
                if let Err(error) = client.write_all(&[1; 10_000]).await.and(client.flush().await) {
                    return error;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(writing).await;
        peer.await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_makes_the_writer_wait() {
    const CHUNK: [u8; 16 * 1024] = [9; 16 * 1024];
    for name in ALL {
        let (mut client, mut server) = pair(name).await;
        let mut written = 0_usize;
        let mut pending_since = None;
        // Until the writer has been refused for a while: kernel buffers empty into each other asynchronously.
        soon(poll_fn(|cx| {
            loop {
                match Pin::new(&mut client).poll_write(cx, &CHUNK) {
                    Poll::Ready(result) => {
                        written += result.unwrap();
                        pending_since = None;
                        assert!(written < 64 * 1024 * 1024, "{name}: {written} bytes taken for a peer that reads none");
                    }
                    Poll::Pending => {
                        let since = *pending_since.get_or_insert_with(std::time::Instant::now);
                        if since.elapsed() > Duration::from_millis(200) {
                            return Poll::Ready(());
                        }
                        let waker = cx.waker().clone();
                        std::thread::spawn(move || {
                            std::thread::sleep(Duration::from_millis(20));
                            waker.wake();
                        });
                        return Poll::Pending;
                    }
                }
            }
        }))
        .await;
        // And it goes on when the reader does, with nothing lost.
        let total = written + 3 * CHUNK.len();
        let read = tokio::spawn(async move {
            let mut got = 0;
            let mut buf = vec![0; 100_000];
            while got < total {
                let count = server.read(&mut buf).await.unwrap();
                assert!(buf[..count].iter().all(|byte| *byte == 9));
                got += count;
            }
            (got, server)
        });
        for _ in 0..3 {
            soon(client.write_all(&CHUNK)).await.unwrap();
        }
        client.flush().await.unwrap();
        assert_eq!(soon(read).await.unwrap().0, total, "{name}");
    }
}

#[tokio::test]
async fn many_connect_at_the_same_time() {
    const CLIENTS: usize = 40;
    for name in ALL {
        let (listener, _dir) = listener(name).await;
        let to = listener.local_addr();
        let server = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..CLIENTS {
                let pending = listener.accept().await.unwrap();
                tasks.spawn(async move {
                    let mut carrier = pending.handshake().await.unwrap();
                    let mut got = [0; 4];
                    carrier.read_exact(&mut got).await.unwrap();
                    carrier.write_all(&got).await.unwrap();
                    carrier.flush().await.unwrap();
                    carrier.read_to_end(&mut Vec::new()).await.unwrap();
                    let _ = carrier.shutdown().await;
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        });
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..CLIENTS as u32 {
            let to = to.clone();
            clients.spawn(async move {
                let mut carrier = connect(name, &to).await.unwrap();
                carrier.write_all(&number.to_be_bytes()).await.unwrap();
                carrier.flush().await.unwrap();
                let mut got = [0; 4];
                carrier.read_exact(&mut got).await.unwrap();
                assert_eq!(u32::from_be_bytes(got), number, "{name}");
                carrier.shutdown().await.unwrap();
            });
        }
        soon(async {
            while let Some(done) = clients.join_next().await {
                done.unwrap();
            }
            server.await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn both_directions_run_at_full_speed_without_a_standstill() {
    const LEN: usize = 4_000_000;
    for name in ALL {
        let (client, server) = pair(name).await;
        let mut tasks = tokio::task::JoinSet::new();
        for end in [client, server] {
            let (mut reader, mut writer) = tokio::io::split(end);
            tasks.spawn(async move {
                writer.write_all(&random_bytes(LEN, 5)).await.unwrap();
                writer.flush().await.unwrap();
            });
            tasks.spawn(async move {
                let mut got = vec![0; LEN];
                reader.read_exact(&mut got).await.unwrap();
                assert!(got == random_bytes(LEN, 5), "{name}");
                // Stays until the other end has read all as well.
                tokio::time::sleep(Duration::from_millis(100)).await;
            });
        }
        soon(async {
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        })
        .await;
    }
}

#[tokio::test]
async fn nobody_listening_is_refused_and_says_so() {
    for name in ALL {
        let (listener, dir) = listener(name).await;
        let to = listener.local_addr();
        drop(listener);
        let error = soon(connect(name, &to)).await.expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::Refused, "{name}: {error}");
        assert!(error.to_string().contains(&to.to_string()), "{error}");
        assert!(!error.remedy().is_empty(), "{error}");
        drop(dir);
    }
}
