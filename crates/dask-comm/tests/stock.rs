//! What an operator does, with a real scheduler, real workers and a real client.

#![allow(clippy::unwrap_used)]

mod dask;

use std::{fs, time::Duration};

use dask::{Client, Cluster, until};
use dasklet_dask_comm::{
    rpc::{IdleSince, WorkerStatus},
    stock::{Source, Speaks, Standing, StockScheduler, WorkerRef},
};

/// Values that differ each time they are made: one that is the same was not made anew.
const MAKE: &str = "
import hashlib
def make(n): return os.urandom(n)
def digest(data): return hashlib.sha256(data).hexdigest()
def put(name, worker):
    future = client.submit(make, 1_000_000, key=name, workers=[worker], allow_other_workers=True)
    wait(future, timeout=30)
    return future
def begin(path, flag):
    with open(path, 'a') as file: file.write('begun ')
    while not os.path.exists(flag): time.sleep(0.01)
    with open(path, 'a') as file: file.write('done ')
    return 7
";

/// A task on `worker` that writes when it begins and ends; it ends once there is a file.
struct Task {
    log: String,
    flag: String,
}

impl Task {
    async fn begin(cluster: &Cluster, client: &mut Client, worker: &str) -> Self {
        let task = Self { log: cluster.path("log"), flag: cluster.path("flag") };
        client.run(MAKE);
        client.run(&format!(
            "task = client.submit(begin, {:?}, {:?}, workers=['{worker}'], allow_other_workers=True)",
            task.log, task.flag
        ));
        task.logged("begun ").await;
        task
    }

    async fn logged(&self, text: &str) {
        until(&format!("the task has logged '{text}'"), async || {
            (self.log() == text).then_some(())
        })
        .await;
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn end(&self) {
        fs::write(&self.flag, "").unwrap();
    }
}

/// Drains until all is decided.
async fn drain(stock: &StockScheduler, workers: &[WorkerRef]) -> Vec<Standing> {
    let mut decided = vec![None; workers.len()];
    until("all workers are drained or not", async || {
        let open = |at: &usize| decided[*at].is_none();
        let undecided: Vec<usize> = (0..workers.len()).filter(open).collect();
        let named: Vec<WorkerRef> = undecided.iter().map(|at| workers[*at].clone()).collect();
        for (at, standing) in undecided.into_iter().zip(stock.drain(&named, None)) {
            let is_decided = !matches!(standing, Standing::Draining { .. });
            decided[at] = is_decided.then_some(standing);
        }
        decided.iter().cloned().collect::<Option<Vec<_>>>()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_is_seen_as_it_is() {
    let mut cluster = Cluster::start(2).await;
    let stock = cluster.stock();
    let speaks = stock.speaks().await.unwrap();
    assert_eq!(speaks, Speaks { rpc: true, json: true, ..Speaks::default() });

    let idle = stock.observe(None).await.unwrap();
    let mut names: Vec<&str> = idle.workers.iter().map(|worker| &*worker.name).collect();
    names.sort_unstable();
    assert_eq!((names, idle.source), (vec!["w0", "w1"], Source::Rpc));
    for worker in &idle.workers {
        assert_eq!((worker.status, worker.threads), (WorkerStatus::Running, 1));
        assert_eq!((worker.memory_limit, worker.unfinished()), (512_000_000, Some(0)));
        assert!(worker.memory_used > 10_000_000, "{worker:?}");
    }
    until("it says since when it is idle", async || {
        let idle = stock.observe(None).await.unwrap().idle;
        matches!(idle, Some(IdleSince::Time(since)) if since > 1e9).then_some(())
    })
    .await;

    let mut client = cluster.client();
    client.run("futures = client.map(time.sleep, [2 + i / 1000 for i in range(8)])");
    until("both workers are busy", async || {
        let busy = stock.observe(None).await.unwrap();
        let all = busy.workers.iter().all(|worker| worker.executing() == Some(1));
        (all && busy.idle == Some(IdleSince::Busy)).then_some(())
    })
    .await;
    let in_time = |seconds| Some(Duration::from_secs(seconds));
    let soon = stock.observe(in_time(1)).await.unwrap().desired_workers;
    let late = stock.observe(in_time(1000)).await.unwrap().desired_workers;
    assert!(soon > 2 && soon <= 8 && late < soon, "{soon} {late}");
    assert_eq!(stock.workers_to_close(1).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_workers_data_is_elsewhere() {
    let mut cluster = Cluster::start(2).await;
    let (stock, mut client) = (cluster.stock(), cluster.client());
    client.run(MAKE);
    let before = client.run("a = put('a', 'w0')\nresult = digest(a.result(30))");
    let (w0, w1) = (cluster.worker("w0").await, cluster.worker("w1").await);
    assert_eq!(drain(&stock, std::slice::from_ref(&w0)).await, [Standing::Drained]);

    let holders = client.run("result = list(client.who_has([a]).values())");
    assert_eq!(holders, serde_json::json!([[w1.address]]));
    assert_eq!(client.run("result = digest(a.result(30))"), before);
    let left = stock.observe(None).await.unwrap();
    assert_eq!(left.workers.iter().map(WorkerRef::from).collect::<Vec<_>>(), [w1]);
    // It is remembered, so that the caller may ask once more.
    assert_eq!(stock.drain(&[w0], None), [Standing::Drained]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_holders_live_on() {
    let mut cluster = Cluster::start(2).await;
    let (stock, mut client) = (cluster.stock(), cluster.client());
    client.run(MAKE);
    let read = "result = [digest(a.result(30)), digest(b.result(30))]";
    let before = client.run(&format!("a = put('a', 'w0')\nb = put('b', 'w1')\n{read}"));
    let both = [cluster.worker("w0").await, cluster.worker("w1").await];
    assert_eq!(drain(&stock, &both).await, [Standing::Refused, Standing::Refused]);
    assert_eq!(client.run(read), before);
    until("they take tasks again", async || {
        let now = stock.observe(None).await.unwrap();
        let running = now.workers.iter().filter(|it| it.status == WorkerStatus::Running);
        (running.count() == 2).then_some(())
    })
    .await;

    cluster.start_worker("w2");
    until("another worker has come", async || {
        (stock.observe(None).await.unwrap().workers.len() == 3).then_some(())
    })
    .await;
    assert_eq!(drain(&stock, &both).await, [Standing::Drained, Standing::Drained]);
    assert_eq!(client.run(read), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_is_finished_before_its_worker_goes() {
    let mut cluster = Cluster::without_second_chance(2).await;
    let (stock, mut client) = (cluster.stock(), cluster.client());
    let task = Task::begin(&cluster, &mut client, "w0").await;
    let w0 = cluster.worker("w0").await;
    stock.drain(std::slice::from_ref(&w0), None);
    let mut heartbeats = Vec::new();
    until("it has sent heartbeats since it was told to go", async || {
        assert!(matches!(
            stock.drain(std::slice::from_ref(&w0), None)[0],
            Standing::Draining { .. }
        ));
        let now = stock.observe(None).await.unwrap();
        let worker = now.workers.iter().find(|worker| w0.is(worker)).unwrap();
        if worker.status == WorkerStatus::Retiring && !heartbeats.contains(&worker.last_seen) {
            heartbeats.push(worker.last_seen);
        }
        (heartbeats.len() > 4).then_some(())
    })
    .await;
    task.end();
    assert_eq!(drain(&stock, &[w0]).await, [Standing::Drained]);
    assert_eq!(client.run("result = task.result(30)"), 7);
    assert_eq!(task.log(), "begun done ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_starts_nothing_more_waits_for_somebody_who_takes_its_data() {
    let mut cluster = Cluster::without_second_chance(2).await;
    let (stock, mut client) = (cluster.stock(), cluster.client());
    let task = Task::begin(&cluster, &mut client, "w0").await;
    let w0 = [cluster.worker("w0").await];
    stock.drain(&w0, None);
    until("w0 starts nothing more", async || {
        let now = stock.observe(None).await.unwrap();
        now.workers.iter().any(|it| it.status == WorkerStatus::Retiring).then_some(())
    })
    .await;
    cluster.process("w1").kill();
    until("w1 is gone", async || {
        (stock.observe(None).await.unwrap().workers.len() == 1).then_some(())
    })
    .await;
    task.end();
    until("w0 waits", async || match &stock.drain(&w0, None)[0] {
        Standing::Draining { trouble: Some(trouble) } => {
            assert!(trouble.contains("holds data"), "{trouble}");
            Some(())
        }
        Standing::Draining { trouble: None } => None,
        other => panic!("{other:?}"),
    })
    .await;
    cluster.start_worker("w2");
    assert_eq!(drain(&stock, &w0).await, [Standing::Drained]);
    assert_eq!(client.run("result = task.result(30)"), 7);
    assert_eq!(task.log(), "begun done ");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_time_is_up_another_worker_runs_the_task() {
    let mut cluster = Cluster::without_second_chance(2).await;
    let (stock, mut client) = (cluster.stock(), cluster.client());
    let task = Task::begin(&cluster, &mut client, "w0").await;
    let w0 = cluster.worker("w0").await;
    stock.drain(std::slice::from_ref(&w0), Some(Duration::ZERO));
    assert_eq!(drain(&stock, &[w0]).await, [Standing::Drained]);
    task.logged("begun begun ").await;
    cluster.process("w0").kill();
    task.end();
    assert_eq!(client.run("result = task.result(30)"), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_workers_tasks_run_elsewhere_at_once() {
    let mut cluster = Cluster::without_second_chance(2).await;
    let (stock, mut client) = (cluster.stock(), cluster.client());
    let task = Task::begin(&cluster, &mut client, "w0").await;
    let (w0, w1) = (cluster.worker("w0").await, cluster.worker("w1").await);
    // As on a node that is gone: nobody closes the connections.
    cluster.process("w0").signal("-STOP");
    assert!(stock.lost(&w0, true).await.unwrap());
    task.logged("begun begun ").await;
    assert!(!stock.lost(&w0, true).await.unwrap());
    let other = WorkerRef { name: "newcomer".to_owned(), ..w1.clone() };
    assert!(!stock.lost(&other, false).await.unwrap());

    // It is to blame for the second death, and here one is enough.
    assert!(stock.lost(&w1, false).await.unwrap());
    let error = client.run_to_error("task.result(30)");
    assert!(error.contains("KilledWorker"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_http_answers_workers_are_seen_and_retired() {
    let mut cluster = Cluster::with_api(2).await;
    let (stock, mut client) = (cluster.stock_over_http(), cluster.client());
    let speaks = stock.speaks().await.unwrap();
    assert_eq!(speaks, Speaks { api: true, json: true, ..Speaks::default() });
    client.run(MAKE);
    let read = "result = [digest(a.result(30)), digest(b.result(30))]";
    let before = client.run(&format!("a = put('a', 'w0')\nb = put('b', 'w1')\n{read}"));
    let seen = stock.observe(None).await.unwrap();
    assert_eq!((seen.workers.len(), seen.source), (2, Source::Http));
    assert!(seen.idle.is_some());
    let both = [cluster.worker("w0").await, cluster.worker("w1").await];
    assert_eq!(drain(&stock, &both).await, [Standing::Refused, Standing::Refused]);
    assert_eq!(drain(&stock, &both[..1]).await, [Standing::Drained]);
    assert_eq!(client.run(read), before);
    assert_eq!(stock.observe(None).await.unwrap().workers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_tells_no_workers_over_http_is_told_what_to_do() {
    let mut cluster = Cluster::start(1).await;
    let stock = cluster.stock_over_http();
    let measured = stock.observe(None).await.unwrap();
    assert_eq!((measured.workers.len(), measured.idle), (1, None));
    let mut client = cluster.client();
    client.run("client.submit(len, 'abc').result()");
    // Its /json/identity.json fails from now on.
    let error =
        until("the worker's next heartbeat", async || stock.observe(None).await.err()).await;
    assert!(error.to_string().contains("distributed.http.scheduler.api"), "{error}");
}
