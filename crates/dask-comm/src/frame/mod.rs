//! Cuts a byte stream into messages of frames, and writes them.

mod reader;
mod writer;

pub use reader::FrameReader;
pub use writer::{Outgoing, SEPARATE_FRAME_BYTES};
