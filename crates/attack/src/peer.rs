//! A peer of SMRP that says what it likes, with the encoder of the implementation.

use crate::field::Field;
use bytes::{Bytes, BytesMut};
use smrp::Security;
use smrp::wire::{Frame, Header, ParametersBuilder, Preface, VERSION_1, parameter, preface_hash};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One connection of an attacker, behind its first flight.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) opened: Instant,
    over: Arc<Over>,
}

/// What the reader of a connection saw.
#[derive(Debug, Default)]
struct Over {
    is_over: AtomicBool,
    how: Mutex<Option<String>>,
}

pub(crate) fn preface() -> Bytes {
    let parameters = ParametersBuilder::new().build();
    Preface { versions: vec![VERSION_1], security: Security::Plaintext, nonce: [7; 16], parameters }.encode()
}

pub(crate) fn encode(frames: &[Frame]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(&mut out));
    out.to_vec()
}

/// Preface and HELLO, with these declarations.
pub(crate) fn greeting(declared: ParametersBuilder) -> Vec<u8> {
    let preface = preface();
    let hash = preface_hash(&[&preface]);
    let mut list = ParametersBuilder::new().with(parameter::PREFACE_HASH, &hash);
    for (id, value) in declared.build().iter() {
        list = list.with(id, &value);
    }
    [preface.to_vec(), encode(&[Frame::Hello(list.build())])].concat()
}

impl Peer {
    /// Connects, greets and reads what comes in a thread of its own.
    pub(crate) fn connect(field: &mut Field, declared: ParametersBuilder) -> Option<Self> {
        let mut stream = field.connect()?;
        let opened = Instant::now();
        let reading = stream.try_clone().ok()?;
        let over = Arc::new(Over::default());
        let seen = over.clone();
        std::thread::spawn(move || read(reading, &seen));
        field.write(&mut stream, &greeting(declared));
        Some(Self { stream, opened, over })
    }

    /// The same, without anybody who reads.
    pub(crate) fn deaf(field: &mut Field, declared: ParametersBuilder) -> Option<Self> {
        let mut stream = field.connect()?;
        field.write(&mut stream, &greeting(declared));
        Some(Self { stream, opened: Instant::now(), over: Arc::default() })
    }

    /// Writes; false once the server has ended it, which is noted.
    pub(crate) fn send(&mut self, field: &mut Field, octets: &[u8]) -> bool {
        let is_sent = field.write(&mut self.stream, octets);
        if self.over.is_over.load(Ordering::Acquire) || !is_sent {
            self.note(field);
            return false;
        }
        true
    }

    /// Waits for its end, no longer than `wait`, and notes it.
    pub(crate) fn wait(&self, field: &mut Field, wait: Duration) {
        let until = Instant::now() + wait.min(field.left());
        while !self.over.is_over.load(Ordering::Acquire) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.note(field);
    }

    fn note(&self, field: &mut Field) {
        // Where writing failed first, what was said about it is on its way.
        let until = Instant::now() + Duration::from_millis(50);
        while !self.over.is_over.load(Ordering::Acquire) && Instant::now() < until && !field.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.over.is_over.load(Ordering::Acquire) {
            let how = self.over.how.lock().unwrap_or_else(PoisonError::into_inner).clone();
            field.ended(how.unwrap_or_else(|| "end of the connection".to_owned()), self.opened);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stream.shutdown(std::net::Shutdown::Both));
    }
}

/// Reads frames and keeps nothing of them but a CLOSE.
fn read(mut stream: TcpStream, over: &Over) {
    let mut buffer = BytesMut::new();
    let mut piece = vec![0; 64 << 10];
    let mut has_preface = false;
    while let Ok(len) = std::io::Read::read(&mut stream, &mut piece) {
        let Some(came) = piece.get(..len).filter(|came| !came.is_empty()) else { break };
        buffer.extend_from_slice(came);
        if !has_preface {
            let Ok(Some((_, len))) = Preface::decode(&buffer) else { continue };
            drop(buffer.split_to(len));
            has_preface = true;
        }
        while let Ok(Some(header)) = Header::decode(&buffer) {
            if buffer.len() < header.len + header.body_len {
                break;
            }
            let octets = buffer.split_to(header.len + header.body_len).freeze();
            let said = match Frame::decode(header, &octets, 0, true) {
                Ok(Frame::Close { code, .. }) => format!("CLOSE {code}"),
                Ok(Frame::ReattachResult { code, .. }) => format!("REATTACH_RESULT {code}"),
                _ => continue,
            };
            over.how.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(said);
        }
    }
    over.is_over.store(true, Ordering::Release);
}
