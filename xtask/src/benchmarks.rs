//! The benchmark script: every benchmark that the documents quote, one after the other.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tools;

/// A benchmark: its full form, and a form of a moment that shows that it still runs.
struct Benchmark {
    full: &'static str,
    quick: &'static str,
}

const fn benchmark(full: &'static str, quick: &'static str) -> Benchmark {
    Benchmark { full, quick }
}

const SUITE: &[Benchmark] = &[
    benchmark("state", "state --tasks 20000"),
    benchmark("state --array", "state --array --tasks 20000"),
    benchmark("noop --zero --array", "noop --zero --array --tasks 20000"),
    benchmark("noop --zero --array --tasks 10000", "noop --zero --array --tasks 1000"),
    benchmark("noop --zero --array --tasks 10000000", "noop --zero --array --tasks 30000"),
    benchmark(
        "noop --zero --array --workers 1000",
        "noop --zero --array --workers 20 --tasks 20000",
    ),
    benchmark("noop --zero", "noop --zero --tasks 10000"),
    benchmark("noop --array", "noop --array --tasks 20000"),
    benchmark("noop", "noop --tasks 10000"),
    benchmark("tree", "tree --depth 10"),
    benchmark("tree --zero", "tree --zero --depth 10"),
    benchmark("chain", "chain"),
    benchmark("latency", "latency"),
    benchmark("pending-memory", "pending-memory --tasks 20000"),
    benchmark("pending-memory --array --tasks 10000000", "pending-memory --array --tasks 100000"),
    benchmark("recovery", "recovery --rounds 1"),
    benchmark("recovery --busy", "recovery --busy --rounds 1"),
    benchmark("transfer", "transfer --bytes 8388608 --rounds 1"),
    benchmark("transfer --to-client", "transfer --to-client --bytes 8388608 --rounds 1"),
];

/// Runs every benchmark whose full command contains one of `only` (all, if there is none), and
/// prints its JSON line. A benchmark that fails, or prints no such line, is an error.
pub fn run(quick: bool, only: &[String]) -> Result<()> {
    let program = tools::programs(&["dasklet", "dasklet-bench"])?.join("dasklet-bench");
    let mut failed = Vec::new();
    for Benchmark { full, quick: short } in SUITE {
        if !only.is_empty() && !only.iter().any(|text| full.contains(text.as_str())) {
            continue;
        }
        let arguments = if quick { short } else { full };
        let output = Command::new(&program)
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("could not start {}", program.display()))?;
        let line = String::from_utf8_lossy(&output.stdout);
        println!("dasklet-bench {arguments}\n{}", line.trim_end());
        let measured = serde_json::from_str::<Value>(&line)
            .is_ok_and(|line| line["name"].is_string() && line["seconds"].is_number());
        if !output.status.success() || !measured {
            failed.push(format!("dasklet-bench {arguments}: {}", output.status));
        }
    }
    if !failed.is_empty() {
        bail!("benchmarks failed:\n  {}", failed.join("\n  "));
    }
    Ok(())
}
