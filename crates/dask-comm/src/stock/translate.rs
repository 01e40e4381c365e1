//! A stock scheduler in the words of ours: demand and members.
//!
//! What Dask does not tell is filled in on the safe side: every stored byte counts as the only
//! copy and as wanted, and tasks that wait on a worker count as ready, because another worker
//! could steal them.

use std::collections::{BTreeMap, BTreeSet};

use dasklet_core::{
    Resources,
    demand::{ClassDemand, Demand, DemandRequest, GroupLoad, Member, MemberState, Trial},
    resources::{CPU, MEMORY},
};

use super::{Observation, Standing, WorkerRef, group};
use crate::rpc::{IdleSince, WorkerIdentity, WorkerStatus};

/// What is known of a scheduler at one moment.
pub(super) struct View<'a> {
    pub(super) observation: &'a Observation,
    pub(super) standings: &'a BTreeMap<WorkerRef, Standing>,
    /// Since when workers have had nothing to do.
    pub(super) idle_from: &'a BTreeMap<WorkerRef, f64>,
    /// Seconds since 1970.
    pub(super) now: f64,
}

impl View<'_> {
    /// The workers, and those that were drained and are to be ended now.
    pub(super) fn members(&self) -> Vec<Member> {
        let workers = &self.observation.workers;
        let registered: BTreeSet<WorkerRef> = workers.iter().map(WorkerRef::from).collect();
        let present = workers.iter().zip(0..).map(|(worker, id)| self.member(worker, id));
        let drained = self.standings.iter().filter(|(worker, standing)| {
            **standing == Standing::Drained && !registered.contains(*worker)
        });
        let drained = drained.zip(workers.len() as u32..).map(|((worker, _), id)| {
            let gone =
                super::observation::unmeasured((worker.name.clone(), worker.address.clone()));
            Member { state: MemberState::Drained, silent_seconds: 0.0, ..self.member(&gone, id) }
        });
        present.chain(drained).collect()
    }

    fn member(&self, worker: &WorkerIdentity, id: u32) -> Member {
        let reference = WorkerRef::from(worker);
        let mut resources = Resources::default()
            .with(CPU, worker.threads.saturating_mul(1000))
            .with(MEMORY, worker.memory_limit.saturating_mul(1000));
        for (name, amount) in &worker.resources {
            resources.set(name, (amount * 1000.0).max(0.0) as u64);
        }
        let bytes_stored = worker.bytes_managed;
        Member {
            id,
            name: worker.name.clone(),
            instance: worker.address.clone(),
            group: String::new(),
            address: worker.address.clone(),
            resources,
            state: self.state(worker, &reference),
            running: count(worker.unfinished().unwrap_or_default()),
            bytes_stored,
            bytes_sole: bytes_stored,
            bytes_spilled: worker.bytes_spilled,
            memory_used: worker.memory_used,
            memory_limit: worker.memory_limit,
            cpu_seconds: 0.0,
            idle_seconds: self.since(self.idle_from.get(&reference).copied()),
            silent_seconds: self.since((worker.last_seen > 0.0).then_some(worker.last_seen)),
        }
    }

    fn state(&self, worker: &WorkerIdentity, reference: &WorkerRef) -> MemberState {
        match (self.standings.get(reference), worker.status) {
            // Known after the observation was made.
            (Some(Standing::Drained), _) => MemberState::Drained,
            (Some(Standing::Draining { .. }), _) | (_, WorkerStatus::Retiring) => {
                MemberState::Draining
            }
            (_, WorkerStatus::Paused) => MemberState::Paused,
            _ => MemberState::Serving,
        }
    }

    /// What the scheduler needs. Its one number is shared out to the groups: as many members as it
    /// counts are needed, busy ones and holders of data first; what is beyond them is useful to
    /// any group.
    pub(super) fn demand(&self, request: &DemandRequest, version: u64) -> Demand {
        let members = self.members();
        let groups: Vec<&str> = request.shapes.iter().map(|shape| &*shape.group).collect();
        let mut serving: Vec<&Member> = members
            .iter()
            .filter(|it| matches!(it.state, MemberState::Serving | MemberState::Paused))
            .collect();
        serving.sort_by_key(|it| std::cmp::Reverse((it.running > 0, it.bytes_stored, it.running)));
        let desired = count(self.observation.desired_workers);
        let useful = desired.saturating_sub(count(serving.len() as u64));

        let mut loads: BTreeMap<&str, GroupLoad> = BTreeMap::new();
        for name in &groups {
            let load = GroupLoad { group: (*name).to_owned(), ..GroupLoad::default() };
            loads.insert(name, load);
        }
        let mut load_of = |member: &Member, change: &dyn Fn(&mut GroupLoad)| {
            if let Some(load) = group::of(&member.name, &groups).and_then(|it| loads.get_mut(it)) {
                change(load);
            }
        };
        for (position, member) in (0..).zip(&serving) {
            load_of(member, &|load| {
                load.members += 1;
                load.needed += u32::from(position < desired);
            });
        }
        for member in members.iter().filter(|it| it.state == MemberState::Draining) {
            load_of(member, &|load| load.draining += 1);
        }
        let trials = request.shapes.iter();
        let trials = trials
            .map(|shape| Trial { group: shape.group.clone(), useful: useful.min(shape.most) });
        let total = |of: fn(&Member) -> u64| members.iter().map(of).sum::<u64>();
        Demand {
            version,
            epoch: self.observation.epoch(),
            classes: self.class(useful, request).into_iter().collect(),
            bytes_wanted: total(|it| it.bytes_stored),
            bytes_stored: total(|it| it.bytes_stored),
            memory_used: total(|it| it.memory_used),
            memory_limit: total(|it| it.memory_limit),
            trials: trials.collect(),
            groups: loads.into_values().collect(),
            idle_seconds: match self.observation.idle {
                Some(IdleSince::Time(since)) => Some(self.since(Some(since))),
                Some(IdleSince::Busy) | None => None,
            },
            clients: 0,
        }
    }

    /// All tasks as one class: what they ask for is not told.
    fn class(&self, useful: u32, request: &DemandRequest) -> Option<ClassDemand> {
        let workers = &self.observation.workers;
        let running: u64 = workers.iter().filter_map(WorkerIdentity::executing).sum();
        let unfinished: u64 = workers.iter().filter_map(WorkerIdentity::unfinished).sum();
        // A further worker is asked for only where a task waits for it.
        let ready = unfinished.saturating_sub(running).max(useful.into());
        let target = request.target_duration_seconds.unwrap_or(super::TARGET_SECONDS);
        (running + ready > 0).then(|| ClassDemand {
            resources: Resources::default(),
            ready,
            running,
            waiting: 0,
            estimated_seconds: self.observation.desired_workers as f64 * target,
            blocked: None,
        })
    }

    fn since(&self, time: Option<f64>) -> f64 {
        time.map_or(0.0, |time| (self.now - time).max(0.0))
    }
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
