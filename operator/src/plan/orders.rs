//! What is asked of a scheduler. The plan says it, the cluster's poller carries it out.

use dasklet_core::{
    DeathCause,
    demand::{DemandRequest, MemberRef},
};

/// Where a scheduler is, and what to ask it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its HTTP API.
    pub url: String,
    /// Its address for Dask's own protocol, for schedulers without that API.
    pub tcp: String,
    /// Whether its pod is ready.
    pub ready: bool,
    /// The demand to ask for.
    pub request: DemandRequest,
    /// Answer after so long even if nothing has changed.
    pub wait_micros: u64,
    /// Ask again at most so often.
    pub pause_micros: u64,
}

/// A request that changes something.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Drain these.
    Drain {
        /// Whom.
        members: Vec<MemberRef>,
        /// Seconds left; absent: no limit.
        deadline_seconds: Option<f64>,
    },
    /// Keep these after all.
    Undrain {
        /// Whom.
        members: Vec<MemberRef>,
    },
    /// This one is dead.
    Lost {
        /// Who.
        member: MemberRef,
        /// Its address, for schedulers that know it by nothing else.
        ip: String,
        /// Why.
        cause: DeathCause,
        /// When that became known, in microseconds since 1970.
        at_micros: u64,
    },
}
