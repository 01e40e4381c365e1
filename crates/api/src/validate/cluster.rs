//! Rules of names and of `DaskCluster`.

use std::collections::HashSet;

use super::{
    Problem, join,
    worker::{Parts, check, check_pod},
};
use crate::{cluster::DaskClusterSpec, metadata::ObjectMeta};

/// Longest name: `-scheduler` has to fit behind it in 63 characters.
const LONGEST_NAME: usize = 53;

pub(super) fn check_name(metadata: &ObjectMeta, problems: &mut Vec<Problem>) {
    match (&metadata.name, &metadata.generate_name) {
        (None, Some(_)) => {}
        (None, None) => {
            problems.push(Problem::new("metadata", "the field 'name' is missing: add it"))
        }
        (Some(name), _) => {
            if let Some(message) = bad_name(name) {
                problems.push(Problem::new("metadata.name", message));
            }
        }
    }
}

fn bad_name(name: &str) -> Option<String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fine = !name.is_empty()
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !fine {
        return Some(format!(
            "'{name}' is no name: use lower-case letters, digits and '-', \
             with a letter or digit first and last"
        ));
    }
    (name.len() > LONGEST_NAME)
        .then(|| format!("'{name}' has {} characters: use at most {LONGEST_NAME}", name.len()))
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
    check(&Parts::of(&spec.worker), &join(path, "worker"), problems);
    let mut names = HashSet::from(["default"]);
    for (at, group) in spec.worker_groups.iter().flatten().enumerate() {
        let path = join(path, &format!("workerGroups[{at}]"));
        if let Some(message) = bad_name(&group.name) {
            problems.push(Problem::new(join(&path, "name"), message));
        } else if !names.insert(&group.name) {
            let message = match group.name.as_str() {
                "default" => {
                    "'default' is the group of spec.worker: choose another name".to_owned()
                }
                name => format!("two groups are named '{name}': rename one"),
            };
            problems.push(Problem::new(join(&path, "name"), message));
        }
        check(&Parts::of_named(group), &path, problems);
    }
}
