//! How much a peer can make us hold.

/// Limits on one incoming message. What exceeds them ends the connection with an error before
/// memory is taken for it: buffers grow with the bytes that have arrived, never with the sizes
/// that a peer announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all frames together.
    pub message_bytes: u64,
    /// Frames.
    pub frames: u32,
    /// Values (numbers, strings, lists, map entries) in the main frame and the headers of
    /// payloads: each takes more memory here than on the wire.
    pub values: u32,
    /// Nesting of lists and maps.
    pub depth: u16,
}

impl Limits {
    /// For answers to control calls, which hold names and numbers.
    pub const CONTROL: Self =
        Self { message_bytes: 64 << 20, frames: 1 << 14, values: 4 << 20, depth: 128 };

    /// For task graphs and results.
    pub const PAYLOAD: Self =
        Self { message_bytes: 16 << 30, frames: 1 << 22, values: 32 << 20, depth: 256 };

    /// For the first message of a peer that is not known yet.
    pub const HANDSHAKE: Self = Self { message_bytes: 64 << 10, frames: 16, values: 256, depth: 8 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::CONTROL
    }
}
