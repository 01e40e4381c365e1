//! Carries drains out, in the background.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use super::{
    Endpoints, Patience, Standing, StockError, WorkerRef, drain::Batch, http::HttpApi,
    observation::unmeasured,
};
use crate::{
    Limits,
    rpc::{RetireRequest, RpcClient, WorkerIdentity},
};

/// Between two looks at workers that finish.
const LOOK: Duration = Duration::from_millis(250);
/// Looks for one walk over all workers: they report about once in a second.
const LOOKS_PER_WALK: u32 = 4;
/// After something went wrong, and before data is offered again that nobody could take.
const PAUSE: Duration = Duration::from_secs(1);
/// So long the end of a drain is remembered if nobody asks.
const MEMORY: Duration = Duration::from_secs(60);

/// The drains of one scheduler's workers. They end with it.
#[derive(Debug, Default)]
pub(super) struct Drains {
    table: Arc<Mutex<Table>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

type Table = BTreeMap<WorkerRef, Entry>;

#[derive(Debug)]
struct Entry {
    standing: Standing,
    /// Until when what it runs may be finished.
    deadline: Option<Instant>,
    asked: Instant,
}

impl Drains {
    /// How each of `workers` stands, in their order; begins to drain those that are new.
    pub(super) fn ask(
        &self,
        endpoints: &Endpoints,
        patience: Patience,
        workers: &[WorkerRef],
        finish_within: Option<Duration>,
    ) -> Vec<Standing> {
        let now = Instant::now();
        let deadline = finish_within.and_then(|within| now.checked_add(within));
        let mut table = lock(&self.table);
        table.retain(|_, entry| {
            matches!(entry.standing, Standing::Draining { .. })
                || now.duration_since(entry.asked) < MEMORY
        });
        let mut new = Vec::new();
        let mut standings = Vec::with_capacity(workers.len());
        for worker in workers {
            let entry = table.entry(worker.clone()).or_insert_with(|| {
                new.push(worker.clone());
                let standing = Standing::Draining { trouble: None };
                Entry { standing, deadline, asked: now }
            });
            entry.asked = now;
            entry.deadline = match (entry.deadline, deadline) {
                (Some(old), Some(new)) => Some(old.min(new)),
                (old, new) => old.or(new),
            };
            standings.push(entry.standing.clone());
            if entry.standing == Standing::Refused {
                table.remove(worker);
            }
        }
        drop(table);
        if !new.is_empty() {
            let drain = Drain {
                endpoints: endpoints.clone(),
                patience,
                table: Arc::clone(&self.table),
                batch: Batch::new(new),
            };
            let mut tasks = lock(&self.tasks);
            tasks.retain(|task| !task.is_finished());
            tasks.push(tokio::spawn(drain.run()).abort_handle());
        }
        standings
    }
}

impl Drains {
    /// How all workers stand that are not forgotten.
    pub(super) fn standings(&self) -> BTreeMap<WorkerRef, Standing> {
        let table = lock(&self.table);
        table.iter().map(|(worker, entry)| (worker.clone(), entry.standing.clone())).collect()
    }
}

impl Drop for Drains {
    fn drop(&mut self) {
        for task in lock(&self.tasks).iter() {
            task.abort();
        }
    }
}

/// One batch on its way.
struct Drain {
    endpoints: Endpoints,
    patience: Patience,
    table: Arc<Mutex<Table>>,
    batch: Batch,
}

impl Drain {
    async fn run(mut self) {
        while let Err(error) = self.attempt().await {
            tracing::debug!(%error, "draining workers of a Dask scheduler: trying again");
            self.publish(Some(&error.to_string()));
            tokio::time::sleep(PAUSE).await;
        }
        self.publish(None);
    }

    async fn attempt(&mut self) -> Result<(), StockError> {
        let Some(address) = &self.endpoints.rpc else {
            return self.attempt_over_http().await;
        };
        let patience = self.patience.connect;
        match RpcClient::connect(address, Limits::CONTROL, patience).await {
            Ok(mut rpc) => self.attempt_over_rpc(&mut rpc).await,
            // Over HTTP nothing is finished: not for workers that are finishing something.
            Err(rpc) if self.endpoints.http.is_none() || self.batch.has_begun() => Err(rpc.into()),
            Err(rpc) => self.attempt_over_http().await.map_err(|error| match error {
                StockError::Http(http) => StockError::on_ways(Some(rpc), Some(http)),
                other => other,
            }),
        }
    }

    async fn attempt_over_rpc(&mut self, rpc: &mut RpcClient) -> Result<(), StockError> {
        let mut looks = 0;
        loop {
            if looks % LOOKS_PER_WALK == 0 {
                let known = rpc.identity(self.patience.answer).await?.workers;
                self.batch.on_workers(&known);
            }
            looks += 1;
            if let Some((cordoned, known)) = self.retire(rpc, self.batch.to_cordon(), false).await?
            {
                self.batch.on_cordoned(&cordoned, &known);
            }
            let watched = self.batch.to_watch();
            if !watched.is_empty()
                && let Some(counts) = rpc.processing(&watched, self.patience.answer).await?
            {
                self.batch.on_processing(&counts);
            }
            self.batch_on_time();
            if let Some((retired, known)) = self.retire(rpc, self.batch.to_retire(), true).await? {
                self.batch.on_retired(&retired, &known);
            }
            if self.batch.is_over() {
                return Ok(());
            }
            self.publish(None);
            tokio::time::sleep(if self.batch.is_waiting() { PAUSE } else { LOOK }).await;
        }
    }

    /// Retires these workers; returns who was, and who is registered after that.
    async fn retire(
        &self,
        rpc: &mut RpcClient,
        workers: Vec<String>,
        remove: bool,
    ) -> Result<Option<(Vec<WorkerIdentity>, Vec<WorkerIdentity>)>, StockError> {
        if workers.is_empty() {
            return Ok(None);
        }
        let request = RetireRequest { workers, remove };
        let retired = rpc.retire_workers(&request, self.patience.retire).await?;
        let known = rpc.identity(self.patience.answer).await?.workers;
        Ok(Some((retired, known)))
    }

    async fn attempt_over_http(&mut self) -> Result<(), StockError> {
        let http = HttpApi::new(&self.endpoints, self.patience).ok_or(StockError::NoAddress)?;
        let workers = async || {
            let pairs = http.workers().await?;
            Ok::<Vec<_>, StockError>(pairs.into_iter().map(unmeasured).collect())
        };
        self.batch.on_workers(&workers().await?);
        self.batch.retire_at_once();
        let asked = self.batch.to_retire();
        if !asked.is_empty() {
            http.retire(&asked).await?;
            let known = workers().await?;
            self.batch.on_retired_at_once(&known);
        }
        Ok(())
    }

    fn batch_on_time(&mut self) {
        let now = Instant::now();
        let table = lock(&self.table);
        self.batch.on_time(|worker| {
            let deadline = table.get(worker).and_then(|entry| entry.deadline);
            deadline.is_some_and(|deadline| deadline <= now)
        });
    }

    fn publish(&self, trouble: Option<&str>) {
        let mut table = lock(&self.table);
        for (worker, mut standing) in self.batch.standings() {
            if let (Standing::Draining { trouble: told }, Some(trouble)) = (&mut standing, trouble)
            {
                *told = Some(trouble.to_owned());
            }
            if let Some(entry) = table.get_mut(worker) {
                entry.standing = standing;
            }
        }
    }
}

/// The table is whole after every change, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
