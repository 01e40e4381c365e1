//! The operator's options: one struct, read from arguments and environment.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

use crate::{plan::Settings, template::Place};

/// Runs Dask-style clusters on Kubernetes.
#[derive(Debug, Clone, Parser)]
#[command(name = "dasklet-operator", version)]
pub struct Options {
    /// Namespace to work in; may be repeated [default: all namespaces]
    #[arg(long = "namespace", short = 'n', env = "DASKLET_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Image of the engine: schedulers, workers and runners of native workloads
    #[arg(long, env = "DASKLET_ENGINE_IMAGE", default_value_t = engine_image())]
    pub engine_image: String,
    /// imagePullPolicy of the engine's image [default: Kubernetes' own]
    #[arg(long, env = "DASKLET_ENGINE_PULL_POLICY", default_value = "")]
    pub engine_pull_policy: String,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Work without a Lease: only one replica may run
    #[arg(long)]
    pub no_leader_election: bool,
    /// Namespace of the Lease [default: the operator's own]
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub lease_namespace: String,
    /// Name of the Lease
    #[arg(long, default_value = "dasklet-operator")]
    pub lease_name: String,
    /// Name under which this replica takes the Lease and tells events [default: the host's name]
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// Most writes to the API server at once
    #[arg(long, default_value_t = 24, value_name = "NUMBER")]
    pub max_writes: usize,
    /// Most writes to the API server in a second
    #[arg(long, default_value_t = 400, value_name = "NUMBER")]
    pub write_qps: u32,
    /// Where a scheduler's HTTP API is; {ip}, {port}, {namespace} and {cluster} are filled in
    #[arg(long, default_value = "http://{ip}:{port}", value_name = "URL")]
    pub scheduler_url: String,
    /// Token for schedulers that were started with one
    #[arg(long, env = "DASKLET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Counts alone change a status at most once in so many milliseconds
    #[arg(long, default_value_t = 1000, value_name = "MILLISECONDS")]
    pub status_pause: u64,
    /// How the log is written
    #[arg(long, env = "DASKLET_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged, as in RUST_LOG
    #[arg(long, env = "RUST_LOG", default_value = "info,kube_runtime=error,kube_client=warn")]
    pub log: String,
}

/// The engine's image of the operator's own version.
fn engine_image() -> String {
    format!("{}:{}", dasklet_api::names::ENGINE_IMAGE, env!("CARGO_PKG_VERSION"))
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Options {
    /// What plans need of them.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            place: Place {
                engine_image: self.engine_image.clone(),
                pull_policy: self.engine_pull_policy.clone(),
            },
            scheduler_url: self.scheduler_url.clone(),
            status_pause_micros: self.status_pause * 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_names_the_same_image() {
        let options = Options::parse_from(["dasklet-operator"]);
        let (image, _) = options.engine_image.rsplit_once(':').unwrap();
        let values = include_str!("../../charts/dasklet-operator/values.yaml");
        assert!(values.contains(&format!("name: {image}\n")), "{image}");
    }
}
