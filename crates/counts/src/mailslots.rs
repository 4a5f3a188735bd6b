//! Exchanges between two machines of smp121.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use smp121::Config;
use smp121::machine::{EndpointMachine, Event, Input, SendOptions, TransmitBatch};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wirekit::{Instant, Machine as _};

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// Hands everything that one machine has to send to the other.
fn carry(
    now: Instant,
    (from, from_address): (&mut EndpointMachine, IpAddr),
    (to, to_address): (&mut EndpointMachine, IpAddr),
    batch: &mut TransmitBatch,
) -> anyhow::Result<()> {
    batch.clear();
    from.poll_transmit(now, batch);
    for datagram in batch.iter() {
        let source = SocketAddr::new(from_address, 0);
        to.handle(now, Input::Datagram { source, destination: to_address, payload: datagram.payload })?;
    }
    Ok(())
}

/// A request of 64 octets and its reply, one after the other.
pub(crate) fn exchanges(count: u64) -> anyhow::Result<()> {
    let mut now = Instant::from_epoch(Duration::from_secs(1_000));
    let end = |seed| anyhow::Ok(EndpointMachine::new(Config::builder([seed; 32]).build()?));
    let (mut a, mut b) = (end(1)?, end(2)?);
    let slot = b.define(b"printer", 1 << 10)?;
    let remote = a.get(SocketAddr::new(B, 0), A, b"printer")?;
    let mut batch = TransmitBatch::new(64, 1 << 16);
    let mut done = 0;
    for _ in 0..count {
        a.send(now, remote, Bytes::from_static(&[7; 64]), SendOptions::default())?;
        let before = done;
        for _ in 0..64 {
            carry(now, (&mut a, A), (&mut b, B), &mut batch)?;
            while b.poll_event().is_some() {}
            while let Some(request) = b.receive(slot) {
                b.reply(now, request.id, request.message)?;
            }
            carry(now, (&mut b, B), (&mut a, A), &mut batch)?;
            while let Some(event) = a.poll_event() {
                if let Event::Done { outcome, .. } = event {
                    ensure!(outcome.context("an exchange")?.len() == 64, "another reply");
                    done += 1;
                }
            }
            if done > before {
                break;
            }
            now = now + Duration::from_millis(10);
            a.handle_timeout(now);
            b.handle_timeout(now);
        }
        ensure!(done == before + 1, "no reply came");
        now = now + Duration::from_millis(1);
    }
    Ok(())
}
