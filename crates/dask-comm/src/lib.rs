//! Dask's own protocol over TCP: the codec, the calls that an operator makes to a stock Dask
//! scheduler, and what one can do with such a scheduler without losing data.
//!
//! - [`frame`], [`value`] and [`message`] are the codec: bytes in, messages out, and back. Pure;
//!   the same for clients, schedulers and workers. Pickled objects stay opaque.
//! - [`connection`] puts it on a socket, [`rpc`] makes calls.
//! - [`stock`] is for operators: start there.
//! - [`server`] has the words of the other side, for a scheduler that stock clients talk to.
//!
//! Compression is offered to no peer, and then no peer compresses.

#![forbid(unsafe_code)]

pub mod connection;
pub mod error;
pub mod failure;
pub mod frame;
pub mod handshake;
pub mod limits;
pub mod message;
pub mod rpc;
pub mod server;
pub mod stock;
pub mod value;

pub use connection::{Connection, ConnectionError, Receiver, Sender};
pub use error::CodecError;
pub use limits::Limits;
pub use value::{Map, Value};
