//! The operator against a real API server with its controllers, a scheduler of pods and simulated
//! nodes.
//!
//! Run by `cargo xtask test`, or by hand with an API server that may be filled with objects:
//!
//! ```text
//! DASKLET_TEST_KUBECONFIG=FILE cargo test --release -p dasklet-operator --test it -- --ignored
//! ```

mod connect;
mod faults;
mod life;
mod server;

pub use server::RealServer;
