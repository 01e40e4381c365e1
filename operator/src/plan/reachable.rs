//! What the parts of a plan share, and where the scheduler is found.

use std::sync::Arc;

use dasklet_core::demand::{DemandRequest, Member, Shape};

use super::{orders::Link, settings::Settings, workers::GroupState};
use crate::{
    names::{self, component},
    observe::{ClusterObject, GroupObject, Observed, Pod, PodPhase, Sight},
    template::{Place, Worker},
};

/// Wait of a long poll while something is on its way.
const WAIT_BUSY_MICROS: u64 = 500_000;
/// The same while nothing is.
const WAIT_QUIET_MICROS: u64 = 20_000_000;
/// Least time between questions while something is on its way.
const PAUSE_BUSY_MICROS: u64 = 100_000;
/// The same while nothing is.
const PAUSE_QUIET_MICROS: u64 = 500_000;

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The operator's options.
    pub settings: &'a Settings,
    /// The objects.
    pub observed: &'a Observed,
    /// The cluster.
    pub cluster: &'a ClusterObject,
    /// What the scheduler last said.
    pub sight: &'a Sight,
    /// The present time, microseconds since 1970.
    pub now_micros: u64,
    /// All workers are to go.
    pub suspended: bool,
    /// Groups that scale themselves are to be at their minimum.
    pub minimum: bool,
    /// Where the scheduler is, for workers.
    pub address: &'a str,
}

impl<'a> Scene<'a> {
    /// Whether a group that this operator made is not in its cluster's spec any more.
    pub fn is_going(&self, group: &GroupObject) -> bool {
        let Ok(spec) = &self.cluster.spec else { return false };
        let cluster = &self.cluster.meta.name;
        let made = group.meta.is_ours() && group.meta.is_owned_by(&self.cluster.meta.uid);
        let mut further = spec.worker_groups.iter().flatten();
        made && group.meta.name != names::default_group(cluster)
            && further.all(|entry| names::group(cluster, &entry.name) != group.meta.name)
    }

    /// Whether the scheduler has workers of a group, be their pods known to us or not yet.
    pub fn has_members(&self, group: &str) -> bool {
        let of_group =
            |member: &Member| member.group == group || names::slot(group, &member.name).is_some();
        self.sight.demand.is_some() && self.sight.members.iter().any(of_group)
    }

    /// What the group's workers are made from.
    pub fn worker_template(&self, group: &'a GroupObject) -> Option<Worker<'a>> {
        Some(Worker {
            cluster: &self.observed.key.name,
            group: &group.meta,
            spec: &group.spec.as_ref().ok()?.worker,
            scheduler_address: self.address,
            place: &self.settings.place,
        })
    }
}

/// The scheduler's pod: the one that lives, if there are several.
pub fn scheduler_pod(observed: &Observed) -> Option<&Arc<Pod>> {
    observed
        .pods_of(component::SCHEDULER)
        .filter(|pod| !pod.is_dead())
        .min_by_key(|pod| (pod.meta.deleting, !pod.is_running(), pod.meta.created_micros))
}

/// The scheduler's address for workers and clients.
pub fn address(observed: &Observed) -> String {
    let Observed { key, services, .. } = observed;
    let service = services.get(&names::scheduler(&key.name));
    let port = service.map_or(8786, |service| service.port("tcp-comm", 8786));
    Place::scheduler_address(&key.namespace, &key.name, port)
}

/// Where the scheduler answers and what to ask it; `None` while it does not run.
pub fn link<'g>(
    scene: &Scene<'_>,
    groups: impl Iterator<Item = (&'g String, &'g GroupState)>,
) -> Option<Link> {
    let pod = scheduler_pod(scene.observed)?;
    if pod.phase != PodPhase::Running || pod.ip.is_empty() || pod.meta.deleting {
        return None;
    }
    let mut request = DemandRequest::default();
    let mut busy = false;
    for (name, state) in groups {
        let GroupState { policy, serving, .. } = state;
        request.shapes.push(Shape {
            group: name.clone(),
            resources: policy.shape.clone(),
            most: policy.most_further(*serving),
        });
        if let Some(autoscale) = &policy.autoscale {
            let target = autoscale.target_duration_seconds;
            let least = request.target_duration_seconds.map_or(target, |least| least.min(target));
            request.target_duration_seconds = Some(least);
        }
        busy |= state.starting > 0 || state.draining > 0;
    }
    let key = &scene.observed.key;
    let (wait_micros, pause_micros) = if busy {
        (WAIT_BUSY_MICROS, PAUSE_BUSY_MICROS)
    } else {
        (WAIT_QUIET_MICROS, PAUSE_QUIET_MICROS)
    };
    Some(Link {
        url: scene.settings.url(&key.namespace, &key.name, &pod.ip, pod.http_port),
        tcp: format!("tcp://{}:8786", pod.ip),
        ready: pod.is_ready(),
        request,
        wait_micros,
        pause_micros,
    })
}
