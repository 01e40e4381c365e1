//! An API server in memory, as a service.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::Service;

use crate::{asked::Asked, server::Server, store::Refusal};

type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// The server behind a client.
pub fn service(
    server: Server,
) -> impl Service<
    Request<Body>,
    Response = Answer,
    Error = std::io::Error,
    Future = impl Future<Output = Result<Answer, std::io::Error>> + Send + 'static,
> + Send
+ 'static {
    tower::service_fn(move |request: Request<Body>| serve(server.clone(), request))
}

async fn serve(server: Server, request: Request<Body>) -> Result<Answer, std::io::Error> {
    if request.uri().path() == "/apis/kubernetes.dask.org/v1" {
        return Ok(plain(200, &definitions()));
    }
    let Some(asked) = Asked::of(&request) else { return Ok(plain(404, &json!({}))) };
    let method = request.method().clone();
    if method == Method::GET {
        return Ok(read(&server, &asked));
    }
    let format = request
        .headers()
        .get("content-type")
        .map_or(String::new(), |value| value.to_str().unwrap_or_default().to_owned());
    let bytes = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let answer = write(&server, &method, &asked, &format, &body);
    if asked.query("dryRun").is_none() && asked.plural != "leases" {
        server.writes.fetch_add(1, Ordering::SeqCst);
    }
    tokio::task::yield_now().await;
    Ok(match answer {
        Ok(object) => plain(200, &object),
        Err(Refusal { code, reason, message }) => refusal(code, reason, &message),
    })
}

fn write(
    server: &Server,
    method: &Method,
    asked: &Asked,
    format: &str,
    body: &Value,
) -> Result<Value, Refusal> {
    let Asked { plural, namespace, name, sub, .. } = asked;
    server.with(|store| match *method {
        Method::POST => {
            let dry_run = asked.query("dryRun").is_some();
            store.create(plural, namespace, body.clone(), dry_run)
        }
        Method::PATCH if format.contains("apply-patch") => {
            let manager = asked.query("fieldManager").unwrap_or_default();
            store.apply(plural, namespace, name, manager, body)
        }
        Method::PATCH => store.merge(plural, namespace, name, body, sub == "status"),
        Method::DELETE => {
            let uid = body["preconditions"]["uid"].as_str();
            let at_once = body["gracePeriodSeconds"] == 0;
            let version = &body["preconditions"]["resourceVersion"];
            let there = store.get(plural, namespace, name);
            let changed = |there: &Value| there["metadata"]["resourceVersion"] != *version;
            if !version.is_null() && there.is_some_and(changed) {
                let message = "the version in the precondition differs".to_owned();
                return Err(Refusal { code: 409, reason: "Conflict", message });
            }
            store.delete(plural, namespace, name, uid, at_once)
        }
        _ => Err(Refusal { code: 405, reason: "MethodNotAllowed", message: String::new() }),
    })
}

fn read(server: &Server, asked: &Asked) -> Answer {
    if asked.is_watch() {
        return watch(server, asked);
    }
    let store = server.store();
    if asked.is_list() {
        return plain(200, &store.list_at(asked, store.version()));
    }
    match store.get(&asked.plural, &asked.namespace, &asked.name) {
        Some(object) => plain(200, object),
        None => refusal(404, "NotFound", "not found"),
    }
}

fn watch(server: &Server, asked: &Asked) -> Answer {
    let from: u64 = asked.query("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
    let (lines, stream) = mpsc::unbounded_channel::<Bytes>();
    let (server, asked) = (server.clone(), asked.clone());
    let mut changed = server.version.subscribe();
    tokio::spawn(async move {
        let mut at = from;
        loop {
            changed.borrow_and_update();
            let news: Vec<String> = {
                let store = server.store();
                let first = store.history.partition_point(|change| change.version <= at);
                at = at.max(store.version());
                store.history[first..]
                    .iter()
                    .filter(|change| change.plural == asked.plural && asked.matches(&change.object))
                    .map(|change| json!({"type": change.kind, "object": change.object}).to_string())
                    .collect()
            };
            for text in news {
                if lines.send(Bytes::from(text + "\n")).is_err() {
                    return;
                }
            }
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = lines.closed() => return,
            }
        }
    });
    let frames = UnboundedReceiverStream::new(stream).map(|bytes| Ok(Frame::data(bytes)));
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

fn plain(code: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}

fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    plain(
        code,
        &json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": code, "reason": reason, "message": message,
        }),
    )
}

fn definitions() -> Value {
    let names = [
        "daskclusters",
        "daskclusters/status",
        "daskworkergroups",
        "daskworkergroups/status",
        "daskautoscalers",
        "daskjobs",
        "daskjobs/status",
    ];
    let resources: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    json!({"kind": "APIResourceList", "resources": resources})
}
