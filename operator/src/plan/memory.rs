//! What is remembered from one plan of a cluster to the next.

use std::collections::{BTreeMap, HashMap};

use dasklet_elastic::GroupHistory;

use super::{event::EventNote, write::Target};

/// One cluster's memory. An empty one is right after a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// What groups have decided, by their names.
    pub histories: BTreeMap<String, GroupHistory>,
    /// Workers by their identity.
    pub workers: HashMap<String, WorkerMemory>,
    /// Writes that failed last, by what they were about.
    pub failures: BTreeMap<Target, Failure>,
    /// When statuses were last written.
    pub told_at: HashMap<Target, u64>,
    /// Fingerprints of worker templates that the API server takes, by group.
    pub verified: BTreeMap<String, String>,
    /// When dask-kubernetes' finalizer was last removed.
    pub stripped_at: Option<u64>,
    /// Events that the API server could not take.
    pub untold: Vec<EventNote>,
    /// When runner pods were first seen to have ended, by their identity.
    pub ended_runners: HashMap<String, u64>,
    /// How often in a row jobs were interrupted by no fault of theirs, by the job's identity.
    pub interruptions: HashMap<String, u32>,
}

/// One worker's memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerMemory {
    /// When it was first seen.
    pub first_seen: u64,
    /// Since when it serves; kept while its connection is broken.
    pub served_since: Option<u64>,
    /// Since when the scheduler does not know it, although it did.
    pub absent_since: Option<u64>,
    /// When the scheduler was last asked to drain it, or to keep it.
    pub ordered_at: Option<u64>,
    /// Whether its process was ever seen not to have ended.
    pub seen_alive: bool,
    /// When its process ended.
    pub ended_at: Option<u64>,
    /// Whether an event has told of its end.
    pub end_told: bool,
}

/// A write that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One word.
    pub reason: &'static str,
    /// In words, with what to do.
    pub message: String,
    /// How often in a row.
    pub rounds: u32,
    /// Nothing about this is written before this time.
    pub until: u64,
    /// Fingerprint of the template that was refused.
    pub fingerprint: Option<String>,
}
