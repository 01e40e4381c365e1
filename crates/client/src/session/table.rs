//! What the session knows of each of its tasks, by local number: a dense table, so that news of
//! a million tasks cost a store each. Somebody is looked for only where somebody waits.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::Waker,
};

use bytes::Bytes;
use dasklet_protocol::v1;
use foldhash::fast::RandomState;

use super::{
    cell::{Cell, Standing},
    members::{MAX_PENDING_RANGES, Members},
};
use crate::{completed::Completion, error::Failure};

/// A task of the session: its local number, and the member of a task array (else 0).
pub(crate) type Member = (u64, u32);

/// The local number has not been accepted yet.
const NO_SPEC: u32 = u32::MAX;

/// Who is to be told of an end.
pub(crate) enum Waiter {
    /// A future that polls again, by its number.
    Wake(u64, Waker),
    /// A stream of completions.
    Complete(Arc<Completion>, usize),
}

impl Waiter {
    /// Both are of the same future, or of the same place in a stream.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wake(one, _), Self::Wake(other, _)) => one == other,
            (Self::Complete(one, a), Self::Complete(other, b)) => Arc::ptr_eq(one, other) && a == b,
            _ => false,
        }
    }
}

/// How a task ended, as far as it has.
pub(crate) enum End<'a> {
    /// It has not.
    Pending,
    /// Its outputs can be read.
    Remote {
        /// From this worker.
        holder: u32,
        /// Where the member's description is known by this id.
        spec: u32,
    },
    /// This is its only output.
    Value(&'a [u8]),
    /// Without outputs.
    Failed(Arc<Failure>),
    /// Its handles are gone.
    Released,
}

struct Local {
    spec: u32,
    cell: Cell,
    members: Option<Box<Members>>,
}

/// All tasks of a session.
#[derive(Default)]
pub(crate) struct Table {
    /// Local number of the first entry: those before it are all released.
    base: u64,
    locals: VecDeque<Local>,
    large: HashMap<Member, Bytes, RandomState>,
    failures: HashMap<Member, Arc<Failure>, RandomState>,
    waiters: HashMap<Member, Vec<Waiter>, RandomState>,
    /// Grows with each failure, so that who waits for many sees that one of them may have failed.
    failure_count: u64,
    /// By the numbers of their futures.
    failure_watchers: HashMap<u64, Waker, RandomState>,
    next_waiter: u64,
}

impl Table {
    /// The next local number.
    pub(crate) fn next(&self) -> u64 {
        self.base + self.locals.len() as u64
    }

    /// Takes the next number for a described task, or for a put value.
    pub(crate) fn push_described(&mut self) -> u64 {
        let local = self.next();
        self.locals.push_back(Local { spec: NO_SPEC, cell: Cell::pending(false), members: None });
        local
    }

    /// Takes the next number for a task array.
    pub(crate) fn push_array(&mut self, length: u32) -> u64 {
        let local = self.next();
        let members = Box::new(Members::new(length));
        let cell = Cell::pending(false);
        self.locals.push_back(Local { spec: NO_SPEC, cell, members: Some(members) });
        local
    }

    fn local(&self, local: u64) -> Option<&Local> {
        self.locals.get(usize::try_from(local.checked_sub(self.base)?).ok()?)
    }

    fn local_mut(&mut self, local: u64) -> Option<&mut Local> {
        self.locals.get_mut(usize::try_from(local.checked_sub(self.base)?).ok()?)
    }

    fn cell(&self, (local, index): Member) -> Cell {
        match self.local(local) {
            None => Cell::released(),
            Some(Local { members: Some(members), .. }) => members.cell(index),
            Some(entry) => entry.cell,
        }
    }

    fn cell_mut(&mut self, (local, index): Member) -> Option<&mut Cell> {
        let entry = self.local_mut(local)?;
        match &mut entry.members {
            Some(members) => members.cell_mut(index),
            None => Some(&mut entry.cell),
        }
    }

    /// Notes the scheduler's ids of the numbers from `first`.
    pub(crate) fn accepted(&mut self, first: u64, specs: &[u32]) {
        for (local, spec) in (first..).zip(specs) {
            if let Some(entry) = self.local_mut(local) {
                entry.spec = *spec;
            }
        }
    }

    /// Notes that a task's outputs can be read.
    pub(crate) fn done(
        &mut self,
        member: Member,
        holder: u32,
        value: Option<&[u8]>,
        wake: &mut Vec<Waker>,
    ) {
        let cell = match value {
            None => Cell::remote(holder),
            Some(value) => Cell::inline(value).unwrap_or(Cell::large()),
        };
        let Some(place) = self.cell_mut(member) else { return };
        let awaited = match place.standing() {
            Standing::Released => return,
            Standing::Pending { awaited } => awaited,
            _ => false,
        };
        *place = cell;
        if let (Standing::Large, Some(value)) = (cell.standing(), value) {
            self.large.insert(member, Bytes::copy_from_slice(value));
        }
        if awaited {
            self.tell(member, wake);
        }
    }

    /// Notes that a task ended without outputs; a refused description fails as a whole.
    pub(crate) fn failed(&mut self, member: Member, failure: Arc<Failure>, wake: &mut Vec<Waker>) {
        self.failure_count += 1;
        wake.extend(self.failure_watchers.drain().map(|(_, waker)| waker));
        if let Some(Local { spec: NO_SPEC, members: Some(members), .. }) = self.local_mut(member.0)
        {
            members.refuse(failure);
            let awaited: Vec<Member> =
                self.waiters.keys().filter(|(local, _)| *local == member.0).copied().collect();
            awaited.into_iter().for_each(|member| self.tell(member, wake));
            return;
        }
        let Some(place) = self.cell_mut(member) else { return };
        if place.standing() == Standing::Released {
            return;
        }
        *place = Cell::failed();
        self.failures.insert(member, failure);
        self.tell(member, wake);
    }

    fn tell(&mut self, member: Member, wake: &mut Vec<Waker>) {
        for waiter in self.waiters.remove(&member).into_iter().flatten() {
            match waiter {
                Waiter::Wake(_, waker) => wake.push(waker),
                Waiter::Complete(completion, position) => wake.extend(completion.push(position)),
            }
        }
    }

    /// How the task ended.
    pub(crate) fn end<'a>(&'a self, member: Member, scratch: &'a mut Cell) -> End<'a> {
        *scratch = self.cell(member);
        match scratch.standing() {
            Standing::Pending { .. } => End::Pending,
            Standing::Released => End::Released,
            Standing::Inline(value) => End::Value(value),
            Standing::Large => {
                self.large.get(&member).map_or(End::Released, |value| End::Value(value))
            }
            Standing::Remote { holder } => match self.local(member.0).map(|entry| entry.spec) {
                Some(spec) if spec != NO_SPEC => End::Remote { holder, spec },
                _ => End::Released,
            },
            Standing::Failed => self.failure(member).map_or(End::Released, End::Failed),
        }
    }

    fn failure(&self, member: Member) -> Option<Arc<Failure>> {
        self.failures
            .get(&member)
            .cloned()
            .or_else(|| self.local(member.0)?.members.as_ref()?.refusal().cloned())
    }

    /// True until the task has ended.
    pub(crate) fn is_pending(&self, member: Member) -> bool {
        self.cell(member).is_pending()
    }

    /// True once the task has ended without outputs.
    pub(crate) fn is_failed(&self, member: Member) -> bool {
        self.cell(member).is_failed()
    }

    /// How many failures there were.
    pub(crate) fn failure_count(&self) -> u64 {
        self.failure_count
    }

    /// A number for a future that waits.
    pub(crate) fn waiter(&mut self) -> u64 {
        self.next_waiter += 1;
        self.next_waiter
    }

    /// Wakes a future at the next failure of whatever task.
    pub(crate) fn watch_failures(&mut self, number: u64, waker: Waker) {
        self.failure_watchers.insert(number, waker);
    }

    /// A future waits no more for failures.
    pub(crate) fn ignore_failures(&mut self, number: u64) {
        self.failure_watchers.remove(&number);
    }

    /// Nobody waits for a task's end so any more.
    pub(crate) fn stop_waiting(&mut self, member: Member, waiter: &Waiter) {
        let Some(waiters) = self.waiters.get_mut(&member) else { return };
        waiters.retain(|known| !known.is_same(waiter));
        if waiters.is_empty() {
            self.waiters.remove(&member);
        }
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiters.values().map(Vec::len).sum::<usize>() + self.failure_watchers.len()
    }

    /// Registers for the end of a task; false if it has ended.
    pub(crate) fn wait(&mut self, member: Member, waiter: Waiter) -> bool {
        if !self.is_pending(member) {
            return false;
        }
        let Some(place) = self.cell_mut(member) else { return false };
        *place = Cell::pending(true);
        let waiters = self.waiters.entry(member).or_default();
        if matches!(waiter, Waiter::Wake(..)) {
            waiters.retain(|known| !known.is_same(&waiter));
        }
        waiters.push(waiter);
        true
    }

    /// Forgets where a task's outputs are, because `holder` does not have them; false if
    /// something newer is known.
    pub(crate) fn lost(&mut self, member: Member, holder: u32) -> bool {
        match self.cell_mut(member) {
            Some(place) if place.standing() == (Standing::Remote { holder }) => {
                *place = Cell::pending(false);
                true
            }
            _ => false,
        }
    }

    /// Forgets `count` numbers from `first`: no handle is left.
    pub(crate) fn release(&mut self, first: u64, count: u64) {
        for local in first..first.saturating_add(count).min(self.next()) {
            let Some(entry) = self.local_mut(local) else { continue };
            let was = std::mem::replace(&mut entry.cell, Cell::released());
            if let Some(members) = entry.members.take() {
                self.forget_members(local, &members);
            } else {
                self.forget((local, 0), was);
            }
        }
        while self.locals.front().is_some_and(|entry| entry.cell == Cell::released()) {
            self.locals.pop_front();
            self.base += 1;
        }
    }

    fn forget_members(&mut self, local: u64, members: &Members) {
        for (index, cell) in members.known() {
            self.forget((local, index), cell);
        }
    }

    fn forget(&mut self, member: Member, was: Cell) {
        match was.standing() {
            Standing::Large => drop(self.large.remove(&member)),
            Standing::Failed => drop(self.failures.remove(&member)),
            Standing::Pending { awaited: true } => drop(self.waiters.remove(&member)),
            _ => {}
        }
    }

    /// Everything that waits, to be woken because the session has ended.
    pub(crate) fn take_waiters(&mut self, wake: &mut Vec<Waker>) {
        let members: Vec<Member> = self.waiters.keys().copied().collect();
        members.into_iter().for_each(|member| self.tell(member, wake));
        wake.extend(self.failure_watchers.drain().map(|(_, waker)| waker));
    }

    /// What has not ended, as ranges; a few ended ones may be among it.
    pub(crate) fn pending_ranges(&self) -> Vec<v1::LocalRange> {
        let mut ranges: Vec<v1::LocalRange> = Vec::new();
        for (local, entry) in (self.base..).zip(&self.locals) {
            let crowded = ranges.len() >= MAX_PENDING_RANGES;
            let is_pending = match &entry.members {
                Some(members) if crowded => members.refusal().is_none(),
                Some(members) => {
                    members.pending(local, &mut ranges);
                    false
                }
                None => entry.cell.is_pending(),
            };
            if !is_pending {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.count > 0 && (crowded || last.local + last.count == local) => {
                    last.count = local + 1 - last.local;
                }
                _ => ranges.push(v1::LocalRange { local, start: 0, end: 0, count: 1 }),
            }
        }
        ranges
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
