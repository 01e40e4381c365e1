//! `dasklet simulate`: what an autoscaling policy would have done with a recorded demand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use dasklet_elastic::GroupPolicy;

use super::{Output, print, print_json};
use crate::exit::Failure;

/// Replays a recorded demand against a policy and prints what would have happened.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dasklet simulate --trace examples/simulate/burst.jsonl --policy examples/simulate/policy.yaml
  dasklet simulate --trace examples/simulate/burst.jsonl --policy examples/flights.yaml -o json

Actions: +N workers are started, -N are drained, xN are gone.")]
pub struct Simulate {
    /// The demand over time: YAML, or JSON lines
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// A manifest with an `autoscale`, or an `autoscale` alone
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The worker group whose policy is meant, where the manifest has several
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Runs the command.
pub fn run(simulate: &Simulate) -> Result<(), Failure> {
    let trace = dasklet_elastic::simulate::Trace::parse(&text_of(&simulate.trace)?)
        .map_err(|error| about(&simulate.trace, error))?;
    let name = simulate.policy.display().to_string();
    let policies =
        dasklet_api::parse_policy(&text_of(&simulate.policy)?, &name).map_err(|found| {
            let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
            Failure::bad_input(lines.join("\n"))
        })?;
    let policy = choose(&simulate.policy, &policies, simulate.group.as_deref())?;
    let timeline = dasklet_elastic::simulate::simulate(&trace, policy);
    match simulate.output {
        Output::Json => print(&print_json(&timeline)?),
        Output::Table => print(&format!("{}\n", timeline.to_string().trim_end())),
    }
}

/// The policy that is meant: the one named, or the only one that scales.
fn choose<'a>(
    file: &Path,
    policies: &'a [GroupPolicy],
    name: Option<&str>,
) -> Result<&'a GroupPolicy, Failure> {
    let names: Vec<&str> = policies.iter().map(|policy| policy.group.as_str()).collect();
    if let Some(name) = name {
        return policies.iter().find(|policy| policy.group == name).ok_or_else(|| {
            about(file, format!("there is no worker group '{name}'; known: {}", names.join(", ")))
        });
    }
    let mut scaling = policies.iter().filter(|policy| policy.autoscale.is_some());
    match (scaling.next(), scaling.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(about(file, "no worker group has an 'autoscale': add one")),
        (Some(_), Some(_)) => Err(about(
            file,
            format!("several groups scale: choose with --group: {}", names.join(", ")),
        )),
    }
}

fn text_of(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| about(file, error))
}

fn about(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("{}: {error}", file.display()))
}
