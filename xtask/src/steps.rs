//! The steps of the test command, in the order in which they fail fastest.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{benchmarks, chart, documents, layers, tools};

/// Runs every step, or those whose name contains one of `only`; all of them even when one fails,
/// so that one run tells everything.
pub fn test(full: bool, e2e: bool, only: &[String]) -> Result<()> {
    let mut done: Vec<(&str, Duration, Result<()>)> = Vec::new();
    for (name, step) in steps(full, e2e) {
        if !only.is_empty() && !only.iter().any(|text| name.contains(text.as_str())) {
            continue;
        }
        println!("==> {name}");
        let start = Instant::now();
        let outcome = step();
        if let Err(error) = &outcome {
            eprintln!("==> {name}: FAILED: {error:#}");
        }
        done.push((name, start.elapsed(), outcome));
    }
    println!();
    for (name, time, outcome) in &done {
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("{name:<12} {word:<7} {:>6.1} s", time.as_secs_f64());
    }
    let failed = done.iter().filter(|(_, _, outcome)| outcome.is_err()).count();
    println!("steps: {} passed, {failed} failed", done.len() - failed);
    if done.is_empty() {
        bail!("no step has a name like {only:?}; see cargo xtask test --help");
    }
    if failed > 0 {
        bail!("{failed} of {} steps failed", done.len());
    }
    Ok(())
}

type Step = Box<dyn FnOnce() -> Result<()>>;

fn steps(full: bool, e2e: bool) -> Vec<(&'static str, Step)> {
    let mut all: Vec<(&'static str, Step)> = vec![
        ("format", Box::new(|| run(&mut cargo(["fmt", "--all", "--check"])))),
        ("layers", Box::new(layers::check)),
        (
            "clippy",
            Box::new(|| {
                let all = ["clippy", "--release", "--workspace", "--all-targets", "--locked"];
                run(cargo(all).args(["--", "-D", "warnings"]))
            }),
        ),
        ("chart", Box::new(|| chart::check(false))),
        ("deny", Box::new(deny)),
        ("test", Box::new(move || tests(full))),
        ("rustdoc", Box::new(rustdoc)),
        ("documents", Box::new(documents::run_commands)),
        ("benchmarks", Box::new(|| benchmarks::run(true, &[]))),
    ];
    if e2e {
        all.push(("api-server", Box::new(api_server)));
        all.push(("operator", Box::new(move || operator(full))));
        all.push(("e2e", Box::new(crate::e2e::scenarios)));
    } else {
        println!("without --e2e: the tests on a real Kubernetes are left out");
    }
    all
}

fn tests(full: bool) -> Result<()> {
    let mut command = cargo(["test", "--release", "--workspace", "--locked", "--no-fail-fast"]);
    if full {
        command.env("DASKLET_TEST_FULL", "1");
    }
    run(&mut command)
}

/// The definitions and the corpus of manifests on a real API server, on loopback and with nothing
/// behind it; it is built at the first use.
fn api_server() -> Result<()> {
    let test = "DASKLET_TEST_KUBECONFIG=$KUBECONFIG exec cargo test --release --locked \
                --workspace --test api_server -- --ignored";
    self::run(crate::e2e::program()?.args(["control-plane", "--bare", "--", "sh", "-c", test]))
}

/// The operator on a real API server with its controllers and simulated nodes, on loopback, in all
/// weathers.
fn operator(full: bool) -> Result<()> {
    let test = "DASKLET_TEST_KUBECONFIG=$KUBECONFIG exec cargo test --release --locked \
                --workspace --test it -- --ignored real";
    let mut command = crate::e2e::program()?;
    if full {
        command.env("DASKLET_TEST_FULL", "1");
    }
    self::run(command.args(["control-plane", "--fake-nodes", "2", "--", "sh", "-c", test]))
}

/// Advisories need a database from the network; where it cannot be had this is said, and the
/// rest is checked all the same.
fn deny() -> Result<()> {
    let program = tools::cargo_deny()?;
    let deny = |what: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--all-features", "check", "--hide-inclusion-graph"]).args(what);
        as_typed(&mut command);
        command
    };
    run(&mut deny(&["bans", "licenses", "sources"]))?;
    let output = deny(&["advisories"]).output().context("could not start cargo deny")?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("failed to fetch advisory database") {
        println!("deny: advisories were not checked: their database cannot be fetched from here");
        return Ok(());
    }
    bail!("cargo deny check advisories:\n{text}")
}

fn rustdoc() -> Result<()> {
    let mut command = cargo(["doc", "--release", "--workspace", "--no-deps", "--locked"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Cargo, as if a person had typed it, at the root of the checkout.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(tools::root());
    as_typed(&mut command);
    command
}

/// Removes the variables by which the cargo that runs this program describes it. Build scripts
/// watch some of them, and would build all anew.
pub fn as_typed(command: &mut Command) {
    let ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
}

/// Runs a command to its end, with our own output streams.
pub fn run(command: &mut Command) -> Result<()> {
    let status =
        command.status().with_context(|| format!("could not start {:?}", command.get_program()))?;
    if status.success() { Ok(()) } else { bail!("{command:?} ended with {status}") }
}
