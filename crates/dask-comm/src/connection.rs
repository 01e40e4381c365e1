//! Messages over a socket, or whatever else carries bytes.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::{
    error::CodecError,
    frame::{FrameReader, Outgoing},
    handshake::Handshake,
    limits::Limits,
    message,
    value::Value,
};

const READ_BYTES: usize = 64 << 10;
/// Frames below this are put together before they are written.
const GATHER_BYTES: usize = 16 << 10;

/// Why a connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The system's words.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer sent what we do not take.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The peer closed it.
    #[error("the peer closed the connection {0}")]
    Closed(&'static str),
}

/// A connection after the handshake, for either side: client, server, worker.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    inbox: Inbox,
    peer: Handshake,
}

/// What has arrived and is no whole message yet.
#[derive(Debug)]
struct Inbox {
    limits: Limits,
    reader: FrameReader,
    input: BytesMut,
}

impl Inbox {
    fn new(limits: Limits) -> Self {
        Self { limits, reader: FrameReader::new(limits), input: BytesMut::new() }
    }

    async fn next<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> Result<Option<Value>, ConnectionError> {
        loop {
            if let Some(frames) = self.reader.read(&mut self.input)? {
                return Ok(Some(message::decode(&frames, self.limits)?));
            }
            self.input.reserve(READ_BYTES);
            if stream.read_buf(&mut self.input).await? == 0 {
                return match self.reader.is_between_messages() {
                    true => Ok(None),
                    false => Err(ConnectionError::Closed("in the middle of a message")),
                };
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Exchanges handshakes. Nothing here waits for ever on its own account: give it a timeout.
    ///
    /// # Errors
    /// The peer does not speak Dask's protocol, or the connection broke.
    pub async fn open(stream: S, limits: Limits) -> Result<Self, ConnectionError> {
        let mut connection =
            Self { stream, inbox: Inbox::new(Limits::HANDSHAKE), peer: Handshake::ours() };
        connection.send(&Handshake::ours().to_value()).await?;
        let first = connection.receive().await?;
        let first = first.ok_or(ConnectionError::Closed("instead of sending its handshake"))?;
        connection.peer = Handshake::from_value(&first)?;
        connection.inbox.limits = limits;
        connection.inbox.reader.set_limits(limits);
        Ok(connection)
    }

    /// What the peer told about itself.
    pub const fn peer(&self) -> &Handshake {
        &self.peer
    }

    /// The next message; `None` if the peer closed the connection after a whole one. May be
    /// dropped and called again without losing anything.
    ///
    /// # Errors
    /// The connection broke, or the peer sent what we do not take.
    pub async fn receive(&mut self) -> Result<Option<Value>, ConnectionError> {
        self.inbox.next(&mut self.stream).await
    }

    /// Writes a message. Dropped half-way, it leaves the connection unusable.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn send(&mut self, message: &Value) -> Result<(), ConnectionError> {
        Ok(write(&mut self.stream, &message::encode(message)).await?)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

impl<S: AsyncRead + AsyncWrite> Connection<S> {
    /// Both directions apart, for streams on which either side speaks at any time.
    pub fn split(self) -> (Receiver<ReadHalf<S>>, Sender<WriteHalf<S>>) {
        let (read, write) = tokio::io::split(self.stream);
        (Receiver { stream: read, inbox: self.inbox }, Sender { stream: write })
    }
}

/// The receiving direction of a [`Connection`].
#[derive(Debug)]
pub struct Receiver<R> {
    stream: R,
    inbox: Inbox,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// As [`Connection::receive`].
    ///
    /// # Errors
    /// As there.
    pub async fn receive(&mut self) -> Result<Option<Value>, ConnectionError> {
        self.inbox.next(&mut self.stream).await
    }
}

/// The sending direction of a [`Connection`].
#[derive(Debug)]
pub struct Sender<W> {
    stream: W,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    /// As [`Connection::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&mut self, message: &Value) -> Result<(), ConnectionError> {
        Ok(write(&mut self.stream, &message::encode(message)).await?)
    }
}

/// Writes `outgoing`: small frames together, large ones without a copy.
///
/// # Errors
/// The stream's.
pub async fn write<W: AsyncWrite + Unpin>(stream: &mut W, outgoing: &Outgoing) -> io::Result<()> {
    let mut gathered = BytesMut::new();
    for chunk in outgoing.chunks() {
        if chunk.len() < GATHER_BYTES {
            gathered.extend_from_slice(chunk);
        }
        if gathered.len() >= READ_BYTES || chunk.len() >= GATHER_BYTES {
            stream.write_all(&gathered).await?;
            gathered.clear();
        }
        if chunk.len() >= GATHER_BYTES {
            stream.write_all(chunk).await?;
        }
    }
    stream.write_all(&gathered).await?;
    stream.flush().await
}
