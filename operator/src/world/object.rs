//! An object of any kind that is kept.

use std::sync::Arc;

use crate::{
    names::{self, component},
    observe::{
        AutoscalerObject, ClusterObject, Deployment, GroupObject, JobObject, Key, Meta, Observed,
        Pod, Service,
    },
    plan::Kind,
};

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A `DaskCluster`.
    Cluster(Arc<ClusterObject>),
    /// A `DaskWorkerGroup`.
    Group(Arc<GroupObject>),
    /// A `DaskAutoscaler`.
    Autoscaler(Arc<AutoscalerObject>),
    /// A `DaskJob`.
    Job(Arc<JobObject>),
    /// A pod.
    Pod(Arc<Pod>),
    /// A deployment.
    Deployment(Arc<Deployment>),
    /// A service.
    Service(Arc<Service>),
}

impl Object {
    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Cluster(object) => &object.meta,
            Self::Group(object) => &object.meta,
            Self::Autoscaler(object) => &object.meta,
            Self::Job(object) => &object.meta,
            Self::Pod(object) => &object.meta,
            Self::Deployment(object) => &object.meta,
            Self::Service(object) => &object.meta,
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Cluster(_) => Kind::Cluster,
            Self::Group(_) => Kind::Group,
            Self::Autoscaler(_) => Kind::Autoscaler,
            Self::Job(_) => Kind::Job,
            Self::Pod(_) => Kind::Pod,
            Self::Deployment(_) => Kind::Deployment,
            Self::Service(_) => Kind::Service,
        }
    }

    /// The cluster that it is planned with.
    #[must_use]
    pub fn home(&self) -> Option<Key> {
        let meta = self.meta();
        let of = |name: &str| Some(Key::new(&meta.namespace, name));
        match self {
            Self::Cluster(_) => of(&meta.name),
            Self::Group(group) => match &group.spec {
                Ok(spec) => of(&spec.cluster),
                Err(_) => {
                    let owner = meta.owners.iter().find(|owner| owner.kind == "DaskCluster");
                    let label = meta.label(names::CLUSTER_NAME);
                    of(label.or(owner.map(|owner| owner.name.as_str())).unwrap_or(&meta.name))
                }
            },
            Self::Autoscaler(scaler) => {
                of(scaler.spec.as_ref().map_or(meta.name.as_str(), |spec| spec.cluster.as_str()))
            }
            Self::Job(job) => of(&job_home(job)),
            Self::Pod(_) | Self::Deployment(_) | Self::Service(_) => {
                of(meta.label(names::CLUSTER_NAME)?)
            }
        }
    }

    /// Whether it is a worker's pod.
    #[must_use]
    pub fn is_worker_pod(&self) -> bool {
        matches!(self, Self::Pod(_))
            && self.meta().label(names::COMPONENT) == Some(component::WORKER)
    }

    pub(super) fn put_into(self, home: &mut Observed) {
        let name = self.meta().name.clone();
        match self {
            Self::Cluster(object) => home.cluster = Some(object),
            Self::Group(object) => drop(home.groups.insert(name, object)),
            Self::Autoscaler(object) => drop(home.autoscalers.insert(name, object)),
            Self::Job(object) => drop(home.jobs.insert(name, object)),
            Self::Pod(object) => drop(home.pods.insert(name, object)),
            Self::Deployment(object) => drop(home.deployments.insert(name, object)),
            Self::Service(object) => drop(home.services.insert(name, object)),
        }
    }

    pub(super) fn take_from(home: &mut Observed, kind: Kind, name: &str) {
        match kind {
            Kind::Cluster => home.cluster = None,
            Kind::Group => drop(home.groups.remove(name)),
            Kind::Autoscaler => drop(home.autoscalers.remove(name)),
            Kind::Job => drop(home.jobs.remove(name)),
            Kind::Pod => drop(home.pods.remove(name)),
            Kind::Deployment => drop(home.deployments.remove(name)),
            Kind::Service => drop(home.services.remove(name)),
            Kind::Event | Kind::Template => {}
        }
    }

    pub(super) fn look_in(home: &Observed, kind: Kind, name: &str) -> Option<Self> {
        Some(match kind {
            Kind::Cluster => Self::Cluster(home.cluster.clone()?),
            Kind::Group => Self::Group(home.groups.get(name)?.clone()),
            Kind::Autoscaler => Self::Autoscaler(home.autoscalers.get(name)?.clone()),
            Kind::Job => Self::Job(home.jobs.get(name)?.clone()),
            Kind::Pod => Self::Pod(home.pods.get(name)?.clone()),
            Kind::Deployment => Self::Deployment(home.deployments.get(name)?.clone()),
            Kind::Service => Self::Service(home.services.get(name)?.clone()),
            Kind::Event | Kind::Template => return None,
        })
    }
}

fn job_home(job: &JobObject) -> String {
    let spec = job.spec.as_ref().ok();
    if spec.is_some_and(|spec| spec.cluster.is_some()) {
        return job.meta.name.clone();
    }
    let named = spec.and_then(|spec| spec.cluster_name.clone());
    // No cluster has such a name: the job is planned alone until it has chosen one.
    named.or_else(|| job.status.cluster_name.clone()).unwrap_or(format!("?{}", job.meta.name))
}
