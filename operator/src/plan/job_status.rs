//! What a job's status says.

use dasklet_api::{
    DaskJobStatus,
    conditions::{ACCEPTED, CLUSTER_READY, COMPLETE, FAILED, RUNNING, SUSPENDED, reason},
};
use serde_json::json;

use super::{
    condition::Conditions,
    job::times,
    memory::Memory,
    status::status_patch,
    write::{Action, Kind, Plan, Stage, Target},
};
use crate::{observe::JobObject, template::merge_diff};

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// Its spec cannot be acted upon.
    Invalid(String),
    /// It has no cluster.
    NoCluster(String),
    /// Its cluster is not ready.
    Waiting,
    /// Its runner starts.
    Starting(String),
    /// Its runner runs.
    Running(String),
    /// An attempt failed, another follows.
    Again(String),
    /// Its user stopped it.
    Suspended,
    /// It took too long.
    OverTime,
    /// It ended well.
    Succeeded,
    /// It failed for good.
    Failed(String),
}

/// How a job stands, and by whom.
#[derive(Debug, Clone)]
pub struct Standing {
    /// How.
    pub stand: Stand,
    /// On which cluster.
    pub cluster: Option<String>,
    /// In which pod.
    pub runner: Option<String>,
    /// In which attempt, from 1.
    pub attempt: u32,
    /// Why the API server does not take the pod.
    pub refused: Option<(&'static str, String)>,
}

impl Standing {
    /// Nothing but how.
    pub const fn new(stand: Stand) -> Self {
        Self { stand, cluster: None, runner: None, attempt: 1, refused: None }
    }

    /// A spec that cannot be acted upon.
    pub const fn invalid(words: String) -> Self {
        Self::new(Stand::Invalid(words))
    }
}

/// Tells a job's status. It is written before anything is done, so that clients find the names.
pub fn tell(job: &JobObject, standing: Standing, now: u64, memory: &mut Memory, plan: &mut Plan) {
    let (meta, old) = (&job.meta, &job.status);
    let mut conditions = Conditions::new(&old.conditions, meta.generation, now);
    let stand = &standing.stand;
    match stand {
        Stand::Invalid(words) => conditions.set(ACCEPTED, false, reason::INVALID, words.clone()),
        _ => conditions.set(ACCEPTED, true, reason::VALID, "the spec is valid"),
    }
    say(stand, &standing, &mut conditions);
    let phase = match stand {
        Stand::Invalid(_) | Stand::NoCluster(_) | Stand::Waiting => "JobCreated",
        Stand::Starting(_) | Stand::Again(_) => "ClusterCreated",
        Stand::Running(_) => "Running",
        Stand::Suspended => "Suspended",
        Stand::Succeeded => "Successful",
        Stand::Failed(_) | Stand::OverTime => "Failed",
    };
    let (start_time, end_time) = times(stand, old, now);
    let about = (Kind::Job, meta.name.as_str(), meta.uid.as_str());
    let (conditions, notes) = conditions.tell(about, &[COMPLETE, CLUSTER_READY, SUSPENDED]);
    let new = DaskJobStatus {
        job_status: Some(phase.to_owned()),
        cluster_name: standing.cluster.or_else(|| old.cluster_name.clone()),
        job_runner_pod_name: standing.runner.or_else(|| old.job_runner_pod_name.clone()),
        start_time,
        end_time,
        attempts: Some(standing.attempt),
        observed_generation: Some(meta.generation),
        conditions,
    };
    let Some(patch) = merge_diff(&json!(old), &json!(new)) else { return };
    let target = Target::new(Kind::Job, &meta.name);
    memory.told_at.insert(target, now);
    for note in notes {
        plan.event(note);
    }
    plan.write(
        Stage::Intent,
        // The runner's pod has its own failures, under the job's plain name.
        Target::new(Kind::Job, &format!("{} (status)", meta.name)),
        Action::Patch {
            kind: Kind::Job,
            name: meta.name.clone(),
            patch: status_patch(&meta.uid, patch),
            manager: "dasklet-status",
            status: true,
        },
    );
}

fn say(stand: &Stand, standing: &Standing, conditions: &mut Conditions<'_>) {
    let cluster = standing.cluster.as_deref().unwrap_or_default();
    let waits = format!("the scheduler of cluster {cluster} does not serve yet");
    match stand {
        Stand::Invalid(words) => conditions.unknown(CLUSTER_READY, reason::INVALID, words.clone()),
        Stand::NoCluster(words) => {
            conditions.set(CLUSTER_READY, false, reason::NOT_FOUND, words.clone());
        }
        Stand::Waiting => {
            conditions.set(CLUSTER_READY, false, reason::WAITING_FOR_CLUSTER, waits.clone());
        }
        Stand::Suspended => {
            conditions.set(CLUSTER_READY, false, reason::SUSPENDED, "the job is suspended");
        }
        _ => conditions.set(CLUSTER_READY, true, reason::SERVING, "the scheduler serves"),
    }
    let (runs, word, words) = match stand {
        Stand::Invalid(words) => (false, reason::INVALID, words.clone()),
        Stand::NoCluster(words) => (false, reason::NOT_FOUND, words.clone()),
        Stand::Waiting => (false, reason::WAITING_FOR_CLUSTER, waits),
        Stand::Starting(words) => match &standing.refused {
            Some((word, message)) => (false, *word, message.clone()),
            None => (false, reason::STARTING, words.clone()),
        },
        Stand::Running(words) => (true, reason::RUNNING, words.clone()),
        Stand::Again(words) => (false, reason::RETRYING, words.clone()),
        Stand::Suspended => {
            let words = "spec.suspend is true: set it to false to run the job".to_owned();
            (false, reason::SUSPENDED, words)
        }
        Stand::OverTime => {
            let words = "it took longer than spec.activeDeadlineSeconds: raise it".to_owned();
            (false, reason::DEADLINE_EXCEEDED, words)
        }
        Stand::Succeeded => (false, reason::SUCCEEDED, "the job has ended well".to_owned()),
        Stand::Failed(words) => (false, reason::BACKOFF_LIMIT_EXCEEDED, words.clone()),
    };
    conditions.set(RUNNING, runs, word, words.clone());
    conditions.set(COMPLETE, *stand == Stand::Succeeded, word, words.clone());
    let failed = matches!(stand, Stand::Failed(_) | Stand::OverTime);
    let (word, words) =
        if failed { (word, words) } else { ("NotFailed", "it has not failed".to_owned()) };
    conditions.set(FAILED, failed, word, words);
    let suspended = *stand == Stand::Suspended;
    let words = if suspended { "spec.suspend is true" } else { "spec.suspend is not true" };
    conditions.set(
        SUSPENDED,
        suspended,
        if suspended { reason::SUSPENDED } else { "Active" },
        words,
    );
}
