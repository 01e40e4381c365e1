//! What is to run, what runs, and what has ended: the one place where the executor threads and
//! the I/O thread meet.

mod exchange;
mod state;
mod steer;

pub(crate) use exchange::Agenda;
