//! Which worker group a worker belongs to, by its name.

/// The group among `groups` that the worker belongs to: members are named `GROUP-worker-...`.
/// Where there is one group only, all workers belong to it.
pub(super) fn of<'a>(worker: &str, groups: &[&'a str]) -> Option<&'a str> {
    if let [only] = groups {
        return Some(only);
    }
    let named = groups.iter().filter(|group| {
        worker.strip_prefix(**group).is_some_and(|rest| rest.starts_with("-worker-"))
    });
    named.max_by_key(|group| group.len()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_group_is_known_by_its_name() {
        let groups = ["demo-default", "demo-default-worker", "demo-gpu"];
        for (worker, group) in [
            ("demo-default-worker-3", Some("demo-default")),
            ("demo-default-worker-worker-3", Some("demo-default-worker")),
            ("demo-gpu-worker-abcdef0123", Some("demo-gpu")),
            ("demo-gpu2-worker-1", None),
            ("tcp://10.0.0.7:4000", None),
        ] {
            assert_eq!(of(worker, &groups), group, "{worker}");
        }
        assert_eq!(of("anything", &["demo-default"]), Some("demo-default"));
        assert_eq!(of("anything", &[]), None);
    }
}
