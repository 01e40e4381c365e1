//! What a process has taken of the machine.

use std::fs;

use anyhow::{Context, Result};

/// Processor seconds and memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Processor time since its start, in seconds.
    pub processor: f64,
    /// Most memory that was resident, in bytes.
    pub peak: u64,
}

/// Reads them from `/proc`.
pub fn usage(pid: u32) -> Result<Usage> {
    let read = |file: &str| {
        fs::read_to_string(format!("/proc/{pid}/{file}"))
            .with_context(|| format!("process {pid} is gone"))
    };
    let stat = read("stat")?;
    let (_, rest) = stat.rsplit_once(')').context("the end of the command's name")?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    // Fields 14 and 15 of `stat`, in ticks of a hundredth of a second on every Linux.
    let processor = ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / 100.0);
    let status = read("status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Ok(Usage { processor: processor.context("times")?, peak: peak.context("memory")? * 1024 })
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_uses_memory() {
        let usage = super::usage(std::process::id()).unwrap();
        assert!(usage.peak > 1_000_000 && usage.processor >= 0.0, "{usage:?}");
    }
}
