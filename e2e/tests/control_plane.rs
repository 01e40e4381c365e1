//! The light control plane, as the operator's tests use it.

use std::time::{Duration, Instant};

use dasklet_e2e::{ControlPlane, Options};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, ServiceAccount},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

#[tokio::test]
async fn a_deployment_runs_on_simulated_nodes_and_goes_with_its_owner() {
    let start = Instant::now();
    let plane =
        ControlPlane::start(&Options { fake_nodes: 2, ..Options::default() }).await.unwrap();
    println!("control plane after {:.1} s", start.elapsed().as_secs_f64());
    let client = plane.client().await.unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let labels = json!({"app": "sleeper"});
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "sleeper"},
        "spec": {"replicas": 5, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "none"}]}}},
    }))
    .unwrap();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    let running = |wanted: usize| {
        let pods = pods.clone();
        async move {
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                let found = pods.list(&ListParams::default()).await.unwrap().items;
                let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
                let count = found.len();
                let all = found.iter().all(|pod| phase(pod).as_deref() == Some("Running"));
                if count == wanted && all {
                    break;
                }
                assert!(Instant::now() < deadline, "{count} pods, all running: {all}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    running(5).await;
    deployments.delete("sleeper", &DeleteParams::default()).await.unwrap();
    running(0).await;
    println!("done after {:.1} s", start.elapsed().as_secs_f64());
}

#[tokio::test]
async fn two_run_side_by_side_and_leave_nothing() {
    let options = Options { controllers: false, scheduler: false, fake_nodes: 0, tainted: false };
    let (first, second) =
        tokio::try_join!(ControlPlane::start(&options), ControlPlane::start(&options)).unwrap();
    assert_ne!(first.addresses().api, second.addresses().api);
    for plane in [&first, &second] {
        let client = plane.client().await.unwrap();
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client);
        accounts.list(&ListParams::default()).await.unwrap();
    }
    let folder = first.folder().to_owned();
    let port = first.addresses().api;
    drop(first);
    assert!(!folder.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
