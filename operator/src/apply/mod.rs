//! Carries out writes: in stages, side by side within a stage, slowly at first where many objects
//! of one kind are created, and with a fair share of the API server for each cluster.

mod carry_out;
mod fair;
mod gate;
mod transport;

pub use carry_out::Executor;
pub use fair::Fairness;
pub use gate::{Gate, Permit};
pub use transport::{Transport, TransportError};
