//! Where the real API server is, with our definitions on it.

use std::{env, process::Command, sync::OnceLock};

use kube::{Config, config::KubeConfigOptions};

static DEFINED: OnceLock<()> = OnceLock::new();

/// How to reach it. The definitions are put there once.
pub async fn config() -> Config {
    let file = env::var("DASKLET_TEST_KUBECONFIG")
        .expect("DASKLET_TEST_KUBECONFIG is not set: name the kubeconfig of a test cluster");
    DEFINED.get_or_init(|| define(&file));
    let kubeconfig = kube::config::Kubeconfig::read_from(&file).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

fn define(kubeconfig: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");
    let kubectl = |arguments: &[&str]| {
        let status = Command::new("kubectl")
            .args(["--kubeconfig", kubeconfig])
            .args(arguments)
            .args(["-f", folder])
            .status();
        assert!(status.expect("kubectl is on the path").success(), "kubectl {arguments:?}");
    };
    kubectl(&["apply", "--server-side"]);
    kubectl(&["wait", "--for=condition=Established", "--timeout=20s"]);
}
