//! The scenarios, on a cluster that is there.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use dasklet_e2e::{
    command,
    runner::{self, Needs, Selection, Setting},
    scenarios,
};

use crate::commands::images;

#[derive(clap::Args, Clone)]
pub struct Arguments {
    /// Run only the scenarios whose name contains this text. May be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// After a failure leave cluster and namespaces as they are, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
    /// Run them on the cluster that `up` started on this machine.
    #[arg(long)]
    pub attach: bool,
    /// How many nodes the cluster has.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub nodes: u8,
    /// Where events, logs and objects of failed scenarios go [default: e2e in the target folder].
    #[arg(long, value_name = "FOLDER")]
    evidence: Option<PathBuf>,
    /// With KUBECONFIG: a command that makes an image archive known to the cluster; the archive's
    /// path is added to it. Without it the cluster must have the images.
    #[arg(long, value_name = "COMMAND")]
    pub load: Option<String>,
    #[command(flatten)]
    pub images: images::Arguments,
}

impl Arguments {
    /// As the inner process gets them, where nothing is built any more.
    pub fn for_inner(&self) -> Result<Vec<OsString>> {
        let mut words: Vec<OsString> = Vec::new();
        for text in &self.only {
            words.extend(["--only".into(), text.into()]);
        }
        if self.keep {
            words.push("--keep".into());
        }
        words.extend(["--nodes".into(), self.nodes.to_string().into()]);
        words.extend(["--evidence".into(), self.evidence_folder()?.into()]);
        words.extend(self.images.for_inner()?);
        Ok(words)
    }

    fn evidence_folder(&self) -> Result<PathBuf> {
        match &self.evidence {
            Some(folder) => {
                std::path::absolute(folder).with_context(|| format!("{}", folder.display()))
            }
            None => Ok(images::target_folder()?.join("e2e")),
        }
    }

    /// Saves the logs of the cluster's own programs.
    pub fn save_logs(&self, logs: &Path) -> Result<()> {
        let folder = self.evidence_folder()?.join("cluster");
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(logs)?.flatten() {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        eprintln!("==> the logs of the cluster's programs are in {}", folder.display());
        Ok(())
    }

    /// What the selected scenarios need.
    pub fn needs(&self) -> Result<Vec<Needs>> {
        let selection = self.selection(None)?;
        let selected = scenarios::all().iter().filter(|scenario| selection.takes(scenario));
        Ok(selected.map(|scenario| scenario.needs).collect())
    }

    fn selection(&self, operator: Option<&str>) -> Result<Selection> {
        Ok(Selection {
            only: self.only.clone(),
            evidence: self.evidence_folder()?,
            operator: operator.map(str::to_owned),
            keep: self.keep,
        })
    }
}

/// Runs them, and installs the operator before if one of them needs it.
pub async fn scenarios(arguments: &Arguments, kubeconfig: &Path, local: bool) -> Result<ExitCode> {
    let evidence = arguments.evidence_folder()?;
    std::fs::remove_dir_all(&evidence).ok();
    std::fs::create_dir_all(&evidence)
        .with_context(|| format!("cannot make {}", evidence.display()))?;
    let setting = Setting {
        kubeconfig: kubeconfig.to_owned(),
        chart: checkout().join("charts/dasklet-operator"),
        engine_image: dasklet_e2e::image::names::engine(),
        python_image: dasklet_e2e::image::names::python(),
        checkout: checkout(),
        evidence: evidence.clone(),
    };
    if let Some(load) = arguments.load.as_ref().filter(|_| !local) {
        for archive in arguments.images.archives()? {
            let line = format!("{load} '{}'", archive.display());
            command::output("sh", ["-c", &line])?;
        }
    }
    let operator = if arguments.needs()?.iter().any(|needs| *needs != Needs::Cluster) {
        Some(runner::install_operator(&setting).await?)
    } else {
        None
    };
    let selection = arguments.selection(operator.as_deref())?;
    let report = runner::run(scenarios::all(), &setting, &selection).await?;
    report.write_measures(&selection.evidence.join("measures.jsonl"))?;
    report.print();
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The root of this checkout.
fn checkout() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// Lists them.
pub fn list() -> Result<ExitCode> {
    for scenario in scenarios::all() {
        println!("{:<28} {}", scenario.name, scenario.about);
    }
    Ok(ExitCode::SUCCESS)
}
