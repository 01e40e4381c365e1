//! The values of messages: msgpack as Dask writes it, with sets and payloads.

mod access;
mod decode;
mod encode;
mod map;
mod node;

pub use access::ShapeError;
pub(crate) use decode::{Budget, Decoder, Placeholders};
pub(crate) use encode::encode;
pub use map::Map;
pub use node::Value;
