//! The Rust client: sessions, tasks, arrays, graphs and their results.
//!
//! A [`Client`] is one session with a scheduler. What it submits it numbers itself, so nothing
//! waits for an answer: [`Job::submit`] returns at once with a handle whose value can be
//! awaited, passed to other tasks, or dropped, which releases the data. All input and output runs
//! on the tokio runtime that called [`Client::connect`].
//!
//! ```no_run
//! use dasklet_client::{Client, Graph};
//!
//! # async fn example() -> Result<(), dasklet_client::ClientError> {
//! let client = Client::connect("tcp://127.0.0.1:8786").await?;
//!
//! let cube = client.submit::<i64>("cube", (3,))?;
//! let more = client.submit::<i64>("add", (&cube, 1))?;
//! assert_eq!(more.await?, 28);
//!
//! let cubes = client.array::<i64>("cube", 1000)?;
//! let total = client.submit::<i64>("sum", (&cubes,))?;
//! println!("{} {:?}", total.await?, cubes.gather().await?);
//!
//! let mut graph = Graph::new();
//! let a = graph.op("add", (1, 2));
//! let b = graph.op("cube", (a,));
//! assert_eq!(client.compute::<i64>(&graph, b)?.await?, 27);
//! # Ok(())
//! # }
//! ```
//!
//! What must never live here: anything that decides where or when a task runs (the scheduler), or
//! what an operation does (the worker). Start reading at [`client`], then [`job`]; `session` holds
//! what is known of every task, and the connection.

mod address;
pub mod argument;
pub mod client;
mod codec;
mod command;
mod completed;
mod core;
pub mod dependency;
mod encoded;
pub mod error;
mod fetch;
pub mod graph;
pub mod handle;
pub mod job;
mod options;
pub mod progress;
pub mod put;
mod read;
mod session;
pub mod spec;
mod submission;
mod wire;

pub use dasklet_core::JobProgress;
pub use dasklet_protocol::TASK_BYTES;

pub use address::Address;
pub use argument::{Arg, ArgWriter, Args, Index};
pub use client::{Client, ConnectOptions, DirectToWorkers};
pub use command::Command;
pub use completed::{Completed, as_completed};
pub use dependency::Dep;
pub use error::{Attempt, ClientError, Failure};
pub use graph::{Graph, Node, SubmittedGraph};
pub use handle::{TaskArray, TaskFuture, TaskSet, gather};
pub use job::Job;
pub use options::TaskOptions;
pub use progress::Progress;
pub use put::Put;
pub use spec::TaskSpec;
