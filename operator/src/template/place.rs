//! What the templates take from the operator's options.

/// What is the same for all clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The engine's image.
    pub engine_image: String,
    /// `imagePullPolicy` of the engine's image; empty: Kubernetes' default.
    pub pull_policy: String,
}

impl Place {
    /// Where the workers of a cluster find its scheduler.
    #[must_use]
    pub fn scheduler_address(namespace: &str, cluster: &str, port: u16) -> String {
        let service = crate::names::scheduler(cluster);
        format!("tcp://{service}.{namespace}.svc:{port}")
    }
}
