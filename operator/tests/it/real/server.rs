//! A namespace of a real API server, followed by watches of its own.

use std::{collections::HashSet, pin::pin, sync::Mutex};

use futures::StreamExt;
use http::Request;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::connect;
use crate::server::Server;

/// The kinds that are followed.
const KINDS: [(&str, &str, &str, &str); 7] = [
    ("kubernetes.dask.org", "v1", "DaskCluster", "daskclusters"),
    ("kubernetes.dask.org", "v1", "DaskWorkerGroup", "daskworkergroups"),
    ("kubernetes.dask.org", "v1", "DaskAutoscaler", "daskautoscalers"),
    ("kubernetes.dask.org", "v1", "DaskJob", "daskjobs"),
    ("", "v1", "Pod", "pods"),
    ("apps", "v1", "Deployment", "deployments"),
    ("", "v1", "Service", "services"),
];

/// A namespace of a test.
pub struct RealServer {
    runtime: Mutex<Option<Runtime>>,
    config: Config,
    client: Client,
    namespace: String,
}

impl RealServer {
    /// Makes the namespace, and follows what is in it.
    pub fn start(namespace: &str) -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = runtime.block_on(connect::config());
        let client = runtime.block_on(async { Client::try_from(config.clone()).unwrap() });
        let object = json!({"metadata": {"name": namespace}});
        runtime.block_on(send(&client, "POST", "/api/v1/namespaces", &object));
        let handle = runtime.handle().clone();
        let (own, name) = (client.clone(), namespace.to_owned());
        let real = Self {
            runtime: Mutex::new(Some(runtime)),
            config,
            client,
            namespace: namespace.to_owned(),
        };
        let server = Server::real(real);
        for (group, version, kind, plural) in KINDS {
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = Api::namespaced_with(own.clone(), &name, &resource);
            handle.spawn(follow(api, plural, server.clone()));
        }
        server
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn config(&self) -> Config {
        self.config.clone()
    }

    pub fn create(&self, plural: &str, object: Value) {
        let path = self.path(plural);
        self.block(send(&self.client, "POST", &path, &object));
    }

    pub fn patch(&self, plural: &str, name: &str, patch: &Value) {
        let path = format!("{}/{name}", self.path(plural));
        self.block(send(&self.client, "PATCH", &path, patch));
    }

    fn path(&self, plural: &str) -> String {
        let (group, version, ..) = KINDS.iter().find(|kind| kind.3 == plural).unwrap();
        let root = if group.is_empty() { "api".to_owned() } else { format!("apis/{group}") };
        format!("/{root}/{version}/namespaces/{}/{plural}", self.namespace)
    }

    fn block<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.lock().unwrap().as_ref().expect("not closed").block_on(work)
    }

    /// Removes the namespace and follows it no more.
    pub fn close(&self) {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        self.block(send(&self.client, "DELETE", &path, &json!({})));
        let runtime = self.runtime.lock().unwrap().take();
        runtime.expect("not closed").shutdown_background();
    }
}

async fn send(client: &Client, method: &str, path: &str, body: &Value) -> Value {
    let format =
        if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", format)
        .body(serde_json::to_vec(body).unwrap())
        .unwrap();
    client.request::<Value>(request).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn follow(api: Api<DynamicObject>, plural: &'static str, server: Server) {
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut listed: HashSet<String> = HashSet::new();
    while let Some(event) = events.next().await {
        let (object, deleted) = match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(object.name_any());
                (object, false)
            }
            Ok(watcher::Event::InitDone) => {
                let gone: Vec<Value> = server
                    .store()
                    .list(plural)
                    .filter(|object| !listed.contains(object["metadata"]["name"].as_str().unwrap()))
                    .cloned()
                    .collect();
                for object in gone {
                    server.with(|store| store.record(true, plural, object));
                }
                continue;
            }
            Ok(watcher::Event::Apply(object)) => (object, false),
            Ok(watcher::Event::Delete(object)) => (object, true),
            Err(error) => {
                eprintln!("the watch of {plural} broke: {error}");
                continue;
            }
        };
        let object = serde_json::to_value(object).unwrap();
        server.with(|store| store.record(deleted, plural, object));
    }
}
