//! Rules that a type cannot state: each finding has a path, the problem and the remedy. The same
//! rules stand in the CRDs as far as the API server can check them.

mod cluster;
mod job;
mod scaling;
mod worker;

use crate::manifest::Object;

pub(crate) use scaling::check_autoscale;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, from what was checked on; empty for all of it.
    pub path: String,
    /// The problem and the remedy.
    pub message: String,
}

impl Problem {
    /// A finding about the field at `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same, seen from the object that has the checked part at `path`.
    #[must_use]
    pub fn under(mut self, path: &str) -> Self {
        self.path = join(path, &self.path);
        self
    }
}

/// `path` and `field` with a dot between them, where both are there.
pub(crate) fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", field) => field.to_owned(),
        (path, "") => path.to_owned(),
        (path, field) => format!("{path}.{field}"),
    }
}

/// Every broken rule of one object.
pub(crate) fn check_object(object: &Object) -> Vec<Problem> {
    let mut problems = Vec::new();
    match object {
        Object::Cluster(cluster) => {
            cluster::check_name(&cluster.metadata, &mut problems);
            cluster::check_spec(&cluster.spec, "spec", &mut problems);
        }
        Object::WorkerGroup(group) => {
            cluster::check_name(&group.metadata, &mut problems);
            if group.spec.cluster.is_empty() {
                problems.push(Problem::new("spec.cluster", "is empty: name a DaskCluster"));
            }
            worker::check(&worker::Parts::of(&group.spec.worker), "spec.worker", &mut problems);
        }
        Object::Autoscaler(autoscaler) => {
            cluster::check_name(&autoscaler.metadata, &mut problems);
            scaling::check_autoscaler(&autoscaler.spec, &mut problems);
        }
        Object::Job(job) => {
            cluster::check_name(&job.metadata, &mut problems);
            job::check(&job.spec, &mut problems);
        }
        Object::Other(_) => {}
    }
    problems
}
