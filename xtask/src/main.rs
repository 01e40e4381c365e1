//! Build and test automation: `cargo xtask test` runs all that must hold before a change lands.

mod benchmarks;
mod chart;
mod documents;
mod e2e;
mod layers;
mod steps;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build and test automation for dasklet.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all checks and tests: format, clippy, licences, unit, property, simulation and
    /// integration tests, rustdoc, and the commands of the documents.
    ///
    /// Example: cargo xtask test
    Test(TestArguments),
    /// Run only the commands in the documents (README.md and docs/).
    Docs,
    /// Run the benchmarks that docs/benchmarks.md quotes; one JSON line each.
    ///
    /// Example: cargo xtask bench --only noop
    Bench(BenchArguments),
    /// Write crds/ and the tables of docs/kubernetes-api.md as the code has them.
    Crds,
    /// Check the Helm chart: lint, and renders against those that are written down.
    Chart(ChartArguments),
    /// Tests against a real Kubernetes that they start on this machine; see e2e/README.md.
    ///
    /// Example: cargo xtask e2e --help
    #[command(disable_help_flag = true)]
    E2e(Rest),
    /// Write the images' archives; needs no container engine.
    ///
    /// Example: cargo xtask images --image-folder /tmp/images
    #[command(disable_help_flag = true)]
    Images(Rest),
}

#[derive(clap::Args)]
struct Rest {
    /// Arguments of `dasklet-e2e`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<std::ffi::OsString>,
}

#[derive(clap::Args)]
struct TestArguments {
    /// Run the long forms too: ten times the simulation seeds, and repetitions of the elastic
    /// runs.
    #[arg(long)]
    full: bool,
    /// Run only the steps whose name contains this text. May be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Also run what needs a real Kubernetes, which it builds with Go: the resources and the
    /// operator on an API server, and as root the stories with containers.
    #[arg(long)]
    e2e: bool,
}

#[derive(clap::Args)]
struct ChartArguments {
    /// Write the renders down anew.
    #[arg(long)]
    write: bool,
}

#[derive(clap::Args)]
struct BenchArguments {
    /// Small sizes: shows that each runs, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Run only the benchmarks whose command contains this text. May be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(arguments) => steps::test(arguments.full, arguments.e2e, &arguments.only),
        Command::Docs => documents::run_commands(),
        Command::Bench(arguments) => benchmarks::run(arguments.quick, &arguments.only),
        Command::Crds => chart::write_definitions(),
        Command::Chart(arguments) => chart::check(arguments.write),
        Command::E2e(rest) => return e2e::run(None, &rest.arguments),
        Command::Images(rest) => return e2e::run(Some("images"), &rest.arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
