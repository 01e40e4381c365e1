//! Descriptions that nothing can need any more.

use dasklet_core::{SpecId, TaskId};

use super::{State, TaskState, ToWorker, spec::EdgeMembers};

impl State {
    /// Removes a description that nothing can need any more.
    pub(super) fn forget(&mut self, id: SpecId) {
        let Some(spec) = self.specs.get(id) else { return };
        let (len, is_array) = (spec.len(), spec.is_array());
        let mut index = 0;
        while index < len {
            let task = TaskId::new(id, index);
            if self.specs.cell(task).is_some_and(|cell| cell.state == TaskState::Done) {
                self.drop_outputs(task, !is_array);
            }
            let Some(spec) = self.specs.get(id) else { return };
            let same = spec.array().and_then(|array| array.members.same(index));
            let (next, cell) = same.unwrap_or((index + 1, spec.cell(index)));
            self.counters.tasks[cell.state as usize] -= u64::from(next - index);
            index = next;
        }
        self.tell_known_workers(id, ToWorker::Forget(id));
        let Some(spec) = self.specs.remove(id) else { return };
        self.let_go(spec.options, spec.queue);
        self.failures.remove(&id);
        self.puts.remove(&id);
        self.lost_puts.remove(&TaskId::new(id, 0));
        if !spec.key.is_empty() {
            let hash = self.hash_key(&spec.key);
            if self.keys.get(&hash) == Some(&id) {
                self.keys.remove(&hash);
            }
        }
        let session = self.jobs.get(&spec.job).map(|job| job.session);
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session)) {
            session.locals.forget(spec.local);
        }
        self.unlist_in_job(&spec);
        self.drop_job_if_over(spec.job);
        for edge in &spec.inputs {
            self.unretain(edge.source, edge.members);
        }
    }

    /// A consumer is forgotten. The lists of consumers are cleaned when most of what they name is.
    fn unretain(&mut self, source: SpecId, members: EdgeMembers) {
        let Some(spec) = self.specs.get(source) else { return };
        let is_live = |id: &SpecId| self.specs.get(*id).is_some();
        let crowded = |listed: usize, live: u32| listed as u64 > 2 * u64::from(live) + 8;
        let clean = |list: &[SpecId], live: u32| -> Option<Vec<SpecId>> {
            crowded(list.len(), live).then(|| list.iter().copied().filter(is_live).collect())
        };
        let retained = spec.retained - 1;
        let array = spec.array();
        let (mut wholes, mut same_index, mut single) = (None, None, None);
        match members {
            EdgeMembers::Whole | EdgeMembers::All => wholes = clean(&spec.consumers, retained),
            EdgeMembers::SameIndex => {
                same_index = array.and_then(|array| clean(&array.same_index, retained));
            }
            EdgeMembers::One(member) => {
                let found = array.and_then(|array| array.by_member.get(&member));
                single = found.and_then(|found| clean(&found.specs, found.retained - 1));
            }
        }
        let Some(spec) = self.specs.get_mut(source) else { return };
        spec.retained = retained;
        if let Some(live) = wholes {
            spec.consumers = live.into();
        }
        if let Some(array) = spec.array_mut() {
            if let Some(live) = same_index {
                array.same_index = live.into();
            }
            if let EdgeMembers::One(member) = members
                && let Some(found) = array.by_member.get_mut(&member)
            {
                found.retained -= 1;
                if let Some(live) = single {
                    found.specs = live.into();
                }
                if found.retained == 0 {
                    array.by_member.remove(&member);
                }
            }
            if retained == 0 {
                array.same_index = Default::default();
            }
        }
        if retained == 0 {
            spec.consumers = Default::default();
            self.mark_dirty(source);
        }
    }
}
