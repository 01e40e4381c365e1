//! The dependency rule between our crates, see `docs/architecture.md`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::steps;

/// What each crate may use of ours, in programs and libraries (not in tests). A crate that is
/// not named here is an error: whoever adds one decides where it stands.
const ALLOWED: &[(&str, &[&str])] = &[
    ("dasklet-core", &[]),
    ("dasklet-dask-comm", &["dasklet-core"]),
    ("dasklet-protocol", &["dasklet-core"]),
    ("dasklet-elastic", &["dasklet-core"]),
    ("dasklet-api", &["dasklet-core", "dasklet-elastic"]),
    ("dasklet-client", &["dasklet-core", "dasklet-protocol"]),
    ("dasklet-operator", &["dasklet-api", "dasklet-core", "dasklet-dask-comm", "dasklet-elastic"]),
    ("dasklet-query", &["dasklet-client", "dasklet-core"]),
    ("dasklet-scheduler", &["dasklet-core", "dasklet-protocol"]),
    ("dasklet-worker", &["dasklet-client", "dasklet-core", "dasklet-protocol", "dasklet-query"]),
    (
        "dasklet",
        &[
            "dasklet-api",
            "dasklet-client",
            "dasklet-core",
            "dasklet-elastic",
            "dasklet-protocol",
            "dasklet-query",
            "dasklet-scheduler",
            "dasklet-worker",
        ],
    ),
    ("dasklet-e2e", &[]),
    ("dasklet-bench", &["dasklet-client", "dasklet-core", "dasklet-protocol", "dasklet-scheduler"]),
    ("xtask", &[]),
];

/// The one crate that sees DataFusion.
const DATAFUSION_USER: &str = "dasklet-query";

/// Compares the workspace with the rule.
pub fn check() -> Result<()> {
    let output = steps::cargo(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .context("could not start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let problems = violations(&serde_json::from_slice(&output.stdout)?);
    if !problems.is_empty() {
        bail!("crates use each other against the rule:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

fn violations(metadata: &Value) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = allowed.get(name) else {
            problems
                .push(format!("{name} has no place in the rule: add it to xtask/src/layers.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let only_for_tests = dependency["kind"] == "dev";
            let ours = !dependency["path"].is_null();
            if ours && !only_for_tests && !allowed.contains(&used) {
                problems.push(format!("{name} may not use {used}"));
            }
            if used.starts_with("datafusion") && name != DATAFUSION_USER && !only_for_tests {
                problems.push(format!("{name} may not use {used}: only {DATAFUSION_USER} does"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_workspace_keeps_the_rule() {
        check().unwrap();
    }

    #[test]
    fn a_use_against_the_rule_is_named() {
        let metadata = json!({"packages": [{"name": "dasklet-core", "dependencies": [
            {"name": "dasklet-client", "kind": null, "path": "/x"},
            {"name": "datafusion", "kind": null, "path": null},
            {"name": "dasklet-worker", "kind": "dev", "path": "/y"}]}]});
        assert_eq!(violations(&metadata).len(), 2);
    }
}
