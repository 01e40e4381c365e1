//! Rules of `DaskJob`.

use super::{
    Problem,
    cluster::{check_group_names, check_spec},
    name,
    worker::check_pod,
};
use crate::{
    job::{DaskJob, DaskJobSpec},
    metadata::name_of,
};

pub(super) fn check(job: &DaskJob, problems: &mut Vec<Problem>) {
    name::check(&job.metadata, name::job, problems);
    let spec = &job.spec;
    if let Some(cluster) = &spec.cluster {
        let (name, path) = (name_of(&job.metadata), "spec.cluster.spec");
        check_group_names(name, &cluster.spec, path, problems);
    }
    match (&spec.job, &spec.workload) {
        (Some(_), Some(_)) => problems.push(Problem::new(
            "spec.workload",
            "a job has either 'job' (a runner pod) or 'workload', not both: remove one",
        )),
        (None, None) => problems.push(Problem::new(
            "spec",
            "a job needs 'workload' (SQL or tasks), or 'job' (a runner pod)",
        )),
        (Some(job), None) => {
            if let Some(pod) = &job.spec {
                check_pod(pod, "spec.job.spec", problems);
            }
        }
        (None, Some(workload)) => {
            if let Err(found) = workload.resolve() {
                problems.extend(found.into_iter().map(|problem| problem.under("spec.workload")));
            }
        }
    }
    check_cluster(spec, problems);
    if let Some(0) = spec.active_deadline_seconds {
        problems.push(Problem::new("spec.activeDeadlineSeconds", "must be at least 1"));
    }
}

fn check_cluster(spec: &DaskJobSpec, problems: &mut Vec<Problem>) {
    let ways = [
        ("cluster", spec.cluster.is_some()),
        ("clusterName", spec.cluster_name.is_some()),
        ("clusterSelector", spec.cluster_selector.is_some()),
    ];
    let given: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    match given.as_slice() {
        // A native workload may be handed to a scheduler that is already there.
        [] if spec.workload.is_some() => {}
        [] => problems.push(Problem::new(
            "spec",
            "a job needs 'cluster' (its own), or 'clusterName' or 'clusterSelector' (an existing one)",
        )),
        [_] => {}
        [.., last] => problems.push(Problem::new(
            format!("spec.{last}"),
            format!("a job has one cluster: keep one of {}", given.join(", ")),
        )),
    }
    if spec.cluster_name.as_ref().is_some_and(String::is_empty) {
        problems.push(Problem::new("spec.clusterName", "is empty: name a DaskCluster"));
    }
    if spec.cluster_selector.as_ref().is_some_and(|labels| labels.is_empty()) {
        let message = "is empty: give at least one label, or use 'clusterName'";
        problems.push(Problem::new("spec.clusterSelector", message));
    }
    if let Some(cluster) = &spec.cluster {
        check_spec(&cluster.spec, "spec.cluster.spec", problems);
    }
}
