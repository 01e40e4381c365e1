//! The shells around the state machine: gRPC for clients and workers, HTTP for people, tools and
//! the operator.
//!
//! Each connection reads a batch of messages, tells the state machine, and asks for a tick. The
//! tick places tasks and puts decisions into the peers' outboxes; a connection builds its next
//! message when it has room for one. Start with `shell`, then `worker_session` and
//! `worker_outbox`; `http` stands apart.

mod accept;
mod backlog;
mod bits;
mod client_session;
mod grpc;
mod http;
mod inputs;
mod limits;
mod link;
mod metrics;
mod options;
mod process;
mod progress;
mod proxy;
mod refusals;
mod run;
mod session_outbox;
mod session_table;
mod shell;
mod submission;
mod submitting;
mod tick;
mod wakes;
mod worker_outbox;
mod worker_session;
mod worker_table;

pub use options::{Options, Output};
pub use process::main;
pub use run::{Running, ServeError, run, start};
