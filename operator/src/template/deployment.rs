//! The scheduler's deployment.

use std::collections::BTreeMap;

use dasklet_api::SchedulerSpec;
use serde_json::{Value, json};

use super::{
    Place,
    container::Ours,
    fingerprint,
    metadata::{Parent, propagated},
};
use crate::{
    names::{self, component},
    observe::Meta,
};

/// What a scheduler's deployment is made from.
#[derive(Debug, Clone, Copy)]
pub struct Scheduler<'a> {
    /// The cluster.
    pub cluster: &'a Meta,
    /// Its scheduler.
    pub spec: Option<&'a SchedulerSpec>,
    /// The operator's options.
    pub place: &'a Place,
}

impl Scheduler<'_> {
    fn pod_spec(&self) -> Value {
        if let Some(spec) = self.spec.and_then(|scheduler| scheduler.spec.as_ref()) {
            return spec.clone();
        }
        let probe = |path: &str, period: u32, failures: u32| {
            json!({
                "httpGet": {"path": path, "port": "http-dashboard"},
                "periodSeconds": period,
                "timeoutSeconds": 5,
                "failureThreshold": failures,
            })
        };
        let fields = json!({
            "ports": [
                {"name": "tcp-comm", "containerPort": 8786, "protocol": "TCP"},
                {"name": "http-dashboard", "containerPort": 8787, "protocol": "TCP"},
            ],
            "readinessProbe": probe("/ready", 1, 3),
            "livenessProbe": probe("/health", 10, 6),
        });
        Ours {
            name: "scheduler",
            image: None,
            args: vec!["scheduler".to_owned()],
            fields,
            volumes: vec![],
            mounts: vec![],
        }
        .pod(self.place)
    }

    /// A fingerprint of what the scheduler is.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let metadata = self.spec.and_then(|scheduler| scheduler.metadata.as_ref());
        fingerprint(&json!([
            self.pod_spec(),
            metadata.and_then(|metadata| metadata.labels.as_ref()),
            metadata.and_then(|metadata| metadata.annotations.as_ref()),
        ]))
    }
}

/// The deployment; `selector` is that of a deployment that is there already and cannot change.
#[must_use]
pub fn deployment(
    scheduler: &Scheduler<'_>,
    replicas: u32,
    selector: Option<&BTreeMap<String, String>>,
    annotations: &[(&str, &str)],
) -> Value {
    let cluster = scheduler.cluster;
    let name = names::scheduler(&cluster.name);
    let parent = Parent { kind: "DaskCluster", meta: cluster };
    let part = scheduler.spec.and_then(|scheduler| scheduler.metadata.as_ref());
    let base = [
        (names::CLUSTER_NAME, cluster.name.as_str()),
        (names::COMPONENT, component::SCHEDULER),
        ("sidecar.istio.io/inject", "false"),
    ];
    let mut metadata = propagated(&parent, part, &name, &base);
    let mut template = json!({"labels": metadata["labels"]});
    if let Some(inherited) = metadata.get("annotations") {
        template["annotations"] = inherited.clone();
    }
    for (annotation, value) in annotations {
        metadata["annotations"][*annotation] = json!(value);
    }
    let selector = match selector {
        Some(fixed) => {
            for (label, value) in fixed {
                template["labels"][label] = json!(value);
            }
            json!(fixed)
        }
        None => json!({
            names::CLUSTER_NAME: cluster.name,
            names::COMPONENT: component::SCHEDULER,
        }),
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": selector},
            "template": {"metadata": template, "spec": scheduler.pod_spec()},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_our_own_scheduler() {
        let cluster = Meta { name: "c".to_owned(), ..Meta::default() };
        let place = Place { engine_image: "engine:1".to_owned(), pull_policy: "Never".to_owned() };
        let from = Scheduler { cluster: &cluster, spec: None, place: &place };
        let made = deployment(&from, 1, None, &[(names::TEMPLATE, "f")]);
        assert_eq!(made["metadata"]["name"], "c-scheduler");
        assert_eq!(made["metadata"]["annotations"][names::TEMPLATE], "f");
        assert_eq!(made["spec"]["strategy"]["type"], "Recreate");
        let container = &made["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"], json!(["scheduler"]));
        assert_eq!(container["imagePullPolicy"], "Never");
        // A note about the deployment must not restart its pod.
        assert!(made["spec"]["template"]["metadata"].get("annotations").is_none());
    }

    #[test]
    fn a_selector_that_is_there_stays_and_is_met() {
        let cluster = Meta { name: "c".to_owned(), ..Meta::default() };
        let place = Place { engine_image: String::new(), pull_policy: String::new() };
        let from = Scheduler { cluster: &cluster, spec: None, place: &place };
        let fixed = BTreeMap::from([("team".to_owned(), "gone".to_owned())]);
        let made = deployment(&from, 1, Some(&fixed), &[]);
        assert_eq!(made["spec"]["selector"]["matchLabels"], json!({"team": "gone"}));
        assert_eq!(made["spec"]["template"]["metadata"]["labels"]["team"], "gone");
    }
}
