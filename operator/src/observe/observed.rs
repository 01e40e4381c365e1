//! All that concerns one cluster, planned together.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    AutoscalerObject, ClusterObject, Deployment, GroupObject, JobObject, Key, Pod, Service,
};

/// A cluster with everything that belongs to it. The objects are shared with the cache.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The cluster's key.
    pub key: Key,
    /// The cluster; `None` where only others speak of it.
    pub cluster: Option<Arc<ClusterObject>>,
    /// Its worker groups by name.
    pub groups: BTreeMap<String, Arc<GroupObject>>,
    /// Its autoscalers by name.
    pub autoscalers: BTreeMap<String, Arc<AutoscalerObject>>,
    /// The jobs that run on it by name.
    pub jobs: BTreeMap<String, Arc<JobObject>>,
    /// Pods by name: the scheduler's, the workers', the jobs' runners.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// Deployments by name.
    pub deployments: BTreeMap<String, Arc<Deployment>>,
    /// Services by name.
    pub services: BTreeMap<String, Arc<Service>>,
    /// For jobs that choose a cluster by labels: the clusters of the namespace.
    pub selectable: Vec<Arc<ClusterObject>>,
}

impl Observed {
    /// Nothing yet.
    #[must_use]
    pub const fn empty(key: Key) -> Self {
        Self {
            key,
            cluster: None,
            groups: BTreeMap::new(),
            autoscalers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            pods: BTreeMap::new(),
            deployments: BTreeMap::new(),
            services: BTreeMap::new(),
            selectable: Vec::new(),
        }
    }

    /// True where nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cluster.is_none()
            && self.groups.is_empty()
            && self.autoscalers.is_empty()
            && self.jobs.is_empty()
            && self.pods.is_empty()
            && self.deployments.is_empty()
            && self.services.is_empty()
    }

    /// Pods whose label says that they are such a component.
    pub fn pods_of<'a>(&'a self, component: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
        self.pods
            .values()
            .filter(move |pod| pod.meta.label(crate::names::COMPONENT) == Some(component))
    }
}
