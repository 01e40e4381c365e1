//! One document of a manifest file.

use std::sync::Arc;

use crate::{
    autoscaler::DaskAutoscaler,
    cluster::DaskCluster,
    diagnostic::{Diagnostic, Severity},
    group::DaskWorkerGroup,
    job::DaskJob,
    locate::line_of,
    metadata::name_of,
    validate::Problem,
};

/// One document of a manifest file, and where it stands.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// What it describes.
    pub object: Object,
    pub(crate) place: Place,
}

/// What a document describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A `DaskCluster`.
    Cluster(Box<DaskCluster>),
    /// A `DaskWorkerGroup`.
    WorkerGroup(Box<DaskWorkerGroup>),
    /// A `DaskAutoscaler`.
    Autoscaler(Box<DaskAutoscaler>),
    /// A `DaskJob`.
    Job(Box<DaskJob>),
    /// An object of another API group: accepted and not looked into.
    Other(OtherObject),
}

/// An object of another API group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherObject {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Object {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Cluster(_) => "DaskCluster",
            Self::WorkerGroup(_) => "DaskWorkerGroup",
            Self::Autoscaler(_) => "DaskAutoscaler",
            Self::Job(_) => "DaskJob",
            Self::Other(other) => &other.kind,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(cluster) => name_of(&cluster.metadata),
            Self::WorkerGroup(group) => name_of(&group.metadata),
            Self::Autoscaler(autoscaler) => name_of(&autoscaler.metadata),
            Self::Job(job) => name_of(&job.metadata),
            Self::Other(other) => &other.name,
        }
    }

    /// The namespace; empty where none is given.
    #[must_use]
    pub fn namespace(&self) -> &str {
        let metadata = match self {
            Self::Cluster(cluster) => &cluster.metadata,
            Self::WorkerGroup(group) => &group.metadata,
            Self::Autoscaler(autoscaler) => &autoscaler.metadata,
            Self::Job(job) => &job.metadata,
            Self::Other(_) => return "",
        };
        metadata.namespace.as_deref().unwrap_or_default()
    }
}

impl Manifest {
    /// The file that it was read from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.place.file
    }

    pub(crate) fn diagnose(&self, severity: Severity, problem: Problem) -> Diagnostic {
        self.place.diagnose(severity, problem)
    }
}

/// A document within a file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) text: Arc<str>,
    pub(crate) document: usize,
}

impl Place {
    pub(crate) fn errors(&self, problems: Vec<Problem>) -> Vec<Diagnostic> {
        problems.into_iter().map(|problem| self.diagnose(Severity::Error, problem)).collect()
    }

    pub(crate) fn diagnose(&self, severity: Severity, problem: Problem) -> Diagnostic {
        Diagnostic {
            severity,
            file: self.file.to_string(),
            line: line_of(&self.text, self.document, &problem.path),
            path: problem.path,
            message: problem.message,
        }
    }
}
