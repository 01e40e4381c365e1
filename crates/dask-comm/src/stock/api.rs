//! A stock scheduler that is asked as ours is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use dasklet_core::{
    DeathCause,
    demand::{Demand, DemandRequest, Member, MemberRef},
};
use tokio::time::sleep;

use super::{
    Observation, Standing, StockError, StockScheduler, WorkerRef, lost::is_meant, translate::View,
};
use crate::rpc::{IdleSince, WorkerStatus};

/// Between two looks while nothing changes.
const LOOK: Duration = Duration::from_secs(1);
/// The same while workers are on their way out.
const LOOK_AT_DRAINS: Duration = Duration::from_millis(250);
/// Members are those of the last demand if that is not older.
const FRESH: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A [`StockScheduler`] that answers the questions of our own HTTP API (`/api/v1/demand`,
/// `members`, `drain`, `lost`) in the same words, so that an operator treats both alike.
///
/// A member's `instance` is its address. Drains cannot be called back.
#[derive(Debug)]
pub struct StockApi {
    scheduler: StockScheduler,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    last: Option<(Instant, Observation)>,
    version: u64,
    /// What the last version was about.
    digest: Option<Digest>,
    idle_from: BTreeMap<WorkerRef, f64>,
}

/// What makes a new version; measures that change all the time do not.
#[derive(Debug, PartialEq)]
struct Digest {
    scheduler: u64,
    desired: u64,
    is_idle: bool,
    workers: BTreeMap<WorkerRef, (WorkerStatus, Option<u64>)>,
    standings: BTreeMap<WorkerRef, Standing>,
}

impl StockApi {
    /// Asks this scheduler.
    #[must_use]
    pub fn new(scheduler: StockScheduler) -> Self {
        Self { scheduler, memory: Mutex::default() }
    }

    /// The scheduler that is asked.
    #[must_use]
    pub const fn scheduler(&self) -> &StockScheduler {
        &self.scheduler
    }

    /// The demand; waits as long as the request says for one that is newer than `after`.
    ///
    /// # Errors
    /// The scheduler does not answer; so for all the following.
    pub async fn demand(&self, request: &DemandRequest) -> Result<Demand, StockError> {
        let wait = request.wait_millis.map_or(LONGEST_WAIT, Duration::from_millis);
        let until = Instant::now() + wait;
        let target = request.target_duration_seconds.map(Duration::try_from_secs_f64);
        let target = target.and_then(Result::ok);
        loop {
            let observation = self.scheduler.observe(target).await?;
            let version = self.remember(observation);
            let is_news = request.after.is_none_or(|after| version > after);
            let pause = if self.is_draining() { LOOK_AT_DRAINS } else { LOOK };
            if is_news || Instant::now() + pause > until {
                return Ok(self
                    .with_view(|view| view.demand(request, version))
                    .unwrap_or_default());
            }
            sleep(pause).await;
        }
    }

    /// The workers, and those that are drained and are to be ended.
    ///
    /// # Errors
    /// As above.
    pub async fn members(&self) -> Result<Vec<Member>, StockError> {
        let is_fresh = self.memory().last.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
        if !is_fresh {
            let observation = self.scheduler.observe(None).await?;
            self.remember(observation);
        }
        Ok(self.with_view(|view| view.members()).unwrap_or_default())
    }

    /// Begins to drain workers, and goes on with those that it has begun with; what becomes of
    /// them is seen in [`members`](Self::members). Those that refused to go are asked again.
    ///
    /// # Errors
    /// As above.
    pub async fn drain(
        &self,
        members: &[MemberRef],
        deadline_seconds: Option<f64>,
    ) -> Result<(), StockError> {
        let workers = self.meant(members).await?;
        let within = deadline_seconds
            .map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX));
        let standings = self.scheduler.drain(&workers, within);
        let refused = workers.into_iter().zip(standings);
        let refused = refused.filter(|(_, standing)| *standing == Standing::Refused);
        let again: Vec<WorkerRef> = refused.map(|(worker, _)| worker).collect();
        self.scheduler.drain(&again, within);
        Ok(())
    }

    /// A worker is dead: its tasks run elsewhere at once. They are blamed only if they may have
    /// been the reason. `ip` is the address of its pod, for workers with names of their own; it
    /// may be empty.
    ///
    /// # Errors
    /// As above.
    pub async fn lost(
        &self,
        member: &MemberRef,
        ip: &str,
        cause: &DeathCause,
    ) -> Result<(), StockError> {
        let planned = !cause.may_be_the_tasks_doing();
        self.scheduler.lose(planned, |worker, known| is_meant(member, ip, worker, known)).await?;
        self.memory().last = None;
        Ok(())
    }

    fn is_draining(&self) -> bool {
        let standings = self.scheduler.standings();
        standings.values().any(|standing| matches!(standing, Standing::Draining { .. }))
    }

    async fn meant(&self, members: &[MemberRef]) -> Result<Vec<WorkerRef>, StockError> {
        let is_exact = |member: &MemberRef| {
            let address = member.instance.clone().filter(|instance| instance.contains("://"))?;
            Some(WorkerRef { name: member.name.clone(), address })
        };
        if let Some(exact) = members.iter().map(is_exact).collect() {
            return Ok(exact);
        }
        let known = self.scheduler.observe(None).await?.workers;
        let meant = known
            .iter()
            .filter(|worker| members.iter().any(|member| is_meant(member, "", worker, &known)));
        Ok(meant.map(WorkerRef::from).collect())
    }

    /// Takes an observation in; returns the version that it is.
    fn remember(&self, observation: Observation) -> u64 {
        let now = unix_seconds();
        let digest = Digest {
            scheduler: observation.epoch(),
            desired: observation.desired_workers,
            is_idle: matches!(observation.idle, Some(IdleSince::Time(_))),
            workers: observation
                .workers
                .iter()
                .map(|worker| (worker.into(), (worker.status, worker.unfinished())))
                .collect(),
            standings: self.scheduler.standings(),
        };
        let mut memory = self.memory();
        memory.idle_from.retain(|worker, _| digest.workers.contains_key(worker));
        for (worker, (_, unfinished)) in &digest.workers {
            if *unfinished == Some(0) {
                memory.idle_from.entry(worker.clone()).or_insert(now);
            } else {
                memory.idle_from.remove(worker);
            }
        }
        if memory.digest.as_ref() != Some(&digest) {
            memory.version += 1;
            memory.digest = Some(digest);
        }
        memory.last = Some((Instant::now(), observation));
        memory.version
    }

    fn with_view<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> Option<T> {
        let standings = self.scheduler.standings();
        let memory = self.memory();
        let (_, observation) = memory.last.as_ref()?;
        Some(read(&View {
            observation,
            standings: &standings,
            idle_from: &memory.idle_from,
            now: unix_seconds(),
        }))
    }

    /// The memory is whole after every change, so a panic elsewhere does not spoil it.
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
