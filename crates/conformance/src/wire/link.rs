//! One connection of the runner with the implementation under test: octets or messages of a WebSocket, over any carrier.

use super::ws::{Frame, Head, Opcode};
use core::time::Duration;
use std::os::fd::OwnedFd;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long anything that has to come may take, where nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// No message is put together beyond this.
const MESSAGE_LEN_MAX: usize = 32 << 20;
const READ_LEN: usize = 64 * 1024;

/// A byte stream.
pub trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

/// How the other end left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In order; of a WebSocket with the code of its close frame, where it had one.
    Cleanly(Option<u16>),
    /// Otherwise.
    Broken(String),
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// The payload of a WebSocket message, or some octets.
    Octets(Vec<u8>),
    /// The other end left.
    Ended(Ended),
}

/// One connection.
pub struct Link {
    stream: Box<dyn Octets>,
    socket: Option<OwnedFd>,
    /// Of a WebSocket: whether this end masks, as clients do.
    websocket: Option<bool>,
    /// What was read and not taken.
    buffer: Vec<u8>,
    ended: Option<Ended>,
    patience: Duration,
}

impl core::fmt::Debug for Link {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Link").field("websocket", &self.websocket).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Link {
    /// Over a stream; `socket` is what [`reset`](Self::reset) works on.
    pub fn new(stream: impl Octets + 'static, socket: Option<OwnedFd>) -> Self {
        Self { stream: Box::new(stream), socket, websocket: None, buffer: Vec::new(), ended: None, patience: PATIENCE }
    }

    /// From here on the stream is a WebSocket.
    #[must_use]
    pub const fn into_websocket(mut self, masks: bool) -> Self {
        self.websocket = Some(masks);
        self
    }

    /// How long anything that has to come may take, where it is not [`PATIENCE`].
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// True where it is a WebSocket.
    #[must_use]
    pub const fn is_websocket(&self) -> bool {
        self.websocket.is_some()
    }

    /// Writes octets as they are, beneath any WebSocket.
    ///
    /// # Errors
    /// That the other end takes nothing.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        let writing = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        // Who is gone takes nothing; what came of that is seen where something is expected.
        match timeout(self.patience, writing).await {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("it took nothing for {:?}", self.patience)),
        }
    }

    /// Sends octets, of a WebSocket as one message.
    ///
    /// # Errors
    /// That the other end takes nothing.
    pub async fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        match self.websocket {
            Some(masks) => self.write(&Frame::binary(octets, masks).octets()).await,
            None => self.write(octets).await,
        }
    }

    /// Sends a WebSocket message of text.
    ///
    /// # Errors
    /// That there is no WebSocket, or the other end takes nothing.
    pub async fn text(&mut self, octets: Vec<u8>) -> Result<(), String> {
        let masks = self.websocket.ok_or("texts are for WebSockets")?;
        self.write(&Frame::new(Opcode::TEXT, octets, masks).octets()).await
    }

    /// Ends this direction: half of a stream, or with a close frame.
    ///
    /// # Errors
    /// That the other end takes nothing.
    pub async fn end(&mut self) -> Result<(), String> {
        match self.websocket {
            Some(masks) => self.write(&Frame::new(Opcode::CLOSE, 1000u16.to_be_bytes().to_vec(), masks).octets()).await,
            None => self.shut().await,
        }
    }

    /// Ends this direction of the stream itself.
    ///
    /// # Errors
    /// That it takes for ever.
    pub async fn shut(&mut self) -> Result<(), String> {
        match timeout(self.patience, self.stream.shutdown()).await {
            Ok(_) => Ok(()),
            Err(_) => Err("the end of the stream could not be written".into()),
        }
    }

    /// Ends it without any order: a TCP reset, elsewhere both directions at once.
    pub fn reset(self) {
        if let Some(socket) = self.socket {
            let _best_effort = socket2::Socket::from(socket).set_linger(Some(Duration::ZERO));
        }
    }

    /// Reads until `take` has what it wants of the octets that wait: how many it took, and what they were.
    async fn until<T>(
        &mut self,
        take: impl Fn(&[u8]) -> Result<Option<(T, usize)>, String>,
    ) -> Result<Result<T, Ended>, String> {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            if let Some((taken, len)) = take(&self.buffer)? {
                self.buffer.drain(..len);
                return Ok(Ok(taken));
            }
            if let Some(ended) = &self.ended {
                return Ok(Err(ended.clone()));
            }
            let mut chunk = vec![0; READ_LEN];
            match tokio::time::timeout_at(deadline, self.stream.read(&mut chunk)).await {
                Err(_) => return Err(format!("nothing for {:?}", self.patience)),
                Ok(Ok(0)) => self.ended = Some(Ended::Cleanly(None)),
                Ok(Ok(len)) => self.buffer.extend(chunk.get(..len).unwrap_or_default()),
                Ok(Err(error)) => self.ended = Some(Ended::Broken(error.to_string())),
            }
        }
    }

    /// The head that comes first on a WebSocket.
    ///
    /// # Errors
    /// That there is none.
    pub async fn head(&mut self) -> Result<Head, String> {
        self.until(Head::read).await?.map_err(|ended| format!("no answer to the handshake: {ended:?}"))
    }

    /// The next frame of a WebSocket, whatever it is.
    ///
    /// # Errors
    /// That nothing came in time, or something that is no frame.
    pub async fn frame(&mut self) -> Result<Result<Frame, Ended>, String> {
        self.until(Frame::read).await
    }

    /// Octets as they are, beneath any WebSocket: what is there, at least one.
    ///
    /// # Errors
    /// That nothing came in time.
    pub async fn octets(&mut self) -> Result<Result<Vec<u8>, Ended>, String> {
        self.until(|octets| Ok((!octets.is_empty()).then(|| (octets.to_vec(), octets.len())))).await
    }

    /// What comes next: octets, or the payload of a WebSocket message. Pings are answered, pongs passed over.
    ///
    /// # Errors
    /// That nothing came in time, or something that must not come on a WebSocket.
    pub async fn receive(&mut self) -> Result<Came, String> {
        let Some(masks) = self.websocket else {
            return Ok(self.octets().await?.map_or_else(Came::Ended, Came::Octets));
        };
        let mut message: Option<Vec<u8>> = None;
        loop {
            let frame = match self.frame().await? {
                Ok(frame) => frame,
                // The stream beneath ended without a close frame.
                Err(Ended::Cleanly(None)) => return Ok(Came::Ended(Ended::Broken("no close frame".into()))),
                Err(ended) => return Ok(Came::Ended(ended)),
            };
            if frame.masked == masks {
                return Err(
                    if masks { "a masked frame from a server" } else { "a frame without mask from a client" }.into()
                );
            }
            let Frame { fin, reserved, opcode, payload, .. } = frame;
            match (opcode, message.take()) {
                _ if reserved != 0 => return Err(format!("a frame with reserved bits {reserved:#b}")),
                (Opcode::PING, begun) => {
                    message = begun;
                    self.write(&Frame::new(Opcode::PONG, payload, masks).octets()).await?;
                }
                (Opcode::PONG, begun) => message = begun,
                (Opcode::CLOSE, _) => {
                    let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                    self.write(&Frame::new(Opcode::CLOSE, payload, masks).octets()).await?;
                    self.ended = Some(Ended::Cleanly(code));
                    self.buffer.clear();
                    return Ok(Came::Ended(Ended::Cleanly(code)));
                }
                (Opcode::BINARY, None) if fin => return Ok(Came::Octets(payload)),
                (Opcode::BINARY, None) => message = Some(payload),
                (Opcode::CONTINUATION, Some(mut begun)) if begun.len() + payload.len() <= MESSAGE_LEN_MAX => {
                    begun.extend(payload);
                    if fin {
                        return Ok(Came::Octets(begun));
                    }
                    message = Some(begun);
                }
                (Opcode(opcode), begun) => {
                    return Err(format!(
                        "a frame of opcode {opcode} {}",
                        if begun.is_some() { "within a message" } else { "that is none for it" }
                    ));
                }
            }
        }
    }
}
