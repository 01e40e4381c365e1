//! The other side: what a scheduler needs to read and say so that stock Python clients talk to it.
//! Only words; what they do is the scheduler's.
//!
//! Every connection begins with [`Connection::open`](crate::Connection::open). Then come
//! [`Incoming`]s: calls, answered one by one in their order, or a client's registration, which
//! turns the connection into a stream. The first message of a stream is [`welcome`], after which
//! both sides send batches: a client [`ClientOp`]s, the scheduler [`ClientEvent`]s, at any time.

mod event;
mod graph;
mod incoming;
mod op;

pub use event::{ClientEvent, batch, welcome};
pub use graph::UpdateGraph;
pub use incoming::{Call, Incoming, Registration};
pub use op::ClientOp;
