//! `images`: the archives of our images, from programs that are there or are built.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use dasklet_e2e::{
    debian,
    image::{engine, names, operator, python, recipe, s3},
    programs::Program,
    python::Environment,
    runner::Needs,
};

#[derive(clap::Args, Clone)]
pub struct Arguments {
    /// The engine's program [default: it is built].
    #[arg(long, env = "DASKLET_ENGINE_BINARY", value_name = "FILE")]
    engine_binary: Option<PathBuf>,
    /// The operator's program [default: it is built].
    #[arg(long, env = "DASKLET_OPERATOR_BINARY", value_name = "FILE")]
    operator_binary: Option<PathBuf>,
    /// Where the archives go [default: images in the target folder].
    #[arg(long, value_name = "FOLDER")]
    image_folder: Option<PathBuf>,
    /// Neither write nor load any image of ours: for a cluster of other pods.
    #[arg(long)]
    without_images: bool,
}

/// Writes them all.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    debian::ensure()?;
    arguments.ensure(&[Needs::Operator, Needs::Python])?;
    for archive in arguments.archives()? {
        let size = std::fs::metadata(&archive)?.len();
        println!("{} {:.1} MB", archive.display(), size as f64 / 1e6);
    }
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    /// Writes the archives that are needed and older than their programs.
    pub fn ensure(&self, needs: &[Needs]) -> Result<()> {
        if self.without_images {
            return Ok(());
        }
        let folder = self.folder()?;
        let scratch = folder.join("stripped");
        let engine = program(self.engine_binary.as_deref(), "dasklet")?;
        let archive = folder.join(ENGINE);
        write(&archive, &engine, || engine::write(&engine, &names::engine(), &archive, &scratch))?;
        let archive = folder.join(S3);
        write(&archive, &Program::VersityGw.ensure()?, || s3::write(&archive))?;
        if needs.iter().any(|each| *each != Needs::Cluster) {
            let program = self.operator()?;
            let archive = folder.join(OPERATOR);
            write(&archive, &program, || {
                operator::write(&program, &names::operator(), &archive, &scratch)
            })?;
        }
        if needs.contains(&Needs::Python) {
            let environment = Environment::ensure()?;
            let archive = folder.join(PYTHON);
            write(&archive, &engine, || {
                python::write(&engine, &environment, &names::python(), &archive, &scratch)
            })?;
        }
        Ok(())
    }

    /// The operator's program, built if none is given.
    pub fn operator(&self) -> Result<PathBuf> {
        program(self.operator_binary.as_deref(), "dasklet-operator")
    }

    /// The archives that are there.
    pub fn archives(&self) -> Result<Vec<PathBuf>> {
        if self.without_images {
            return Ok(Vec::new());
        }
        let folder = self.folder()?;
        let all = [ENGINE, OPERATOR, PYTHON, S3].map(|name| folder.join(name));
        Ok(all.into_iter().filter(|path| path.exists()).collect())
    }

    /// As the inner process gets them.
    pub fn for_inner(&self) -> Result<Vec<OsString>> {
        let mut words = vec!["--image-folder".into(), self.folder()?.into()];
        if self.without_images {
            words.push("--without-images".into());
        }
        Ok(words)
    }

    fn folder(&self) -> Result<PathBuf> {
        match &self.image_folder {
            Some(folder) => Ok(std::path::absolute(folder)?),
            None => Ok(target_folder()?.join("images")),
        }
    }
}

const ENGINE: &str = "engine.tar";
const OPERATOR: &str = "operator.tar";
const PYTHON: &str = "python.tar";
/// Not one of ours: an object store for scenarios.
const S3: &str = "s3.tar";

/// Cargo's target folder.
pub fn target_folder() -> Result<PathBuf> {
    let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| root().join("target"));
    Ok(std::path::absolute(folder)?)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program that was given, or one that cargo builds, if it has to, as the tests build it.
fn program(given: Option<&Path>, package: &str) -> Result<PathBuf> {
    if let Some(program) = given {
        if !program.is_file() {
            bail!("{} is no file: give the path of a built {package}", program.display());
        }
        return Ok(program.to_owned());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--package", package]);
    build.args(["--message-format", "json-render-diagnostics"]).current_dir(root());
    // Build scripts watch these, and would build all anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(name);
        }
    }
    let output = build.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("building {package} failed");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo named no program {package} that it built"))
}

/// Whether an archive has to be written: a program in it is newer, or the recipe is another.
fn older(archive: &Path, program: &Path) -> Result<bool> {
    let built = std::fs::metadata(program)?.modified()?;
    let written = std::fs::metadata(archive).and_then(|file| file.modified());
    let recipe = std::fs::read_to_string(archive.with_extension("recipe")).unwrap_or_default();
    Ok(written.map_or(true, |written| written < built) || recipe != recipe::HASH.as_str())
}

fn write(archive: &Path, program: &Path, write: impl FnOnce() -> Result<()>) -> Result<()> {
    if older(archive, program)? {
        write()?;
        std::fs::write(archive.with_extension("recipe"), recipe::HASH.as_str())?;
    }
    Ok(())
}
