//! The operator's options as far as decisions depend on them.

use crate::template::Place;

/// What is the same for all clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What templates need.
    pub place: Place,
    /// Where a scheduler's HTTP API is: a URL with `{ip}`, `{port}`, `{namespace}`, `{cluster}`.
    pub scheduler_url: String,
    /// Counts alone change a status at most so often.
    pub status_pause_micros: u64,
}

impl Settings {
    /// The address of a scheduler's HTTP API.
    #[must_use]
    pub fn url(&self, namespace: &str, cluster: &str, ip: &str, port: u16) -> String {
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        self.scheduler_url
            .replace("{ip}", &host)
            .replace("{port}", &port.to_string())
            .replace("{namespace}", namespace)
            .replace("{cluster}", cluster)
    }
}
