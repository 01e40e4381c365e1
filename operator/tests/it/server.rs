//! An API server in memory behind kube's client, and the faults that are injected below it.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use kube::{Client, client::Body};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::store::{Refusal, Store};

type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// What goes wrong between the client and the API server.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Seed of all choices.
    pub seed: u64,
    /// Share of writes that are refused, or answered after the connection broke.
    pub failing_writes: f64,
    /// Watch events: delayed, repeated, swapped with a neighbour, lost with a forced new list.
    pub odd_events: f64,
    /// Share of lists that are from the past.
    pub stale_lists: f64,
    /// The process dies after this write has been made, before it hears of it.
    pub kill_after: Option<usize>,
}

/// The server.
#[derive(Clone)]
pub struct Server {
    store: Arc<Mutex<Store>>,
    version: watch::Sender<u64>,
    writes: Arc<AtomicUsize>,
    requests: Arc<AtomicU64>,
}

impl Server {
    pub fn new() -> Self {
        let clock = || dasklet_operator::plan::rfc3339(dasklet_operator::now_micros());
        Self {
            store: Arc::new(Mutex::new(Store::new(clock))),
            version: watch::channel(0).0,
            writes: Arc::default(),
            requests: Arc::default(),
        }
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// Looks at or changes the objects; watches hear of it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        let (result, version) = {
            let mut store = self.store();
            (act(&mut store), store.version())
        };
        self.version.send_replace(version);
        result
    }

    /// Writes that clients have made.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// A client whose traffic suffers; and whether its process is to die now.
    pub fn client(&self, faults: Faults) -> (Client, watch::Receiver<bool>) {
        let (killed, kill) = watch::channel(false);
        let killed = Arc::new(killed);
        let server = self.clone();
        let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(faults.seed)));
        let faults = Arc::new(faults);
        let own = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: Request<Body>| {
            let layer = Layer {
                server: server.clone(),
                faults: Arc::clone(&faults),
                rng: Arc::clone(&rng),
                killed: Arc::clone(&killed),
                own: Arc::clone(&own),
            };
            async move { layer.serve(request).await }
        });
        (Client::new(service, "default"), kill)
    }
}

struct Layer {
    server: Server,
    faults: Arc<Faults>,
    rng: Arc<Mutex<StdRng>>,
    killed: Arc<watch::Sender<bool>>,
    own: Arc<AtomicUsize>,
}

struct Asked {
    plural: String,
    namespace: String,
    name: String,
    sub: String,
    query: Vec<(String, String)>,
}

impl Asked {
    fn of(request: &Request<Body>) -> Option<Self> {
        let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
        let rest = match *path.first()? {
            "api" => path.get(2..)?,
            "apis" => path.get(3..)?,
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => ((*namespace).to_owned(), rest),
            rest => (String::new(), rest),
        };
        let text = |at: usize| rest.get(at).map_or(String::new(), |part| (*part).to_owned());
        let query = request.uri().query().unwrap_or_default();
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
            .collect();
        Some(Self { plural: text(0), namespace, name: text(1), sub: text(2), query })
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    fn matches(&self, object: &Value) -> bool {
        let here = self.namespace.is_empty() || object["metadata"]["namespace"] == self.namespace;
        let label = self.query("labelSelector").unwrap_or_default();
        here && (label.is_empty() || !object["metadata"]["labels"][label].is_null())
    }
}

impl Layer {
    fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.rng.lock().unwrap().random_bool(share)
    }

    async fn serve(self, request: Request<Body>) -> Result<Answer, std::io::Error> {
        self.server.requests.fetch_add(1, Ordering::SeqCst);
        if *self.killed.borrow() {
            std::future::pending::<()>().await;
        }
        if request.uri().path() == "/apis/kubernetes.dask.org/v1" {
            return Ok(plain(200, &definitions()));
        }
        let Some(asked) = Asked::of(&request) else { return Ok(plain(404, &json!({}))) };
        let method = request.method().clone();
        if method == Method::GET {
            return Ok(self.read(&asked));
        }
        let format = request
            .headers()
            .get("content-type")
            .map_or(String::new(), |value| value.to_str().unwrap_or_default().to_owned());
        let bytes = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if self.chance(self.faults.failing_writes) {
            let pick = self.rng.lock().unwrap().random_range(0..4);
            let refused = match pick {
                0 => refusal(429, "TooManyRequests", "slow down"),
                1 => refusal(500, "InternalError", "etcd is away"),
                2 => return Err(std::io::Error::other("connection reset")),
                _ => {
                    // It was done, and nobody hears of it.
                    let _ = self.write(&method, &asked, &format, &body);
                    return Err(std::io::Error::other("connection reset after the write"));
                }
            };
            return Ok(refused);
        }
        let answer = self.write(&method, &asked, &format, &body);
        if asked.query("dryRun").is_none() && asked.plural != "leases" {
            let count = self.own.fetch_add(1, Ordering::SeqCst) + 1;
            self.server.writes.fetch_add(1, Ordering::SeqCst);
            if self.faults.kill_after == Some(count) {
                self.killed.send_replace(true);
                std::future::pending::<()>().await;
            }
        }
        tokio::task::yield_now().await;
        Ok(match answer {
            Ok(object) => plain(200, &object),
            Err(Refusal { code, reason, message }) => refusal(code, reason, &message),
        })
    }

    fn write(
        &self,
        method: &Method,
        asked: &Asked,
        format: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let Asked { plural, namespace, name, sub, .. } = asked;
        self.server.with(|store| match *method {
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
                store.delete(plural, namespace, name, uid, at_once)
            }
            _ => Err(Refusal { code: 405, reason: "MethodNotAllowed", message: String::new() }),
        })
    }

    fn read(&self, asked: &Asked) -> Answer {
        if !asked.name.is_empty() {
            let store = self.server.store();
            return match store.get(&asked.plural, &asked.namespace, &asked.name) {
                Some(object) => plain(200, object),
                None => refusal(404, "NotFound", "not found"),
            };
        }
        if asked.query("watch").is_some() {
            return self.watch(asked);
        }
        let stale = self.chance(self.faults.stale_lists);
        let store = self.server.store();
        let now = store.version();
        let version = if stale {
            now.saturating_sub(self.rng.lock().unwrap().random_range(1..20)).max(100)
        } else {
            now
        };
        let mut objects: std::collections::BTreeMap<String, Value> = Default::default();
        for change in &store.history {
            if change.version > version || change.plural != asked.plural {
                continue;
            }
            let name = format!(
                "{}/{}",
                change.object["metadata"]["namespace"].as_str().unwrap_or_default(),
                change.object["metadata"]["name"].as_str().unwrap_or_default()
            );
            if change.kind == "DELETED" || !asked.matches(&change.object) {
                objects.remove(&name);
            } else {
                objects.insert(name, change.object.clone());
            }
        }
        let items: Vec<Value> = objects.into_values().collect();
        plain(
            200,
            &json!({
                "kind": "List", "apiVersion": "v1",
                "metadata": {"resourceVersion": version.to_string()},
                "items": items,
            }),
        )
    }

    fn watch(&self, asked: &Asked) -> Answer {
        let from: u64 =
            asked.query("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        let (lines, stream) = mpsc::unbounded_channel::<Bytes>();
        let server = self.server.clone();
        let mut changed = server.version.subscribe();
        let asked = Asked {
            plural: asked.plural.clone(),
            namespace: asked.namespace.clone(),
            name: String::new(),
            sub: String::new(),
            query: asked.query.clone(),
        };
        let (odd, rng) = (self.faults.odd_events, Arc::clone(&self.rng));
        tokio::spawn(async move {
            let mut at = from;
            let line = |kind: &str, object: &Value| {
                let mut text = json!({"type": kind, "object": object}).to_string();
                text.push('\n');
                Bytes::from(text)
            };
            loop {
                changed.borrow_and_update();
                let mut news: Vec<(&'static str, Value)> = {
                    let store = server.store();
                    let first = store.history.partition_point(|change| change.version <= at);
                    at = at.max(store.version());
                    store.history[first..]
                        .iter()
                        .filter(|change| {
                            change.plural == asked.plural && asked.matches(&change.object)
                        })
                        .map(|change| (change.kind, change.object.clone()))
                        .collect()
                };
                let pick = |share: f64| share > 0.0 && rng.lock().unwrap().random_bool(share);
                if !news.is_empty() && pick(odd) {
                    let millis = rng.lock().unwrap().random_range(1..40);
                    tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
                }
                if news.len() > 1 && pick(odd) {
                    // Neighbours that are about different objects.
                    if news[0].1["metadata"]["name"] != news[1].1["metadata"]["name"] {
                        news.swap(0, 1);
                    }
                }
                if !news.is_empty() && pick(odd / 4.0) {
                    // Lost, and so long ago that the watch cannot go on.
                    let gone = json!({"kind": "Status", "status": "Failure", "code": 410,
                                      "reason": "Expired", "message": "too old"});
                    let _ = lines.send(line("ERROR", &gone));
                    return;
                }
                for (kind, object) in news {
                    let twice = pick(odd);
                    for _ in 0..=u8::from(twice) {
                        if lines.send(line(kind, &object)).is_err() {
                            return;
                        }
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
