//! A scheduler and its workers.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use dasklet_dask_comm::{
    rpc::Address,
    stock::{Endpoints, HttpAddress, Patience, StockScheduler, WorkerRef},
};
use tempfile::TempDir;

use super::{Client, process::Process};

const START: Duration = Duration::from_secs(60);

pub struct Cluster {
    pub address: Address,
    pub http: HttpAddress,
    pub workers: Vec<Worker>,
    pub scheduler: Process,
    folder: TempDir,
    clients: u32,
}

pub struct Worker {
    pub name: String,
    pub process: Process,
}

impl Cluster {
    /// A scheduler with so many workers of one thread: w0, w1, ...
    pub async fn start(workers: u32) -> Self {
        Self::with(workers, &[]).await
    }

    /// The same with `/api/v1` switched on.
    pub async fn with_api(workers: u32) -> Self {
        let routes = "['distributed.http.scheduler.json', 'distributed.http.scheduler.api', \
                      'distributed.http.health']";
        Self::with(workers, &[("DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES", routes)]).await
    }

    /// The same in which a task fails at the first death it is blamed for.
    pub async fn without_second_chance(workers: u32) -> Self {
        Self::with(workers, &[("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")]).await
    }

    async fn with(workers: u32, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let (scheduler, address, http) = start_scheduler(folder.path(), &settings, 0).await;
        let mut cluster =
            Self { address, http, workers: Vec::new(), scheduler, folder, clients: 0 };
        for number in 0..workers {
            cluster.start_worker(&format!("w{number}"));
        }
        let stock = cluster.stock();
        until("all workers are there", async || {
            let now = stock.observe(None).await.unwrap();
            // Their first heartbeat with measures has come, too.
            let all = now.workers.iter().filter(|worker| worker.tasks.is_some()).count();
            (all == workers as usize).then_some(())
        })
        .await;
        cluster
    }

    pub fn start_worker(&mut self, name: &str) {
        let mut args = words("worker --nthreads 1 --no-nanny --no-dashboard --memory-limit 512MB");
        args.extend(words("--host 127.0.0.1 --death-timeout 60 --name"));
        args.extend([name.to_owned(), "--local-directory".to_owned()]);
        args.push(self.folder.path().join(name).display().to_string());
        args.push(self.address.to_string());
        let log = self.folder.path().join(format!("{name}.log"));
        let process = Process::dask(&args, &[], log);
        self.workers.push(Worker { name: name.to_owned(), process });
    }

    /// Kills the scheduler; what it knew is lost.
    pub fn kill_scheduler(&mut self) {
        self.scheduler.kill();
    }

    /// A new scheduler at the same address.
    pub async fn restart_scheduler(&mut self) {
        let port = self.address.to_string().rsplit(':').next().unwrap().parse().unwrap();
        let (scheduler, ..) = start_scheduler(self.folder.path(), &[], port).await;
        self.scheduler = scheduler;
    }

    pub fn endpoints(&self) -> Endpoints {
        Endpoints { rpc: Some(self.address.clone()), http: Some(self.http.clone()) }
    }

    /// As an operator sees it.
    pub fn stock(&self) -> StockScheduler {
        StockScheduler::new(self.endpoints(), Patience::default())
    }

    /// As an operator sees it that reaches only the HTTP port.
    pub fn stock_over_http(&self) -> StockScheduler {
        StockScheduler::new(Endpoints { rpc: None, ..self.endpoints() }, Patience::default())
    }

    /// As a Python user sees it.
    pub fn client(&mut self) -> Client {
        self.clients += 1;
        let log = self.folder.path().join(format!("client-{}.log", self.clients));
        Client::connect(&self.address, log)
    }

    /// A file of the test.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn process(&mut self, name: &str) -> &mut Process {
        &mut self.workers.iter_mut().find(|worker| worker.name == name).unwrap().process
    }

    /// A worker by name and address.
    pub async fn worker(&self, name: &str) -> WorkerRef {
        let now = self.stock().observe(None).await.unwrap();
        now.workers.iter().find(|worker| worker.name == name).unwrap().into()
    }
}

async fn start_scheduler(
    folder: &Path,
    settings: &[(String, String)],
    port: u16,
) -> (Process, Address, HttpAddress) {
    let file = folder.join("scheduler.json");
    let _ = fs::remove_file(&file);
    let mut args = words("scheduler --host 127.0.0.1 --dashboard-address 127.0.0.1:0 --port");
    args.extend([port.to_string(), "--scheduler-file".to_owned(), file.display().to_string()]);
    let mut scheduler = Process::dask(&args, settings, folder.join("scheduler.log"));
    let identity = until("the scheduler listens", async || {
        assert!(scheduler.is_running(), "{}", scheduler.log());
        let text = fs::read(&file).ok()?;
        serde_json::from_slice::<serde_json::Value>(&text).ok()
    })
    .await;
    let address = identity["address"].as_str().unwrap().parse().unwrap();
    let port = identity["services"]["dashboard"].as_u64().unwrap().try_into().unwrap();
    (scheduler, address, HttpAddress::new("127.0.0.1", port))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Asks until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < START, "waited for {START:?}, but not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
