//! A worker's pod.

use dasklet_api::{WorkerSpec, local_worker};
use serde_json::{Value, json};

use super::{
    Place,
    container::{Ours, add_env, field, variable},
    fingerprint,
    metadata::{Parent, propagated},
};
use crate::{
    names::{self, component},
    observe::Meta,
};

/// What a worker's pod is made from.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The group.
    pub group: &'a Meta,
    /// The group's workers.
    pub spec: &'a WorkerSpec,
    /// Where the scheduler is.
    pub scheduler_address: &'a str,
    /// The operator's options.
    pub place: &'a Place,
}

impl Worker<'_> {
    /// The pod's spec before the worker's own name is in it.
    fn pod_spec(&self) -> Value {
        let mut pod = match &self.spec.spec {
            Some(spec) => spec.clone(),
            None => self.short_form(),
        };
        if pod.get("restartPolicy").is_none_or(Value::is_null) {
            // Each process of a worker is a pod of its own, so that its death has one cause and a
            // stale message about it can never mean its successor.
            pod["restartPolicy"] = json!("Never");
        }
        pod
    }

    fn short_form(&self) -> Value {
        let settings = local_worker(self.spec);
        let mut args: Vec<String> = ["worker", "--threads"].map(str::to_owned).into();
        args.push(settings.threads.to_string());
        args.extend(["--scratch".to_owned(), "/scratch".to_owned()]);
        for (name, thousandths) in settings.resources.iter() {
            args.extend(["--resources".to_owned(), format!("{name}={thousandths}m")]);
        }
        let mut resources = json!({});
        if let Some(threads) = self.spec.threads {
            resources["requests"]["cpu"] = json!(threads.to_string());
        }
        if let Some(memory) = &self.spec.memory {
            resources["requests"]["memory"] = json!(memory.to_string());
            resources["limits"]["memory"] = json!(memory.to_string());
        }
        let env: Vec<Value> =
            settings.env.iter().map(|(name, value)| variable(name, value)).collect();
        Ours {
            name: "worker",
            image: self.spec.image.as_deref(),
            args,
            fields: json!({"resources": resources, "env": env}),
            volumes: vec![json!({"name": "scratch", "emptyDir": {}})],
            mounts: vec![json!({"name": "scratch", "mountPath": "/scratch"})],
        }
        .pod(self.place)
    }

    /// A fingerprint of what a worker is: pods with another one are of an older template.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let metadata = self.spec.metadata.as_ref();
        fingerprint(&json!([
            self.pod_spec(),
            metadata.and_then(|metadata| metadata.labels.as_ref()),
            metadata.and_then(|metadata| metadata.annotations.as_ref()),
        ]))
    }
}

/// The pod of the worker in a slot; `fingerprint` is that of [`Worker::fingerprint`].
#[must_use]
pub fn worker(worker: &Worker<'_>, fingerprint: &str, slot: u32) -> Value {
    let name = names::worker(&worker.group.name, slot);
    let parent = Parent { kind: "DaskWorkerGroup", meta: worker.group };
    let base = [
        (names::CLUSTER_NAME, worker.cluster),
        (names::GROUP_NAME, worker.group.name.as_str()),
        (names::COMPONENT, component::WORKER),
        ("sidecar.istio.io/inject", "false"),
    ];
    let mut metadata = propagated(&parent, worker.spec.metadata.as_ref(), &name, &base);
    metadata["annotations"][names::TEMPLATE] = json!(fingerprint);
    let mut spec = worker.pod_spec();
    add_env(
        &mut spec,
        &[
            variable("DASK_WORKER_NAME", &name),
            variable("DASK_SCHEDULER_ADDRESS", worker.scheduler_address),
            variable("DASKLET_GROUP", &worker.group.name),
            field("DASKLET_POD_UID", "metadata.uid"),
        ],
    );
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { engine_image: "engine:1".to_owned(), pull_policy: String::new() }
    }

    fn group() -> Meta {
        Meta {
            namespace: "n".to_owned(),
            name: "c-default".to_owned(),
            uid: "u".to_owned(),
            ..Meta::default()
        }
    }

    fn build(spec: &WorkerSpec) -> Value {
        let (group, place) = (group(), place());
        let address = Place::scheduler_address("n", "c", 8786);
        let from = Worker {
            cluster: "c",
            group: &group,
            spec,
            scheduler_address: &address,
            place: &place,
        };
        worker(&from, &from.fingerprint(), 3)
    }

    #[test]
    fn a_users_container_keeps_its_own_variables() {
        let spec = json!({"containers": [
            {"name": "worker", "image": "dask", "env": [{"name": "DASK_WORKER_NAME", "value": "mine"}]},
            {"name": "sidecar", "image": "other"},
        ], "initContainers": [{"name": "i", "image": "i"}]});
        let pod = build(&WorkerSpec { spec: Some(spec), ..WorkerSpec::default() });
        assert_eq!(pod["metadata"]["name"], "c-default-worker-3");
        assert_eq!(pod["metadata"]["labels"]["dask.org/cluster-name"], "c");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], "u");
        let containers = &pod["spec"]["containers"];
        assert_eq!(containers[0]["env"][0], json!({"name": "DASK_WORKER_NAME", "value": "mine"}));
        assert_eq!(containers[0]["env"].as_array().unwrap().len(), 4);
        assert_eq!(
            containers[1]["env"][1],
            json!({"name": "DASK_SCHEDULER_ADDRESS",
                   "value": "tcp://c-scheduler.n.svc:8786"})
        );
        assert!(pod["spec"]["initContainers"][0].get("env").is_none());
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
    }

    #[test]
    fn the_short_form_is_our_own_worker() {
        let spec: WorkerSpec = serde_json::from_value(json!({
            "threads": 2, "memory": "1Gi", "resources": {"GPU": 1}, "env": {"A": "b"}}))
        .unwrap();
        let container = &build(&spec)["spec"]["containers"][0];
        assert_eq!(container["image"], "engine:1");
        assert_eq!(container["command"], json!(["/usr/bin/dasklet"]));
        assert_eq!(
            container["args"],
            json!([
                "worker",
                "--threads",
                "2",
                "--scratch",
                "/scratch",
                "--resources",
                "GPU=1000m"
            ])
        );
        assert_eq!(container["resources"]["limits"], json!({"memory": "1Gi"}));
        assert_eq!(container["env"][0], json!({"name": "A", "value": "b"}));
    }

    #[test]
    fn another_image_gets_our_program() {
        let spec: WorkerSpec = serde_json::from_value(json!({"image": "python:3"})).unwrap();
        let pod = build(&spec);
        assert_eq!(pod["spec"]["initContainers"][0]["image"], "engine:1");
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["image"], "python:3");
        assert_eq!(container["command"], json!(["/opt/dasklet/dasklet"]));
        assert!(pod["spec"]["securityContext"].get("runAsUser").is_none());
    }

    #[test]
    fn only_what_a_worker_is_changes_its_fingerprint() {
        let (group, place) = (group(), place());
        let of = |spec: &WorkerSpec| {
            let scheduler_address = "tcp://s:1";
            Worker { cluster: "c", group: &group, spec, scheduler_address, place: &place }
                .fingerprint()
        };
        let plain = WorkerSpec::default();
        let more = WorkerSpec { replicas: Some(7), ..WorkerSpec::default() };
        let other = WorkerSpec { threads: Some(2), ..WorkerSpec::default() };
        assert_eq!(of(&plain), of(&more));
        assert_ne!(of(&plain), of(&other));
    }
}
