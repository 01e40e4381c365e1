//! Rules of a worker spec, plain or named.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Problem, join, scaling::check_autoscale};
use crate::{
    autoscale::AutoscaleSpec,
    quantity::Quantity,
    worker::{NamedWorkerSpec, WorkerSpec},
};

/// What the rules look at.
pub(super) struct Parts<'a> {
    spec: Option<&'a Value>,
    short_form: [(&'static str, bool); 4],
    threads: Option<u32>,
    memory: Option<&'a Quantity>,
    resources: Option<&'a BTreeMap<String, Quantity>>,
    autoscale: Option<&'a AutoscaleSpec>,
}

macro_rules! parts_of {
    ($worker:expr) => {
        Parts {
            spec: $worker.spec.as_ref(),
            short_form: [
                ("image", $worker.image.is_some()),
                ("threads", $worker.threads.is_some()),
                ("memory", $worker.memory.is_some()),
                ("env", $worker.env.is_some()),
            ],
            threads: $worker.threads,
            memory: $worker.memory.as_ref(),
            resources: $worker.resources.as_ref(),
            autoscale: $worker.autoscale.as_ref(),
        }
    };
}

impl<'a> Parts<'a> {
    pub(super) fn of(worker: &'a WorkerSpec) -> Self {
        parts_of!(worker)
    }

    pub(super) fn of_named(worker: &'a NamedWorkerSpec) -> Self {
        parts_of!(worker)
    }
}

pub(super) fn check(parts: &Parts<'_>, path: &str, problems: &mut Vec<Problem>) {
    if let Some(spec) = parts.spec {
        check_pod(spec, &join(path, "spec"), problems);
        for (field, given) in parts.short_form {
            if given {
                let message = format!(
                    "'{field}' is the short form and does nothing beside 'spec': \
                     say it in spec.containers[0], or remove 'spec'"
                );
                problems.push(Problem::new(join(path, field), message));
            }
        }
    }
    if parts.threads == Some(0) {
        let message = "must be at least 1: a worker without threads runs nothing";
        problems.push(Problem::new(join(path, "threads"), message));
    }
    if let Some(memory) = parts.memory {
        match memory.units() {
            Ok(0) => {
                let message = "must be more than 0, such as 2Gi";
                problems.push(Problem::new(join(path, "memory"), message));
            }
            Ok(_) => {}
            Err(error) => problems.push(Problem::new(join(path, "memory"), error.to_string())),
        }
    }
    for (name, quantity) in parts.resources.into_iter().flatten() {
        let field = join(path, &format!("resources.{name}"));
        if matches!(name.as_str(), "cpu" | "memory") {
            let message = format!(
                "'{name}' is not said here: write 'threads' and 'memory', \
                 or limits in spec.containers[0].resources"
            );
            problems.push(Problem::new(field, message));
        } else if let Err(error) = quantity.thousandths() {
            problems.push(Problem::new(field, error.to_string()));
        }
    }
    if let Some(autoscale) = parts.autoscale {
        check_autoscale(autoscale, &join(path, "autoscale"), problems);
    }
}

/// A pod spec is looked into by the API server; here only as far as we read it ourselves.
pub(super) fn check_pod(spec: &Value, path: &str, problems: &mut Vec<Problem>) {
    let Some(fields) = spec.as_object() else {
        problems.push(Problem::new(path, "must be a pod spec: fields such as 'containers'"));
        return;
    };
    let containers = fields.get("containers").and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        let message = "a pod spec needs 'containers' with at least one container";
        problems.push(Problem::new(path, message));
    }
    for (at, container) in containers.into_iter().flatten().enumerate() {
        if container.get("name").and_then(Value::as_str).is_none() {
            let message = "a container needs a 'name'";
            problems.push(Problem::new(format!("{path}.containers[{at}]"), message));
        }
        check_limits(container, &format!("{path}.containers[{at}]"), problems);
    }
}

fn check_limits(container: &Value, path: &str, problems: &mut Vec<Problem>) {
    for kind in ["limits", "requests"] {
        let amounts = container.get("resources").and_then(|resources| resources.get(kind));
        for (name, amount) in amounts.and_then(Value::as_object).into_iter().flatten() {
            let text = match amount {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if let Err(error) = Quantity(text).thousandths() {
                let field = format!("{path}.resources.{kind}.{name}");
                problems.push(Problem::new(field, error.to_string()));
            }
        }
    }
}
