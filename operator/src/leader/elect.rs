//! Takes the Lease, renews it, and gives it back.

use std::time::{Duration, Instant};

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Step, Term, decide};
use crate::{now_micros, plan::rfc3339};

/// How long a Lease lasts without being renewed.
const LASTS: Duration = Duration::from_secs(15);
/// How often the leader renews it.
const RENEW: Duration = Duration::from_secs(5);
/// A leader that cannot renew it for so long works no more: before anybody else may begin.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How often the others look.
const LOOK: Duration = Duration::from_secs(2);

/// Which Lease, and for whom.
#[derive(Debug, Clone)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are.
    pub identity: String,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leadership {
    /// Somebody else leads, or nobody yet.
    Waiting,
    /// We lead.
    Leading,
    /// We led and do not any more.
    Lost,
}

enum Refusal {
    /// Leases are not allowed here.
    Forbidden(String),
    /// Somebody was faster, or the API server does not answer.
    Later(String),
}

impl Election {
    /// Takes part until `stop` becomes true, then gives the Lease back. Where Leases are
    /// forbidden it warns and leads.
    pub async fn run(
        self,
        client: Client,
        leadership: watch::Sender<Leadership>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut seen: Option<(Term, Instant)> = None;
        let mut renewed: Option<Instant> = None;
        loop {
            let outcome = tokio::time::timeout(RENEW, self.step(&client, &mut seen)).await;
            let leads = match outcome {
                Ok(Ok(leads)) => leads,
                Ok(Err(Refusal::Forbidden(ref words))) => {
                    tracing::warn!(
                        "leases are forbidden ({words}): working without leader election. Give the \
                         operator's role get, create and update on leases, or run one replica"
                    );
                    leadership.send_replace(Leadership::Leading);
                    let _ = stop.wait_for(|stop| *stop).await;
                    return;
                }
                Ok(Err(Refusal::Later(ref words))) => {
                    tracing::debug!(words, "the lease was not written");
                    renewed.is_some()
                }
                Err(_) => renewed.is_some(),
            };
            let fresh = matches!(outcome, Ok(Ok(true)));
            if fresh {
                if renewed.is_none() {
                    tracing::info!(identity = self.identity, "leading");
                }
                renewed = Some(Instant::now());
                leadership.send_replace(Leadership::Leading);
            } else if let Some(at) = renewed
                && (!leads || at.elapsed() > GIVE_UP)
            {
                tracing::error!("the lease is lost");
                leadership.send_replace(Leadership::Lost);
                return;
            }
            let pause = if fresh { RENEW } else { LOOK };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if renewed.is_some()
            && let Some((term, _)) = &seen
        {
            let released = self.put(&client, &self.body(term, "")).await;
            if released.is_ok() {
                tracing::info!("the lease is given back");
            }
        }
    }

    /// Whether we lead after it.
    async fn step(
        &self,
        client: &Client,
        seen: &mut Option<(Term, Instant)>,
    ) -> Result<bool, Refusal> {
        let term = self.get(client).await?;
        let unchanged = match (&term, &*seen) {
            (Some(term), Some((old, since))) if old.version == term.version => since.elapsed(),
            _ => Duration::ZERO,
        };
        if let Some(term) = &term
            && seen.as_ref().is_none_or(|(old, _)| old.version != term.version)
        {
            *seen = Some((term.clone(), Instant::now()));
        }
        let micros = u64::try_from(unchanged.as_micros()).unwrap_or(u64::MAX);
        let written = match decide(term.as_ref(), &self.identity, micros) {
            Step::Wait => return Ok(false),
            Step::Create => {
                let body = self.body(&Term::default(), &self.identity);
                let path = self.path(false);
                send(client, Method::POST, &path, Some(&body)).await?
            }
            Step::Write => {
                let term = term.unwrap_or_default();
                self.put(client, &self.body(&term, &self.identity)).await?
            }
        };
        *seen = Some((term_of(&written), Instant::now()));
        Ok(true)
    }

    async fn get(&self, client: &Client) -> Result<Option<Term>, Refusal> {
        match send(client, Method::GET, &self.path(true), None).await {
            Ok(lease) => Ok(Some(term_of(&lease))),
            Err(Refusal::Later(words)) if words.starts_with("404") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn put(&self, client: &Client, body: &Value) -> Result<Value, Refusal> {
        send(client, Method::PUT, &self.path(true), Some(body)).await
    }

    fn path(&self, named: bool) -> String {
        let Self { namespace, name, .. } = self;
        let name = if named { format!("/{name}") } else { String::new() };
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases{name}")
    }

    fn body(&self, term: &Term, holder: &str) -> Value {
        let micros = now_micros();
        let seconds = rfc3339(micros);
        let time = format!("{}.{:06}Z", seconds.trim_end_matches('Z'), micros % 1_000_000);
        let changes = u32::from(term.holder != holder && !holder.is_empty());
        let mut metadata = json!({"name": self.name, "namespace": self.namespace});
        if !term.version.is_empty() {
            metadata["resourceVersion"] = json!(term.version);
        }
        // A Lease that was given back is free at once.
        let lasts = if holder.is_empty() { 1 } else { LASTS.as_secs() };
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": lasts,
                "renewTime": time,
                "acquireTime": time,
                "leaseTransitions": term.transitions + changes,
            },
        })
    }
}

fn term_of(lease: &Value) -> Term {
    let (spec, text) = (&lease["spec"], |value: &Value| value.as_str().unwrap_or("").to_owned());
    Term {
        holder: text(&spec["holderIdentity"]),
        version: text(&lease["metadata"]["resourceVersion"]),
        lasts_micros: spec["leaseDurationSeconds"].as_u64().unwrap_or(15) * 1_000_000,
        transitions: spec["leaseTransitions"].as_u64().map_or(0, |count| count as u32),
    }
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Refusal> {
    let later = |words: String| Refusal::Later(words);
    let bytes = match body {
        Some(body) => serde_json::to_vec(body).map_err(|error| later(error.to_string()))?,
        None => Vec::new(),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(bytes)
        .map_err(|error| later(error.to_string()))?;
    match client.request::<Value>(request).await {
        Ok(value) => Ok(value),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Err(Refusal::Forbidden(status.message.clone()))
        }
        Err(kube::Error::Api(status)) => Err(later(format!("{} {}", status.code, status.message))),
        Err(error) => Err(later(error.to_string())),
    }
}
