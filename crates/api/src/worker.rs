//! What one worker is, and how many there are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{autoscale::AutoscaleSpec, metadata::PartMetadata, quantity::Quantity};

// A flattened struct would lose its rules in the schema, so the fields are written once here and
// given to the plain and the named form.
macro_rules! worker_spec {
    ($(#[$doc:meta])* $type_name:ident: $rules:ident { $($(#[$extra_doc:meta])* $extra:ident: $extra_type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        #[schemars(extend("x-kubernetes-validations" = crate::rules::$rules()))]
        pub struct $type_name {
            $($(#[$extra_doc])* pub $extra: $extra_type,)*
            /// Number of workers. Default 1. With `autoscale` only the number at the beginning, and
            /// 1 means `autoscale.minReplicas`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub replicas: Option<u32>,
            /// Labels and annotations of the workers' pods.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub metadata: Option<PartMetadata>,
            /// The whole pod spec; without it the short form below is used.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "crate::schema::pod_spec")]
            pub spec: Option<Value>,
            /// Short form: the image. Default: the engine's own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub image: Option<String>,
            /// Short form: how many tasks run at once.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1))]
            pub threads: Option<u32>,
            /// Short form: the memory limit.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "crate::schema::memory")]
            pub memory: Option<Quantity>,
            /// What a worker offers to tasks beyond cpu and memory, such as `GPU: 1`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(extend("x-kubernetes-validations" = crate::rules::offered()))]
            pub resources: Option<BTreeMap<String, Quantity>>,
            /// Short form: environment variables.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub env: Option<BTreeMap<String, String>>,
            /// How the group scales itself. Default: not at all.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub autoscale: Option<AutoscaleSpec>,
            /// How workers are drained before they are removed.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub drain: Option<DrainSpec>,
        }
    };
}

worker_spec! {
    /// The workers of one group.
    WorkerSpec: worker {}
}

worker_spec! {
    /// The workers of a further group of a cluster.
    NamedWorkerSpec: named_worker {
        /// The group's name within the cluster: its full name is `<cluster>-<name>`.
        #[schemars(length(max = 63))]
        name: String,
    }
}

impl NamedWorkerSpec {
    /// The same without the name.
    #[must_use]
    pub fn worker(&self) -> WorkerSpec {
        let this = self.clone();
        WorkerSpec {
            replicas: this.replicas,
            metadata: this.metadata,
            spec: this.spec,
            image: this.image,
            threads: this.threads,
            memory: this.memory,
            resources: this.resources,
            env: this.env,
            autoscale: this.autoscale,
            drain: this.drain,
        }
    }
}

/// How workers are drained before they are removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainSpec {
    /// Running tasks have so long. Default 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// What happens after that. Default `Force`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<DrainTimeoutAction>,
}

impl DrainSpec {
    /// With all defaults filled in.
    #[must_use]
    pub fn policy(&self) -> dasklet_elastic::DrainPolicy {
        let default = dasklet_elastic::DrainPolicy::default();
        dasklet_elastic::DrainPolicy {
            timeout_seconds: self.timeout_seconds.unwrap_or(default.timeout_seconds),
            on_timeout: match self.on_timeout {
                None | Some(DrainTimeoutAction::Force) => dasklet_elastic::OnTimeout::Force,
                Some(DrainTimeoutAction::Wait) => dasklet_elastic::OnTimeout::Wait,
            },
        }
    }
}

/// What happens when a drain takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DrainTimeoutAction {
    /// Running tasks are stopped and run again elsewhere.
    Force,
    /// The drain goes on.
    Wait,
}
