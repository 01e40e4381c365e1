//! What can be wrong with bytes that a peer sent.

/// Why bytes are no message of Dask's protocol, or one that we do not take. After it nothing more
/// can be read from the same stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The first bytes cannot be a Dask message.
    #[error("the bytes {start} do not begin a Dask message: the peer speaks another protocol")]
    NotDask {
        /// The first bytes, readable.
        start: String,
    },
    /// More than the limits allow.
    #[error("a message with {found} {what} exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes, frames, values, levels.
        what: &'static str,
        /// How many there are, at least.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// A frame ends before the value in it does.
    #[error("a frame ends in the middle of a value, at byte {at}")]
    Truncated {
        /// Offset in the frame.
        at: usize,
    },
    /// Bytes that are no msgpack as Dask writes it.
    #[error("bad msgpack at byte {at} of a frame: {reason}")]
    BadMsgpack {
        /// Offset in the frame.
        at: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A placeholder that does not fit the message's frames.
    #[error("a payload's placeholder points at frame {index} of {frames}: {reason}")]
    BadPlaceholder {
        /// Where it points.
        index: u64,
        /// How many frames there are.
        frames: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A handshake that lacks what both sides need.
    #[error("the peer's handshake {0}: its version of distributed is not supported")]
    BadHandshake(&'static str),
}
