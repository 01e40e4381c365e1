//! Dask's HTTP interface: `/json/*` on every scheduler, `/api/v1/*` where its user has switched it
//! on (`distributed.http.scheduler.api` in `distributed.scheduler.http.routes`).

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::TcpStream, task::AbortHandle, time::timeout};

use super::{Endpoints, HttpAddress, HttpError, Patience};
use crate::{
    rpc::{IdleSince, SchedulerIdentity},
    value::Value,
};

/// An identity takes about two kilobytes for a worker.
const BODY_BYTES: usize = 64 << 20;

/// Asks one scheduler.
#[derive(Debug, Clone)]
pub(super) struct HttpApi {
    address: HttpAddress,
    patience: Patience,
}

impl HttpApi {
    pub(super) fn new(endpoints: &Endpoints, patience: Patience) -> Option<Self> {
        Some(Self { address: endpoints.http.clone()?, patience })
    }

    /// `/json/identity.json`. Some releases answer 500 once a worker has run a task.
    pub(super) async fn identity(&self) -> Result<SchedulerIdentity, HttpError> {
        let path = "/json/identity.json";
        let value = self.get(path).await?;
        SchedulerIdentity::from_value(&value)
            .map_err(|error| HttpError::misshapen(self.url(path), &error))
    }

    /// `desired_workers` of `/json/counts.json`. Costs the scheduler a walk over all tasks.
    pub(super) async fn desired_workers(&self) -> Result<u64, HttpError> {
        self.number("/json/counts.json", "desired_workers").await
    }

    /// `/api/v1/adaptive_target`.
    pub(super) async fn adaptive_target(&self) -> Result<u64, HttpError> {
        self.number("/api/v1/adaptive_target", "workers").await
    }

    /// `/api/v1/check_idle`.
    pub(super) async fn check_idle(&self) -> Result<IdleSince, HttpError> {
        let path = "/api/v1/check_idle";
        let answer = self.get(path).await?;
        let since =
            answer.as_map("the answer").and_then(|map| match map.required("idle_since")? {
                Value::Nil => Ok(IdleSince::Busy),
                time => time.as_f64("'idle_since'").map(IdleSince::Time),
            });
        since.map_err(|error| HttpError::misshapen(self.url(path), &error))
    }

    /// `/api/v1/get_workers`: pairs of name and address.
    pub(super) async fn workers(&self) -> Result<Vec<(String, String)>, HttpError> {
        let path = "/api/v1/get_workers";
        let answer = self.get(path).await?;
        let read = || {
            let workers = answer.as_map("the answer")?.required("workers")?;
            let pairs = workers.as_list("'workers'")?.iter().map(|worker| {
                let worker = worker.as_map("a worker")?;
                let name = worker.required("name")?.to_name("'name'")?;
                Ok((name, worker.required("address")?.as_str("'address'")?.to_owned()))
            });
            pairs.collect::<Result<_, _>>()
        };
        read().map_err(|error| HttpError::misshapen(self.url(path), &error))
    }

    /// `/api/v1/retire_workers` for these addresses. What it answers is not used: it may be 500
    /// though the workers are retired. Ask who is left.
    pub(super) async fn retire(&self, workers: &[String]) -> Result<(), HttpError> {
        let body = json!({ "workers": workers }).to_string();
        let path = "/api/v1/retire_workers";
        match self.send("POST", path, body, self.patience.retire).await {
            Ok(_) | Err(HttpError::Status { status: 500, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn no_workers(&self) -> HttpError {
        HttpError::NoWorkers { address: self.address.to_string() }
    }

    /// Whether there is something at `path`.
    pub(super) async fn has(&self, path: &str) -> Result<bool, HttpError> {
        match self.send("GET", path, String::new(), self.patience.answer).await {
            Ok(_) | Err(HttpError::Status { status: 500, .. }) => Ok(true),
            Err(error) if error.is_answer() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    async fn number(&self, path: &str, name: &str) -> Result<u64, HttpError> {
        let answer = self.get(path).await?;
        answer
            .as_map("the answer")
            .and_then(|map| map.required(name)?.as_u64(name))
            .map_err(|error| HttpError::misshapen(self.url(path), &error))
    }

    async fn get(&self, path: &str) -> Result<Value, HttpError> {
        let body = self.send("GET", path, String::new(), self.patience.answer).await?;
        serde_json::from_slice::<serde_json::Value>(&body).map(Value::from).map_err(|error| {
            HttpError::Misunderstood { url: self.url(path), reason: error.to_string() }
        })
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: String,
        patience: Duration,
    ) -> Result<Bytes, HttpError> {
        let url = self.url(path);
        let unreachable = |error: &dyn std::error::Error| HttpError::Unreachable {
            url: url.clone(),
            reason: root_cause(error),
        };
        let late = |after| HttpError::Timeout { url: url.clone(), after };
        let connect = self.patience.connect;
        let stream = timeout(connect, TcpStream::connect(self.address.socket()))
            .await
            .map_err(|_| late(connect))?
            .map_err(|error| unreachable(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.authority())
            .header("content-type", "application/json")
            .header("connection", "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unreachable(&error))?;
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .map_err(|error| unreachable(&error))?;
            let _connection = Ends(tokio::spawn(connection).abort_handle());
            let response =
                sender.send_request(request).await.map_err(|error| unreachable(&error))?;
            let status = response.status().as_u16();
            if status != 200 {
                return Err(HttpError::Status { url: url.clone(), status });
            }
            let body = Limited::new(response.into_body(), BODY_BYTES).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| unreachable(&*error))
        };
        timeout(patience, exchange).await.map_err(|_| late(patience))?
    }
}

/// Ends a connection's task when the answer was read, or nobody waits for it any more.
struct Ends(AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
