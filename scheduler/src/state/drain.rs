//! Members that are to go: they take nothing new, give back what did not start, finish what
//! runs, and hand what only they hold to others. Nothing is lost on the way.

use dasklet_core::{
    TaskId, WorkerId,
    demand::{MemberRef, MemberState},
};

use super::{
    State, TaskState, Time, ToWorker,
    members::AGAIN,
    timers::Timer,
    workers::{Incoming, Standing},
};

/// Copies that did not arrive are asked for again after so long.
const RETRY_MICROS: u64 = 10_000_000;
/// So many times the same worker is asked, then another one as well.
const RETRIES_ELSEWHERE: u32 = 3;
/// Workers among which the one with the least data is chosen for a copy.
const CANDIDATES: usize = 8;

impl State {
    /// Drains a member. Answers how it stands; `None` if no such member is connected.
    pub fn drain(
        &mut self,
        now: Time,
        m: &MemberRef,
        deadline_micros: Option<u64>,
    ) -> Option<MemberState> {
        self.now = now;
        let id = self.member(m)?;
        self.begin_drain(id, deadline_micros);
        self.progress_drains();
        self.workers.get(id).map(|worker| worker.state())
    }

    /// Takes a drain back, unless the member is leaving of its own account.
    pub fn undrain(&mut self, now: Time, m: &MemberRef) -> Option<MemberState> {
        self.now = now;
        let id = self.member(m)?;
        let worker = self.workers.get_mut(id)?;
        if worker.standing != Standing::Serving && !worker.leaving {
            worker.standing = Standing::Serving;
            worker.drain_until = None;
            worker.to_move.clear();
            worker.moving.clear();
            self.tell(id, ToWorker::Undrain);
            self.offer_room(id);
            self.drains_moved = true;
            self.place_waiting_puts();
            self.demand_moved();
        }
        self.workers.get(id).map(|worker| worker.state())
    }

    /// How a member stands; `None` if no such member is connected.
    #[must_use]
    pub fn member_state(&self, m: &MemberRef) -> Option<MemberState> {
        self.workers.get(self.member(m)?).map(|worker| worker.state())
    }

    /// A worker is about to go (SIGTERM): it is drained, then told to exit.
    pub fn worker_leaving(&mut self, now: Time, w: WorkerId) {
        self.now = now;
        let Some(worker) = self.workers.get_mut(w) else { return };
        worker.leaving = true;
        self.begin_drain(w, None);
        self.progress_drains();
    }

    fn member(&self, m: &MemberRef) -> Option<WorkerId> {
        let id = self.workers.named(&m.name)?;
        let worker = self.workers.get(id)?;
        m.instance.as_ref().is_none_or(|i| *i == worker.description.instance).then_some(id)
    }

    fn begin_drain(&mut self, id: WorkerId, deadline_micros: Option<u64>) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(id) else { return };
        self.drains_moved = true;
        let until = deadline_micros.map(|micros| now.after_micros(micros));
        // Asked again, it is not given more time: whoever asks may ask every second.
        let until = until.filter(|until| worker.drain_until.is_none_or(|first| *until < first));
        worker.drain_until = until.or(worker.drain_until);
        let begins = worker.standing == Standing::Serving;
        if let Some(until) = until {
            self.add_timer(until, Timer::DrainDeadline(id));
        }
        let Some(worker) = self.workers.get_mut(id).filter(|_| begins) else { return };
        worker.standing = Standing::Draining;
        let mut held = worker.held.entries().to_vec();
        let runs = worker.runs.clone();
        held.sort_unstable();
        held.dedup();
        held.retain(|task| self.holds(id, *task));
        if let Some(worker) = self.workers.get_mut(id) {
            worker.to_move = held;
        }
        self.tell(id, ToWorker::Drain(deadline_micros));
        for slot in runs {
            let Some((run_id, run)) = self.runs.at(slot) else { continue };
            if run.started || run.returning || run.abandoned {
                continue;
            }
            let class = run.class;
            if let Some(run) = self.runs.get_mut(run_id) {
                run.returning = true;
                self.interned.classes[class as usize].returning += 1;
            }
            self.tell(id, ToWorker::GiveBack(run_id));
        }
        if !self.draining.contains(&id) {
            self.draining.push(id);
        }
        let retry_at = now.after_micros(RETRY_MICROS);
        if let Some(worker) = self.workers.get_mut(id) {
            worker.retry_at = retry_at;
            worker.retries = 0;
        }
        self.add_timer(retry_at, Timer::DrainRetry(id));
        self.demand_moved();
    }

    /// Looks at members that drain, if something happened that matters to them.
    pub(super) fn progress_drains(&mut self) {
        if !std::mem::take(&mut self.drains_moved) || self.draining.is_empty() {
            return;
        }
        let mut draining = std::mem::take(&mut self.draining);
        draining.retain(|id| {
            self.workers.get(*id).is_some_and(|worker| worker.standing != Standing::Serving)
        });
        for id in &draining {
            self.move_away(*id);
            self.look_whether_drained(*id);
        }
        self.draining = draining;
        // Moving away marks others as moved; nothing follows from that before the next event.
        self.drains_moved = false;
    }

    /// Another worker that stays holds it too, or nobody needs it.
    fn is_safe(&self, task: TaskId, from: WorkerId) -> bool {
        !self.holds(from, task)
            || self.holders(task).iter().any(|holder| {
                self.workers.get(*holder).is_some_and(|w| w.standing == Standing::Serving)
            })
    }

    fn move_away(&mut self, id: WorkerId) {
        while let Some(task) =
            self.workers.get(id).and_then(|worker| worker.to_move.last().copied())
        {
            if !self.is_safe(task, id) {
                let Some(target) = self.target_for(task) else { return };
                self.tell(target, ToWorker::Replicate(task, id));
                let nbytes = self.task_bytes(task);
                if let Some(target) = self.workers.get_mut(target) {
                    target.expect(task, Incoming { from: id, nbytes });
                }
                let copying = self.copying.entry(task).or_default();
                if !copying.iter().any(|(worker, _)| *worker == target) {
                    copying.push((target, false));
                }
                if let Some(worker) = self.workers.get_mut(id) {
                    worker.moving.push(task);
                }
            }
            if let Some(worker) = self.workers.get_mut(id) {
                worker.to_move.pop();
            }
        }
    }

    /// A worker that is to hold a copy: the one with the least data of the next few.
    fn target_for(&mut self, task: TaskId) -> Option<WorkerId> {
        let ids = self.workers.connected();
        let holders = self.holders(task);
        let start = self.next_target % ids.len().max(1);
        let best = (0..ids.len())
            .map(|offset| ids[(start + offset) % ids.len()])
            .filter(|id| !holders.contains(id) && !self.copies_old(task, *id))
            .filter_map(|id| self.workers.get(id).map(|worker| (id, worker)))
            .filter(|(_, worker)| worker.serves())
            .take(CANDIDATES)
            .min_by_key(|(_, worker)| {
                // Values without bytes are spread as well.
                (
                    worker.held_bytes + worker.incoming_bytes,
                    worker.held.live() as usize + worker.incoming.len(),
                )
            })
            .map(|(id, _)| id);
        self.next_target = self.next_target.wrapping_add(1);
        best
    }

    /// The worker is about to have an outdated copy, and will tell when it has.
    fn copies_old(&self, task: TaskId, worker: WorkerId) -> bool {
        self.copying
            .get(&task)
            .is_some_and(|copying| copying.iter().any(|(w, old)| *w == worker && *old))
    }

    /// A copy that the worker was asked for and has not told of is not to be counted on.
    pub(super) fn outdate_copy(&mut self, task: TaskId, worker: WorkerId) {
        if let Some(copying) = self.copying.get_mut(&task) {
            copying.iter_mut().filter(|(w, _)| *w == worker).for_each(|(_, old)| *old = true);
        }
    }

    /// Takes note that a copy that was asked for is there; true if it is out of date.
    pub(super) fn end_copying(&mut self, task: TaskId, worker: WorkerId) -> Option<bool> {
        let copying = self.copying.get_mut(&task)?;
        let position = copying.iter().position(|(w, _)| *w == worker)?;
        let (_, old) = copying.remove(position);
        if copying.is_empty() {
            self.copying.remove(&task);
        }
        Some(old)
    }

    fn look_whether_drained(&mut self, id: WorkerId) {
        while let Some(task) = self.workers.get(id).and_then(|worker| worker.moving.last().copied())
        {
            if !self.is_safe(task, id) {
                break;
            }
            if let Some(worker) = self.workers.get_mut(id) {
                worker.moving.pop();
            }
        }
        let now = self.now;
        let Some(worker) = self.workers.get(id) else { return };
        let late = worker.drain_until.is_some_and(|until| now >= until);
        let still = worker
            .runs
            .iter()
            .any(|slot| self.runs.at(*slot).is_some_and(|(_, run)| !(late && run.abandoned)));
        let empty = !still && worker.to_move.is_empty() && worker.moving.is_empty();
        let Some(worker) = self.workers.get_mut(id) else { return };
        let before = worker.standing;
        worker.standing = if empty { Standing::Drained } else { Standing::Draining };
        if empty && worker.leaving && !worker.dismissed {
            worker.dismissed = true;
            self.tell(id, ToWorker::Shutdown);
        }
        if self.workers.get(id).is_some_and(|worker| worker.standing != before) {
            self.demand_moved();
        }
    }

    /// The time for running tasks is over: they run elsewhere.
    pub(super) fn drain_deadline(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(id) else { return };
        if worker.standing != Standing::Draining {
            return;
        }
        for slot in worker.runs.clone() {
            let Some((_, run)) = self.runs.at(slot) else { continue };
            let task = run.task;
            let Some(spec) = self.specs.get(task.spec) else { continue };
            // What must not run twice is waited for.
            if run.abandoned || !self.interned.options(spec.options).idempotent {
                continue;
            }
            self.abandon_run(task);
            self.update(task, |cell| {
                cell.flags |= AGAIN;
                cell.state = TaskState::Waiting;
            });
            self.ready_or_wait(task);
        }
        self.drains_moved = true;
        self.settle();
        self.progress_drains();
    }

    /// Copies that did not arrive are asked for again, perhaps elsewhere.
    pub(super) fn drain_retry(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let moving = std::mem::take(&mut worker.moving);
        worker.retries += 1;
        let elsewhere = worker.retries.is_multiple_of(RETRIES_ELSEWHERE);
        let mut on_their_way = Vec::new();
        for task in moving {
            let targets = self.copying.get(&task).cloned().unwrap_or_default();
            // Who fetches it still is not disturbed by this, who gave it up begins again.
            for (target, _) in targets.iter().filter(|(_, old)| !old) {
                self.tell(*target, ToWorker::Replicate(task, id));
            }
            if !targets.is_empty() && !elsewhere {
                on_their_way.push(task);
            } else if let Some(worker) = self.workers.get_mut(id) {
                worker.to_move.push(task);
            }
        }
        let at = self.now.after_micros(RETRY_MICROS);
        if let Some(worker) = self.workers.get_mut(id) {
            worker.moving = on_their_way;
            worker.retry_at = at;
        }
        self.add_timer(at, Timer::DrainRetry(id));
        self.drains_moved = true;
        self.progress_drains();
    }
}
