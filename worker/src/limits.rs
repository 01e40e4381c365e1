//! What this machine, or the container around this process, allows.

use std::{fs, path::Path};

/// Processors this process may use: cgroup quota and affinity count.
pub(crate) fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
}

/// The host's name, which is the pod's in a cluster.
pub(crate) fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "worker".to_owned(), |name| name.trim().to_owned())
}

/// The memory limit of the container, or else what the machine has, in bytes.
pub(crate) fn memory() -> u64 {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let total = total_memory(&read("/proc/meminfo".as_ref()).unwrap_or_default());
    let groups = read("/proc/self/cgroup".as_ref()).unwrap_or_default();
    memory_limit(&groups, &read).map_or(total, |limit| limit.min(total))
}

fn total_memory(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .map_or(1 << 30, |kib| kib * 1024)
}

/// The smallest limit on the way from this process's cgroup to the root, v2 or v1.
fn memory_limit(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut smallest: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let mut group = Some(Path::new(path.trim_start_matches('/')));
        while let Some(path) = group {
            let limit = read(&Path::new(root).join(path).join(file))
                .and_then(|text| text.trim().parse::<u64>().ok());
            if let Some(limit) = limit.filter(|limit| *limit > 0) {
                smallest = Some(smallest.map_or(limit, |smallest| smallest.min(limit)));
            }
            group = path.parent();
        }
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_kinds_of_cgroup() {
        let files = [
            ("/sys/fs/cgroup/pod/box/memory.max", "max\n"),
            ("/sys/fs/cgroup/pod/memory.max", "1000\n"),
            ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2000\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        let read = |path: &Path| {
            files
                .iter()
                .find(|(name, _)| Path::new(name) == path)
                .map(|(_, text)| (*text).to_owned())
        };
        for (groups, limit) in [
            ("0::/pod/box\n", Some(1000)),
            ("5:cpu:/x\n4:memory:/a\n", Some(2000)),
            ("4:hugetlb,memory:/a/gone\n0::/pod\n", Some(1000)),
            ("0::/\n", None),
        ] {
            assert_eq!(memory_limit(groups, &read), limit, "{groups}");
        }
        assert_eq!(total_memory("MemTotal:  16 kB\nMemFree: 1 kB"), 16384);
        assert!(memory() > 16 << 20);
        assert!(processors() > 0);
    }
}
