//! Runs scenarios one after the other.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::runner::{Outcome, Report, Scenario, Setting, World, collect};

/// Which scenarios run, and where the evidence of failures goes.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Those whose name contains one of these; all, if there is none.
    pub only: Vec<String>,
    /// A folder for what is saved of those that fail.
    pub evidence: PathBuf,
    /// The operator's namespace, if it is installed.
    pub operator: Option<String>,
    /// Leave the namespaces of failed scenarios as they are.
    pub keep: bool,
}

impl Selection {
    /// Whether a scenario runs.
    pub fn takes(&self, scenario: &Scenario) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| scenario.name.contains(text.as_str()))
    }
}

/// Runs what is selected of `all`.
pub async fn run(all: &[Scenario], setting: &Setting, selection: &Selection) -> Result<Report> {
    let wanted: Vec<_> = all.iter().filter(|scenario| selection.takes(scenario)).collect();
    if wanted.is_empty() {
        let names: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
        bail!("no scenario has a name like {:?}: there are {}", selection.only, names.join(", "));
    }
    let client = crate::kubeconfig::client(&setting.kubeconfig).await?;
    let mut report = Report::default();
    for scenario in wanted {
        println!("==> {}: {}", scenario.name, scenario.about);
        let outcome = run_one(scenario, setting, &client, selection).await;
        if let Some(failure) = &outcome.failure {
            eprintln!("==> {}: FAILED: {failure}", scenario.name);
        }
        report.outcomes.push(outcome);
    }
    Ok(report)
}

async fn run_one(
    scenario: &Scenario,
    setting: &Setting,
    client: &Client,
    selection: &Selection,
) -> Outcome {
    let start = Instant::now();
    let namespace = format!("e2e-{}", scenario.name);
    let world = Arc::new(World::new(setting.clone(), client.clone(), namespace.clone()));
    let story = async {
        make_namespace(client, &namespace).await?;
        match tokio::time::timeout(scenario.limit, (scenario.body)(world.clone())).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow!("not done after {} s", scenario.limit.as_secs())),
        }
    };
    let failure = story.await.err().map(|error| format!("{error:#}"));
    let time = start.elapsed();
    if failure.is_some() {
        save(&world, &selection.evidence.join(scenario.name), selection).await;
    }
    if failure.is_none() || !selection.keep {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        if let Err(error) = namespaces.delete(&namespace, &DeleteParams::default()).await {
            eprintln!("cannot delete the namespace {namespace}: {error}");
        }
    }
    Outcome { name: scenario.name, time, failure, measures: world.measures() }
}

async fn save(world: &World, folder: &Path, selection: &Selection) {
    let saving = collect(world, folder, selection.operator.as_deref());
    match tokio::time::timeout(Duration::from_secs(60), saving).await {
        Ok(Ok(())) => eprintln!("==> events, objects and logs are in {}", folder.display()),
        Ok(Err(error)) => eprintln!("==> cannot save the evidence: {error:#}"),
        Err(_) => eprintln!("==> the evidence in {} is not complete", folder.display()),
    }
}

/// Makes the namespace anew, and waits until pods can be created in it.
async fn make_namespace(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let limit = Duration::from_secs(60);
    if namespaces.get_opt(name).await?.is_some() {
        namespaces.delete(name, &DeleteParams::default()).await?;
        super::until("the old namespace is gone", limit, || async {
            match namespaces.get_opt(name).await? {
                None => Ok(()),
                Some(_) => bail!("{name} is there"),
            }
        })
        .await?;
    }
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .context("cannot make a namespace")?;
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
        Api::namespaced(client.clone(), name);
    super::until("the namespace has its service account", limit, || async {
        accounts.get("default").await.map(drop).map_err(anyhow::Error::from)
    })
    .await?;
    Ok(())
}
