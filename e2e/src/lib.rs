//! A real Kubernetes on this machine, for tests, and what the tests need around it.
//!
//! [`ControlPlane`] is the light form: etcd, API server, controllers and, on request, simulated
//! nodes, on loopback ports, in seconds, without root. [`Cluster`] is the whole of it, with
//! kubelets and containers, inside namespaces of its own. Both build their programs from source
//! at their first use ([`programs`]) and leave nothing behind, however the process ends.
//!
//! Nothing here knows dasklet's resources: the scenarios in `src/scenarios` do, and only through
//! manifests, as a user writes them. Start reading at `control_plane.rs`.

pub mod cache;
pub mod cgroup;
pub mod cluster;
pub mod command;
pub mod control_plane;
pub mod debian;
pub mod dns;
pub mod fake_nodes;
pub mod go;
pub mod image;
pub mod kubeconfig;
pub mod namespaces;
pub mod network;
pub mod node;
pub mod pki;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod python;
pub mod readme;
pub mod run_folder;
pub mod runner;
pub mod scale;
pub mod scenarios;

pub use cluster::Cluster;
pub use control_plane::{ControlPlane, Options};
