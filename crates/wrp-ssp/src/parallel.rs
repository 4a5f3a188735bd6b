//! Compression by several threads, in order.

use crate::codec::Compressor;
use crate::header::{ENCODING, text};
use crate::{Encoding, Level, Options, SegmentError, Segments};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use wrp::Message;

/// Packets that a thread has, or that wait for it, at most.
const JOBS_PER_THREAD: usize = 2;

/// As [`Segments`], with threads that compress the packets side by side. They come out in order, and are the same ones.
///
/// What is read ahead is bounded by two packets a thread. Dropping it ends the threads.
#[derive(Debug)]
pub struct ParallelSegments<R> {
    segments: Segments<R>,
    threads: Vec<Worker>,
    /// The thread that gets the next packet.
    next: usize,
    /// Packets that are with a thread, and what came of reading, in order.
    under_way: VecDeque<io::Result<Receiver<Message>>>,
}

#[derive(Debug)]
struct Worker {
    /// `None` once no more packets come.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = (Message, SyncSender<Message>);

impl<R: Read> ParallelSegments<R> {
    /// Packets of what `reader` gives, with the fields of `base`, compressed by `thread_count` threads.
    ///
    /// # Errors
    /// [`SegmentError`], [`SegmentError::Thread`] among them; nothing is read.
    //= SSP-S13
    pub fn new(reader: R, base: Message, options: Options, thread_count: NonZeroUsize) -> Result<Self, SegmentError> {
        let (encoding, level, sends_unshrunk) = options.compression();
        // The packets are cut here and compressed there; their header comes last, so it can be added later.
        let segments = Segments::new(reader, base, options.left_to_others())?;
        let start =
            |_| Worker::start(encoding, level, sends_unshrunk).map_err(|error| SegmentError::Thread(error.to_string()));
        let threads = (0..thread_count.get()).map(start).collect::<Result<_, _>>()?;
        Ok(Self { segments, threads, next: 0, under_way: VecDeque::new() })
    }

    fn fill(&mut self) {
        while self.under_way.len() < JOBS_PER_THREAD * self.threads.len() {
            let Some(message) = self.segments.next() else { return };
            let count = self.threads.len();
            let worker = self.threads.get(self.next % count).and_then(|worker| worker.jobs.as_ref());
            self.next = (self.next + 1) % count;
            let job = message.and_then(|message| {
                let (sender, receiver) = sync_channel(1);
                let is_sent = worker.is_some_and(|jobs| jobs.send((message, sender)).is_ok());
                is_sent.then_some(receiver).ok_or_else(gone)
            });
            self.under_way.push_back(job);
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("a thread that compresses is gone")
}

impl<R: Read> Iterator for ParallelSegments<R> {
    type Item = io::Result<Message>;

    fn next(&mut self) -> Option<io::Result<Message>> {
        self.fill();
        let message = self.under_way.pop_front()?;
        Some(message.and_then(|receiver| receiver.recv().map_err(|_| gone())))
    }
}

impl Worker {
    fn start(encoding: Encoding, level: Level, sends_unshrunk: bool) -> io::Result<Self> {
        let (jobs, received) = sync_channel::<Job>(JOBS_PER_THREAD);
        let run = move || {
            let mut compressor = Compressor::new(encoding, level);
            let mut payload = Vec::new();
            for (mut message, answer) in received {
                compress(&mut message, encoding, sends_unshrunk, &mut compressor, &mut payload);
                let _nobody_waits_any_more = answer.send(message);
            }
        };
        let thread = thread::Builder::new().name("wrp-ssp".to_owned()).spawn(run)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _it_has_ended = thread.join();
        }
    }
}

fn compress(
    message: &mut Message,
    encoding: Encoding,
    sends_unshrunk: bool,
    compressor: &mut Compressor,
    payload: &mut Vec<u8>,
) {
    let (Some(plain), Some(name)) = (&message.payload, encoding.header()) else { return };
    if plain.is_empty() {
        return;
    }
    payload.clear();
    compressor.compress(plain, payload);
    if payload.len() < plain.len() || sends_unshrunk {
        message.headers.push(text(ENCODING, name));
        message.payload = Some(payload.as_slice().to_vec().into());
    }
}
