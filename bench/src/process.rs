//! Child processes: started next to this program, measured through `/proc`, and ended with it.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

/// Ticks a second of the times in `/proc/PID/stat`, fixed in Linux's user interface.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4096;

/// A role of the `dasklet` program.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// `dasklet scheduler`
    Scheduler,
    /// `dasklet worker`
    Worker,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Worker => "worker",
        }
    }

    /// The program next to this one: `dasklet` with the role as its first argument, or the
    /// role's own. `DASKLET_PROGRAM` names another `dasklet`.
    fn command(self) -> Result<Command> {
        if let Some(program) = std::env::var_os("DASKLET_PROGRAM") {
            let mut command = Command::new(program);
            command.arg(self.name());
            return Ok(command);
        }
        let beside =
            |name: &str| -> Result<PathBuf> { Ok(std::env::current_exe()?.with_file_name(name)) };
        let own = beside(&format!("dasklet-{}", self.name()))?;
        let all = beside("dasklet")?;
        let modified = |path: &PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
        // Whichever was built last; building one does not build the other.
        if modified(&all) > modified(&own) {
            let mut command = Command::new(all);
            command.arg(self.name());
            return Ok(command);
        }
        anyhow::ensure!(
            own.exists(),
            "found neither {} nor {}: build them first (cargo build --release)",
            all.display(),
            own.display()
        );
        Ok(Command::new(own))
    }
}

/// A child process; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a role with these arguments.
    pub fn start(role: Role, arguments: &[String]) -> Result<Self> {
        Self::spawn(role.command()?.args(arguments).arg("--exit-with-parent"))
    }

    /// Starts this program once more.
    pub fn again(arguments: &[String]) -> Result<Self> {
        Self::spawn(Command::new(std::env::current_exe()?).args(arguments))
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let child = command
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// Seconds of processor time so far, of all its threads.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.child.id().to_string())
    }

    /// Bytes in memory.
    pub fn resident_bytes(&self) -> Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm.split(' ').nth(1).context("statm has no second field")?.parse()?;
        Ok(pages * PAGE)
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill()?)
    }

    /// Fails if it has ended.
    pub fn check(&mut self, what: &str) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("the {what} ended early: {status}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Processor time of this process.
pub fn own_cpu_seconds() -> Result<f64> {
    cpu_seconds("self")
}

fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is a name in parentheses that may hold anything.
    let rest = stat.rsplit(") ").next().context("stat has no name")?;
    let ticks = |field: usize| -> Result<f64> {
        Ok(rest.split(' ').nth(field).context("stat is short")?.parse::<u32>()?.into())
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}
