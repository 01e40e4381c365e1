//! One job from its start to its report.

use std::time::{Duration, Instant};

use dasklet_api::Workload;
use dasklet_client::{Client, ClientError, ConnectOptions, JobProgress, Progress};
use tokio::sync::watch;

use super::{
    report::{JobReport, Results, TaskResult},
    sql,
    stages::StageWatch,
    tasks,
};
use crate::{
    console::{JobLine, Sight},
    events::{Event, Journal, round_millis},
    exit::Failure,
    interrupt::Interrupt,
    scenario::JobPlan,
};

/// After the end of a job, its last numbers have so long to come.
const LAST_NUMBERS: Duration = Duration::from_millis(500);
/// Least time between two events about a job's progress.
const PROGRESS_EVENT_EVERY: Duration = Duration::from_millis(100);

/// So often a job is submitted again because its scheduler was restarted.
const MOST_LOST: u32 = 3;

/// What one attempt gave.
struct Attempt {
    results: Results,
    error: Option<String>,
    progress: JobProgress,
}

/// Runs a job on the scheduler at `address`.
///
/// # Errors
/// The scheduler cannot be reached or was lost; a job that fails is a report, not an error.
pub async fn run_job(
    job: &JobPlan,
    address: String,
    journal: Journal,
    interrupt: Interrupt,
) -> Result<JobReport, Failure> {
    let begun = Instant::now();
    journal.record(Event::JobStarted { job: job.name.clone(), cluster: job.cluster.clone() });
    let mut client = connect(job, &address).await.map_err(Failure::no_cluster)?;
    let outcome = tokio::select! {
        outcome = attempts(job, &address, &mut client, &journal, begun) => outcome,
        () = interrupt.asked() => Err(Failure::interrupted()),
    };
    // Whatever is left of the job ends with its session.
    client.close().await;
    let (number, attempt) = outcome?;
    let report = JobReport {
        job: job.name.clone(),
        cluster: job.cluster.clone(),
        succeeded: attempt.error.is_none(),
        attempts: number,
        seconds: round_millis(begun.elapsed().as_secs_f64()),
        done: attempt.progress.done,
        failed: attempt.progress.failed,
        recomputed: attempt.progress.recomputed,
        error: attempt.error,
        results: attempt.results,
    };
    journal.record(Event::JobEnded {
        job: report.job.clone(),
        cluster: report.cluster.clone(),
        succeeded: report.succeeded,
        seconds: report.seconds,
        done: report.done,
        failed: report.failed,
        recomputed: report.recomputed,
        error: report.error.clone(),
    });
    Ok(report)
}

async fn connect(job: &JobPlan, address: &str) -> Result<Client, ClientError> {
    ConnectOptions::new().name(&job.name).connect(address).await
}

/// Attempts until one goes well, as many as the job may have: their number, and the last. One that
/// was lost with its scheduler is not the job's fault and does not count.
async fn attempts(
    job: &JobPlan,
    address: &str,
    client: &mut Client,
    journal: &Journal,
    begun: Instant,
) -> Result<(u32, Attempt), Failure> {
    let (mut number, mut lost) = (0, 0);
    loop {
        number += 1;
        let attempt = match attempt_within(job, number + lost, client, journal, begun).await {
            Ok(attempt) => attempt,
            Err(ClientError::SessionLost { .. }) if lost < MOST_LOST && may_run_again(job) => {
                (number, lost) = (number - 1, lost + 1);
                journal.console().line(&format!(
                    "job {}: its scheduler was restarted, submitting it again",
                    job.name
                ));
                *client = connect(job, address).await.map_err(Failure::no_cluster)?;
                continue;
            }
            Err(error) => return Err(Failure::no_cluster(error)),
        };
        if attempt.error.is_none() || number > job.backoff_limit || is_late(job, begun) {
            return Ok((number, attempt));
        }
        journal.console().line(&format!(
            "job {}: attempt {number} of {} failed, trying again",
            job.name,
            job.backoff_limit + 1
        ));
    }
}

/// False where some task must not run twice.
fn may_run_again(job: &JobPlan) -> bool {
    match &job.workload {
        Workload::Tasks(tasks) => tasks.iter().all(|task| task.idempotent),
        Workload::Sql(_) => true,
    }
}

fn is_late(job: &JobPlan, begun: Instant) -> bool {
    job.deadline.is_some_and(|limit| begun.elapsed() >= limit)
}

/// One attempt, within the job's deadline.
async fn attempt_within(
    job: &JobPlan,
    number: u32,
    client: &Client,
    journal: &Journal,
    begun: Instant,
) -> Result<Attempt, ClientError> {
    let handle = client.job(&job.name);
    let mut progress = handle.progress();
    let line = journal.console().job(&job.name);
    let stages = StageWatch::new(job.name.clone(), line.clone(), journal.clone());
    let watching =
        tokio::spawn(watch_progress(job.name.clone(), handle.progress(), line, journal.clone()));
    // What the attempt before has left may still hold its keys.
    let prefix = match number {
        1 => job.prefix.clone(),
        again => format!("{}~{again}", job.prefix),
    };
    let work = async {
        match &job.workload {
            Workload::Tasks(list) => run_tasks(&handle, &prefix, list).await,
            Workload::Sql(query) => {
                let planned = job.planned.as_deref();
                sql::run(&handle, query, &job.folder, planned, number == 1, stages).await
            }
        }
    };
    let outcome = match job.deadline {
        None => work.await,
        Some(limit) => {
            match tokio::time::timeout(limit.saturating_sub(begun.elapsed()), work).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    handle.cancel();
                    let seconds = limit.as_secs();
                    let error = format!("it took longer than its activeDeadlineSeconds, {seconds}");
                    Ok((Results::default(), Some(error)))
                }
            }
        }
    };
    let settled = |seen: &Progress| seen.tasks.total > 0 && seen.tasks.is_over();
    // The numbers come at intervals; the last ones are worth a moment.
    let _ = tokio::time::timeout(LAST_NUMBERS, progress.wait_for(settled)).await;
    let seen = progress.borrow().tasks;
    watching.abort();
    let (results, error) = outcome?;
    Ok(Attempt { results, error, progress: seen })
}

async fn run_tasks(
    job: &dasklet_client::Job,
    prefix: &str,
    list: &[dasklet_api::WorkloadTask],
) -> Result<(Results, Option<String>), ClientError> {
    let work = async {
        let submitted = tasks::submit(job, prefix, list)?;
        submitted.wait().await?;
        submitted.results().await
    };
    match work.await {
        Ok(results) => {
            let error = complaint(&results);
            Ok((Results::Tasks { results }, error))
        }
        Err(error) => failed_or_lost(error),
    }
}

/// A failed job; or an error, where the scheduler is lost.
pub(super) fn failed_or_lost(error: ClientError) -> Result<(Results, Option<String>), ClientError> {
    match error {
        ClientError::Unreachable { .. }
        | ClientError::ConnectionLost { .. }
        | ClientError::SessionLost { .. }
        | ClientError::Rejected { .. } => Err(error),
        error => Ok((Results::default(), Some(error.to_string()))),
    }
}

/// The errors of a job's tasks, each different one once.
fn complaint(results: &[TaskResult]) -> Option<String> {
    const MOST: usize = 10;
    let mut lines: Vec<String> = Vec::new();
    let mut more = 0;
    for result in results {
        let Some(error) = &result.error else { continue };
        let line = format!("task {}: {error}", result.task);
        if lines.len() < MOST {
            lines.push(line);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        lines.push(format!("and {more} more tasks failed"));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Shows how far a job is until it is aborted.
async fn watch_progress(
    job: String,
    mut progress: watch::Receiver<Progress>,
    line: JobLine,
    journal: Journal,
) {
    // Takes the bar away however this ends.
    struct Finish(JobLine);
    impl Drop for Finish {
        fn drop(&mut self) {
            self.0.finish();
        }
    }
    let line = Finish(line);
    while progress.changed().await.is_ok() {
        let Progress { tasks: seen, workers } = *progress.borrow_and_update();
        line.0.show(Sight {
            total: seen.total,
            done: seen.done,
            running: seen.running,
            failed: seen.failed,
            recomputed: seen.recomputed,
            workers,
        });
        journal.record(Event::JobProgress {
            job: job.clone(),
            total: seen.total,
            done: seen.done,
            running: seen.running,
            failed: seen.failed,
            recomputed: seen.recomputed,
            workers,
        });
        tokio::time::sleep(PROGRESS_EVENT_EVERY).await;
    }
}
