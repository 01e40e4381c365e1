//! Talks to a scheduler's HTTP API. Every call has a limit of time: nothing that waits for a
//! scheduler waits for ever.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};

/// Largest answer that is read.
const MOST_BYTES: usize = 64 << 20;

/// A scheduler's HTTP address, with the token for what changes something.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    token: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Why a call gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// Nothing answers there.
    #[error(
        "no scheduler answers at {address} ({reason}): check that it runs, and its HTTP address \
         (the dashboard's, which `dasklet up` prints)"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// It answers, but not within the time.
    #[error(
        "the scheduler at {address} did not answer within {seconds} s: try again, or look at its log"
    )]
    Slow {
        /// Where.
        address: String,
        /// The limit.
        seconds: f64,
    },
    /// It said no.
    #[error("the scheduler at {address} refused {path}: {status}: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: StatusCode,
        /// Its words.
        reason: String,
    },
    /// The answer is of another kind.
    #[error("what answers at {address}{path} is not a dasklet scheduler of this version: {reason}")]
    Unreadable {
        /// Where.
        address: String,
        /// What was asked.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Http {
    /// The scheduler at `address`: `http://host:port`, just `host:port`, or its dashboard's.
    pub fn new(address: &str, token: Option<String>) -> Self {
        let address = address.trim_end_matches('/').trim_end_matches("/status");
        let base =
            if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(3)));
        connector.set_nodelay(true);
        Self { base, token, client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Reads a resource.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<T, HttpError> {
        let bytes = self.call(Method::GET, path, Bytes::new(), limit).await?;
        self.parse(path, &bytes)
    }

    /// Sends a request with a JSON body.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        limit: Duration,
    ) -> Result<T, HttpError> {
        let body = serde_json::to_vec(body).map_err(|error| self.unreadable(path, error))?;
        let bytes = self.call(Method::POST, path, Bytes::from(body), limit).await?;
        self.parse(path, &bytes)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Bytes, HttpError> {
        match tokio::time::timeout(limit, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(HttpError::Slow { address: self.base.clone(), seconds: limit.as_secs_f64() })
            }
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request =
            request.body(Full::new(body)).map_err(|error| self.unreachable(error.to_string()))?;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| self.unreachable(innermost(&error)))?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), MOST_BYTES)
            .collect()
            .await
            .map_err(|error| self.unreachable(error.to_string()))?
            .to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        Err(HttpError::Refused {
            address: self.base.clone(),
            path: path.to_owned(),
            status,
            reason: reason_of(&bytes),
        })
    }

    fn parse<T: DeserializeOwned>(&self, path: &str, bytes: &[u8]) -> Result<T, HttpError> {
        serde_json::from_slice(bytes).map_err(|error| self.unreadable(path, error))
    }

    fn unreachable(&self, reason: String) -> HttpError {
        HttpError::Unreachable { address: self.base.clone(), reason }
    }

    fn unreadable(&self, path: &str, error: serde_json::Error) -> HttpError {
        HttpError::Unreadable {
            address: self.base.clone(),
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// The scheduler's words: the `error` of a JSON answer, or the answer as text.
fn reason_of(bytes: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(bytes)
        .ok()
        .and_then(|value| value.get("error").and_then(|e| e.as_str()).map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned())
}

/// The first cause, which names what the system said ("connection refused").
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
