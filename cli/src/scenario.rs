//! What manifests ask of this machine: clusters with their groups, and the jobs to run on them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dasklet_api::{
    IdleAction, LocalWorker, Manifest, Object, ShutdownPolicy, Workload, WorkloadTask, layout,
};
use dasklet_core::Resources;
use dasklet_elastic::GroupPolicy;
use dasklet_query::Planned;

use crate::{clock, exit::Failure, machine};

/// All that is to be started and run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The clusters.
    pub clusters: Vec<ClusterPlan>,
    /// The jobs.
    pub jobs: Vec<JobPlan>,
}

/// A cluster to start.
#[derive(Debug, Clone)]
pub struct ClusterPlan {
    /// Its name.
    pub name: String,
    /// Its worker groups: what is wanted of each, and how its workers are started.
    pub groups: Vec<(GroupPolicy, LocalWorker)>,
    /// Time without work after which `idle_action` is taken; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// What happens then.
    pub idle_action: IdleAction,
}

/// A job to run.
#[derive(Debug, Clone)]
pub struct JobPlan {
    /// Its name.
    pub name: String,
    /// What its tasks' keys begin with, so that those of two jobs never meet.
    pub prefix: String,
    /// The cluster it runs on.
    pub cluster: String,
    /// When that goes, if it was made for this job alone.
    pub own_cluster: Option<ShutdownPolicy>,
    /// What it runs.
    pub workload: Workload,
    /// Its query's plan, if it was made already.
    pub planned: Option<Arc<Planned>>,
    /// What relative paths in it are relative to.
    pub folder: PathBuf,
    /// Attempts after the first.
    pub backoff_limit: u32,
    /// Longest time it may take.
    pub deadline: Option<Duration>,
}

impl ClusterPlan {
    /// A cluster of one group of a fixed size.
    pub fn fixed(name: &str, workers: u32, mut worker: LocalWorker) -> Self {
        worker.memory_bytes.get_or_insert_with(machine::memory);
        let policy = GroupPolicy::fixed(&format!("{name}-default"), worker.shape(), workers);
        Self {
            name: name.to_owned(),
            groups: vec![(policy, worker)],
            idle_timeout: None,
            idle_action: IdleAction::Delete,
        }
    }

    fn of(cluster: &dasklet_api::Cluster) -> Self {
        let groups = cluster.groups.iter().map(|group| {
            let mut worker = group.local.clone();
            worker.memory_bytes.get_or_insert_with(machine::memory);
            (GroupPolicy { shape: worker.shape(), ..group.policy.clone() }, worker)
        });
        Self {
            name: cluster.name.clone(),
            groups: groups.collect(),
            idle_timeout: cluster
                .spec
                .idle_timeout
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            idle_action: cluster.spec.idle_action.unwrap_or(IdleAction::Delete),
        }
    }
}

impl Scenario {
    /// Clusters and jobs of manifests that have passed the lint.
    ///
    /// # Errors
    /// A job that cannot run on this machine, or whose tasks fit no worker of its cluster.
    pub fn of(manifests: &[Manifest]) -> Result<Self, Failure> {
        let layout = layout(manifests);
        if let Some(job) = layout.loose_jobs.first() {
            return Err(Failure::bad_input(format!(
                "the cluster of job '{}' is not in these manifests: add a DaskCluster, or use \
                 `dasklet submit` with the address of one that runs",
                job.name
            )));
        }
        if layout.clusters.is_empty() {
            return Err(Failure::bad_input(
                "these manifests hold no cluster: add a DaskCluster, or a DaskJob with a cluster",
            ));
        }
        let mut scenario = Self { clusters: Vec::new(), jobs: Vec::new() };
        for cluster in &layout.clusters {
            let plan = ClusterPlan::of(cluster);
            for job in &cluster.jobs {
                if let Some(job) = job_plan(job, &cluster.name, manifests)? {
                    check_that_tasks_fit(&job, &plan)?;
                    scenario.jobs.push(job);
                }
            }
            scenario.clusters.push(plan);
        }
        Ok(scenario)
    }

    /// The jobs alone, for a scheduler that runs elsewhere.
    ///
    /// # Errors
    /// A job that is no native workload.
    pub fn of_jobs(manifests: &[Manifest]) -> Result<Self, Failure> {
        let layout = layout(manifests);
        let named = layout
            .clusters
            .iter()
            .flat_map(|cluster| cluster.jobs.iter().map(|job| (job, cluster.name.as_str())));
        let loose = layout.loose_jobs.iter().map(|job| {
            let cluster = job.spec.cluster_name.as_deref().unwrap_or("cluster");
            (job, cluster)
        });
        let mut jobs = Vec::new();
        for (job, cluster) in named.chain(loose) {
            // The same job may be submitted twice.
            let unique = clock::unix_micros() ^ u64::from(std::process::id()) << 32;
            jobs.extend(
                job_plan(job, cluster, manifests)?
                    .map(|plan| JobPlan { prefix: format!("{}-{unique:x}", plan.name), ..plan }),
            );
        }
        Ok(Self { clusters: Vec::new(), jobs })
    }
}

/// The plan of a job; `None` for one that is suspended.
fn job_plan(
    job: &dasklet_api::Job,
    cluster: &str,
    manifests: &[Manifest],
) -> Result<Option<JobPlan>, Failure> {
    if job.spec.suspend == Some(true) {
        return Ok(None);
    }
    let Some(workload) = &job.spec.workload else {
        return Err(Failure::bad_input(format!(
            "job '{}' has a runner pod, which only Kubernetes can run: give it a 'workload'",
            job.name
        )));
    };
    let workload = workload.resolve().map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|found| found.message.clone()).collect();
        Failure::bad_input(format!("job '{}': {}", job.name, lines.join("; ")))
    })?;
    Ok(Some(JobPlan {
        name: job.name.clone(),
        prefix: job.name.clone(),
        cluster: cluster.to_owned(),
        own_cluster: job
            .spec
            .cluster
            .as_ref()
            .map(|_| job.spec.shutdown_policy.unwrap_or(ShutdownPolicy::OnFinish)),
        workload,
        planned: None,
        folder: folder_of(&job.name, manifests)?,
        backoff_limit: job.spec.backoff_limit.unwrap_or(0),
        deadline: job.spec.active_deadline_seconds.map(Duration::from_secs),
    }))
}

/// The folder of the file that a job was read from; the present one for standard input.
fn folder_of(job: &str, manifests: &[Manifest]) -> Result<PathBuf, Failure> {
    let file = manifests
        .iter()
        .find(|manifest| matches!(manifest.object, Object::Job(_)) && manifest.object.name() == job)
        .map_or("-", Manifest::file);
    let parent = match Path::new(file).parent() {
        Some(folder) if file != "-" && !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    parent.canonicalize().map_err(|error| {
        Failure::bad_input(format!("the folder of {file} cannot be used: {error}"))
    })
}

/// On this machine nobody can add a worker group later, so a task that fits none would wait for
/// ever.
fn check_that_tasks_fit(job: &JobPlan, cluster: &ClusterPlan) -> Result<(), Failure> {
    let Workload::Tasks(tasks) = &job.workload else { return Ok(()) };
    let mut sentences = Vec::new();
    for task in tasks {
        let asked = resources_of(task);
        let fits = |(policy, _): &(GroupPolicy, LocalWorker)| asked.times_in(&policy.shape) > 0;
        if !cluster.groups.iter().any(fits) {
            let offers: Vec<String> = cluster
                .groups
                .iter()
                .map(|(policy, _)| format!("{} ({})", policy.group, policy.shape))
                .collect();
            sentences.push(format!(
                "task '{}' of job '{}' asks for {asked}, which no worker of cluster '{}' offers: \
                 {}; ask for less, or add a worker group",
                task.name,
                job.name,
                cluster.name,
                offers.join(", ")
            ));
        }
    }
    if sentences.is_empty() { Ok(()) } else { Err(Failure::bad_input(sentences.join("\n"))) }
}

fn resources_of(task: &WorkloadTask) -> Resources {
    if task.resources.is_empty() { Resources::one_slot() } else { task.resources.clone() }
}
