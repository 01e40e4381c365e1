//! What clients are told of their tasks.

use dasklet_core::{SessionId, SpecId, TaskId, WorkerId};

use super::{Action, LocalRange, State, TaskState, Time, ToSession, ToWorker, members::WANTED};

impl State {
    /// A session's descriptions with numbers from `first` to before `end`: number, id, and how many
    /// members each has.
    pub fn described(
        &self,
        s: SessionId,
        first: u64,
        end: u64,
    ) -> impl Iterator<Item = (u64, SpecId, u32)> + '_ {
        let locals = self.sessions.get(&s).map(|session| session.locals.range(first, end));
        locals
            .into_iter()
            .flatten()
            .filter_map(move |(local, id)| self.specs.get(id).map(|spec| (local, id, spec.len())))
    }

    /// The descriptions that a range names, and which of their members: from the first to before
    /// the last.
    pub(super) fn parts_in(&self, s: SessionId, range: LocalRange) -> Vec<(SpecId, u32, u32)> {
        let (first, end) = range.numbers();
        let part = |(_, id, len): (u64, SpecId, u32)| {
            let (start, end) = range.members(len);
            (id, start, end)
        };
        self.described(s, first, end).map(part).collect()
    }

    /// How those of these members ended that the session wants, as far as they did.
    pub fn ends(&self, spec: SpecId, start: u32, end: u32) -> impl Iterator<Item = ToSession> + '_ {
        (start..end).filter_map(move |index| self.end_of(TaskId::new(spec, index)))
    }

    /// How a wanted task ended, if it did.
    fn end_of(&self, task: TaskId) -> Option<ToSession> {
        let spec = self.specs.get(task.spec)?;
        let cell = self.specs.cell(task).filter(|cell| cell.has(WANTED))?;
        let (local, index) = (spec.local, task.index);
        match cell.state {
            TaskState::Done => Some(ToSession::Done {
                local,
                index,
                holder: WorkerId(cell.at),
                nbytes: cell.nbytes,
                inline: self.inline.get(&task).cloned(),
            }),
            TaskState::Failed | TaskState::Cancelled => Some(ToSession::Failed { local, index }),
            _ => None,
        }
    }

    /// The session that submitted a description, unless it is over.
    fn session_of(&self, spec: SpecId) -> Option<SessionId> {
        let job = self.jobs.get(&self.specs.get(spec)?.job)?;
        (!job.orphaned).then_some(job.session)
    }

    /// Tells the session how a wanted task ended, if it did.
    pub(super) fn tell_end(&mut self, task: TaskId) {
        if let Some(news) = self.end_of(task)
            && let Some(session) = self.session_of(task.spec)
        {
            self.actions.push(Action::Session(session, news));
        }
    }

    /// Tells the session that members ended.
    pub(super) fn tell_ends(&mut self, id: SpecId, start: u32, end: u32) {
        if end - start == 1 {
            return self.tell_end(TaskId::new(id, start));
        }
        let Some(spec) = self.specs.get(id).filter(|spec| spec.wanted > 0) else { return };
        let news = ToSession::Ended { local: spec.local, start, end };
        if let Some(session) = self.session_of(id) {
            self.actions.push(Action::Session(session, news));
        }
    }

    /// A client could not read a wanted task's outputs from `failed_holder`: it is told of another
    /// holder, or of the same if there is no other, or of the end once the task has run again.
    /// `missing`: that holder was asked and does not have them.
    pub fn refetch(
        &mut self,
        now: Time,
        s: SessionId,
        local: u64,
        index: u32,
        failed_holder: WorkerId,
        missing: bool,
    ) {
        self.now = now;
        let Some(spec) = self.sessions.get(&s).and_then(|s| s.locals.get(local)) else { return };
        let task = TaskId::new(spec, index);
        if self.puts.contains_key(&spec) {
            // The client does not know where to put it.
            return self.target_put(spec);
        }
        if missing && self.holds(failed_holder, task) {
            let sole = self.holders(task).len() == 1;
            if sole && self.specs.get(spec).is_some_and(|spec| self.irreplaceable(spec)) {
                // Nothing could replace it: its holder itself is to say that it is lost.
                self.tell(failed_holder, ToWorker::Confirm(task));
            } else {
                self.remove_holder(task, failed_holder);
                self.tell(failed_holder, ToWorker::Release(task));
                self.settle();
            }
        }
        let holders = self.holders(task);
        let other = holders.iter().find(|holder| **holder != failed_holder);
        if let Some(holder) = other.or(holders.first()).copied() {
            let nbytes = self.task_bytes(task);
            let inline = self.inline.get(&task).cloned();
            let news = ToSession::Done { local, index, holder, nbytes, inline };
            self.actions.push(Action::Session(s, news));
        } else {
            self.tell_end(task);
        }
    }
}
