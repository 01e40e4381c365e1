//! The engine's image with Python and Dask, for stock schedulers and workers and for Python
//! clients.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    command,
    image::{
        archive::Image,
        engine::{self, HOME},
        layer::{Layer, USER},
    },
    python::Environment,
};

/// Folders of a Python that no program needs at run time.
const LEFT_OUT: &[&str] = &[
    "__pycache__",
    "config-3",
    "ensurepip",
    "idlelib",
    "site-packages",
    "test",
    "tests",
    "turtledemo",
];

/// Writes it. Every file keeps the path that it has on this machine, since a virtual environment
/// names its Python by path.
pub fn write(
    engine: &Path,
    environment: &Environment,
    name: &str,
    archive: &Path,
    scratch: &Path,
) -> Result<()> {
    let mut layer = Layer::new();
    engine::fill(&mut layer, engine, scratch)?;
    let mut folders = BTreeSet::new();
    let base = environment.base()?;
    let standard = environment.standard_library()?;
    folders_to(&mut layer, &mut folders, &standard)?;
    layer.tree_without(relative(&standard), &standard, LEFT_OUT)?;
    copy(&mut layer, &mut folders, &base)?;
    folders_to(&mut layer, &mut folders, environment.folder())?;
    layer.tree_without(relative(environment.folder()), environment.folder(), &["__pycache__"])?;
    let mut libraries = libraries(&base)?;
    for folder in [standard.join("lib-dynload"), environment.folder().to_owned()] {
        for module in modules(&folder)? {
            libraries.extend(self::libraries(&module)?);
        }
    }
    for library in libraries {
        copy(&mut layer, &mut folders, &library)?;
    }
    // Manifests of dask-kubernetes start these, which new versions of Dask know as subcommands.
    for role in ["scheduler", "worker"] {
        let script = format!("#!/bin/sh\nexec dask {role} \"$@\"\n");
        layer.file(&format!("usr/bin/dask-{role}"), 0o755, script.as_bytes())?;
    }
    let programs = environment.folder().join("bin");
    let image = Image {
        name: name.to_owned(),
        command: vec!["python3".to_owned()],
        environment: vec![
            format!("PATH={}:{}", programs.display(), engine::PATH),
            format!("HOME={HOME}"),
            format!("DASKLET_PYTHON={}", programs.join("python3").display()),
        ],
        user: format!("{USER}:{USER}"),
        folder: HOME.to_owned(),
        ..Image::default()
    };
    image.write(archive, layer.finish()?)
}

fn relative(path: &Path) -> &str {
    path.to_str().unwrap_or_default().trim_start_matches('/')
}

/// The folders above and including `path`, each once.
fn folders_to(layer: &mut Layer, made: &mut BTreeSet<PathBuf>, path: &Path) -> Result<()> {
    let mut all: Vec<_> = path.ancestors().filter(|folder| folder.parent().is_some()).collect();
    all.reverse();
    for folder in all {
        if made.insert(folder.to_owned()) && !engine::FOLDERS.contains(&relative(folder)) {
            layer.folder(relative(folder), 0o755)?;
        }
    }
    Ok(())
}

fn copy(layer: &mut Layer, folders: &mut BTreeSet<PathBuf>, file: &Path) -> Result<()> {
    if let Some(folder) = file.parent() {
        folders_to(layer, folders, folder)?;
    }
    layer.copy(relative(file), 0o755, file)
}

/// The shared libraries that a program or module loads, the loader among them.
fn libraries(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let listed = command::output("ldd", [program])
        .with_context(|| format!("what {} loads", program.display()))?;
    Ok(listed
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect())
}

/// The compiled modules in a folder and below.
fn modules(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            found.extend(modules(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "so") {
            found.push(path);
        }
    }
    Ok(found)
}
