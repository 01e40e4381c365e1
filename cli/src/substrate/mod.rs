//! The local substrate: a cluster as processes of this machine.
//!
//! What a cluster should look like is decided by `dasklet_elastic`, exactly as on Kubernetes.
//! Here its decisions become processes: `control` runs the loop, `apply` carries plans out, `group` holds the members and
//! says what is observed of them, `poll` keeps the scheduler's latest answers, `process` starts
//! and watches children, `supervised` starts a scheduler that died again. Start with `cluster`.

mod apply;
mod cluster;
mod control;
mod group;
mod home;
mod idle;
mod poll;
mod process;
mod scheduler;
mod supervised;

pub use cluster::{Cluster, ClusterEnd, Ports};
pub use home::Home;
pub use process::Role;
