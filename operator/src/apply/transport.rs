//! Requests to the API server, as plain as they are.

use std::{sync::Arc, time::Duration};

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    observe::Key,
    plan::{EventNote, Fault, Kind, rfc3339},
    serve::Metrics,
    watch::read,
    world::Object,
};

/// A request that takes longer has failed: the API server itself gives up after a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// Talks to the API server.
pub struct Transport {
    client: Client,
    metrics: Arc<Metrics>,
    reporter: String,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The API server said no.
    #[error("{message} ({code} {reason})")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// One word.
        reason: String,
        /// Its words.
        message: String,
    },
    /// It did not answer.
    #[error("the API server does not answer: {0}")]
    Silent(String),
    /// Its answer cannot be read.
    #[error("the API server's answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl TransportError {
    /// What it means for a write.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Refused { code, reason, message } => match (code, reason.as_str()) {
                (404, _) => Fault::Gone(message),
                (409, _) => Fault::Conflict,
                (400 | 413 | 415 | 422, _) => Fault::Invalid(message),
                (403, _) if message.contains("exceeded quota") => Fault::Quota(message),
                (401 | 403, _) => Fault::Forbidden(message),
                _ => Fault::Unavailable(message),
            },
            Self::Silent(words) => Fault::Unavailable(words),
            Self::Unreadable(error) => Fault::Unavailable(error.to_string()),
        }
    }

    /// Whether it is this HTTP status.
    #[must_use]
    pub const fn is(&self, status: u16) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == status)
    }
}

type Answer = Result<Option<Object>, TransportError>;

impl Transport {
    /// Uses this client; events are reported under `reporter`.
    #[must_use]
    pub const fn new(client: Client, metrics: Arc<Metrics>, reporter: String) -> Self {
        Self { client, metrics, reporter }
    }

    /// Looks at one object; `None`: it does not exist.
    ///
    /// # Errors
    /// The API server cannot tell.
    pub async fn get(&self, kind: Kind, key: &Key) -> Answer {
        let path = path(kind, &key.namespace, Some(&key.name));
        match self.send(Method::GET, kind, &path, "", None).await {
            Ok(text) => Ok(read(kind, &text)?),
            Err(error) if error.is(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Plain creation.
    pub async fn create(&self, kind: Kind, namespace: &str, body: &Value, dry_run: bool) -> Answer {
        let query =
            if dry_run { "?dryRun=All&fieldManager=dasklet" } else { "?fieldManager=dasklet" };
        let path = format!("{}{query}", path(kind, namespace, None));
        let text = self.send(Method::POST, kind, &path, "application/json", Some(body)).await?;
        if dry_run { Ok(None) } else { Ok(read(kind, &text)?) }
    }

    /// Server-side apply.
    pub async fn apply(&self, kind: Kind, key: &Key, body: &Value) -> Answer {
        let query = "?fieldManager=dasklet-scheduler&force=true";
        let path = format!("{}{query}", path(kind, &key.namespace, Some(&key.name)));
        let format = "application/apply-patch+yaml";
        let text = self.send(Method::PATCH, kind, &path, format, Some(body)).await?;
        Ok(read(kind, &text)?)
    }

    /// A merge patch.
    pub async fn patch(
        &self,
        kind: Kind,
        key: &Key,
        patch: &Value,
        manager: &str,
        status: bool,
    ) -> Answer {
        let sub = if status { "/status" } else { "" };
        let path = path(kind, &key.namespace, Some(&key.name));
        let path = format!("{path}{sub}?fieldManager={manager}");
        let format = "application/merge-patch+json";
        let text = self.send(Method::PATCH, kind, &path, format, Some(patch)).await?;
        Ok(read(kind, &text)?)
    }

    /// Deletion of this very object; gives it as it is while it ends, `None` once it is gone.
    pub async fn delete(
        &self,
        kind: Kind,
        key: &Key,
        uid: &str,
        at_once: bool,
        version: Option<u64>,
    ) -> Answer {
        let mut options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        });
        if at_once {
            options["gracePeriodSeconds"] = json!(0);
        }
        if let Some(version) = version {
            options["preconditions"]["resourceVersion"] = json!(version.to_string());
        }
        let path = path(kind, &key.namespace, Some(&key.name));
        let format = "application/json";
        let text = self.send(Method::DELETE, kind, &path, format, Some(&options)).await?;
        // Gone at once: a status, or the object as it last was.
        Ok(read(kind, &text)?
            .filter(|object| object.meta().uid == uid && object.meta().deleting)
            .filter(|_| !at_once))
    }

    /// Tells an event.
    pub async fn event(
        &self,
        namespace: &str,
        note: &EventNote,
        now_micros: u64,
    ) -> Result<(), TransportError> {
        let seconds = rfc3339(now_micros);
        let time = format!("{}.{:06}Z", seconds.trim_end_matches('Z'), now_micros % 1_000_000);
        let body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": note.name, "namespace": namespace},
            "eventTime": time,
            "reportingController": "dasklet-operator",
            "reportingInstance": self.reporter,
            "action": note.action,
            "reason": note.reason,
            "note": note.message,
            "type": if note.warning { "Warning" } else { "Normal" },
            "regarding": {
                "apiVersion": format!("{}/{}", dasklet_api::GROUP, dasklet_api::VERSION),
                "kind": note.kind.as_str(),
                "name": note.object,
                "namespace": namespace,
                "uid": note.uid,
            },
        });
        let path = path(Kind::Event, namespace, None);
        let format = "application/json";
        match self.send(Method::POST, Kind::Event, &path, format, Some(&body)).await {
            // It was told already.
            Err(error) if error.is(409) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn send(
        &self,
        method: Method,
        kind: Kind,
        path: &str,
        format: &str,
        body: Option<&Value>,
    ) -> Result<String, TransportError> {
        let bytes = match body {
            Some(body) => serde_json::to_vec(body)?,
            None => Vec::new(),
        };
        let verb = method.as_str().to_ascii_lowercase();
        self.metrics.api_requests.with_label_values(&[kind.as_str(), verb.as_str()]).inc();
        let mut request = Request::builder().method(method).uri(path);
        if !format.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, format);
        }
        let request =
            request.body(bytes).map_err(|error| TransportError::Silent(error.to_string()))?;
        let answer = tokio::time::timeout(PATIENCE, self.client.request_text(request)).await;
        let answer = answer.map_err(|_| {
            TransportError::Silent(format!("no answer within {} s", PATIENCE.as_secs()))
        })?;
        answer.map_err(|error| match error {
            kube::Error::Api(status) => TransportError::Refused {
                code: status.code,
                reason: status.reason.clone(),
                message: status.message.clone(),
            },
            other => TransportError::Silent(words(&other)),
        })
    }
}

/// An error with its causes, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        source = cause.source();
    }
    words
}

fn path(kind: Kind, namespace: &str, name: Option<&str>) -> String {
    let (group, plural) = match kind {
        Kind::Cluster => ("apis/kubernetes.dask.org/v1", "daskclusters"),
        Kind::Group => ("apis/kubernetes.dask.org/v1", "daskworkergroups"),
        Kind::Autoscaler => ("apis/kubernetes.dask.org/v1", "daskautoscalers"),
        Kind::Job => ("apis/kubernetes.dask.org/v1", "daskjobs"),
        Kind::Pod | Kind::Template => ("api/v1", "pods"),
        Kind::Service => ("api/v1", "services"),
        Kind::Deployment => ("apis/apps/v1", "deployments"),
        Kind::Event => ("apis/events.k8s.io/v1", "events"),
    };
    match name {
        Some(name) => format!("/{group}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("/{group}/namespaces/{namespace}/{plural}"),
    }
}
