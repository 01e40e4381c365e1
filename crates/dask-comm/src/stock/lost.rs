//! Which worker is meant by a member's name, instance and address.

use dasklet_core::demand::MemberRef;

use crate::rpc::WorkerIdentity;

/// Whether `worker`, one of the workers that are `known`, belongs to `member`. A pod's instance is
/// its UID, of which a stock scheduler knows nothing: then the name decides, and `ip` (unless it
/// is empty) keeps a later pod of the same name out. A worker with a name of its own is known by
/// the address alone, if nobody else is there.
pub(super) fn is_meant(
    member: &MemberRef,
    ip: &str,
    worker: &WorkerIdentity,
    known: &[WorkerIdentity],
) -> bool {
    if let Some(address) = member.instance.as_deref().filter(|it| it.contains("://")) {
        return worker.address == address && worker.name == member.name;
    }
    let is_there = |worker: &WorkerIdentity| host_of(&worker.address) == ip;
    if known.iter().any(|it| it.is_of(&member.name)) {
        return worker.is_of(&member.name) && (ip.is_empty() || is_there(worker));
    }
    is_there(worker) && known.iter().filter(|it| is_there(it)).count() == 1
}

fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::observation::unmeasured;

    #[test]
    fn a_worker_is_meant_by_name_and_place() {
        let worker = |name: &str, address: &str| unmeasured((name.into(), address.into()));
        let known = [
            worker("g-worker-1", "tcp://10.0.0.1:4000"),
            worker("g-worker-2-0", "tcp://10.0.0.2:4000"),
            worker("g-worker-2-1", "tcp://10.0.0.2:4001"),
            worker("own-name", "tcp://10.0.0.3:4000"),
            worker("other-1", "tcp://10.0.0.4:4000"),
            worker("other-2", "tcp://10.0.0.4:4001"),
            worker("six", "tcp://[fd00::6]:4000"),
        ];
        let uid = Some("5f3c5a4e-0000-4000-8000-000000000000");
        for (name, instance, ip, meant) in [
            ("g-worker-1", uid, "10.0.0.1", vec![0]),
            ("g-worker-1", None, "", vec![0]),
            // A later pod has the name.
            ("g-worker-1", uid, "10.0.0.9", vec![]),
            ("g-worker-1", Some("tcp://10.0.0.1:4000"), "", vec![0]),
            ("g-worker-1", Some("tcp://10.0.0.1:4001"), "", vec![]),
            ("g-worker-2", uid, "10.0.0.2", vec![1, 2]),
            ("g-worker-3", uid, "10.0.0.3", vec![3]),
            // Two workers share the address: it tells nothing.
            ("g-worker-4", uid, "10.0.0.4", vec![]),
            ("g-worker-5", uid, "", vec![]),
            ("g-worker-6", uid, "fd00::6", vec![6]),
        ] {
            let instance = instance.map(str::to_owned);
            let member = MemberRef { name: name.to_owned(), instance };
            let found: Vec<usize> =
                (0..known.len()).filter(|at| is_meant(&member, ip, &known[*at], &known)).collect();
            assert_eq!(found, meant, "{member:?} at '{ip}'");
        }
    }
}
