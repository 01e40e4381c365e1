//! What documents say about each other, and what a local run ignores.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    diagnostic::{Diagnostic, Severity},
    job::DaskJob,
    layout::{concerns, layout},
    local::first_container,
    manifest::{Manifest, Object},
    metadata::name_of,
    suggest::nearest,
    validate::{Problem, join},
    worker::WorkerSpec,
};

/// Checks a set of manifests as a whole: duplicates, references, and what will not do what it
/// seems to say. Each document was checked for itself when it was read.
#[must_use]
pub fn lint(manifests: &[Manifest]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    duplicates(manifests, &mut found);
    references(manifests, &mut found);
    autoscalers(manifests, &mut found);
    initial_sizes(manifests, &mut found);
    found
}

fn duplicates(manifests: &[Manifest], found: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(&str, &str, &str), &Manifest> = HashMap::new();
    for manifest in manifests {
        let object = &manifest.object;
        if object.name().is_empty() || matches!(object, Object::Other(_)) {
            continue;
        }
        let key = (object.kind(), object.namespace(), object.name());
        if let Some(first) = seen.insert(key, manifest) {
            let message = format!(
                "there is already a {} '{}' in {}: rename one",
                object.kind(),
                object.name(),
                first.file()
            );
            found.push(manifest.diagnose(Severity::Error, Problem::new("metadata.name", message)));
        }
    }
    let layout = layout(manifests);
    let mut groups: HashMap<&str, &str> = HashMap::new();
    for cluster in &layout.clusters {
        for group in &cluster.groups {
            let Some(other) = groups.insert(&group.name, &cluster.name) else { continue };
            let owner = manifests.iter().find(|manifest| match &manifest.object {
                Object::WorkerGroup(object) => name_of(&object.metadata) == group.name,
                Object::Cluster(_) | Object::Job(_) => manifest.object.name() == cluster.name,
                _ => false,
            });
            if let Some(owner) = owner {
                let message = format!(
                    "the worker group '{}' exists twice (clusters '{other}' and '{}'): rename one",
                    group.name, cluster.name
                );
                found.push(owner.diagnose(Severity::Error, Problem::new("metadata.name", message)));
            }
        }
    }
}

fn references(manifests: &[Manifest], found: &mut Vec<Diagnostic>) {
    let clusters: Vec<&str> = manifests
        .iter()
        .filter_map(|manifest| match &manifest.object {
            Object::Cluster(cluster) => Some(name_of(&cluster.metadata)),
            _ => None,
        })
        .collect();
    let own: Vec<&str> = manifests
        .iter()
        .filter_map(|manifest| match &manifest.object {
            Object::Job(job) if job.spec.cluster.is_some() => Some(name_of(&job.metadata)),
            _ => None,
        })
        .collect();
    for manifest in manifests {
        let (path, wanted, known) = match &manifest.object {
            Object::WorkerGroup(group) => {
                ("spec.cluster", &group.spec.cluster, both(&clusters, &own))
            }
            Object::Autoscaler(scaler) => {
                ("spec.cluster", &scaler.spec.cluster, both(&clusters, &own))
            }
            Object::Job(job) => match &job.spec.cluster_name {
                Some(name) => ("spec.clusterName", name, clusters.clone()),
                None => {
                    homeless(manifest, job, clusters.len(), found);
                    continue;
                }
            },
            Object::Cluster(_) | Object::Other(_) => continue,
        };
        if !known.contains(&wanted.as_str()) {
            found.push(manifest.diagnose(missing_cluster(&known), {
                let hint = match nearest(wanted, known.iter().copied()) {
                    Some(name) => format!("did you mean '{name}'?"),
                    None if known.is_empty() => "it has to exist already".to_owned(),
                    None => format!("known: {}", known.join(", ")),
                };
                Problem::new(path, format!("there is no DaskCluster '{wanted}' here; {hint}"))
            }));
        }
    }
}

fn both<'a>(clusters: &[&'a str], own: &[&'a str]) -> Vec<&'a str> {
    clusters.iter().chain(own).copied().collect()
}

/// Manifests without any cluster are additions to one that is there already.
fn missing_cluster(known: &[&str]) -> Severity {
    if known.is_empty() { Severity::Warning } else { Severity::Error }
}

/// A job that names no cluster.
fn homeless(manifest: &Manifest, job: &DaskJob, clusters: usize, found: &mut Vec<Diagnostic>) {
    let spec = &job.spec;
    if spec.cluster.is_some() || spec.cluster_selector.is_some() || clusters == 1 {
        return;
    }
    let (severity, message) = if clusters == 0 {
        (Severity::Warning, "the job names no cluster: it can only be submitted to a scheduler")
    } else {
        (Severity::Error, "the job names no cluster and there are several: add 'clusterName'")
    };
    found.push(manifest.diagnose(severity, Problem::new("spec", message)));
}

fn autoscalers(manifests: &[Manifest], found: &mut Vec<Diagnostic>) {
    let layout = layout(manifests);
    let mut taken: HashMap<&str, &str> = HashMap::new();
    for manifest in manifests {
        let Object::Autoscaler(scaler) = &manifest.object else { continue };
        let Some(cluster) = layout.clusters.iter().find(|c| c.name == scaler.spec.cluster) else {
            continue;
        };
        let group =
            cluster.groups.iter().find(|group| concerns(&scaler.spec, &cluster.name, &group.name));
        let Some(group) = group else {
            let wanted = scaler.spec.worker_group.as_deref().unwrap_or("default");
            let known: Vec<&str> = cluster.groups.iter().map(|group| group.name.as_str()).collect();
            let message = format!(
                "the cluster '{}' has no worker group '{wanted}'; known: {}",
                cluster.name,
                known.join(", ")
            );
            let problem = Problem::new("spec.workerGroup", message);
            found.push(manifest.diagnose(Severity::Error, problem));
            continue;
        };
        if let Some(other) = taken.insert(&group.name, name_of(&scaler.metadata)) {
            let message = format!(
                "the worker group '{}' is already scaled by DaskAutoscaler '{other}': remove one",
                group.name
            );
            found.push(manifest.diagnose(Severity::Error, Problem::new("spec", message)));
        } else if group.worker.autoscale.is_some() {
            let message = format!("overrides 'autoscale' of the worker group '{}'", group.name);
            found.push(manifest.diagnose(Severity::Warning, Problem::new("spec", message)));
        }
    }
}

fn initial_sizes(manifests: &[Manifest], found: &mut Vec<Diagnostic>) {
    each_worker(manifests, |manifest, path, worker| {
        let (Some(replicas), Some(autoscale)) = (worker.replicas, &worker.autoscale) else {
            return;
        };
        let policy = autoscale.policy();
        if policy.clamp(replicas) != replicas {
            let message = format!(
                "the initial size {replicas} is outside minReplicas {} and maxReplicas {}: \
                 {} is used",
                policy.min_replicas,
                policy.max_replicas,
                policy.clamp(replicas)
            );
            let problem = Problem::new(join(path, "replicas"), message);
            found.push(manifest.diagnose(Severity::Warning, problem));
        }
    });
}

/// Every worker spec, with its path.
fn each_worker(manifests: &[Manifest], mut visit: impl FnMut(&Manifest, &str, &WorkerSpec)) {
    for manifest in manifests {
        let (path, spec) = match &manifest.object {
            Object::Cluster(cluster) => ("spec", &cluster.spec),
            Object::Job(job) => match &job.spec.cluster {
                Some(template) => ("spec.cluster.spec", &template.spec),
                None => continue,
            },
            Object::WorkerGroup(group) => {
                visit(manifest, "spec.worker", &group.spec.worker);
                continue;
            }
            Object::Autoscaler(_) | Object::Other(_) => continue,
        };
        visit(manifest, &join(path, "worker"), &spec.worker);
        for (at, group) in spec.worker_groups.iter().flatten().enumerate() {
            visit(manifest, &join(path, &format!("workerGroups[{at}]")), &group.worker());
        }
    }
}

/// Every field that a run on this machine does not use.
#[must_use]
pub fn ignored_locally(manifests: &[Manifest]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut ignored = |manifest: &Manifest, path: String, why: &str| {
        let message = format!("is ignored by a local run: {why}");
        found.push(manifest.diagnose(Severity::Warning, Problem::new(path, message)));
    };
    for manifest in manifests {
        let (path, spec) = match &manifest.object {
            Object::Cluster(cluster) => ("spec", Some(&cluster.spec)),
            Object::Job(job) => {
                if job.spec.job.is_some() {
                    ignored(manifest, "spec.job".to_owned(), "there are no pods; use 'workload'");
                }
                if job.spec.workload.as_ref().is_some_and(|workload| workload.image.is_some()) {
                    ignored(manifest, "spec.workload.image".to_owned(), "there are no containers");
                }
                ("spec.cluster.spec", job.spec.cluster.as_ref().map(|template| &template.spec))
            }
            Object::Other(other) => {
                ignored(manifest, String::new(), &format!("there is no {}", other.kind));
                continue;
            }
            Object::WorkerGroup(_) | Object::Autoscaler(_) => continue,
        };
        if spec.is_some_and(|spec| spec.scheduler.is_some()) {
            let path = join(path, "scheduler");
            ignored(manifest, path, "the scheduler is a process of this program");
        }
    }
    each_worker(manifests, |manifest, path, worker| {
        if worker.image.is_some() {
            ignored(manifest, join(path, "image"), "there are no containers");
        }
        if worker.metadata.is_some() {
            ignored(manifest, join(path, "metadata"), "there are no pods");
        }
        if let Some(spec) = &worker.spec {
            for field in ignored_in_pod(spec) {
                let why = "it uses the first container's env and limits";
                ignored(manifest, join(path, &format!("spec.{field}")), why);
            }
        }
    });
    found
}

fn ignored_in_pod(spec: &Value) -> Vec<String> {
    let mut fields: Vec<String> = spec
        .as_object()
        .into_iter()
        .flatten()
        .map(|(field, _)| field.clone())
        .filter(|field| field != "containers")
        .collect();
    let further = spec.get("containers").and_then(Value::as_array).map_or(0, Vec::len);
    fields.extend((1..further).map(|at| format!("containers[{at}]")));
    let Some(container) = first_container(spec) else { return fields };
    for (field, value) in container.as_object().into_iter().flatten() {
        match field.as_str() {
            "name" | "args" | "command" => {}
            "env" => {
                let entries = value.as_array().into_iter().flatten().enumerate();
                fields.extend(
                    entries
                        .filter(|(_, entry)| entry.get("valueFrom").is_some())
                        .map(|(at, _)| format!("containers[0].env[{at}].valueFrom")),
                );
            }
            "resources" => fields.extend(
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(kind, _)| *kind != "limits")
                    .map(|(kind, _)| format!("containers[0].resources.{kind}")),
            ),
            field => fields.push(format!("containers[0].{field}")),
        }
    }
    fields
}
