//! One session with a scheduler: what is known of every task ([`table`]), what is to be sent
//! ([`outbox`]), both under one lock ([`state`]), and the connection that carries it
//! ([`connection`], which reads and reconnects; [`sending`] is the outgoing half).

pub(crate) mod cell;
pub(crate) mod connection;
mod members;
pub(crate) mod outbox;
pub(crate) mod sending;
pub(crate) mod state;
pub(crate) mod table;

pub(crate) use state::{Session, Shared};
