//! The worker groups that a cluster's spec describes.

use dasklet_api::WorkerSpec;
use serde_json::{Value, json};

use super::{
    merge_diff,
    metadata::{Parent, propagated},
};
use crate::{
    names::{self, component},
    observe::{GroupObject, Meta},
};

/// The group, with its replicas in it from the first moment.
#[must_use]
pub fn group(cluster: &Meta, name: &str, spec: &WorkerSpec, replicas: u32) -> Value {
    let parent = Parent { kind: "DaskCluster", meta: cluster };
    let base = [(names::CLUSTER_NAME, cluster.name.as_str()), (names::COMPONENT, component::GROUP)];
    let mut metadata = propagated(&parent, None, name, &base);
    metadata["annotations"][names::PROPAGATED] = json!(replicas.to_string());
    let mut worker = json!(spec);
    worker["replicas"] = json!(replicas);
    json!({
        "apiVersion": format!("{}/{}", dasklet_api::GROUP, dasklet_api::VERSION),
        "kind": "DaskWorkerGroup",
        "metadata": metadata,
        "spec": {"cluster": cluster.name, "worker": worker},
    })
}

/// The merge patch that brings a group up to its cluster's spec; `None` where it is. The size is
/// handed on only when it has changed in the cluster, because others set it on the group alone.
#[must_use]
pub fn group_patch(
    cluster: &Meta,
    present: &GroupObject,
    spec: &WorkerSpec,
    replicas: u32,
) -> Option<Value> {
    let old = present.spec.as_ref().ok();
    let propagated = present.meta.annotation(names::PROPAGATED);
    let hand_on = propagated != Some(replicas.to_string().as_str());
    let without_size = |spec: &WorkerSpec| json!(WorkerSpec { replicas: None, ..spec.clone() });
    let old_worker = old.map_or(Value::Null, |old| without_size(&old.worker));
    let mut worker = merge_diff(&old_worker, &without_size(spec)).unwrap_or_else(|| json!({}));
    let unknown_size = old.is_none_or(|old| old.worker.replicas.is_none());
    // A group that dask-kubernetes made carries no note: its size was handed on at its creation.
    let first_sight = propagated.is_none() && !unknown_size;
    if hand_on && !first_sight {
        worker["replicas"] = json!(replicas);
    }
    let mut patch = json!({});
    if worker.as_object().is_some_and(|fields| !fields.is_empty()) {
        patch["spec"] = json!({"worker": worker});
    }
    if old.is_none_or(|old| old.cluster != cluster.name) {
        patch["spec"]["cluster"] = json!(cluster.name);
    }
    if hand_on {
        patch["metadata"]["annotations"][names::PROPAGATED] = json!(replicas.to_string());
    }
    if !present.meta.is_owned_by(&cluster.uid) {
        let owner = Parent { kind: "DaskCluster", meta: cluster };
        patch["metadata"]["ownerReferences"] = json!([owner.reference()]);
    }
    for (label, value) in [
        (names::CLUSTER_NAME, cluster.name.as_str()),
        (names::COMPONENT, component::GROUP),
        (names::MANAGED_BY, names::DASKLET),
    ] {
        if present.meta.label(label) != Some(value) {
            patch["metadata"]["labels"][label] = json!(value);
        }
    }
    patch.as_object().is_some_and(|fields| !fields.is_empty()).then_some(patch)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dasklet_api::{DaskWorkerGroupSpec, DaskWorkerGroupStatus};

    use super::*;

    fn cluster() -> Meta {
        Meta { name: "c".to_owned(), uid: "u".to_owned(), ..Meta::default() }
    }

    fn present(replicas: u32, propagated: Option<&str>) -> GroupObject {
        let made = group(&cluster(), "c-default", &WorkerSpec::default(), 3);
        let mut labels: BTreeMap<String, String> =
            serde_json::from_value(made["metadata"]["labels"].clone()).unwrap();
        labels.insert("kept".to_owned(), "yes".to_owned());
        let annotations = propagated
            .map(|value| (names::PROPAGATED.to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        let owner = crate::observe::Owner {
            kind: "DaskCluster".to_owned(),
            name: "c".to_owned(),
            uid: "u".to_owned(),
        };
        let meta = Meta {
            name: "c-default".to_owned(),
            labels,
            annotations,
            owners: vec![owner],
            ..Meta::default()
        };
        let worker = WorkerSpec { replicas: Some(replicas), ..WorkerSpec::default() };
        let spec = Ok(DaskWorkerGroupSpec { cluster: "c".to_owned(), worker });
        GroupObject { meta, spec, problems: vec![], status: DaskWorkerGroupStatus::default() }
    }

    #[test]
    fn a_size_is_handed_on_when_the_cluster_changes_it() {
        let plain = WorkerSpec::default();
        // The group was scaled to 7 by somebody else: not ours to undo.
        assert_eq!(group_patch(&cluster(), &present(7, Some("3")), &plain, 3), None);
        let patch = group_patch(&cluster(), &present(7, Some("3")), &plain, 4).unwrap();
        assert_eq!(patch["spec"], json!({"worker": {"replicas": 4}}));
        assert_eq!(patch["metadata"], json!({"annotations": {names::PROPAGATED: "4"}}));
    }

    #[test]
    fn a_group_of_dask_kubernetes_keeps_its_size() {
        let patch = group_patch(&cluster(), &present(7, None), &WorkerSpec::default(), 3).unwrap();
        assert_eq!(patch, json!({"metadata": {"annotations": {names::PROPAGATED: "3"}}}));
    }

    #[test]
    fn fields_that_are_gone_are_removed() {
        let mut old = present(3, Some("3"));
        if let Ok(spec) = &mut old.spec {
            spec.worker.threads = Some(2);
        }
        let new = WorkerSpec { image: Some("i".to_owned()), ..WorkerSpec::default() };
        let patch = group_patch(&cluster(), &old, &new, 3).unwrap();
        assert_eq!(patch, json!({"spec": {"worker": {"threads": null, "image": "i"}}}));
    }
}
