//! A cluster lives its life on a real API server.

use std::time::{Duration, Instant};

use clap::Parser;
use dasklet_operator::{options::Options, run::run};
use http::Request;
use kube::Client;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::connect;

const DASK: &str = "/apis/kubernetes.dask.org/v1/namespaces/default";
const CORE: &str = "/api/v1/namespaces/default";

struct Real {
    client: Client,
    stop: watch::Sender<bool>,
    operator: JoinHandle<()>,
}

impl Real {
    async fn start() -> Self {
        let client = Client::try_from(connect::config().await).unwrap();
        let (stop, stopped) = watch::channel(false);
        let options = Options::parse_from([
            "dasklet-operator",
            "--listen=127.0.0.1:0",
            "--engine-image=engine:test",
            "--identity=test",
            "--namespace=default",
        ]);
        let own = client.clone();
        let operator = tokio::spawn(async move { run(options, own, stopped).await.unwrap() });
        Self { client, stop, operator }
    }

    async fn send(&self, method: &str, path: &str, format: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", format)
            .body(serde_json::to_vec(body).unwrap())
            .unwrap();
        self.client
            .request::<Value>(request)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let request = Request::builder().uri(path).body(Vec::new()).unwrap();
        self.client.request::<Value>(request).await.ok()
    }

    async fn patch(&self, path: &str, patch: Value) {
        self.send("PATCH", path, "application/merge-patch+json", &patch).await;
    }

    async fn until(&self, what: &str, path: &str, holds: impl Fn(Option<&Value>) -> bool) {
        let begun = Instant::now();
        loop {
            let found = self.get(path).await;
            if holds(found.as_ref()) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "waited in vain until {what}: {found:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn workers(&self, group: &str) -> Vec<String> {
        let selector = format!("labelSelector=dask.org/workergroup-name%3D{group}");
        let list = self.get(&format!("{CORE}/pods?{selector}")).await.unwrap();
        let pods = list["items"].as_array().unwrap();
        let alive = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap().to_owned();
        pods.iter().filter(alive).map(name).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs DASKLET_TEST_KUBECONFIG; cargo xtask test sets it"]
async fn a_cluster_lives_its_life_on_a_real_api_server() {
    let mut real = Real::start().await;
    let (cluster, group) =
        (format!("{DASK}/daskclusters/real"), format!("{DASK}/daskworkergroups/real-default"));
    let manifest = json!({
        "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster",
        "metadata": {"name": "real"}, "spec": {"worker": {"replicas": 3}},
    });
    real.send("POST", &format!("{DASK}/daskclusters"), "application/json", &manifest).await;
    real.until("it runs", &cluster, |c| c.is_some_and(|c| c["status"]["phase"] == "Running")).await;
    real.until("its pods are ready", &group, |g| {
        g.is_some_and(|g| g["status"]["readyReplicas"] == 3)
    })
    .await;
    let scale = real.get(&format!("{group}/scale")).await.unwrap();
    assert_eq!(scale["status"]["replicas"], 3);
    assert!(scale["status"]["selector"].as_str().unwrap().contains("real-default"));

    // As kubectl scale does.
    real.patch(&format!("{group}/scale"), json!({"spec": {"replicas": 5}})).await;
    real.until("five are ready", &group, |g| g.is_some_and(|g| g["status"]["readyReplicas"] == 5))
        .await;
    let first = format!("{CORE}/pods/real-default-worker-0");
    let uid = real.get(&first).await.unwrap()["metadata"]["uid"].clone();
    real.send("DELETE", &first, "application/json", &json!({"gracePeriodSeconds": 0})).await;
    real.until("another pod took the slot", &first, |pod| {
        pod.is_some_and(|pod| pod["metadata"]["uid"] != uid && pod["status"]["phase"] == "Running")
    })
    .await;

    // What the API server refuses changes nothing, and its words are told.
    let bad = json!({"containers": [{"name": "w", "image": "x", "env": "oops"}]});
    real.patch(&cluster, json!({"spec": {"worker": {"spec": bad}}})).await;
    real.until("the refusal is told", &cluster, |c| {
        let conditions = c.and_then(|c| c["status"]["conditions"].as_array().cloned());
        conditions.into_iter().flatten().any(|condition| {
            condition["reason"] == "TemplateRefused"
                && condition["message"].as_str().unwrap_or_default().contains("cannot unmarshal")
        })
    })
    .await;
    assert_eq!(real.workers("real-default").await.len(), 5);

    let lease =
        "/apis/coordination.k8s.io/v1/namespaces/default/leases/dasklet-operator".to_owned();
    assert_eq!(real.get(&lease).await.unwrap()["spec"]["holderIdentity"], "test");
    real.send("DELETE", &cluster, "application/json", &json!({})).await;
    real.until("it is gone", &cluster, |cluster| cluster.is_none()).await;
    let begun = Instant::now();
    while !real.workers("real-default").await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "its workers stay");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    real.stop.send_replace(true);
    (&mut real.operator).await.unwrap();
    assert_eq!(real.get(&lease).await.unwrap()["spec"]["holderIdentity"], "", "handed over");
}
