//! Tasks that wait on one worker while another idles are asked back; what must run again goes
//! before what waits on workers.

use dasklet_core::{RunId, WorkerId};

use super::{State, TaskState, ToWorker, members::AGAIN, placement::Place, queue::CURSOR};

/// Waiting times shorter than this are not worth a message, in microseconds.
const WORTH_MICROS: f32 = 5_000.0;
/// Workers looked at in one call.
const MAX_LOOKED_AT: usize = 16;

impl State {
    /// Moves waiting tasks of a class from busy workers.
    pub(super) fn rebalance(&mut self, class_id: u32) {
        let class = &self.interned.classes[class_id as usize];
        if class.surplus.is_empty() {
            self.interned.surplus.remove(class_id);
            return;
        }
        if class.ready > 0 {
            self.displace(class_id);
            return;
        }
        if class.slots.is_empty() {
            return;
        }
        let mut idle = self.idle_slots(class_id).saturating_sub(class.returning);
        let mut looked = 0;
        while idle > 0 && looked < MAX_LOOKED_AT {
            looked += 1;
            let class = &mut self.interned.classes[class_id as usize];
            let Some(id) = class.surplus.front().copied() else { return };
            let mean = class.mean.assumed();
            let slots = self.workers.get(id).map_or(1, |w| class.times_in(&w.capacity).max(1));
            let load = self.workers.get(id).map(|worker| worker.load(class_id));
            let waiting = load.map_or(0, |load| load.assigned - load.reserved);
            if waiting == 0 {
                self.unlist_surplus(class_id, id);
                continue;
            }
            class.surplus.rotate_left(1);
            if waiting as f32 * mean / slots as f32 > WORTH_MICROS {
                let asked = self.ask_back(id, class_id, idle.min(waiting), false);
                idle -= asked;
            }
        }
    }

    fn unlist_surplus(&mut self, class_id: u32, id: WorkerId) {
        self.interned.classes[class_id as usize].surplus.pop_front();
        if let Some(worker) = self.workers.get_mut(id) {
            worker.listed_surplus.remove(class_id);
        }
    }

    /// Slots that are free for a class, as far as the first workers of its list tell.
    fn idle_slots(&self, class_id: u32) -> u32 {
        let class = &self.interned.classes[class_id as usize];
        class
            .slots
            .iter()
            .take(MAX_LOOKED_AT)
            .filter_map(|id| self.workers.get(*id))
            .filter(|worker| worker.serves())
            .map(|worker| class.times_in(&worker.free))
            .sum()
    }

    /// Asks for at most so many of a worker's unstarted runs of a class, the latest first.
    fn ask_back(&mut self, id: WorkerId, class_id: u32, most: u32, even_sticky: bool) -> u32 {
        let Some(worker) = self.workers.get(id) else { return 0 };
        let load = worker.load(class_id);
        // So many of the class are taken to run, or to be about to.
        let most = most.min(load.assigned - load.reserved);
        let mut asked: Vec<RunId> = Vec::new();
        for slot in worker.runs.iter().rev() {
            if asked.len() as u32 == most {
                break;
            }
            let Some((run_id, run)) = self.runs.at(*slot) else { continue };
            let stays = run.class != class_id || run.started || run.abandoned;
            if stays || run.returning || run.sticky && !even_sticky {
                continue;
            }
            asked.push(run_id);
        }
        for run_id in &asked {
            if let Some(run) = self.runs.get_mut(*run_id) {
                run.returning = true;
            }
            self.tell(id, ToWorker::GiveBack(*run_id));
        }
        self.interned.classes[class_id as usize].returning += asked.len() as u32;
        asked.len() as u32
    }

    /// Tasks that run again take the place of those that wait on workers, so that they run in the
    /// next slot that comes free.
    fn displace(&mut self, class_id: u32) {
        let class = &self.interned.classes[class_id as usize];
        if class.mean.assumed() < WORTH_MICROS || class.exact {
            return;
        }
        let queues = class.queues.clone();
        for queue in queues {
            for _ in 0..MAX_LOOKED_AT {
                let Some(task) = self.peek_again(queue) else { break };
                let Some(worker) = self.displaceable(class_id) else { return };
                self.ask_back(worker, class_id, u32::MAX, true);
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.pop();
                }
                self.assign(task, class_id, Place { worker, reserved: false, sticky: true });
            }
        }
    }

    /// The queue's first task, if it is one that runs again.
    fn peek_again(&self, queue: u32) -> Option<dasklet_core::TaskId> {
        let entry = self.queues.get(queue)?.peek()?;
        if entry.index == CURSOR {
            return None;
        }
        let task = dasklet_core::TaskId::new(entry.spec, entry.index);
        let cell = self.specs.cell(task)?;
        (cell.state == TaskState::Ready && cell.has(AGAIN)).then_some(task)
    }

    /// A worker on which tasks wait that were not asked back yet.
    fn displaceable(&mut self, class_id: u32) -> Option<WorkerId> {
        for _ in 0..MAX_LOOKED_AT {
            let id = self.interned.classes[class_id as usize].surplus.front().copied()?;
            let Some(worker) = self.workers.get(id).filter(|worker| worker.serves()) else {
                self.unlist_surplus(class_id, id);
                continue;
            };
            let load = worker.load(class_id);
            if load.assigned == load.reserved {
                self.unlist_surplus(class_id, id);
                continue;
            }
            self.interned.classes[class_id as usize].surplus.rotate_left(1);
            let Some(worker) = self.workers.get(id) else { continue };
            let askable = worker.runs.iter().rev().take(64).any(|slot| {
                self.runs.at(*slot).is_some_and(|(_, run)| {
                    run.class == class_id
                        && !run.started
                        && !run.returning
                        && !run.abandoned
                        && !run.sticky
                })
            });
            if askable {
                return Some(id);
            }
        }
        None
    }
}
