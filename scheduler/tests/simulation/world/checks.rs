//! What must be true in the end.

use dasklet_core::TaskId;
use dasklet_scheduler::state::LocalRange;

use super::{Mode, World};
use crate::{client::End, worker::Provenance};

impl World {
    pub(super) fn why(&self, (local, index): (u64, u32)) -> Option<String> {
        let spec = self.client.descriptions.iter().find(|d| d.known.local == local)?.spec;
        Some(format!("{:#?}", self.state.explain(&format!("{spec}.{index}"))?))
    }

    pub(super) fn check_results(&self) {
        if self.mode == Mode::Drains {
            assert_eq!(self.state.counters().recomputed, 0, "planned removals repeat nothing");
        }
        let mut versions = Provenance::new();
        for description in self.client.descriptions.iter().filter(|d| d.wanted && !d.released) {
            for index in 0..description.members() {
                let task = TaskId::new(description.spec, index);
                let holders = self.state.task_holders(task);
                let local = description.known.local;
                // It may have failed after it was done, while the client was away.
                let failed = self.state.failure(self.session, local, index).is_some();
                if failed || self.client.ends.get(&(local, index)) == Some(&End::Failed) {
                    continue;
                }
                assert!(!holders.is_empty(), "{task} is done and held by nobody");
                for holder in holders {
                    let Some(found) = self.index_of(holder) else {
                        panic!("{task} is held by a worker that is not there");
                    };
                    let Some(stored) = self.workers[found].store.get(&task) else {
                        panic!("{task} cannot be read from {}", self.workers[found].name);
                    };
                    for (source, version) in &stored.made_of {
                        let other = versions.entry(*source).or_insert(*version);
                        assert_eq!(
                            other, version,
                            "{task} was made of another {source} than others"
                        );
                    }
                }
            }
        }
    }

    pub(super) fn release_all(&mut self) {
        for description in &mut self.client.descriptions {
            description.released = true;
        }
        let count = self.client.next;
        let range = LocalRange { local: 0, start: 0, end: 0, count };
        self.state.release(self.time(), self.session, range);
        for job in 0..2 {
            self.state.close_job(self.session, job);
        }
        let end = self.now + 60_000_000;
        self.run_until(end, true);
        self.state.check_invariants();
        let counters = self.state.counters();
        let left: u64 = counters.tasks.iter().sum();
        assert_eq!(left, 0, "tasks are left after all is released");
        assert_eq!(counters.bytes_stored, 0);
        assert_eq!(counters.bytes_inline, 0);
        for worker in self.workers.iter().filter(|worker| worker.id.is_some()) {
            assert!(worker.store.is_empty(), "{} keeps {:?}", worker.name, worker.store.keys());
        }
    }
}
