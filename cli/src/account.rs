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
    /// Jobs that have not ended, by name.
    #[serde(skip)]
    going: BTreeMap<String, Going>,
}

/// How far a job is that has not ended.
#[derive(Debug, Clone, Default)]
struct Going {
    cluster: String,
    done: u64,
    failed: u64,
    recomputed: u64,
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
    /// Times that the scheduler was started again.
    #[serde(skip_serializing_if = "is_zero")]
    pub scheduler_restarts: u64,
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
            Event::SchedulerDied { cluster, .. } => {
                self.cluster(cluster).scheduler_restarts += 1;
            }
            Event::JobStarted { job, cluster } => {
                let going = Going { cluster: cluster.clone(), ..Going::default() };
                self.going.insert(job.clone(), going);
            }
            Event::JobProgress { job, done, failed, recomputed, .. } => {
                if let Some(going) = self.going.get_mut(job) {
                    going.done = *done;
                    going.failed = *failed;
                    going.recomputed = *recomputed;
                }
            }
            Event::JobEnded { job, cluster, done, failed, recomputed, .. } => {
                self.going.remove(job);
                let sums = self.cluster(cluster);
                sums.tasks_done += done;
                sums.tasks_failed += failed;
                sums.recomputed += recomputed;
            }
            _ => {}
        }
    }

    /// The sums as they are if no job goes on: what the unfinished ones have done is in them.
    #[must_use]
    pub fn closed(mut self) -> Self {
        for (_, going) in std::mem::take(&mut self.going) {
            let sums = self.cluster(&going.cluster);
            sums.tasks_done += going.done;
            sums.tasks_failed += going.failed;
            sums.recomputed += going.recomputed;
        }
        self
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
        let ends: Vec<String> =
            self.workers_ended.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        write!(
            f,
            "  workers  {} started, at most {} at once",
            self.workers_started, self.workers_peak
        )?;
        if !ends.is_empty() {
            write!(f, "; ends: {}", ends.join(", "))?;
        }
        writeln!(
            f,
            "\n  tasks    {} done, {} recomputed, {} failed",
            self.tasks_done, self.recomputed, self.tasks_failed
        )?;
        if self.scheduler_restarts > 0 {
            writeln!(
                f,
                "  its scheduler died and was started again: {} x",
                self.scheduler_restarts
            )?;
        }
        let mut lines: Vec<(f64, String)> = self
            .deaths
            .iter()
            .take(MOST_SHOWN)
            .map(|death| (death.seconds, death.to_string()))
            .collect();
        let decisions = self.decisions.iter().take(MOST_SHOWN);
        lines.extend(decisions.map(|decision| (decision.seconds, decision.to_string())));
        lines.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        for (seconds, line) in lines {
            writeln!(f, "  {seconds:>7.2} s  {line}")?;
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

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "death  {} (process {}): {}", self.worker, self.pid, self.cause)?;
        self.log.iter().try_for_each(|line| write!(f, "\n                   | {line}"))
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scale  {} {} -> {}: {}", self.group, self.from, self.to, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_are_broken_off_count_with_what_they_did() {
        let mut account = Account::default();
        let (job, cluster) = ("j".to_owned(), "c".to_owned());
        account.take(&Event::JobStarted { job: job.clone(), cluster }, 0.0);
        let progress = Event::JobProgress {
            job,
            total: 9,
            done: 7,
            running: 1,
            failed: 1,
            recomputed: 2,
            workers: 1,
        };
        account.take(&progress, 0.1);
        let sums = &account.closed().clusters["c"];
        assert_eq!((sums.tasks_done, sums.tasks_failed, sums.recomputed), (7, 1, 2));
    }

    #[test]
    fn deaths_and_decisions_come_in_the_order_of_time() {
        let sums = ClusterAccount {
            deaths: vec![Death {
                seconds: 1.0,
                worker: "w".to_owned(),
                pid: 7,
                cause: "signal 9 (SIGKILL)".to_owned(),
                log: Vec::new(),
            }],
            decisions: [0.5, 2.0]
                .map(|seconds| Decision {
                    seconds,
                    group: "g".to_owned(),
                    from: 0,
                    to: 1,
                    reason: "work".to_owned(),
                })
                .to_vec(),
            ..ClusterAccount::default()
        };
        let text = sums.to_string();
        let lines: Vec<&str> = text.lines().skip(2).map(|line| &line[2..18]).collect();
        assert_eq!(lines, ["   0.50 s  scale", "   1.00 s  death", "   2.00 s  scale"]);
    }
}
