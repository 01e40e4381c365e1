//! A small HTTP client. Every call has a limit of time.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};

use super::LinkError;

/// Largest answer that is read.
const MOST_BYTES: usize = 32 << 20;

/// One scheduler's HTTP address, with the token for what changes something.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    token: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Http {
    /// The scheduler at `http://host:port`, perhaps with a path.
    #[must_use]
    pub fn new(base: &str, token: Option<String>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        connector.set_nodelay(true);
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(2).build(connector);
        Self { base: base.trim_end_matches('/').to_owned(), token, client }
    }

    /// The address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// It does not answer, not in time, or no.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<T, LinkError> {
        let bytes = self.call(Method::GET, path, Bytes::new(), limit).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.refused(path, error))
    }

    /// Sends a JSON body.
    ///
    /// # Errors
    /// It does not answer, not in time, or no.
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        limit: Duration,
    ) -> Result<T, LinkError> {
        let body = serde_json::to_vec(body).map_err(|error| self.refused(path, error))?;
        let bytes = self.call(Method::POST, path, Bytes::from(body), limit).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.refused(path, error))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Bytes, LinkError> {
        match tokio::time::timeout(limit, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(LinkError::Slow { address: self.base.clone(), seconds: limit.as_secs_f64() })
            }
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, LinkError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| self.refused(path, error))?;
        let response =
            self.client.request(request).await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        let bytes = body.map_err(|error| self.unreachable(error.as_ref()))?.to_bytes();
        match status {
            status if status.is_success() => Ok(bytes),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Err(LinkError::Unknown { address: self.base.clone(), question: path.to_owned() })
            }
            status => {
                let words: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
                Err(self.refused(path, format!("{status} {words}")))
            }
        }
    }

    fn refused(&self, path: &str, reason: impl ToString) -> LinkError {
        LinkError::Refused {
            address: self.base.clone(),
            question: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> LinkError {
        let mut last = error;
        while let Some(source) = last.source() {
            last = source;
        }
        LinkError::Unreachable { address: self.base.clone(), reason: last.to_string() }
    }
}
