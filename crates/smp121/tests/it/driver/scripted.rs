//! A carrier that does as it is told, over one in memory.

use postroad_transport::memory::datagram::Socket;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::time::Instant;
use wirekit::datagram::{DatagramSocket, Outgoing, PathErrorKind, ReceiveBatch, SendError};

/// What a call of `try_send` does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// Takes so many at most.
    Take(usize),
    /// Takes everything and loses it.
    Lose,
    WouldBlock,
    NoBuffers,
    TooLong(Option<usize>),
    Path(PathErrorKind),
    Fail,
}

/// See the module. Calls beyond the script are passed on.
#[derive(Debug)]
pub(crate) struct Scripted {
    socket: Socket,
    script: Mutex<VecDeque<Answer>>,
    /// When each call came, and how many datagrams it brought.
    calls: Mutex<Vec<(Instant, usize)>>,
    is_writable: Mutex<(bool, Option<Waker>)>,
    failure: Mutex<(Option<io::ErrorKind>, Option<Waker>)>,
    payload_len_max: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(socket: Socket) -> Self {
        let payload_len_max = AtomicUsize::new(socket.payload_len_max(socket.local_addr()));
        Self {
            socket,
            script: Mutex::default(),
            calls: Mutex::default(),
            is_writable: Mutex::new((true, None)),
            failure: Mutex::default(),
            payload_len_max,
        }
    }

    pub(crate) fn will(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().extend(answers);
    }

    pub(crate) fn script_len(&self) -> usize {
        self.script.lock().unwrap().len()
    }

    /// The calls since this was asked last.
    pub(crate) fn take_calls(&self) -> Vec<(Instant, usize)> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub(crate) fn set_payload_len_max(&self, len: usize) {
        self.payload_len_max.store(len, Ordering::Relaxed);
    }

    pub(crate) fn set_writable(&self, is_writable: bool) {
        let waker = {
            let mut state = self.is_writable.lock().unwrap();
            state.0 = is_writable;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Receiving fails from here on.
    pub(crate) fn fail(&self, kind: io::ErrorKind) {
        let waker = {
            let mut state = self.failure.lock().unwrap();
            state.0 = Some(kind);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl DatagramSocket for Scripted {
    fn poll_receive(&self, cx: &mut Context<'_>, batch: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        let mut failure = self.failure.lock().unwrap();
        if let Some(kind) = failure.0 {
            return Poll::Ready(Err(kind.into()));
        }
        failure.1 = Some(cx.waker().clone());
        drop(failure);
        self.socket.poll_receive(cx, batch)
    }

    fn try_receive(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        self.socket.try_receive(batch)
    }

    fn try_send(&self, datagrams: &[Outgoing<'_>]) -> Result<usize, SendError> {
        self.calls.lock().unwrap().push((Instant::now(), datagrams.len()));
        match self.script.lock().unwrap().pop_front() {
            None => self.socket.try_send(datagrams),
            Some(Answer::Take(count)) => self.socket.try_send(&datagrams[..count.min(datagrams.len())]),
            Some(Answer::Lose) => Ok(datagrams.len()),
            Some(Answer::WouldBlock) => Err(SendError::WouldBlock),
            Some(Answer::NoBuffers) => Err(SendError::NoBuffers),
            Some(Answer::TooLong(payload_len_max)) => Err(SendError::TooLong { payload_len_max }),
            Some(Answer::Path(kind)) => Err(SendError::Path(kind)),
            Some(Answer::Fail) => Err(SendError::Io(io::ErrorKind::AddrNotAvailable.into())),
        }
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.is_writable.lock().unwrap();
        if state.0 {
            return Poll::Ready(Ok(()));
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    fn source_for(&self, destination: SocketAddr) -> io::Result<IpAddr> {
        if destination.port() == 404 {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        self.socket.source_for(destination)
    }

    fn payload_len_max(&self, _destination: SocketAddr) -> usize {
        self.payload_len_max.load(Ordering::Relaxed)
    }

    fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    fn is_ip(&self) -> bool {
        false
    }
}
