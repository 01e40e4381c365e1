//! What is wanted of a group: its spec, its autoscaler and the state of its cluster joined.

use std::sync::Arc;

use dasklet_api::local_worker;
use dasklet_elastic::{GroupHistory, GroupPolicy};

use crate::{
    names,
    observe::{AutoscalerObject, GroupObject, Observed},
};

/// The autoscaler of a group: the oldest one that names it.
pub fn autoscaler<'a>(observed: &'a Observed, group: &str) -> Option<&'a Arc<AutoscalerObject>> {
    let cluster = &observed.key.name;
    let short = group.strip_prefix(cluster.as_str()).and_then(|rest| rest.strip_prefix('-'));
    let concerns = |autoscaler: &&Arc<AutoscalerObject>| {
        autoscaler.spec.as_ref().is_ok_and(|spec| match spec.worker_group.as_deref() {
            _ if spec.cluster != *cluster || autoscaler.meta.deleting => false,
            None => group == names::default_group(cluster),
            Some(named) => named == group || short == Some(named),
        })
    };
    observed
        .autoscalers
        .values()
        .filter(concerns)
        .min_by_key(|autoscaler| (autoscaler.meta.created_micros, autoscaler.meta.name.as_str()))
}

/// A group's policy; `None` where its spec cannot be read.
pub fn policy(observed: &Observed, group: &GroupObject, suspended: bool) -> Option<GroupPolicy> {
    let worker = &group.spec.as_ref().ok()?.worker;
    let of_group = worker.autoscale.as_ref();
    let autoscale = match autoscaler(observed, &group.meta.name) {
        Some(autoscaler) => autoscaler.spec.as_ref().ok().map(|spec| spec.autoscale(of_group)),
        None => worker.autoscale.clone(),
    };
    Some(GroupPolicy {
        group: group.meta.name.clone(),
        shape: local_worker(worker).shape(),
        replicas: worker.replicas,
        autoscale: autoscale.map(|autoscale| autoscale.policy()),
        suspended: suspended || group.meta.deleting,
        drain: worker.drain.clone().unwrap_or_default().policy(),
    })
}

/// The history of a group that this process has not planned before: its last decision, which also
/// holds for as long as a window asks.
pub fn restored(group: &GroupObject, policy: &GroupPolicy, now_micros: u64) -> GroupHistory {
    let mut history = GroupHistory::default();
    if group.status.last_decision.is_some() && policy.autoscale.is_some() {
        history.desired = Some(group.status.desired_replicas);
        history.recommend(group.status.desired_replicas, now_micros, 0);
    }
    history
}
