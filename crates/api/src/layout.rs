//! Manifests joined: clusters, each with its groups and jobs.

use dasklet_elastic::GroupPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    autoscaler::DaskAutoscalerSpec,
    cluster::DaskClusterSpec,
    job::DaskJobSpec,
    local::{LocalWorker, local_worker},
    manifest::{Manifest, Object},
    metadata::name_of,
    worker::WorkerSpec,
};

/// What a set of manifests describes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// Clusters in the order of the manifests; those of jobs after the others.
    pub clusters: Vec<Cluster>,
    /// Jobs whose cluster is not among them.
    pub loose_jobs: Vec<Job>,
}

/// A cluster with its groups and jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its name; of a job's own cluster: the job's.
    pub name: String,
    /// Its spec.
    pub spec: DaskClusterSpec,
    /// The default group first.
    pub groups: Vec<Group>,
    /// In the order of the manifests.
    pub jobs: Vec<Job>,
    /// Whether it is a job's own.
    pub of_job: bool,
}

/// A worker group of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its full name.
    pub name: String,
    /// Its workers.
    pub worker: WorkerSpec,
    /// Its size and how that changes, with an autoscaler of the manifests taken into account.
    pub policy: GroupPolicy,
    /// A worker of it as a process on this machine.
    pub local: LocalWorker,
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its spec.
    pub spec: DaskJobSpec,
}

/// Joins manifests. They should have passed [`crate::lint`] without errors.
#[must_use]
pub fn layout(manifests: &[Manifest]) -> Layout {
    let mut layout = Layout::default();
    let mut labels: Vec<&ObjectMeta> = Vec::new();
    for manifest in manifests {
        if let Object::Cluster(cluster) = &manifest.object {
            layout.clusters.push(join(name_of(&cluster.metadata), &cluster.spec, manifests, false));
            labels.push(&cluster.metadata);
        }
    }
    let shared = layout.clusters.len();
    for manifest in manifests {
        let Object::Job(job) = &manifest.object else { continue };
        let entry = Job { name: name_of(&job.metadata).to_owned(), spec: job.spec.clone() };
        if let Some(template) = &job.spec.cluster {
            let mut cluster = join(&entry.name, &template.spec, manifests, true);
            cluster.jobs.push(entry);
            layout.clusters.push(cluster);
            continue;
        }
        let position = match (&job.spec.cluster_name, &job.spec.cluster_selector) {
            (Some(name), _) => layout.clusters[..shared].iter().position(|c| c.name == *name),
            (None, Some(wanted)) => labels.iter().position(|metadata| {
                let labels = metadata.labels.as_ref();
                wanted.iter().all(|(key, value)| {
                    labels.and_then(|labels| labels.get(key)).is_some_and(|has| has == value)
                })
            }),
            (None, None) => (shared == 1).then_some(0),
        };
        match position {
            Some(position) => layout.clusters[position].jobs.push(entry),
            None => layout.loose_jobs.push(entry),
        }
    }
    layout
}

/// The policies of all groups.
#[must_use]
pub fn group_policies(layout: &Layout) -> Vec<GroupPolicy> {
    layout
        .clusters
        .iter()
        .flat_map(|cluster| &cluster.groups)
        .map(|group| group.policy.clone())
        .collect()
}

fn join(name: &str, spec: &DaskClusterSpec, manifests: &[Manifest], of_job: bool) -> Cluster {
    let mut groups = vec![(format!("{name}-default"), spec.worker.clone())];
    for group in spec.worker_groups.iter().flatten() {
        groups.push((format!("{name}-{}", group.name), group.worker()));
    }
    for manifest in manifests {
        if let Object::WorkerGroup(group) = &manifest.object
            && group.spec.cluster == name
        {
            groups.push((name_of(&group.metadata).to_owned(), group.spec.worker.clone()));
        }
    }
    let suspended = spec.suspend.unwrap_or(false);
    let groups = groups
        .into_iter()
        .map(|(full_name, worker)| {
            let autoscaler = manifests.iter().find_map(|manifest| match &manifest.object {
                Object::Autoscaler(autoscaler) => {
                    concerns(&autoscaler.spec, name, &full_name).then_some(&autoscaler.spec)
                }
                _ => None,
            });
            make_group(full_name, worker, autoscaler, suspended)
        })
        .collect();
    Cluster { name: name.to_owned(), spec: spec.clone(), groups, jobs: Vec::new(), of_job }
}

/// Whether an autoscaler is about this group of this cluster.
pub(crate) fn concerns(autoscaler: &DaskAutoscalerSpec, cluster: &str, group: &str) -> bool {
    let short = group.strip_prefix(cluster).and_then(|rest| rest.strip_prefix('-'));
    autoscaler.cluster == cluster
        && match autoscaler.worker_group.as_deref() {
            None => short == Some("default"),
            Some(named) => named == group || short == Some(named),
        }
}

fn make_group(
    name: String,
    worker: WorkerSpec,
    autoscaler: Option<&DaskAutoscalerSpec>,
    suspended: bool,
) -> Group {
    let autoscale = match autoscaler {
        Some(autoscaler) => Some(autoscaler.autoscale(worker.autoscale.as_ref())),
        None => worker.autoscale.clone(),
    };
    let local = local_worker(&worker);
    let policy = GroupPolicy {
        group: name.clone(),
        shape: local.shape(),
        replicas: worker.replicas,
        autoscale: autoscale.map(|autoscale| autoscale.policy()),
        suspended,
        drain: worker.drain.clone().unwrap_or_default().policy(),
    };
    Group { name, worker, policy, local }
}
