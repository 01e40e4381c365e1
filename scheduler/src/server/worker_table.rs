//! The workers that are connected.

use std::{sync::Arc, time::Duration};

use dasklet_core::{DeathCause, WorkerId};
use foldhash::HashMap;

use super::{
    link::Link,
    shell::Core,
    wakes::{Urgency, Wakes},
    worker_outbox::WorkerOutbox,
};
use crate::state::{Time, ToWorker};

/// Connected workers by id.
#[derive(Debug, Default)]
pub(super) struct WorkerTable {
    peers: Vec<Option<Box<WorkerPeer>>>,
    by_name: HashMap<String, WorkerId>,
    wakes: Wakes<WorkerId>,
}

/// A connected worker.
#[derive(Debug)]
pub(super) struct WorkerPeer {
    /// Its name.
    pub name: String,
    /// Its connection.
    pub link: Arc<Link>,
    /// What it is to be told.
    pub outbox: WorkerOutbox,
    /// When it was last heard.
    pub heard: Time,
    /// Its host, for people.
    pub host: String,
    urgency: Option<Urgency>,
    told_to_exit: bool,
}

impl WorkerPeer {
    pub fn new(
        name: String,
        host: String,
        link: Arc<Link>,
        outbox: WorkerOutbox,
        now: Time,
    ) -> Self {
        Self { name, host, link, outbox, heard: now, urgency: None, told_to_exit: false }
    }
}

impl WorkerTable {
    /// Number of connected workers.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The worker of this id.
    pub fn get_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerPeer> {
        self.peers.get_mut(worker.index())?.as_deref_mut()
    }

    /// The worker of this id.
    pub fn get(&self, worker: WorkerId) -> Option<&WorkerPeer> {
        self.peers.get(worker.index())?.as_deref()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (WorkerId, &WorkerPeer)> {
        self.by_name.values().filter_map(|id| self.get(*id).map(|peer| (*id, peer)))
    }

    /// Who has this name now.
    pub fn find(&self, name: &str) -> Option<WorkerId> {
        self.by_name.get(name).copied()
    }

    /// Adds a worker.
    pub fn insert(&mut self, worker: WorkerId, peer: WorkerPeer) {
        if worker.index() >= self.peers.len() {
            self.peers.resize_with(worker.index() + 1, || None);
        }
        self.by_name.insert(peer.name.clone(), worker);
        self.peers[worker.index()] = Some(Box::new(peer));
    }

    /// Takes a worker out; its connection is the caller's to end.
    pub fn remove(&mut self, worker: WorkerId) -> Option<Box<WorkerPeer>> {
        let peer = self.peers.get_mut(worker.index())?.take()?;
        if self.by_name.get(&peer.name) == Some(&worker) {
            self.by_name.remove(&peer.name);
        }
        Some(peer)
    }

    /// Keeps a decision for a worker until its connection has room. `since`: when the event
    /// came that led to it.
    pub fn push(&mut self, now: Time, worker: WorkerId, decision: ToWorker, since: Time) {
        let Some(peer) = self.peers.get_mut(worker.index()).and_then(Option::as_deref_mut) else {
            return;
        };
        peer.told_to_exit |= decision == ToWorker::Shutdown;
        // Tasks that end one by one would each wake the worker a second time to be forgotten.
        let urgency = match decision {
            ToWorker::Release(_) | ToWorker::ReleaseRange(..) | ToWorker::Forget(_) => {
                Urgency::Soon
            }
            _ => Urgency::Now,
        };
        peer.outbox.push(decision, since);
        self.wakes.touch(now, worker, &mut peer.urgency, urgency);
    }

    /// Wakes the connections whose turn has come; gives when to come again.
    pub fn wake(&mut self, now: Time) -> Option<Time> {
        self.wakes.take(now, |worker| {
            if let Some(peer) = self.peers.get_mut(worker.index()).and_then(Option::as_deref_mut)
                && peer.urgency.take().is_some()
            {
                peer.link.wake();
            }
        });
        self.wakes.due()
    }
}

/// A connection ended: its worker is gone, unless another connection has taken its place.
pub(super) fn connection_ended(core: &mut Core, now: Time, worker: WorkerId, link: &Arc<Link>) {
    let Some(peer) = core.workers.get(worker).filter(|peer| Arc::ptr_eq(&peer.link, link)) else {
        return;
    };
    let cause = if peer.told_to_exit { DeathCause::Drained } else { DeathCause::ConnectionLost };
    remove(core, now, worker, cause);
}

/// Ends the connection of a worker that the state has removed already.
pub(super) fn end(core: &mut Core, worker: WorkerId) {
    if let Some(peer) = core.workers.remove(worker) {
        peer.link.end();
    }
}

/// Removes a worker from the table and the state, and ends its connection.
pub(super) fn remove(core: &mut Core, now: Time, worker: WorkerId, cause: DeathCause) {
    if let Some(peer) = core.workers.remove(worker) {
        tracing::info!(worker = peer.name, %cause, "worker removed");
        peer.link.end();
    }
    measure_loss(core, now, |core| core.state.remove_worker(now, worker, cause));
}

/// Starts the clock of the recovery if `event` takes runs or outputs away.
pub(super) fn measure_loss<R>(core: &mut Core, now: Time, event: impl FnOnce(&mut Core) -> R) -> R {
    let before = lost_work(core);
    let outcome = event(core);
    if lost_work(core) > before {
        core.metrics.worker_died(now);
    }
    outcome
}

/// Runs and outputs that went with workers so far and are made up for.
fn lost_work(core: &Core) -> u64 {
    let counters = core.state.counters();
    counters.interrupted + counters.recomputed
}

/// Removes the workers that were silent for too long; true if there were some.
pub(super) fn remove_silent(core: &mut Core, now: Time, ttl: Duration) -> bool {
    let limit = u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX);
    let silent: Vec<WorkerId> = core
        .workers
        .iter()
        .filter(|(_, peer)| now.micros_since(peer.heard) > limit)
        .map(|(worker, _)| worker)
        .collect();
    for worker in &silent {
        remove(core, now, *worker, DeathCause::HeartbeatLost);
    }
    !silent.is_empty()
}
