//! Messages: a main value in which payloads stand, and the frames that carry both.

mod decode;
mod encode;
mod payload;

pub use decode::decode;
pub use encode::encode;
pub use payload::{Payload, PayloadKind};
