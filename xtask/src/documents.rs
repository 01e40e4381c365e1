//! Runs the commands that the documents tell people to type, so that they stay true.
//!
//! Every fenced block marked `sh` in `README.md` and `docs/` is one script, run by `bash -euo
//! pipefail` at the root of the checkout with the built programs on its path. Blocks marked
//! `console` or `text` show output and are not run. The test command itself is not run again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{steps, tools};

/// Runs every `sh` block of every document.
pub fn run_commands() -> Result<()> {
    let programs = tools::programs(&["dasklet", "dasklet-bench"])?;
    let path = std::env::join_paths(
        std::iter::once(programs)
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    let mut failed = Vec::new();
    let mut count = 0;
    for document in documents()? {
        let text = fs::read_to_string(&document)
            .with_context(|| format!("cannot read {}", document.display()))?;
        for (line, script) in blocks(&text) {
            if script.contains("cargo xtask test") {
                continue;
            }
            let place = format!("{}:{line}", relative(&document));
            println!("--- {place}\n{}", script.trim_end());
            let mut bash = Command::new("timeout");
            steps::as_typed(&mut bash);
            let status = bash
                .args(["--kill-after=10", "900", "bash", "-euo", "pipefail", "-c", &script])
                .current_dir(tools::root())
                .env("PATH", &path)
                .status()
                .context("could not start bash")?;
            count += 1;
            if !status.success() {
                failed.push(format!("{place}: {status}"));
            }
        }
    }
    if !failed.is_empty() {
        bail!("commands in the documents failed:\n  {}", failed.join("\n  "));
    }
    println!("documents: {count} passed, 0 failed");
    Ok(())
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut found = vec![tools::root().join("README.md"), tools::root().join("CONTRIBUTING.md")];
    let folder = tools::root().join("docs");
    for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn relative(path: &Path) -> String {
    path.strip_prefix(tools::root()).unwrap_or(path).display().to_string()
}

/// The `sh` blocks with the numbers of their first lines.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some((number + 2, language.trim() == "sh", String::new()));
            }
            (Some(_), Some(_)) => {
                if let Some((first, true, script)) = open.take() {
                    found.push((first, script));
                }
                open = None;
            }
            (Some((_, _, script)), None) => {
                script.push_str(line);
                script.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn only_sh_blocks_are_commands() {
        let text = "a\n```sh\none\ntwo\n```\n```console\nthree\n```\n```sh\nfour\n```\n";
        assert_eq!(blocks(text), [(3, "one\ntwo\n".to_owned()), (10, "four\n".to_owned())]);
    }
}
