//! What tasks share (options, classes, queues) is kept as long as one of them has it.

use dasklet_core::JobId;

use super::{State, TaskOptions, queue::Queue};

impl State {
    /// The numbers of a set of options and of the job's queue for it, held until
    /// [`State::let_go`].
    pub(super) fn queue_for(&mut self, job: JobId, options: &TaskOptions) -> (u32, u32) {
        let (options, new_class) = self.interned.intern(options);
        let class = self.interned.class_of(options);
        if new_class {
            let ids = self.workers.connected().to_vec();
            for id in ids {
                self.note_capable(class, id);
                self.offer_room_for(id, class);
            }
        }
        let known = self.jobs.get(&job).and_then(|job| job.queues.get(&class).copied());
        let queue = known.unwrap_or_else(|| {
            let queue = self.queues.add(Queue::new(job, class));
            if let Some(job) = self.jobs.get_mut(&job) {
                job.queues.insert(class, queue);
            }
            queue
        });
        self.hold(options, queue);
        (options, queue)
    }

    /// One more description has these options and this queue.
    pub(super) fn hold(&mut self, options: u32, queue: u32) {
        self.interned.hold(options);
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.uses += 1;
        }
    }

    /// The opposite of [`State::hold`]. What nothing has any more goes.
    pub(super) fn let_go(&mut self, options: u32, queue: u32) {
        let last = self.queues.get_mut(queue).is_some_and(|queue| {
            queue.uses -= 1;
            queue.uses == 0
        });
        if last {
            self.drop_queue(queue);
        }
        if let Some(class) = self.interned.let_go(options) {
            self.drop_class_if_unused(class);
        }
    }

    fn drop_queue(&mut self, id: u32) {
        let Some(queue) = self.queues.remove(id) else { return };
        if queue.listed {
            // Its number may be another's soon.
            self.interned.classes[queue.class as usize].queues.retain(|other| *other != id);
        }
        if let Some(job) = self.jobs.get_mut(&queue.job) {
            job.queues.remove(&queue.class);
            job.ended.iter_mut().zip(queue.tasks).for_each(|(sum, tasks)| *sum += tasks);
        }
    }

    pub(super) fn drop_class_if_unused(&mut self, class: u32) {
        let found = &self.interned.classes[class as usize];
        if found.in_use() || found.is_vacant() {
            return;
        }
        for id in self.workers.connected().to_vec() {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.forget_class(class);
            }
        }
        self.interned.drop_class(class);
    }
}
