//! Placing tasks where their inputs are.

use dasklet_core::{TaskId, WorkerId};
use smallvec::SmallVec;

use super::{
    State, TaskState,
    classes::Mean,
    placement::{Place, window},
    spec::EdgeMembers,
};

/// Inputs of a task that are looked at.
const MAX_INPUTS: usize = 16;
/// Inputs smaller than this do not matter, in bytes.
const SMALL: u64 = 16 << 10;
/// Time to fetch anything at all, and bytes fetched in a microsecond.
const FETCH_MICROS: f32 = 500.0;
const BYTES_PER_MICRO: f32 = 1000.0;

impl State {
    /// A better place than this one, if the task's inputs are elsewhere and fetching them would
    /// take longer than waiting there.
    pub(super) fn nearer(
        &self,
        class_id: u32,
        task: TaskId,
        mean: Mean,
        place: Place,
    ) -> Option<Place> {
        let (holder, saved) = self.best_holder(task, place.worker)?;
        if holder == place.worker {
            return None;
        }
        let worker = self.workers.get(holder)?;
        let class = &self.interned.classes[class_id as usize];
        if !worker.serves() || !worker.capable.has(class_id) {
            return None;
        }
        if class.fits(&worker.free) {
            return Some(Place { worker: holder, reserved: true, sticky: false });
        }
        let slots = class.times_in(&worker.capacity).max(1);
        if class.exact
            || worker.prefilled >= window(self.workers.connected().len(), slots, mean).max(slots)
        {
            return None;
        }
        let fetch = FETCH_MICROS + saved as f32 / BYTES_PER_MICRO;
        let wait = (worker.prefilled + 1) as f32 * mean.assumed() / slots as f32;
        let sticky = place.reserved;
        (!place.reserved || fetch > wait).then_some(Place {
            worker: holder,
            reserved: false,
            sticky,
        })
    }

    /// The worker that holds most of a task's inputs, and how much more that is than what
    /// `other` holds.
    fn best_holder(&self, task: TaskId, other: WorkerId) -> Option<(WorkerId, u64)> {
        let spec = self.specs.get(task.spec)?;
        let mut sums: SmallVec<[(WorkerId, u64); 8]> = SmallVec::new();
        let mut looked = 0;
        for edge in spec.inputs.iter().take(MAX_INPUTS) {
            let (first, members) = match Self::source_task(task, edge) {
                Some(source) => (source.index, 1),
                None => {
                    let members = self.specs.get(edge.source).map_or(0, |spec| spec.len());
                    debug_assert_eq!(edge.members, EdgeMembers::All);
                    (0, members)
                }
            };
            // Of a long range every worker holds about the same.
            if members as usize > MAX_INPUTS - looked {
                continue;
            }
            looked += members as usize;
            for index in first..first + members {
                let source = TaskId::new(edge.source, index);
                let Some(cell) = self.specs.cell(source) else { continue };
                if cell.state != TaskState::Done || cell.nbytes < SMALL {
                    continue;
                }
                let caches = self.caches_of(source).iter().copied();
                for holder in self.holders(source).into_iter().chain(caches) {
                    match sums.iter_mut().find(|(worker, _)| *worker == holder) {
                        Some((_, sum)) => *sum += cell.nbytes,
                        None => sums.push((holder, cell.nbytes)),
                    }
                }
            }
        }
        let here = sums.iter().find(|(worker, _)| *worker == other).map_or(0, |(_, sum)| *sum);
        let (best, most) = sums.into_iter().max_by_key(|(_, sum)| *sum)?;
        (most > here).then(|| (best, most - here))
    }
}
