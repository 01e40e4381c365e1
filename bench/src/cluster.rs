//! A scheduler and workers as processes of this machine, and a client in this one.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use dasklet_client::Client;
use serde_json::{Map, Value, json};

use crate::process::{Process, Role, own_cpu_seconds};

/// More zero workers than this share a process.
const OWN_PROCESSES: u32 = 8;
/// Longest time for processes to start.
const START: Duration = Duration::from_secs(60);

/// How many workers, and which.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    /// How many.
    pub number: u32,
    /// Tasks at once on each.
    pub slots: u32,
    /// They answer at once and run nothing.
    pub zero: bool,
}

/// A running cluster; dropping it ends its processes.
#[derive(Debug)]
pub struct Cluster {
    /// The processes of the workers; ended before the scheduler, which they would miss.
    pub workers: Vec<Process>,
    /// The scheduler.
    pub scheduler: Process,
    /// Connected to the scheduler.
    pub client: Client,
    address: String,
    http_port: u16,
    /// Processor seconds at the last mark: this process, scheduler, workers.
    marked: (f64, f64, f64),
}

impl Cluster {
    /// Starts it and waits until all workers are there.
    pub async fn start(workers: Workers) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("ports");
        let mut arguments = vec!["--host=127.0.0.1".to_owned()];
        arguments.extend(["--port=0", "--http-port=0", "--output=none"].map(str::to_owned));
        arguments.extend(["--port-file".to_owned(), file.display().to_string()]);
        let mut scheduler = Process::start(Role::Scheduler, &arguments)?;
        let (address, http_port) = ports(&file, &mut scheduler).await?;
        let client = Client::connect(&address).await?;
        let marked = (0.0, 0.0, 0.0);
        let mut cluster =
            Self { scheduler, workers: Vec::new(), client, address, http_port, marked };
        if workers.zero && workers.number > OWN_PROCESSES {
            cluster.add_zero_pool(workers)?;
        } else {
            for number in 0..workers.number {
                cluster.add_worker(&format!("bench-{number}"), workers.slots, workers.zero)?;
            }
        }
        cluster.wait_for_workers(workers.number as usize).await?;
        cluster.mark()?;
        Ok(cluster)
    }

    /// Starts a worker.
    pub fn add_worker(&mut self, name: &str, slots: u32, zero: bool) -> Result<()> {
        let mut arguments = vec![
            format!("--scheduler={}", self.address),
            format!("--name={name}"),
            format!("--slots={slots}"),
            "--data-host=127.0.0.1".to_owned(),
        ];
        if zero {
            arguments.push("--zero".to_owned());
        }
        self.workers.push(Process::start(Role::Worker, &arguments)?);
        Ok(())
    }

    fn add_zero_pool(&mut self, workers: Workers) -> Result<()> {
        let arguments = [
            "zero-workers".to_owned(),
            format!("--scheduler={}", self.address),
            format!("--workers={}", workers.number),
            format!("--slots={}", workers.slots),
        ];
        self.workers.push(Process::again(&arguments)?);
        Ok(())
    }

    /// Waits until so many workers are connected.
    pub async fn wait_for_workers(&mut self, number: usize) -> Result<()> {
        let since = Instant::now();
        while self.members()?.len() != number {
            anyhow::ensure!(since.elapsed() < START, "{number} workers did not come in time");
            self.scheduler.check("scheduler")?;
            for worker in &mut self.workers {
                worker.check("worker")?;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn members(&self) -> Result<Vec<Value>> {
        let body = self.http_get("/api/v1/members")?;
        serde_json::from_str(&body).with_context(|| format!("members of the cluster: {body}"))
    }

    /// A GET of the scheduler's HTTP API.
    pub fn http_get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
        Ok(body.to_owned())
    }

    fn cpu(&self) -> Result<(f64, f64, f64)> {
        let workers: Result<Vec<f64>> = self.workers.iter().map(Process::cpu_seconds).collect();
        Ok((own_cpu_seconds()?, self.scheduler.cpu_seconds()?, workers?.iter().sum()))
    }

    /// Processor seconds count from here.
    pub fn mark(&mut self) -> Result<()> {
        self.marked = self.cpu()?;
        Ok(())
    }

    /// Processor seconds since the mark: all together, and for each role.
    pub fn cpu_since_mark(&self) -> Result<(f64, Map<String, Value>)> {
        let (now, then) = (self.cpu()?, self.marked);
        let used = [now.0 - then.0, now.1 - then.1, now.2 - then.2];
        let names = ["client", "scheduler", "workers"];
        let each = names.iter().zip(used).map(|(name, seconds)| {
            ((*name).to_owned(), json!((seconds * 1000.0).round() / 1000.0))
        });
        Ok((used.iter().sum(), each.collect()))
    }
}

/// Waits for the file in which the scheduler says where it listens.
async fn ports(file: &Path, scheduler: &mut Process) -> Result<(String, u16)> {
    let since = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(file)
            && let Ok(ports) = serde_json::from_str::<Value>(&text)
        {
            let address = ports["scheduler"].as_str().context("the scheduler's address")?;
            let port = ports["httpPort"].as_u64().context("the scheduler's HTTP port")?;
            let port = u16::try_from(port)?;
            return Ok((address.to_owned(), port));
        }
        scheduler.check("scheduler")?;
        anyhow::ensure!(since.elapsed() < START, "the scheduler did not start in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
