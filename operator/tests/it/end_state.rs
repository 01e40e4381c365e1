//! What a run leaves behind, without what differs from run to run.

use serde_json::{Map, Value, json};

use crate::harness::Harness;

/// Fields that say when, where or how often, and those that others write.
const VOLATILE: [&str; 23] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "lastTransitionTime",
    "observedGeneration",
    "time",
    "startTime",
    "endTime",
    "lastDecision",
    "attempt",
    "managedFields",
    "namespace",
    "schedulerAddress",
    "dashboardAddress",
    "dask.org/kept",
    "deployment.kubernetes.io/revision",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "sessionAffinity",
];

/// Everything that the operator is answerable for. Pods are counted by what they are for, because
/// which slots are left depends on who was drained first.
pub fn end_state(harness: &Harness) -> Value {
    let store = harness.server.store();
    let mut state = Map::new();
    for ((plural, _, name), object) in &store.objects {
        if plural == "events" {
            continue;
        }
        if plural == "pods" {
            let labels = &object["metadata"]["labels"];
            let text = |label: &str| labels[label].as_str().unwrap_or("?").to_owned();
            let kind = format!(
                "pods/{} {}",
                text("dask.org/component"),
                text("dask.org/workergroup-name")
            );
            let count = state.get(&kind).and_then(Value::as_u64).unwrap_or(0) + 1;
            state.insert(kind, json!(count));
            continue;
        }
        let mut object = object.clone();
        if plural == "deployments" || plural == "services" {
            object.as_object_mut().unwrap().shift_remove("status");
        }
        scrub(&mut object);
        state.insert(format!("{plural}/{name}"), object);
    }
    Value::Object(state)
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for volatile in VOLATILE {
                fields.shift_remove(volatile);
            }
            fields.values_mut().for_each(scrub);
        }
        Value::Array(items) => items.iter_mut().for_each(scrub),
        _ => {}
    }
}
