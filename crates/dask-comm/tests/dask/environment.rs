//! The Python environment, made when it is missing.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The release that is tested against.
const VERSION: &str = "2026.8.0";

/// The Python that has Dask.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(prepare)
}

fn prepare() -> PathBuf {
    let home = env::var_os("HOME").expect("HOME names the folder of caches");
    let folder = Path::new(&home).join(".cache/dasklet/python");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join(format!("{VERSION}.lock"))).unwrap();
    lock.lock().unwrap();
    let environment = folder.join(VERSION);
    let (python, complete) = (environment.join("bin/python"), environment.join("complete"));
    if !complete.exists() {
        let _ = fs::remove_dir_all(&environment);
        run(Command::new(base_python()).args(["-m", "venv"]).arg(&environment));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args([format!("dask=={VERSION}"), format!("distributed=={VERSION}")]));
        File::create(&complete).unwrap();
    }
    python
}

fn base_python() -> String {
    let is_right = |name: &String| {
        let check = "import sys, venv; sys.exit(sys.version_info < (3, 11))";
        let status = Command::new(name).args(["-c", check]).status();
        status.is_ok_and(|status| status.success())
    };
    let names = ["python3.11", "python3.12", "python3.13", "python3"].map(str::to_owned);
    names.into_iter().find(is_right).expect("a Python 3.11 or newer is installed, with venv")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
