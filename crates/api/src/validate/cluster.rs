//! Rules of `DaskCluster`.

use std::collections::HashSet;

use super::{
    Problem, join, name,
    worker::{Parts, check as check_worker, check_pod},
};
use crate::{
    checked::{ClusterName, LONGEST_LABEL, check as check_form},
    cluster::{DaskCluster, DaskClusterSpec},
    metadata::name_of,
};

pub(super) fn check(cluster: &DaskCluster, problems: &mut Vec<Problem>) {
    name::check(&cluster.metadata, name::cluster, problems);
    check_spec(&cluster.spec, "spec", problems);
    check_group_names(name_of(&cluster.metadata), &cluster.spec, "spec", problems);
}

/// The full names of the further groups of a cluster with this name.
pub(super) fn check_group_names(
    cluster: &str,
    spec: &DaskClusterSpec,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    let Ok(checked) = ClusterName::new(cluster) else { return };
    for (at, group) in spec.worker_groups.iter().flatten().enumerate() {
        let alone = check_form(&group.name, false, LONGEST_LABEL);
        if alone.is_ok()
            && let Err(error) = checked.group(&group.name)
        {
            let message = format!("with the cluster's name, {error}");
            problems.push(Problem::new(join(path, &format!("workerGroups[{at}].name")), message));
        }
    }
}

pub(super) fn check_spec(spec: &DaskClusterSpec, path: &str, problems: &mut Vec<Problem>) {
    if let Some(scheduler) = &spec.scheduler {
        if let Some(pod) = &scheduler.spec {
            check_pod(pod, &join(path, "scheduler.spec"), problems);
        }
        if scheduler.service.as_ref().is_some_and(|service| !service.is_object()) {
            let message = "must be a service spec: fields such as 'type' and 'ports'";
            problems.push(Problem::new(join(path, "scheduler.service"), message));
        }
    }
    check_worker(&Parts::of(&spec.worker), &join(path, "worker"), problems);
    let mut names = HashSet::from(["default"]);
    for (at, group) in spec.worker_groups.iter().flatten().enumerate() {
        let path = join(path, &format!("workerGroups[{at}]"));
        if let Err(error) = check_form(&group.name, false, LONGEST_LABEL) {
            problems.push(Problem::new(join(&path, "name"), error.to_string()));
        } else if !names.insert(&group.name) {
            let message = match group.name.as_str() {
                "default" => {
                    "'default' is the group of spec.worker: choose another name".to_owned()
                }
                name => format!("two groups are named '{name}': rename one"),
            };
            problems.push(Problem::new(join(&path, "name"), message));
        }
        check_worker(&Parts::of_named(group), &path, problems);
    }
}
