//! What this machine, or the container around us, has.

use std::fs;

/// Bytes of memory: the container's limit (cgroup v2 or v1), or all there is.
pub fn memory() -> u64 {
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .min();
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    // Without /proc there is no better guess than that of a small machine.
    let total = total.map_or(1 << 30, |kibibytes| kibibytes << 10);
    limit.map_or(total, |limit| limit.min(total))
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_is_memory() {
        assert!(super::memory() > 64 << 20);
    }
}
