//! HTTP/2, by `h2`, with windows that do not hold it up.

use crate::smrp::link::Link;
use crate::smrp::work::{BULK_LEN, Beside, IN_FLIGHT, PING, Peer, SMALL_LEN, Work, ping, shares, small, timed};
use anyhow::Context as _;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use std::hint::black_box;
use tokio::task::JoinSet;

pub(crate) struct Http2;

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const FRAME: u32 = 64 << 10;

pub(crate) struct Client {
    send: SendRequest<Bytes>,
    stream: Option<(SendStream<Bytes>, RecvStream)>,
}

/// The next piece of a body, whose credit is given back.
async fn next(body: &mut RecvStream) -> anyhow::Result<Option<Bytes>> {
    let Some(piece) = body.data().await else { return Ok(None) };
    let piece = piece?;
    body.flow_control().release_capacity(piece.len())?;
    Ok(Some(piece))
}

/// Sends all of it as the windows let it.
async fn send(stream: &mut SendStream<Bytes>, mut octets: Bytes, end: bool) -> anyhow::Result<()> {
    while !octets.is_empty() {
        stream.reserve_capacity(octets.len());
        let capacity = match stream.capacity() {
            0 => std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.context("a stream that is open")??,
            capacity => capacity,
        };
        let piece = octets.split_to(capacity.min(octets.len()));
        stream.send_data(piece, end && octets.is_empty())?;
    }
    Ok(())
}

const BULK: &str = "http://bench/bulk";

fn request(uri: &'static str) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(uri);
    request
}

impl Peer for Http2 {
    type Client = Client;

    async fn serve(mut links: Vec<Link>, _: Work) -> anyhow::Result<()> {
        let mut connection = h2::server::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .max_concurrent_streams(256)
            .handshake::<_, Bytes>(links.pop().context("a connection")?)
            .await?;
        while let Some(accepted) = connection.accept().await {
            let (request, mut respond) = accepted?;
            tokio::spawn(async move {
                let is_bulk = request.uri() == BULK;
                let mut body = request.into_body();
                let mut answer = respond.send_response(Response::new(()), false)?;
                if is_bulk {
                    while let Some(piece) = next(&mut body).await? {
                        black_box(piece);
                    }
                    answer.send_data(Bytes::from_static(b"x"), true)?;
                    return anyhow::Ok(());
                }
                while let Some(piece) = next(&mut body).await? {
                    let end = body.is_end_stream();
                    send(&mut answer, piece, end).await?;
                    if end {
                        return Ok(());
                    }
                }
                answer.send_data(Bytes::new(), true)?;
                Ok(())
            });
        }
        Ok(())
    }

    async fn connect(mut links: Vec<Link>, work: Work) -> anyhow::Result<Client> {
        let (mut send, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .handshake(links.pop().context("a connection")?)
            .await?;
        tokio::spawn(connection);
        let stream = if matches!(work, Work::Echo | Work::Ping) {
            send = send.ready().await?;
            let (response, stream) = send.send_request(request("http://bench/"), false)?;
            Some((stream, response.await?.into_body()))
        } else {
            None
        };
        Ok(Client { send, stream })
    }

    async fn work(client: &mut Client, work: Work, count: u64, nanos: &mut Vec<f64>) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        match work {
            Work::Bulk { streams } => {
                let piece = vec![7; BULK_LEN];
                for share in shares(count, streams).into_iter().filter(|share| *share > 0) {
                    let mut sender = client.send.clone().ready().await?;
                    let piece = piece.clone();
                    tasks.spawn(async move {
                        let (response, mut stream) = sender.send_request(request(BULK), false)?;
                        for _ in 0..share {
                            // As ours copies what is written to a stream.
                            send(&mut stream, Bytes::copy_from_slice(&piece), false).await?;
                        }
                        stream.send_data(Bytes::new(), true)?;
                        let mut body = response.await?.into_body();
                        while next(&mut body).await?.is_some() {}
                        anyhow::Ok(())
                    });
                }
            }
            Work::Echo => {
                let (stream, body) = client.stream.as_mut().context("a stream")?;
                let octets = small(SMALL_LEN);
                for _ in 0..count {
                    timed(nanos, async {
                        send(stream, octets.clone(), false).await?;
                        let mut left = SMALL_LEN;
                        while left > 0 {
                            left -= next(body).await?.context("an echo")?.len();
                        }
                        Ok(())
                    })
                    .await?;
                }
            }
            Work::Ping => {
                let (_response, mut bulk) = client.send.clone().ready().await?.send_request(request(BULK), false)?;
                let bulk = async move {
                    let piece = Bytes::from(vec![7; BULK_LEN]);
                    loop {
                        send(&mut bulk, piece.clone(), false).await?;
                    }
                };
                let (stream, body) = client.stream.as_mut().context("a stream")?;
                let beside = Beside::start(bulk);
                for _ in 0..count {
                    ping(nanos, async {
                        send(stream, Bytes::from_static(&PING), false).await?;
                        let mut left = PING.len();
                        while left > 0 {
                            left -= next(body).await?.context("an echo")?.len();
                        }
                        Ok(())
                    })
                    .await?;
                }
                beside.end()?;
            }
            _ => {
                let body = small(if work == Work::Requests { SMALL_LEN } else { 8 });
                for share in shares(count, IN_FLIGHT) {
                    let (mut sender, body) = (client.send.clone(), body.clone());
                    tasks.spawn(async move {
                        for _ in 0..share {
                            sender = sender.ready().await?;
                            let (response, mut stream) = sender.send_request(request("http://bench/"), false)?;
                            send(&mut stream, body.clone(), true).await?;
                            let mut answer = response.await?.into_body();
                            while let Some(piece) = next(&mut answer).await? {
                                black_box(piece);
                            }
                        }
                        Ok(())
                    });
                }
            }
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    }
}
