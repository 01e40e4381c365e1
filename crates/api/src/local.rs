//! A worker as a process on this machine.

use std::collections::BTreeMap;

use dasklet_core::{
    Resources,
    quantity::{parse_thousandths, parse_units},
    resources::{CPU, MEMORY},
};
use serde_json::Value;

use crate::worker::WorkerSpec;

/// What a local run uses of a worker's spec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalWorker {
    /// How many tasks run at once.
    pub threads: u32,
    /// The memory limit; absent: none is given.
    pub memory_bytes: Option<u64>,
    /// What it offers beyond cpu and memory, in thousandths.
    pub resources: Resources,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
}

impl LocalWorker {
    /// What the worker offers in all, in thousandths.
    #[must_use]
    pub fn shape(&self) -> Resources {
        let mut shape = self.resources.clone();
        shape.set(CPU, u64::from(self.threads) * 1000);
        if let Some(bytes) = self.memory_bytes {
            shape.set(MEMORY, bytes.saturating_mul(1000));
        }
        shape
    }
}

/// Derives the settings: from the short form, or from the first container's limits, environment
/// and the arguments that Dask's worker program would read (`--nthreads`, `--memory-limit`,
/// `--resources`). Arguments go before limits; without either there is one thread.
#[must_use]
pub fn local_worker(worker: &WorkerSpec) -> LocalWorker {
    let mut resources = Resources::default();
    for (name, quantity) in worker.resources.iter().flatten() {
        resources.set(name, quantity.thousandths().unwrap_or(0));
    }
    let Some(container) = worker.spec.as_ref().and_then(first_container) else {
        return LocalWorker {
            threads: worker.threads.unwrap_or(1).max(1),
            memory_bytes: worker.memory.as_ref().and_then(|memory| memory.units().ok()),
            resources,
            env: worker.env.clone().unwrap_or_default(),
        };
    };
    let args = Arguments::of(container);
    for (name, amount) in args.pairs("--resources") {
        resources.set(name, parse_thousandths(amount).unwrap_or(0));
    }
    let limits = limits(container);
    for (name, amount) in &limits {
        // `nvidia.com/gpu` and its like; ephemeral storage is no resource of tasks.
        if let Some((_, device)) = name.split_once('/') {
            let thousandths = parse_thousandths(amount).unwrap_or(0);
            if resources.get(device) == 0 && thousandths > 0 {
                resources.set(&device.to_uppercase(), thousandths);
            }
        }
    }
    let cpu = limits.get("cpu").and_then(|cpu| parse_thousandths(cpu).ok());
    let threads = args
        .value("--nthreads")
        .and_then(|threads| threads.parse().ok())
        .or_else(|| cpu.map(|cpu| u32::try_from(cpu.div_ceil(1000)).unwrap_or(u32::MAX)));
    let memory = limits.get("memory").and_then(|memory| parse_units(memory).ok());
    let asked = args.value("--memory-limit").and_then(dask_bytes);
    LocalWorker {
        threads: threads.unwrap_or(1).max(1),
        memory_bytes: match (asked, memory) {
            (Some(asked), Some(memory)) => Some(asked.min(memory)),
            (asked, memory) => asked.or(memory),
        },
        resources,
        env: environment(container),
    }
}

pub(crate) fn first_container(spec: &Value) -> Option<&Value> {
    spec.get("containers")?.get(0)
}

fn limits(container: &Value) -> BTreeMap<String, String> {
    let limits = container.get("resources").and_then(|resources| resources.get("limits"));
    let pairs = limits.and_then(Value::as_object).into_iter().flatten();
    pairs.filter_map(|(name, amount)| Some((name.clone(), plain_text(amount)?))).collect()
}

fn environment(container: &Value) -> BTreeMap<String, String> {
    let entries = container.get("env").and_then(Value::as_array).into_iter().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.get("name")?.as_str()?;
            Some((name.to_owned(), plain_text(entry.get("value")?)?))
        })
        .collect()
}

fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The words of a container's command and arguments.
struct Arguments<'a>(Vec<&'a str>);

impl<'a> Arguments<'a> {
    fn of(container: &'a Value) -> Self {
        let words = ["command", "args"]
            .into_iter()
            .filter_map(|field| container.get(field)?.as_array())
            .flatten()
            .filter_map(Value::as_str);
        Self(words.collect())
    }

    /// The value of `--option VALUE` or `--option=VALUE`.
    fn value(&self, option: &str) -> Option<&'a str> {
        self.0.iter().enumerate().find_map(|(at, word)| {
            if *word == option {
                return self.0.get(at + 1).copied();
            }
            word.strip_prefix(option)?.strip_prefix('=')
        })
    }

    /// `A=1 B=2` as pairs.
    fn pairs(&self, option: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let value = self.value(option).unwrap_or_default();
        value.split([' ', ',']).filter_map(|pair| pair.split_once('='))
    }
}

/// Bytes as Dask writes them: `4GB`, `4 GiB`, `4e9`, and Kubernetes' own `4Gi`.
fn dask_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bare = bare.strip_suffix(['B', 'b']).unwrap_or(&bare);
    parse_units(bare).ok().filter(|bytes| *bytes > 1)
}
