//! The short account at the end of a run: workers, tasks, deaths and decisions, by cluster.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::events::Event;

/// How many deaths and decisions are kept word for word; beyond these they are counted.
const MOST_KEPT: usize = 200;
/// How many of them the text shows.
const MOST_SHOWN: usize = 12;

/// Sums over a run.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// By cluster.
    pub clusters: BTreeMap<String, ClusterAccount>,
}

/// Sums over one cluster.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterAccount {
    /// Worker processes started.
    pub workers_started: u64,
    /// Most workers that were there at once.
    pub workers_peak: u64,
    /// Workers that ended, by cause.
    pub workers_ended: BTreeMap<String, u64>,
    /// Tasks that ended well.
    pub tasks_done: u64,
    /// Tasks that failed.
    pub tasks_failed: u64,
    /// Runs that repeated work whose outputs were lost.
    pub recomputed: u64,
    /// Ends of workers that nobody wanted.
    pub deaths: Vec<Death>,
    /// Changes of size.
    pub decisions: Vec<Decision>,
    /// Deaths and decisions beyond those that are kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_shown: u64,
    #[serde(skip)]
    alive: u64,
}

/// The end of a worker that nobody wanted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Death {
    /// Seconds from the start of the run.
    pub seconds: f64,
    /// The worker.
    pub worker: String,
    /// Its process id.
    pub pid: u32,
    /// Why, in words.
    pub cause: String,
    /// The last lines of its log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// A change of a group's size.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Seconds from the start of the run.
    pub seconds: f64,
    /// The group.
    pub group: String,
    /// Size before.
    pub from: u32,
    /// Size after.
    pub to: u32,
    /// Why.
    pub reason: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Account {
    /// Adds an event.
    pub fn take(&mut self, event: &Event, seconds: f64) {
        match event {
            Event::WorkerStarted { cluster, .. } => {
                let sums = self.cluster(cluster);
                sums.workers_started += 1;
                sums.alive += 1;
                sums.workers_peak = sums.workers_peak.max(sums.alive);
            }
            Event::WorkerEnded { cluster, worker, pid, reason, planned, log, .. } => {
                let sums = self.cluster(cluster);
                sums.alive = sums.alive.saturating_sub(1);
                *sums.workers_ended.entry(reason.clone()).or_default() += 1;
                if !planned {
                    let death = Death {
                        seconds,
                        worker: worker.clone(),
                        pid: *pid,
                        cause: reason.clone(),
                        log: log.clone(),
                    };
                    keep(&mut sums.deaths, death, &mut sums.not_shown);
                }
            }
            Event::Decision { cluster, group, from, to, reason } => {
                let decision = Decision {
                    seconds,
                    group: group.clone(),
                    from: *from,
                    to: *to,
                    reason: reason.clone(),
                };
                let sums = self.cluster(cluster);
                keep(&mut sums.decisions, decision, &mut sums.not_shown);
            }
            Event::ClusterStarted { cluster, .. } => {
                self.cluster(cluster);
            }
            Event::JobEnded { cluster, done, failed, recomputed, .. } => {
                let sums = self.cluster(cluster);
                sums.tasks_done += done;
                sums.tasks_failed += failed;
                sums.recomputed += recomputed;
            }
            _ => {}
        }
    }

    fn cluster(&mut self, name: &str) -> &mut ClusterAccount {
        self.clusters.entry(name.to_owned()).or_default()
    }
}

fn keep<T>(list: &mut Vec<T>, item: T, not_shown: &mut u64) {
    if list.len() < MOST_KEPT {
        list.push(item);
    } else {
        *not_shown += 1;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, sums) in &self.clusters {
            writeln!(f, "cluster {name}")?;
            write!(f, "{sums}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ClusterAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  workers  {} started, at most {} at once",
            self.workers_started, self.workers_peak
        )?;
        for (reason, count) in &self.workers_ended {
            write!(f, ", {count} {reason}")?;
        }
        write!(
            f,
            "\n  tasks    {} done, {} recomputed, {} failed\n",
            self.tasks_done, self.recomputed, self.tasks_failed
        )?;
        for death in self.deaths.iter().take(MOST_SHOWN) {
            writeln!(
                f,
                "  death    {:>7.2} s  {} (process {}): {}",
                death.seconds, death.worker, death.pid, death.cause
            )?;
            for line in &death.log {
                writeln!(f, "                      | {line}")?;
            }
        }
        for decision in self.decisions.iter().take(MOST_SHOWN) {
            writeln!(
                f,
                "  scale    {:>7.2} s  {} {} -> {}: {}",
                decision.seconds, decision.group, decision.from, decision.to, decision.reason
            )?;
        }
        let hidden = self.deaths.len().saturating_sub(MOST_SHOWN)
            + self.decisions.len().saturating_sub(MOST_SHOWN);
        let hidden = hidden as u64 + self.not_shown;
        if hidden > 0 {
            writeln!(f, "  and {hidden} more (all are in the file of --events)")?;
        }
        Ok(())
    }
}
