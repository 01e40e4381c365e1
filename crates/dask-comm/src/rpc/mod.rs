//! Calls to a scheduler.

mod address;
mod client;
mod error;
mod identity;
mod request;
mod scheduler;

pub use address::Address;
pub use client::RpcClient;
pub use error::RpcError;
pub use identity::{SchedulerIdentity, WorkerIdentity, WorkerStatus};
pub use request::Request;
pub use scheduler::{IdleSince, RetireRequest};
