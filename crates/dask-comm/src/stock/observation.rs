//! What a stock scheduler has and needs.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::rpc::{IdleSince, SchedulerIdentity, WorkerIdentity, WorkerStatus};

/// One look at a scheduler.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Differs for each life of the scheduler; absent where only `/api/v1` answers.
    pub scheduler: Option<String>,
    /// All workers that are registered now, in any order.
    pub workers: Vec<WorkerIdentity>,
    /// How many workers the present work needs, as the scheduler counts: workers that are being
    /// retired count as present, starting pods are not known to it, and it looks at all worker
    /// groups together.
    pub desired_workers: u64,
    /// Since when there is nothing to do; absent where nobody tells.
    pub idle: Option<IdleSince>,
    /// Who told this.
    pub source: Source,
}

/// Which interface an observation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Dask's protocol.
    Rpc,
    /// `/api/v1/*` and `/json/*`. Workers may be without measures.
    Http,
}

impl Observation {
    /// The scheduler's life, as a number; the same for all lives where nobody tells.
    pub(super) fn epoch(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.scheduler.hash(&mut hasher);
        hasher.finish()
    }

    /// The workers of one member (pod or process), by its name.
    pub fn workers_of<'a>(
        &'a self,
        member: &'a str,
    ) -> impl Iterator<Item = &'a WorkerIdentity> + 'a {
        self.workers.iter().filter(move |worker| worker.is_of(member))
    }
}

impl WorkerIdentity {
    /// Whether a member of this name runs the worker: `dask worker --nworkers 2 --name NAME` gives
    /// `NAME-0` and `NAME-1`.
    #[must_use]
    pub fn is_of(&self, member: &str) -> bool {
        match self.name.strip_prefix(member) {
            None => false,
            Some("") => true,
            Some(rest) => rest.strip_prefix('-').is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            }),
        }
    }
}

/// Workers of whom only name and address are known.
pub(super) fn unmeasured((name, address): (String, String)) -> WorkerIdentity {
    WorkerIdentity {
        address,
        name,
        status: WorkerStatus::Unknown,
        threads: 0,
        memory_limit: 0,
        memory_used: 0,
        bytes_managed: 0,
        bytes_spilled: 0,
        last_seen: 0.0,
        tasks: None,
        resources: std::collections::BTreeMap::new(),
    }
}

/// The parts of a look.
pub(super) struct Parts {
    pub(super) identity: Result<SchedulerIdentity, Vec<(String, String)>>,
    pub(super) desired_workers: u64,
    pub(super) idle: Option<IdleSince>,
    pub(super) source: Source,
}

impl From<Parts> for Observation {
    fn from(parts: Parts) -> Self {
        let Parts { identity, desired_workers, idle, source } = parts;
        let (scheduler, workers) = match identity {
            Ok(identity) => (Some(identity.id), identity.workers),
            Err(pairs) => (None, pairs.into_iter().map(unmeasured).collect()),
        };
        Self { scheduler, workers, desired_workers, idle, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_members_workers_are_known_by_their_names() {
        let worker = |name: &str| unmeasured((name.to_owned(), "tcp://h:1".to_owned()));
        for (name, member, of) in [
            ("g-worker-1", "g-worker-1", true),
            ("g-worker-1-0", "g-worker-1", true),
            ("g-worker-1-12", "g-worker-1", true),
            ("g-worker-11", "g-worker-1", false),
            ("g-worker-1-", "g-worker-1", false),
            ("g-worker-1-a0", "g-worker-1", false),
            ("other", "g-worker-1", false),
        ] {
            assert_eq!(worker(name).is_of(member), of, "{name}");
        }
    }
}
