//! The workers of a cluster, whatever carries them: a pod of ours, or a deployment that
//! dask-kubernetes made for one worker.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    names::{self, component},
    observe::{Deployment, Meta, Observed, Pod},
};

/// One worker.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// What is written and deleted.
    pub carrier: Carrier<'a>,
    /// Its pod; a deployment may be without one.
    pub pod: Option<&'a Arc<Pod>>,
}

/// What carries a worker.
#[derive(Debug, Clone, Copy)]
pub enum Carrier<'a> {
    /// A pod of ours.
    Pod(&'a Arc<Pod>),
    /// A deployment of dask-kubernetes.
    Deployment(&'a Arc<Deployment>),
}

impl<'a> Worker<'a> {
    /// The carrier's metadata.
    pub fn meta(&self) -> &'a Meta {
        match self.carrier {
            Carrier::Pod(pod) => &pod.meta,
            Carrier::Deployment(deployment) => &deployment.meta,
        }
    }

    /// The carrier's kind.
    pub const fn kind(&self) -> super::Kind {
        match self.carrier {
            Carrier::Pod(_) => super::Kind::Pod,
            Carrier::Deployment(_) => super::Kind::Deployment,
        }
    }

    /// Whether it goes.
    pub fn is_leaving(&self) -> bool {
        self.meta().deleting
    }
}

/// The workers by their groups' names.
pub fn by_group(observed: &Observed) -> BTreeMap<&str, Vec<Worker<'_>>> {
    let mut groups: BTreeMap<&str, Vec<Worker<'_>>> = BTreeMap::new();
    let mut add = |meta: &Meta, worker| {
        if let Some(group) = observed.groups.get_key_value(meta.label(names::GROUP_NAME)?) {
            groups.entry(group.0).or_default().push(worker);
        }
        Some(())
    };
    let deployments: Vec<&Arc<Deployment>> = observed
        .deployments
        .values()
        .filter(|deployment| deployment.meta.label(names::COMPONENT) == Some(component::WORKER))
        .collect();
    let mut carried: BTreeMap<&str, &Arc<Pod>> = BTreeMap::new();
    for pod in observed.pods_of(component::WORKER) {
        match deployments.iter().find(|deployment| is_of(pod, deployment)) {
            Some(deployment) => {
                // During a replacement the older pod still ends: the one that lives counts.
                let present = carried.get(deployment.meta.name.as_str());
                if present.is_none_or(|present| present.meta.deleting || present.is_dead()) {
                    carried.insert(&deployment.meta.name, pod);
                }
            }
            None => {
                add(&pod.meta, Worker { carrier: Carrier::Pod(pod), pod: Some(pod) });
            }
        }
    }
    for deployment in deployments {
        let pod = carried.get(deployment.meta.name.as_str()).copied();
        add(&deployment.meta, Worker { carrier: Carrier::Deployment(deployment), pod });
    }
    groups
}

fn is_of(pod: &Pod, deployment: &Deployment) -> bool {
    let of_a_set = pod.meta.owners.iter().any(|owner| owner.kind == "ReplicaSet");
    let rest = pod.meta.name.strip_prefix(deployment.meta.name.as_str());
    of_a_set && rest.is_some_and(|rest| rest.starts_with('-'))
}
