//! Objects as they come over the wire, with only the fields that are read.

use std::{borrow::Cow, collections::BTreeMap, fmt::Debug, sync::Arc};

use dasklet_api::{DaskAutoscaler, DaskCluster, DaskJob, DaskWorkerGroup, Validate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{Resource, core::NamespaceResourceScope};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    observe::{Container, ContainerState, Deployment, Meta, Owner, Pod, PodPhase, Service},
    plan::Kind,
    world::Object,
};

/// An object of one kind on the wire.
pub trait Wire:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Debug
    + Send
    + Sync
    + 'static
{
    /// Its kind.
    const KIND: Kind;
    /// Label selector of those that are watched; empty: all.
    const SELECTOR: &'static str;

    /// As it is kept.
    fn object(self) -> Object;
}

macro_rules! wire {
    ($($name:ident { $kind:ident, $group:literal, $version:literal, $plural:literal, $selector:literal,
       $($field:ident: $field_type:ty),* })*) => {$(
        #[derive(Debug, Clone, Deserialize)]
        pub struct $name {
            #[serde(default)]
            metadata: ObjectMeta,
            $(#[serde(default)] $field: $field_type,)*
        }

        impl Resource for $name {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> { Kind::$kind.as_str().into() }
            fn group((): &()) -> Cow<'_, str> { $group.into() }
            fn version((): &()) -> Cow<'_, str> { $version.into() }
            fn plural((): &()) -> Cow<'_, str> { $plural.into() }
            fn meta(&self) -> &ObjectMeta { &self.metadata }
            fn meta_mut(&mut self) -> &mut ObjectMeta { &mut self.metadata }
        }

        impl Wire for $name {
            const KIND: Kind = Kind::$kind;
            const SELECTOR: &'static str = $selector;

            fn object(self) -> Object { self.into_object() }
        }
    )*};
}

wire! {
    WireCluster { Cluster, "kubernetes.dask.org", "v1", "daskclusters", "", spec: Value, status: Value }
    WireGroup { Group, "kubernetes.dask.org", "v1", "daskworkergroups", "", spec: Value, status: Value }
    WireAutoscaler { Autoscaler, "kubernetes.dask.org", "v1", "daskautoscalers", "", spec: Value, status: Value }
    WireJob { Job, "kubernetes.dask.org", "v1", "daskjobs", "", spec: Value, status: Value }
    WirePod { Pod, "", "v1", "pods", "dask.org/cluster-name", spec: PodSpec, status: PodStatus }
    WireDeployment { Deployment, "apps", "v1", "deployments", "dask.org/cluster-name",
                     spec: DeploymentSpec, status: DeploymentStatus }
    WireService { Service, "", "v1", "services", "dask.org/cluster-name", spec: ServiceSpec, status: ServiceStatus }
}

macro_rules! custom {
    ($($wire:ident => $variant:ident, $full:ident);*) => {$(
        impl $wire {
            fn into_object(self) -> Object {
                let status = match self.status {
                    Value::Null => Default::default(),
                    // Another version's status is written anew.
                    status => serde_json::from_value(status).unwrap_or_default(),
                };
                let spec = match self.spec {
                    Value::Null => Value::Object(Default::default()),
                    spec => spec,
                };
                let meta = meta(self.metadata);
                let (spec, problems) = match serde_json::from_value(spec) {
                    Ok(spec) => {
                        let full = $full::new(&meta.name, spec);
                        let problems = full.problems().into_iter();
                        let words = problems.map(|p| format!("{}: {}", p.path, p.message)).collect();
                        (Ok(full.spec), words)
                    }
                    Err(error) => (Err(error.to_string()), Vec::new()),
                };
                Object::$variant(Arc::new(crate::observe::Custom { meta, spec, problems, status }))
            }
        }
    )*};
}

custom! {
    WireCluster => Cluster, DaskCluster;
    WireGroup => Group, DaskWorkerGroup;
    WireAutoscaler => Autoscaler, DaskAutoscaler;
    WireJob => Job, DaskJob
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    restart_policy: String,
    containers: Vec<SpecContainer>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpecContainer {
    ports: Vec<Port>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    name: String,
    container_port: u16,
    port: u16,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    reason: String,
    message: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    conditions: Vec<WireCondition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
    last_transition_time: Option<Time>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    name: String,
    restart_count: u32,
    state: Option<WireState>,
    last_state: Option<WireState>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireState {
    waiting: Option<Words>,
    running: Option<Value>,
    terminated: Option<Words>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Words {
    reason: String,
    message: String,
    exit_code: i32,
    started_at: Option<Time>,
    finished_at: Option<Time>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentSpec {
    replicas: Option<u32>,
    selector: Selector,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    match_labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentStatus {
    conditions: Vec<WireCondition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: String,
    ports: Vec<Port>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Ingress {
    ip: String,
    hostname: String,
}

impl WirePod {
    fn into_object(self) -> Object {
        let (spec, status) = (self.spec, self.status);
        let condition = |kind: &str, is: &str| {
            status
                .conditions
                .iter()
                .find(|condition| condition.kind == kind && condition.status == is)
        };
        let ports = spec.containers.iter().flat_map(|container| &container.ports);
        let http = ports.clone().find(|port| port.name == "http-dashboard");
        let mut containers: Vec<Container> =
            status.container_statuses.iter().map(|status| container(status, false)).collect();
        containers
            .extend(status.init_container_statuses.iter().map(|status| container(status, true)));
        let unschedulable = condition("PodScheduled", "False")
            .filter(|condition| condition.reason == "Unschedulable")
            .map(|condition| condition.message.clone());
        let ready = condition("Ready", "True");
        Object::Pod(Arc::new(Pod {
            node: spec.node_name,
            ip: status.pod_ip.clone(),
            phase: match status.phase.as_str() {
                "Running" => PodPhase::Running,
                "Succeeded" => PodPhase::Succeeded,
                "Failed" => PodPhase::Failed,
                _ => PodPhase::Pending,
            },
            ready_since_micros: ready.map(|ready| micros(ready.last_transition_time.as_ref())),
            unschedulable,
            disruption: condition("DisruptionTarget", "True").map(|found| found.reason.clone()),
            containers,
            never_restarts: spec.restart_policy == "Never",
            http_port: http.map_or(8787, |port| port.container_port),
            meta: meta(self.metadata),
            reason: status.reason,
            message: status.message,
        }))
    }
}

impl WireDeployment {
    fn into_object(self) -> Object {
        let failure = self
            .status
            .conditions
            .into_iter()
            .find(|condition| condition.kind == "ReplicaFailure" && condition.status == "True");
        Object::Deployment(Arc::new(Deployment {
            meta: meta(self.metadata),
            replicas: self.spec.replicas.unwrap_or(1),
            selector: self.spec.selector.match_labels,
            failure: failure.map(|failure| failure.message),
        }))
    }
}

impl WireService {
    fn into_object(self) -> Object {
        let ingress = self.status.load_balancer.ingress.into_iter();
        Object::Service(Arc::new(Service {
            meta: meta(self.metadata),
            kind: self.spec.kind,
            ports: self.spec.ports.into_iter().map(|port| (port.name, port.port)).collect(),
            ingress: ingress
                .map(|entry| if entry.ip.is_empty() { entry.hostname } else { entry.ip })
                .collect(),
        }))
    }
}

fn container(status: &ContainerStatus, init: bool) -> Container {
    let state = |state: &WireState| {
        if let Some(words) = &state.terminated {
            return ContainerState::Terminated {
                reason: words.reason.clone(),
                code: words.exit_code,
                message: words.message.clone(),
            };
        }
        match &state.waiting {
            _ if state.running.is_some() => ContainerState::Running,
            Some(words) => ContainerState::Waiting {
                reason: words.reason.clone(),
                message: words.message.clone(),
            },
            None => ContainerState::default(),
        }
    };
    let last = status.last_state.as_ref().filter(|last| last.terminated.is_some());
    let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let started_micros = ended.map(|words| micros(words.started_at.as_ref())).filter(|at| *at > 0);
    let ended_micros = ended.map(|words| micros(words.finished_at.as_ref())).filter(|at| *at > 0);
    let ran = started_micros.zip(ended_micros);
    Container {
        ran_micros: ran.map(|(started, ended)| ended.saturating_sub(started)),
        ended_micros,
        name: status.name.clone(),
        state: status.state.as_ref().map(state).unwrap_or_default(),
        last: last.map(state),
        restarts: status.restart_count,
        init,
    }
}

fn meta(meta: ObjectMeta) -> Meta {
    Meta {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        resource_version: meta
            .resource_version
            .and_then(|version| version.parse().ok())
            .unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        annotations: meta
            .annotations
            .unwrap_or_default()
            .into_iter()
            // Large, and never read.
            .filter(|(name, _)| !name.starts_with("kubectl.kubernetes.io/last-applied"))
            .filter(|(name, _)| !name.starts_with("kopf.zalando.org/"))
            .filter(|(name, _)| name != crate::names::WORKLOAD)
            .collect(),
        created_micros: micros(meta.creation_timestamp.as_ref()),
        deleting: meta.deletion_timestamp.is_some(),
        owners: meta
            .owner_references
            .unwrap_or_default()
            .into_iter()
            .map(|owner| Owner { kind: owner.kind, name: owner.name, uid: owner.uid })
            .collect(),
        finalizers: meta.finalizers.unwrap_or_default(),
    }
}

fn micros(time: Option<&Time>) -> u64 {
    time.and_then(|time| u64::try_from(time.0.as_microsecond()).ok()).unwrap_or_default()
}

/// Reads an object of one kind.
///
/// # Errors
/// What serde says of a text that is no such object.
pub fn parse<W: Wire>(text: &str) -> Result<Object, serde_json::Error> {
    serde_json::from_str::<W>(text).map(Wire::object)
}

/// Reads an object of a kind that is known only now; `None` for kinds that are not kept.
///
/// # Errors
/// What serde says of a text that is no such object.
pub fn read(kind: Kind, text: &str) -> Result<Option<Object>, serde_json::Error> {
    Ok(Some(match kind {
        Kind::Cluster => parse::<WireCluster>(text)?,
        Kind::Group => parse::<WireGroup>(text)?,
        Kind::Autoscaler => parse::<WireAutoscaler>(text)?,
        Kind::Job => parse::<WireJob>(text)?,
        Kind::Pod => parse::<WirePod>(text)?,
        Kind::Deployment => parse::<WireDeployment>(text)?,
        Kind::Service => parse::<WireService>(text)?,
        Kind::Event | Kind::Template => return Ok(None),
    }))
}
