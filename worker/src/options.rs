//! How a worker is told what to be: one clap struct, and what it comes to on this machine.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use dasklet_core::{
    Resources,
    quantity::{parse_thousandths, parse_units},
    resources::{CPU, MEMORY},
};

use crate::limits;

/// Options of a worker.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address of the scheduler
    #[arg(long, env = "DASK_SCHEDULER_ADDRESS", value_name = "tcp://HOST:PORT")]
    pub scheduler: String,
    /// Name, unique in the cluster [default: host name and process id]
    #[arg(long, env = "DASK_WORKER_NAME")]
    pub name: Option<String>,
    /// Worker group it belongs to
    #[arg(long, env = "DASKLET_GROUP", default_value = "")]
    pub group: String,
    /// What tells it from an earlier worker of this name [default: process id]
    #[arg(long, env = "DASKLET_POD_UID")]
    pub instance: Option<String>,
    /// Tasks at once, each on a thread of its own [default: the processors it may use]
    #[arg(long, visible_aliases = ["threads", "nthreads"])]
    pub slots: Option<u32>,
    /// Memory it may use, such as 2Gi; auto: the container's limit, or all there is
    #[arg(long, default_value = "auto", value_name = "BYTES")]
    pub memory_limit: String,
    /// Further resources, such as GPU=1
    #[arg(long, value_delimiter = ',', value_name = "NAME=AMOUNT")]
    pub resources: Vec<String>,
    /// Folder for spilled outputs and for scratch files of commands [default: the system's]
    #[arg(long, visible_alias = "local-directory", value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Host or address that peers and clients find it under [default: as the scheduler sees it]
    #[arg(long, env = "DASKLET_DATA_HOST")]
    pub data_host: Option<String>,
    /// Port on which its outputs are read; 0: any
    #[arg(long, default_value_t = 0)]
    pub data_port: u16,
    /// Give up when the scheduler cannot be reached for so many seconds
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub death_timeout: f64,
    /// After a SIGTERM, time to finish and to hand over outputs
    #[arg(long, visible_alias = "grace", default_value_t = 25.0, value_name = "SECONDS")]
    pub drain_timeout: f64,
    /// Share of the limit that outputs take before some are spilled
    #[arg(long, default_value_t = 0.6, value_name = "SHARE")]
    pub memory_target: f64,
    /// Share of the limit that the process takes before outputs are spilled
    #[arg(long, default_value_t = 0.7, value_name = "SHARE")]
    pub memory_spill: f64,
    /// Share of the limit above which no task starts
    #[arg(long, default_value_t = 0.8, value_name = "SHARE")]
    pub memory_pause: f64,
    /// Share of the limit above which the largest child process is killed
    #[arg(long, default_value_t = 0.95, value_name = "SHARE")]
    pub memory_kill: f64,
    /// Answer every task at once without running it, to measure the scheduler alone
    #[arg(long)]
    pub zero: bool,
    /// End when the standard input is closed, or the parent process ends
    #[arg(long)]
    pub exit_with_parent: bool,
    /// Program that guards commands [default: this one]
    #[arg(skip)]
    pub guard_program: Option<PathBuf>,
}

impl Options {
    /// Options with all defaults.
    #[must_use]
    pub fn new(scheduler: &str) -> Self {
        Self {
            scheduler: scheduler.to_owned(),
            name: None,
            group: String::new(),
            instance: None,
            slots: None,
            memory_limit: "auto".to_owned(),
            resources: Vec::new(),
            scratch: None,
            data_host: None,
            data_port: 0,
            death_timeout: 60.0,
            drain_timeout: 25.0,
            memory_target: 0.6,
            memory_spill: 0.7,
            memory_pause: 0.8,
            memory_kill: 0.95,
            zero: false,
            exit_with_parent: false,
            guard_program: None,
        }
    }
}

/// What the options come to on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub scheduler: String,
    pub name: String,
    pub group: String,
    pub instance: String,
    pub host: String,
    pub slots: usize,
    pub memory_limit: u64,
    pub offer: Resources,
    pub scratch: PathBuf,
    pub data_host: Option<String>,
    pub data_port: u16,
    pub death_timeout: Duration,
    pub drain_timeout: Duration,
    pub fractions: Fractions,
    pub guard_program: Option<PathBuf>,
}

/// Rungs of the memory ladder, as shares of the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fractions {
    pub target: f64,
    pub spill: f64,
    pub pause: f64,
    pub kill: f64,
}

impl Settings {
    /// # Errors
    /// A sentence about the option that is wrong.
    pub fn resolve(options: &Options) -> Result<Self, String> {
        let slots = options.slots.unwrap_or_else(limits::processors);
        if slots == 0 {
            return Err("--slots 0: a worker needs at least one slot".to_owned());
        }
        let memory_limit = match options.memory_limit.as_str() {
            "auto" | "" => limits::memory(),
            text => parse_units(text).map_err(|error| format!("--memory-limit: {error}"))?,
        };
        if memory_limit < 16 << 20 {
            return Err(format!(
                "--memory-limit {}: a worker needs at least 16Mi",
                options.memory_limit
            ));
        }
        let mut offer = Resources::default()
            .with(CPU, u64::from(slots) * 1000)
            .with(MEMORY, memory_limit.saturating_mul(1000));
        for pair in options.resources.iter().filter(|pair| !pair.is_empty()) {
            let (name, amount) = pair
                .split_once('=')
                .ok_or_else(|| format!("--resources {pair}: write NAME=AMOUNT, such as GPU=1"))?;
            let amount = parse_thousandths(amount)
                .map_err(|error| format!("--resources {pair}: {error}"))?;
            offer.set(name, amount);
        }
        let host = limits::host_name();
        let pid = std::process::id();
        Ok(Self {
            scheduler: scheduler_authority(&options.scheduler)?,
            name: options.name.clone().unwrap_or_else(|| format!("{host}-{pid}")),
            group: options.group.clone(),
            instance: options.instance.clone().unwrap_or_else(|| pid.to_string()),
            host,
            slots: slots as usize,
            memory_limit,
            offer,
            scratch: options.scratch.clone().unwrap_or_else(std::env::temp_dir),
            data_host: options.data_host.clone(),
            data_port: options.data_port,
            death_timeout: seconds("--death-timeout", options.death_timeout)?,
            drain_timeout: seconds("--drain-timeout", options.drain_timeout)?,
            fractions: Fractions {
                target: options.memory_target,
                spill: options.memory_spill,
                pause: options.memory_pause,
                kill: options.memory_kill,
            },
            guard_program: options.guard_program.clone(),
        })
    }
}

fn seconds(option: &str, value: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| format!("{option} {value}: give seconds, zero or more"))
}

/// `host:port` of a scheduler's address.
///
/// # Errors
/// A sentence that shows how to write one.
pub(crate) fn scheduler_authority(address: &str) -> Result<String, String> {
    let authority = address.strip_prefix("tcp://").unwrap_or(address).trim_end_matches('/');
    let well_formed = authority
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        && !authority.contains('/');
    if well_formed {
        Ok(authority.to_owned())
    } else {
        Err(format!("--scheduler {address}: write tcp://HOST:PORT, such as tcp://127.0.0.1:8786"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, authority) in [
            ("tcp://a:1", Some("a:1")),
            ("[::1]:8786", Some("[::1]:8786")),
            ("a", None),
            ("tls://a:1", None),
        ] {
            assert_eq!(scheduler_authority(address).ok().as_deref(), authority, "{address}");
        }
    }

    #[test]
    fn what_is_offered() {
        let mut options = Options::new("a:1");
        options.slots = Some(2);
        options.memory_limit = "1Gi".to_owned();
        options.resources = vec!["GPU=0.5".to_owned()];
        let offer = Settings::resolve(&options).unwrap().offer;
        assert_eq!(
            offer,
            Resources::parse([("cpu", "2"), ("memory", "1Gi"), ("GPU", "500m")]).unwrap()
        );
    }

    #[test]
    fn wrong_options_say_what_to_write() {
        for (change, words) in [
            ((|o| o.slots = Some(0)) as fn(&mut Options), "--slots 0"),
            (|o| o.memory_limit = "lots".to_owned(), "--memory-limit: 'lots' is not a quantity"),
            (|o| o.memory_limit = "1".to_owned(), "at least 16Mi"),
            (|o| o.resources = vec!["GPU".to_owned()], "write NAME=AMOUNT"),
            (|o| o.death_timeout = -1.0, "--death-timeout -1"),
        ] {
            let mut options = Options::new("a:1");
            change(&mut options);
            let error = Settings::resolve(&options).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
