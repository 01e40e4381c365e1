//! How workers leave a stock scheduler, as a state machine.
//!
//! Dask's `retire_workers` moves the only copies away, but it also takes running tasks from their
//! worker, and who asks it to choose workers gets those of other groups. So we name the workers,
//! and go two steps: the first call keeps them registered and makes them start nothing more; when
//! what they run is finished, the second one has the new data moved and the worker forgotten.
//! Only its answer counts: a worker that is missing there holds the only copy of something.

use std::collections::BTreeMap;

use super::{Standing, WorkerRef};
use crate::rpc::{WorkerIdentity, WorkerStatus};

/// A heartbeat may have been written before its worker heard that it is to start nothing more.
/// The second one after that was not.
const HEARTBEATS: u32 = 2;

const HOLDER: &str = "it holds data that no other worker can take now: there is none, or all are \
                      being retired or out of memory";

/// Workers that are drained together, so that none gives its data to another of them.
#[derive(Debug)]
pub(super) struct Batch(Vec<(WorkerRef, Phase)>);

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// Is to start nothing more.
    Cordon,
    /// Runs what it has begun.
    Finish {
        last_seen: f64,
        heartbeats: u32,
    },
    /// Is to give away what it holds. One that starts nothing more cannot serve again: if nobody
    /// can take its data now, it waits for somebody who can.
    Retire {
        refused: bool,
    },
    Over(Standing),
}

impl Batch {
    pub(super) fn new(workers: Vec<WorkerRef>) -> Self {
        Self(workers.into_iter().map(|worker| (worker, Phase::Cordon)).collect())
    }

    /// Goes on without the first step, which HTTP does not offer.
    pub(super) fn retire_at_once(&mut self) {
        for (_, phase) in &mut self.0 {
            if !matches!(phase, Phase::Over(_)) {
                *phase = Phase::Retire { refused: false };
            }
        }
    }

    /// Whether a worker has been told to start nothing more.
    pub(super) fn has_begun(&self) -> bool {
        self.0.iter().any(|(_, phase)| matches!(phase, Phase::Finish { .. }))
    }

    pub(super) fn to_cordon(&self) -> Vec<String> {
        self.addresses(|phase| *phase == Phase::Cordon)
    }

    pub(super) fn to_watch(&self) -> Vec<String> {
        self.addresses(|phase| matches!(phase, Phase::Finish { .. }))
    }

    pub(super) fn to_retire(&self) -> Vec<String> {
        self.addresses(|phase| matches!(phase, Phase::Retire { .. }))
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.iter().all(|(_, phase)| matches!(phase, Phase::Over(_)))
    }

    /// How each worker stands.
    pub(super) fn standings(&self) -> impl Iterator<Item = (&WorkerRef, Standing)> {
        self.0.iter().map(|(worker, phase)| match phase {
            Phase::Over(standing) => (worker, standing.clone()),
            Phase::Retire { refused: true } => {
                (worker, Standing::Draining { trouble: Some(HOLDER.to_owned()) })
            }
            _ => (worker, Standing::Draining { trouble: None }),
        })
    }

    /// Takes in who is registered now.
    pub(super) fn on_workers(&mut self, known: &[WorkerIdentity]) {
        for (worker, phase) in &mut self.0 {
            let now = known.iter().find(|it| worker.is(it));
            *phase = match (&*phase, now) {
                (Phase::Over(_), _) => continue,
                // It was asked to go, and is gone: the answer was lost on the way.
                (Phase::Retire { refused: false }, None) => Phase::Over(Standing::Drained),
                (_, None) => Phase::Over(Standing::Unknown),
                (Phase::Finish { last_seen, heartbeats }, Some(now)) => {
                    finish(*last_seen, *heartbeats, now)
                }
                (_, Some(_)) => continue,
            };
        }
    }

    /// Takes in who has been told to start nothing more; who else is registered has refused.
    pub(super) fn on_cordoned(&mut self, cordoned: &[WorkerIdentity], known: &[WorkerIdentity]) {
        self.answered(
            |phase| *phase == Phase::Cordon,
            known,
            |worker, is_known| match cordoned.iter().find(|it| worker.is(it)) {
                Some(now) => Phase::Finish { last_seen: now.last_seen, heartbeats: 0 },
                None => refused(is_known),
            },
        );
    }

    /// Takes in how many unfinished tasks workers have.
    pub(super) fn on_processing(&mut self, counts: &BTreeMap<String, u64>) {
        for (worker, phase) in &mut self.0 {
            if matches!(phase, Phase::Finish { .. }) && counts.get(&worker.address) == Some(&0) {
                *phase = Phase::Retire { refused: false };
            }
        }
    }

    /// Takes in whose time is up: what they still run, others shall run.
    pub(super) fn on_time(&mut self, is_late: impl Fn(&WorkerRef) -> bool) {
        for (worker, phase) in &mut self.0 {
            if matches!(phase, Phase::Finish { .. }) && is_late(worker) {
                *phase = Phase::Retire { refused: false };
            }
        }
    }

    /// Takes in who has been retired after it was told to start nothing more.
    pub(super) fn on_retired(&mut self, retired: &[WorkerIdentity], known: &[WorkerIdentity]) {
        self.answered(
            |phase| matches!(phase, Phase::Retire { .. }),
            known,
            |worker, is_known| match (retired.iter().any(|it| worker.is(it)), is_known) {
                (true, _) => Phase::Over(Standing::Drained),
                (false, true) => Phase::Retire { refused: true },
                (false, false) => refused(false),
            },
        );
    }

    /// Takes in who is registered still after it was retired in one step: it has refused.
    pub(super) fn on_retired_at_once(&mut self, known: &[WorkerIdentity]) {
        self.on_workers(known);
        let asked = |phase: &Phase| matches!(phase, Phase::Retire { .. });
        self.answered(asked, known, |_, is_known| refused(is_known));
    }

    /// Whether all that is left to do is to wait for somebody who can take data.
    pub(super) fn is_waiting(&self) -> bool {
        self.0
            .iter()
            .all(|(_, phase)| matches!(phase, Phase::Over(_) | Phase::Retire { refused: true }))
    }

    fn answered(
        &mut self,
        asked: impl Fn(&Phase) -> bool,
        known: &[WorkerIdentity],
        next: impl Fn(&WorkerRef, bool) -> Phase,
    ) {
        for (worker, phase) in &mut self.0 {
            if asked(phase) {
                *phase = next(worker, known.iter().any(|it| worker.is(it)));
            }
        }
    }

    fn addresses(&self, which: impl Fn(&Phase) -> bool) -> Vec<String> {
        let chosen = self.0.iter().filter(|(_, phase)| which(phase));
        chosen.map(|(worker, _)| worker.address.clone()).collect()
    }
}

const fn refused(is_known: bool) -> Phase {
    Phase::Over(if is_known { Standing::Refused } else { Standing::Unknown })
}

fn finish(last_seen: f64, heartbeats: u32, now: &WorkerIdentity) -> Phase {
    if matches!(now.status, WorkerStatus::Running | WorkerStatus::Paused) {
        // It has come back to a restarted scheduler, or did not obey.
        return Phase::Cordon;
    }
    let heartbeats = heartbeats + u32::from(now.last_seen > last_seen);
    if heartbeats >= HEARTBEATS && now.executing() == Some(0) {
        return Phase::Retire { refused: false };
    }
    Phase::Finish { last_seen: now.last_seen, heartbeats }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
