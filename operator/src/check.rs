//! Asks an operator whether it is ready, as `helm test` does: the image holds no other program.

use std::time::Duration;

use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why an operator is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The address is none.
    #[error("'{url}' is no address: write one such as http://localhost:8080 ({source})")]
    Address {
        /// What was given.
        url: String,
        /// Why it is none.
        source: http::uri::InvalidUri,
    },
    /// Nobody answers.
    #[error("no operator answers at {url}: {told}; see its pod with kubectl get pods")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        told: String,
    },
    /// It says so.
    #[error("the operator at {url} is not ready (HTTP {status}); its log says why")]
    NotYet {
        /// Where.
        url: String,
        /// The answer.
        status: u16,
    },
}

/// Asks once.
///
/// # Errors
/// [`NotReady`] says why.
pub async fn ready(url: &str) -> Result<(), NotReady> {
    let url = format!("{}/readyz", url.trim_end_matches('/'));
    let address: http::Uri =
        url.parse().map_err(|source| NotReady::Address { url: url.clone(), source })?;
    let client: Client<_, Empty<hyper::body::Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let unreachable = |told: String| NotReady::Unreachable { url: url.clone(), told };
    let answer = tokio::time::timeout(PATIENCE, client.get(address))
        .await
        .map_err(|_| unreachable(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| unreachable(error.to_string()))?;
    let status = answer.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(NotReady::NotYet { url: url.clone(), status: status.as_u16() })
    }
}
