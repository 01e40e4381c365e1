//! One stock scheduler.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{
    Endpoints, HttpError, Observation, Patience, Source, Speaks, Standing, StockError, WorkerRef,
    draining::Drains, http::HttpApi, observation::Parts,
};
use crate::{
    Limits,
    rpc::{RpcClient, RpcError, SchedulerIdentity, WorkerIdentity},
};

/// After its protocol gave no answer and HTTP did, a scheduler is asked only by HTTP so long.
const RPC_PAUSE: Duration = Duration::from_secs(30);

/// A stock Dask scheduler, as an operator needs it.
///
/// Everything is asked over Dask's own protocol if it answers there, and otherwise over HTTP:
/// every scheduler speaks the former, it tells all that there is to know in one round trip each
/// on a connection that is kept, takes the target duration, and tells workers' loads where
/// `/json/identity.json` fails.
///
/// ```no_run
/// # use std::time::Duration;
/// # use dasklet_dask_comm::stock::{Endpoints, Patience, Standing, StockScheduler, WorkerRef};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let scheduler = StockScheduler::new(
///     Endpoints {
///         rpc: Some("tcp://demo-scheduler.default.svc:8786".parse()?),
///         http: Some("http://demo-scheduler.default.svc:8787".parse()?),
///     },
///     Patience::default(),
/// );
/// // Once for a scheduler: ours, or stock?
/// if scheduler.speaks().await?.dasklet {
///     return Ok(());
/// }
/// // Every second or so.
/// let observation = scheduler.observe(Some(Duration::from_secs(5))).await?;
/// println!("{} of {}", observation.workers.len(), observation.desired_workers);
/// // Take out the workers of one pod: ask again and again until it is decided.
/// let leaving: Vec<WorkerRef> =
///     observation.workers_of("demo-default-worker-3").map(WorkerRef::from).collect();
/// let standings = scheduler.drain(&leaving, Some(Duration::from_secs(60)));
/// if standings.iter().all(|standing| *standing == Standing::Drained) {
///     // Delete the pod.
/// }
/// // A pod was evicted: its tasks shall run elsewhere at once, and not be blamed.
/// scheduler.lost(&leaving[0], true).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StockScheduler {
    endpoints: Endpoints,
    patience: Patience,
    line: Mutex<Line>,
    drains: Drains,
}

/// The connection that is kept for looks.
#[derive(Debug, Default)]
struct Line {
    client: Option<RpcClient>,
    /// Not to be tried before.
    not_before: Option<Instant>,
}

impl StockScheduler {
    /// A scheduler at these addresses. Connects when it is asked something.
    #[must_use]
    pub fn new(endpoints: Endpoints, patience: Patience) -> Self {
        Self { endpoints, patience, line: Mutex::default(), drains: Drains::default() }
    }

    /// Where it is.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Finds out what answers at the addresses.
    ///
    /// # Errors
    /// Nothing answers.
    pub async fn speaks(&self) -> Result<Speaks, StockError> {
        Speaks::ask(&self.endpoints, self.patience).await
    }

    /// Looks at workers, need and idleness. `target` is how soon the work should be done
    /// (absent: the scheduler's own setting; over HTTP always so).
    ///
    /// # Errors
    /// Neither address gives an answer.
    pub async fn observe(&self, target: Option<Duration>) -> Result<Observation, StockError> {
        let mut line = self.line.lock().await;
        let http = HttpApi::new(&self.endpoints, self.patience);
        let resting = line.not_before.is_some_and(|time| Instant::now() < time);
        let rpc = match &http {
            Some(_) if resting => None,
            _ => match self.observe_over_rpc(&mut line, target).await {
                Ok(observation) => return Ok(observation),
                Err(error) => error,
            },
        };
        let http = match http {
            Some(http) => observe_over_http(&http).await,
            None => return Err(StockError::on_ways(rpc, None)),
        };
        match http {
            Ok(observation) => {
                if rpc.is_some() {
                    line.not_before = Some(Instant::now() + RPC_PAUSE);
                }
                Ok(observation)
            }
            Err(error) => {
                line.not_before = None;
                Err(StockError::on_ways(rpc, Some(error)))
            }
        }
    }

    async fn observe_over_rpc(
        &self,
        line: &mut Line,
        target: Option<Duration>,
    ) -> Result<Observation, Option<RpcError>> {
        let kept = line.client.take();
        let is_new = kept.is_none();
        let mut client = match kept {
            Some(client) => client,
            None => self.connect().await?,
        };
        let mut observation = look(&mut client, target, self.patience.answer).await;
        // A connection that was kept may have ended long ago.
        if !is_new && matches!(observation, Err(RpcError::Lost { .. } | RpcError::Broken { .. })) {
            client = self.connect().await?;
            observation = look(&mut client, target, self.patience.answer).await;
        }
        if !client.is_broken() {
            line.client = Some(client);
        }
        Ok(observation?)
    }

    /// How each of `workers` stands on its way out, in their order; begins to drain those for
    /// which this is the first call. Returns at once: call it again until all is decided, and
    /// within a minute of that, or it is forgotten. It may begin anew after the caller was
    /// restarted: a worker that is already draining goes on.
    ///
    /// What the workers run may be finished until `finish_within` from the first call (the
    /// shortest of several counts; absent: no limit). After that others run it, and it does not
    /// count as a failure. Data that only they hold is moved, however long it takes. Where only
    /// HTTP answers, running tasks are given to others at once.
    ///
    /// Must be called within a tokio runtime.
    pub fn drain(&self, workers: &[WorkerRef], finish_within: Option<Duration>) -> Vec<Standing> {
        self.drains.ask(&self.endpoints, self.patience, workers, finish_within)
    }

    /// How all workers stand that [`drain`](Self::drain) was asked about and that are not
    /// forgotten yet.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<WorkerRef, Standing> {
        self.drains.standings()
    }

    /// Up to `count` workers that the scheduler would rather lose than others, by address, the
    /// cheapest first: a ranking, in which busy workers and those of other groups may be.
    ///
    /// # Errors
    /// Dask's protocol gives no answer.
    pub async fn workers_to_close(&self, count: u32) -> Result<Vec<String>, StockError> {
        let mut client = self.connect().await.map_err(|error| StockError::on_ways(error, None))?;
        Ok(client.workers_to_close(count, self.patience.answer).await?)
    }

    /// Tells that a worker has died, so that its tasks run elsewhere at once, before any timeout.
    /// With `planned` (evicted, preempted, node lost, deleted), the death is not held against the
    /// tasks that ran there; otherwise (out of memory, crashed) it is, and a task that is there
    /// at every death fails in the end. False: the scheduler knows no such worker any more.
    ///
    /// # Errors
    /// Dask's protocol gives no answer.
    pub async fn lost(&self, worker: &WorkerRef, planned: bool) -> Result<bool, StockError> {
        Ok(self.lose(planned, |it, _| worker.is(it)).await? > 0)
    }

    /// The same for all that are meant among those known. A connection of its own: a look that
    /// waits for a slow scheduler does not hold it up.
    pub(super) async fn lose(
        &self,
        planned: bool,
        is_meant: impl Fn(&WorkerIdentity, &[WorkerIdentity]) -> bool,
    ) -> Result<usize, StockError> {
        let mut client = self.connect().await.map_err(|error| StockError::on_ways(error, None))?;
        // Another worker may have got the address of the dead one.
        let known = client.identity(self.patience.answer).await?.workers;
        let dead: Vec<&WorkerIdentity> = known.iter().filter(|it| is_meant(it, &known)).collect();
        for worker in &dead {
            client.unregister(&worker.address, planned, self.patience.answer).await?;
        }
        Ok(dead.len())
    }

    async fn connect(&self) -> Result<RpcClient, Option<RpcError>> {
        let address = self.endpoints.rpc.as_ref().ok_or(None)?;
        Ok(RpcClient::connect(address, Limits::CONTROL, self.patience.connect).await?)
    }
}

async fn look(
    client: &mut RpcClient,
    target: Option<Duration>,
    patience: Duration,
) -> Result<Observation, RpcError> {
    let parts = Parts {
        identity: Ok(client.identity(patience).await?),
        desired_workers: client.adaptive_target(target, patience).await?,
        idle: Some(client.check_idle(patience).await?),
        source: Source::Rpc,
    };
    Ok(parts.into())
}

async fn observe_over_http(http: &HttpApi) -> Result<Observation, HttpError> {
    let identity = match http.identity().await {
        Ok(identity) => Ok::<SchedulerIdentity, _>(identity),
        Err(error) if error.is_answer() => match http.workers().await {
            Err(error) if error.is_answer() => return Err(http.no_workers()),
            workers => Err(workers?),
        },
        Err(error) => return Err(error),
    };
    let desired_workers = match http.adaptive_target().await {
        Err(error) if error.is_answer() => http.desired_workers().await?,
        target => target?,
    };
    let idle = match http.check_idle().await {
        Err(error) if error.is_answer() => None,
        idle => Some(idle?),
    };
    Ok(Parts { identity, desired_workers, idle, source: Source::Http }.into())
}
