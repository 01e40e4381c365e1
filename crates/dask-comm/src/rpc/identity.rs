//! What a scheduler tells about itself and its workers.

use std::collections::BTreeMap;

use crate::value::{Map, ShapeError, Value};

/// The answer to `identity`.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerIdentity {
    /// Differs for each life of a scheduler.
    pub id: String,
    /// When it was started, in seconds since 1970.
    pub started: f64,
    /// How many workers it has, listed here or not.
    pub n_workers: u64,
    /// Its workers.
    pub workers: Vec<WorkerIdentity>,
}

/// One worker, as of its last heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerIdentity {
    /// Where it listens; the scheduler knows it by this.
    pub address: String,
    /// Its name. Several processes of one `dask worker` command are `NAME-0`, `NAME-1`, ...
    pub name: String,
    /// How it stands.
    pub status: WorkerStatus,
    /// Threads.
    pub threads: u64,
    /// Its memory limit in bytes; zero: none.
    pub memory_limit: u64,
    /// Its resident memory in bytes.
    pub memory_used: u64,
    /// Bytes of results in its memory.
    pub bytes_managed: u64,
    /// Bytes of results on its disk.
    pub bytes_spilled: u64,
    /// When its last heartbeat came, in seconds since 1970 by the scheduler's clock.
    pub last_seen: f64,
    /// Its tasks by state (`executing`, `ready`, `memory`, ...); absent where nobody tells.
    pub tasks: Option<BTreeMap<String, u64>>,
    /// What it offers to tasks beyond threads.
    pub resources: BTreeMap<String, f64>,
}

/// How a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerStatus {
    /// Takes tasks.
    Running,
    /// Starts nothing until its memory is below the limit again.
    Paused,
    /// Is being retired: starts nothing, gives its results to others.
    Retiring,
    /// Is coming or going.
    Other,
    /// Nobody told.
    Unknown,
}

impl WorkerIdentity {
    /// Tasks that run on it; absent where nobody tells.
    #[must_use]
    pub fn executing(&self) -> Option<u64> {
        self.count(&["executing", "long-running"])
    }

    /// Tasks that were handed to it and are not done; absent where nobody tells.
    #[must_use]
    pub fn unfinished(&self) -> Option<u64> {
        self.count(&["executing", "long-running", "ready", "constrained", "waiting", "resumed"])
    }

    fn count(&self, states: &[&str]) -> Option<u64> {
        let tasks = self.tasks.as_ref()?;
        Some(states.iter().filter_map(|state| tasks.get(*state)).sum())
    }

    fn from_map(address: &str, map: &Map) -> Result<Self, ShapeError> {
        let nothing = Map::new();
        let metrics = map.get("metrics").map_or(Ok(&nothing), |it| it.as_map("'metrics'"))?;
        let spilled = match metrics.get("spilled_bytes") {
            Some(Value::Map(spilled)) => number(spilled, "disk"),
            _ => 0,
        };
        Ok(Self {
            address: address.to_owned(),
            name: map.required("name")?.to_name("'name' of a worker")?,
            status: match map.required("status")?.as_str("'status' of a worker")? {
                "running" => WorkerStatus::Running,
                "paused" => WorkerStatus::Paused,
                "closing_gracefully" => WorkerStatus::Retiring,
                _ => WorkerStatus::Other,
            },
            threads: number(map, "nthreads"),
            memory_limit: number(map, "memory_limit"),
            memory_used: number(metrics, "memory"),
            bytes_managed: number(metrics, "managed_bytes"),
            bytes_spilled: spilled,
            last_seen: map.get("last_seen").and_then(|it| it.as_f64("").ok()).unwrap_or_default(),
            tasks: metrics
                .get("task_counts")
                .map(|counts| measures(counts, |value| value.as_u64("").ok())),
            resources: map
                .get("resources")
                .map(|resources| measures(resources, |value| value.as_f64("").ok()))
                .unwrap_or_default(),
        })
    }
}

impl SchedulerIdentity {
    /// From the answer to `identity`, or from `/json/identity.json`.
    ///
    /// # Errors
    /// It is of another shape. What is only measured (metrics) may be missing.
    pub fn from_value(reply: &Value) -> Result<Self, ShapeError> {
        let map = reply.as_map("the identity")?;
        let workers = map.required("workers")?.as_map("'workers'")?;
        Ok(Self {
            id: map.required("id")?.to_name("'id'")?,
            started: map.get("started").and_then(|it| it.as_f64("").ok()).unwrap_or_default(),
            n_workers: map
                .get("n_workers")
                .and_then(|it| it.as_u64("").ok())
                .unwrap_or(workers.len() as u64),
            workers: workers_from_map(workers)?,
        })
    }
}

/// From a map of addresses to identities.
pub(crate) fn workers_from_map(workers: &Map) -> Result<Vec<WorkerIdentity>, ShapeError> {
    workers
        .iter()
        .map(|(address, identity)| {
            let address = address.as_str("a worker's address")?;
            WorkerIdentity::from_map(address, identity.as_map("a worker's identity")?)
        })
        .collect()
}

fn number(map: &Map, name: &str) -> u64 {
    map.get(name).and_then(|value| value.as_u64("").ok()).unwrap_or_default()
}

fn measures<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> BTreeMap<String, T> {
    let Value::Map(map) = value else { return BTreeMap::new() };
    map.iter()
        .filter_map(|(name, value)| Some((name.as_str("").ok()?.to_owned(), read(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: impl Into<Value>) -> Map {
        Map::new().with("name", name).with("status", "closing_gracefully").with("nthreads", 2_i64)
    }

    fn identity(workers: Map) -> Value {
        Value::map([("id", "Scheduler-1".into()), ("workers", workers.into())])
    }

    #[test]
    fn a_worker_without_metrics_is_a_worker() {
        let reply = identity(Map::new().with("tcp://h:1", worker("w-0")));
        let identity = SchedulerIdentity::from_value(&reply).unwrap();
        assert_eq!((identity.n_workers, identity.workers[0].threads), (1, 2));
        assert_eq!(identity.workers[0].status, WorkerStatus::Retiring);
        assert_eq!(identity.workers[0].unfinished(), None);
    }

    #[test]
    fn names_that_are_numbers_are_names() {
        let reply = identity(Map::new().with("tcp://h:1", worker(7_i64)));
        assert_eq!(SchedulerIdentity::from_value(&reply).unwrap().workers[0].name, "7");
    }

    #[test]
    fn measures_are_read_where_they_are() {
        let tasks = Map::new().with("executing", 1_i64).with("ready", 3_i64).with("memory", 9_i64);
        let metrics = Map::new()
            .with("memory", 1.5e9)
            .with("managed_bytes", 70_i64)
            .with("spilled_bytes", Map::new().with("memory", 5_i64).with("disk", 4_i64))
            .with("task_counts", tasks);
        let reply = identity(Map::new().with("tcp://h:1", worker("w").with("metrics", metrics)));
        let worker = SchedulerIdentity::from_value(&reply).unwrap().workers.remove(0);
        assert_eq!((worker.executing(), worker.unfinished()), (Some(1), Some(4)));
        assert_eq!((worker.memory_used, worker.bytes_managed), (1_500_000_000, 70));
        assert_eq!(worker.bytes_spilled, 4);
    }

    #[test]
    fn what_is_no_identity_is_told_why() {
        for (reply, reason) in [
            (Value::Nil, "the identity should be a dict and is None"),
            (Value::map([("id", "x".into())]), "'workers' should be present and is missing"),
            (identity(Map::new().with("a", Map::new())), "'name' should be present"),
        ] {
            let error = SchedulerIdentity::from_value(&reply).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
