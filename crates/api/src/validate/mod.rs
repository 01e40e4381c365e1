//! Rules that a type cannot state: each finding has a path, the problem and the remedy. The same
//! rules stand in the CRDs as far as the API server can check them.

mod cluster;
mod job;
mod name;
mod scaling;
mod worker;

use crate::{
    autoscaler::DaskAutoscaler, cluster::DaskCluster, group::DaskWorkerGroup, job::DaskJob,
    manifest::Object,
};

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

/// An object that can say what is wrong with it.
pub trait Validate {
    /// Every broken rule; none: the object can be used.
    fn problems(&self) -> Vec<Problem>;
}

impl Validate for DaskCluster {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        cluster::check(self, &mut problems);
        problems
    }
}

impl Validate for DaskWorkerGroup {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        name::check(&self.metadata, name::group, &mut problems);
        scaling::check_cluster(&self.spec.cluster, &mut problems);
        worker::check(&worker::Parts::of(&self.spec.worker), "spec.worker", &mut problems);
        problems
    }
}

impl Validate for DaskAutoscaler {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        name::check(&self.metadata, name::any, &mut problems);
        scaling::check_autoscaler(&self.spec, &mut problems);
        problems
    }
}

impl Validate for DaskJob {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        job::check(self, &mut problems);
        problems
    }
}

/// Every broken rule of one object.
pub(crate) fn check_object(object: &Object) -> Vec<Problem> {
    match object {
        Object::Cluster(cluster) => cluster.problems(),
        Object::WorkerGroup(group) => group.problems(),
        Object::Autoscaler(autoscaler) => autoscaler.problems(),
        Object::Job(job) => job.problems(),
        Object::Other(_) => Vec::new(),
    }
}
