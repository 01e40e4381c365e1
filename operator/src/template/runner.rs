//! A job's runner pod.

use dasklet_api::DaskJobSpec;
use serde_json::{Value, json};

use super::{
    Place,
    container::{Ours, add_env, variable},
    metadata::{Parent, propagated},
};
use crate::{
    names::{self, component},
    observe::Meta,
};

/// What a runner pod is made from.
#[derive(Debug, Clone, Copy)]
pub struct Runner<'a> {
    /// The job.
    pub job: &'a Meta,
    /// Its spec.
    pub spec: &'a DaskJobSpec,
    /// The cluster's name.
    pub cluster: &'a str,
    /// Where the scheduler is.
    pub scheduler_address: &'a str,
    /// Which life of the scheduler it is.
    pub scheduler_life: &'a str,
    /// The operator's options.
    pub place: &'a Place,
}

impl Runner<'_> {
    fn workload(&self) -> Value {
        let image = self.spec.workload.as_ref().and_then(|workload| workload.image.as_deref());
        let items = json!([{
            "path": "job.yaml",
            "fieldRef": {"fieldPath": format!("metadata.annotations['{}']", names::WORKLOAD)},
        }]);
        let args = ["submit", "--file", "/dasklet/job/job.yaml"];
        Ours {
            name: "runner",
            image,
            args: args.map(str::to_owned).into(),
            fields: json!({}),
            volumes: vec![json!({"name": "job", "downwardAPI": {"items": items}})],
            mounts: vec![json!({"name": "job", "mountPath": "/dasklet/job", "readOnly": true})],
        }
        .pod(self.place)
    }
}

/// The pod of an attempt, which counts from 1.
#[must_use]
pub fn runner(runner: &Runner<'_>, attempt: u32) -> Value {
    let parent = Parent { kind: "DaskJob", meta: runner.job };
    let base = [
        (names::CLUSTER_NAME, runner.cluster),
        (names::COMPONENT, component::RUNNER),
        (names::JOB_NAME, runner.job.name.as_str()),
        ("sidecar.istio.io/inject", "false"),
    ];
    let name = names::runner(&runner.job.name, attempt);
    let part = runner.spec.job.as_ref().and_then(|job| job.metadata.as_ref());
    let mut metadata = propagated(&parent, part, &name, &base);
    // Only one owner may be the controller, and a job may be deleted by its TTL alone.
    metadata["annotations"]["dask.org/attempt"] = json!(attempt.to_string());
    metadata["annotations"][names::SCHEDULER_LIFE] = json!(runner.scheduler_life);
    let mut spec = match runner.spec.job.as_ref().and_then(|job| job.spec.as_ref()) {
        Some(spec) => spec.clone(),
        None => {
            let job = json!({
                "apiVersion": format!("{}/{}", dasklet_api::GROUP, dasklet_api::VERSION),
                "kind": "DaskJob",
                "metadata": {"name": runner.job.name},
                "spec": {"workload": runner.spec.workload},
            });
            metadata["annotations"][names::WORKLOAD] = json!(job.to_string());
            runner.workload()
        }
    };
    if spec.get("restartPolicy").is_none_or(Value::is_null) {
        // dask-kubernetes lets the kubelet try for ever; who sets a limit wants attempts counted.
        let counted = runner.spec.workload.is_some() || runner.spec.backoff_limit.is_some();
        spec["restartPolicy"] = json!(if counted { "Never" } else { "OnFailure" });
    }
    add_env(&mut spec, &[variable("DASK_SCHEDULER_ADDRESS", runner.scheduler_address)]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(spec: Value, attempt: u32) -> Value {
        let job = Meta { name: "j".to_owned(), ..Meta::default() };
        let spec: DaskJobSpec = serde_json::from_value(spec).unwrap();
        let place = Place { engine_image: "engine:1".to_owned(), pull_policy: String::new() };
        let from = Runner {
            job: &job,
            spec: &spec,
            cluster: "j",
            scheduler_address: "tcp://s:1",
            scheduler_life: "uid 0",
            place: &place,
        };
        runner(&from, attempt)
    }

    #[test]
    fn a_pod_of_the_user_is_as_upstream_has_it() {
        let pod = json!({"containers": [{"name": "job", "image": "dask"}]});
        let made = build(json!({"job": {"spec": pod}, "cluster": {"spec": {}}}), 1);
        assert_eq!(made["metadata"]["name"], "j-runner");
        assert_eq!(made["spec"]["restartPolicy"], "OnFailure");
        let env = &made["spec"]["containers"][0]["env"];
        assert_eq!(env, &json!([{"name": "DASK_SCHEDULER_ADDRESS", "value": "tcp://s:1"}]));
    }

    #[test]
    fn a_workload_is_read_as_a_file() {
        let made = build(
            json!({"workload": {"tasks": [{"name": "a", "command": ["true"]}]},
                   "cluster": {"spec": {}}}),
            2,
        );
        assert_eq!(made["metadata"]["name"], "j-runner-2");
        let text = made["metadata"]["annotations"][names::WORKLOAD].as_str().unwrap();
        let manifest: Value = serde_json::from_str(text).unwrap();
        assert_eq!(manifest["spec"]["workload"]["tasks"][0]["name"], "a");
        assert_eq!(made["spec"]["restartPolicy"], "Never");
        let volume = &made["spec"]["volumes"][0]["downwardAPI"]["items"][0];
        assert_eq!(volume["fieldRef"]["fieldPath"], "metadata.annotations['dask.org/workload']");
    }
}
