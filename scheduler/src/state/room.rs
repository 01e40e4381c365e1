//! What runs take of their workers, and which workers have room for more.

use dasklet_core::WorkerId;

use super::{
    State,
    classes::Class,
    placement::window,
    runs::Run,
    workers::{Standing, Worker},
};

impl State {
    /// Takes an ended run from its worker's books; its resources go to one that waits there.
    pub(super) fn unload(&mut self, run: &Run) {
        self.count_out(run);
        let Some(worker) = self.workers.get_mut(run.worker) else { return };
        worker.runs.swap_remove(run.position as usize);
        if let Some(moved) = worker.runs.get(run.position as usize)
            && let Some(moved) = self.runs.at_mut(*moved)
        {
            moved.position = run.position;
        }
        let index = worker.load_index(run.class);
        let load = &mut worker.loads[index];
        load.assigned -= 1;
        let ran = load.reserved > load.assigned;
        load.reserved -= u32::from(ran);
        if load.assigned == 0 {
            worker.loads.swap_remove(index);
        }
        if ran {
            worker.unreserve(&self.interned.classes[run.class as usize]);
            self.promote(run.worker);
        } else {
            worker.prefilled -= 1;
        }
        let Some(worker) = self.workers.get_mut(run.worker) else { return };
        if worker.runs.is_empty() {
            worker.idle_since = self.now;
        }
        if worker.standing != Standing::Serving {
            self.drains_moved = true;
        }
        self.offer_room(run.worker);
        self.drop_class_if_unused(run.class);
    }

    /// A run is over, as far as its class counts.
    pub(super) fn count_out(&mut self, run: &Run) {
        let class = &mut self.interned.classes[run.class as usize];
        class.runs -= 1;
        class.returning -= u32::from(run.returning);
    }

    /// Free resources go to runs that wait on the worker for theirs.
    fn promote(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        for index in 0..worker.loads.len() {
            if worker.prefilled == 0 {
                return;
            }
            let load = worker.loads[index];
            let class = &self.interned.classes[load.class as usize];
            let mut more = 0;
            while load.reserved + more < load.assigned && class.fits(&worker.free) {
                worker.reserve(class);
                more += 1;
            }
            worker.loads[index].reserved += more;
            worker.prefilled -= more;
        }
    }

    /// Lists a worker with every class that it has room for.
    pub(super) fn offer_room(&mut self, id: WorkerId) {
        let workers = self.workers.connected().len();
        let Some(worker) = self.workers.get_mut(id).filter(|worker| worker.serves()) else {
            return;
        };
        for word in 0..worker.capable.words() {
            let listed = worker.listed_slots.word(word) & worker.listed_prefill.word(word);
            let mut open = worker.capable.word(word) & !listed;
            while open != 0 {
                let class_id = word as u32 * 64 + open.trailing_zeros();
                open &= open - 1;
                let class = &mut self.interned.classes[class_id as usize];
                list_room(workers, id, worker, class_id, class);
            }
        }
    }

    /// Lists a worker with one class, if it has room for it.
    pub(super) fn offer_room_for(&mut self, id: WorkerId, class_id: u32) {
        let workers = self.workers.connected().len();
        let worker = self.workers.get_mut(id).filter(|worker| worker.serves());
        if let Some(worker) = worker.filter(|worker| worker.capable.has(class_id)) {
            let class = &mut self.interned.classes[class_id as usize];
            list_room(workers, id, worker, class_id, class);
        }
    }
}

fn list_room(workers: usize, id: WorkerId, worker: &mut Worker, class_id: u32, class: &mut Class) {
    if !worker.listed_slots.has(class_id) && class.fits(&worker.free) {
        worker.listed_slots.insert(class_id);
        class.slots.push_back(id);
    }
    let slots = class.times_in(&worker.capacity);
    let half = window(workers, slots, class.mean).div_ceil(2);
    if !worker.listed_prefill.has(class_id) && worker.prefilled < half {
        worker.listed_prefill.insert(class_id);
        class.prefill.push_back(id);
    }
}
