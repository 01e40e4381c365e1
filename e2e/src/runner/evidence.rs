//! What is saved of a failed scenario.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{command, runner::World};

/// What kubectl is asked, and the file that its answer goes to.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("events.txt", &["get", "events", "--sort-by=.metadata.creationTimestamp", "-o", "wide"]),
    ("pods.txt", &["get", "pods", "-o", "wide"]),
    ("pods-described.txt", &["describe", "pods"]),
    ("objects.yaml", &["get", "all,configmaps,leases,endpointslices", "-o", "yaml"]),
    ("nodes.txt", &["describe", "nodes"]),
];

/// Kinds that are there only with the operator's chart.
const OURS: &str = "daskclusters,daskworkergroups,daskjobs,daskautoscalers";

/// Saves events, objects and logs of the scenario's namespace, and of the operator's, in
/// `folder`.
pub async fn collect(world: &World, folder: &Path, operator: Option<&str>) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (file, question) in QUESTIONS {
        save(world, &folder.join(file), question).await;
    }
    if let Some(namespace) = operator {
        save(world, &folder.join("dask.yaml"), &["get", OURS, "-o", "yaml"]).await;
        save(world, &folder.join("dask-described.txt"), &["describe", OURS]).await;
        let logs =
            ["-n", namespace, "logs", "-l", "app.kubernetes.io/name=dasklet-operator", "--tail=-1"];
        save(world, &folder.join("operator.log"), &logs).await;
    }
    let logs = folder.join("logs");
    fs::create_dir_all(&logs)?;
    let names = world.kubectl(["get", "pods", "-o", "name"]).await.unwrap_or_default();
    for name in names.lines().filter_map(|name| name.strip_prefix("pod/")) {
        let of = |previous: &'static [&'static str]| {
            let mut arguments = vec!["logs", name, "--all-containers", "--prefix"];
            arguments.extend(previous);
            arguments
        };
        save(world, &logs.join(format!("{name}.log")), &of(&[])).await;
        save(world, &logs.join(format!("{name}.previous.log")), &of(&["--previous"])).await;
    }
    Ok(())
}

/// Evidence is taken as far as it can be had.
async fn save(world: &World, path: &Path, question: &[&str]) {
    let Ok(mut command) = world.kubectl_command() else { return };
    command.args(question);
    let answer = tokio::task::spawn_blocking(move || command::run(&mut command)).await;
    let text = match answer {
        Ok(Ok(text)) => text,
        Ok(Err(error)) if path.to_string_lossy().ends_with(".previous.log") => {
            tracing::debug!("{error:#}");
            return;
        }
        Ok(Err(error)) => format!("{error:#}\n"),
        Err(error) => format!("{error}\n"),
    };
    if let Err(error) = fs::write(path, text) {
        eprintln!("cannot write {}: {error}", path.display());
    }
}
