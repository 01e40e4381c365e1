//! Signatures whose bodies follow.
#![allow(clippy::needless_pass_by_value, missing_docs, unused_variables, clippy::todo)]
use dasklet_core::{DeathCause, JobId, Key, RunId, SessionId, SpecId, TaskId, WorkerId, demand::{Demand, DemandRequest, Member, MemberRef, MemberState}};
use super::*;
use super::spec::Edge;
impl State {
    pub fn add_worker(&mut self, now: Time, d: WorkerDescription, held: Vec<Held>) -> (WorkerId, Vec<TaskId>) { unimplemented!() }
    pub fn remove_worker(&mut self, now: Time, w: WorkerId, cause: DeathCause) { unimplemented!() }
    pub fn run_started(&mut self, now: Time, w: WorkerId, run: RunId) { unimplemented!() }
    pub fn run_finished(&mut self, now: Time, w: WorkerId, run: RunId, f: FinishedRun<'_>) { unimplemented!() }
    pub fn run_failed(&mut self, now: Time, w: WorkerId, run: RunId, f: FailedRun) { unimplemented!() }
    pub fn run_returned(&mut self, now: Time, w: WorkerId, run: RunId) { unimplemented!() }
    pub fn copy_held(&mut self, now: Time, w: WorkerId, task: TaskId, nbytes: u64) { unimplemented!() }
    pub fn copy_dropped(&mut self, now: Time, w: WorkerId, task: TaskId) { unimplemented!() }
    pub fn heartbeat(&mut self, now: Time, w: WorkerId, m: WorkerMetrics) { unimplemented!() }
    pub fn worker_leaving(&mut self, now: Time, w: WorkerId) { unimplemented!() }
    pub fn open_session(&mut self, now: Time, name: &str) -> Result<SessionId, SubmitError> { unimplemented!() }
    pub fn session_disconnected(&mut self, now: Time, s: SessionId) { unimplemented!() }
    pub fn session_resumed(&mut self, now: Time, s: SessionId, pending: &[LocalRange]) { unimplemented!() }
    pub fn close_session(&mut self, now: Time, s: SessionId) { unimplemented!() }
    pub fn open_job(&mut self, now: Time, s: SessionId, number: u32, name: &str, weight: f64) -> Result<JobId, SubmitError> { unimplemented!() }
    pub fn close_job(&mut self, s: SessionId, number: u32) { unimplemented!() }
    pub fn submit(&mut self, now: Time, s: SessionId, job_number: u32, first: u64, options: Vec<TaskOptions>, tasks: Vec<SubmittedTask>) -> Result<Vec<SpecId>, SubmitError> { unimplemented!() }
    /// Passes over the numbers of a refused submission.
    pub fn skip_locals(&mut self, s: SessionId, first: u64, count: u64) -> bool { unimplemented!() }
    pub fn release(&mut self, now: Time, s: SessionId, r: LocalRange) { unimplemented!() }
    pub fn cancel(&mut self, now: Time, s: SessionId, r: LocalRange) { unimplemented!() }
    pub fn cancel_job(&mut self, now: Time, s: SessionId, number: u32) { unimplemented!() }
    pub fn refetch(&mut self, now: Time, s: SessionId, local: u64, index: u32, failed_holder: WorkerId) { unimplemented!() }
    pub fn put(&mut self, now: Time, s: SessionId, local: u64, key: Key, nbytes: u64, copies: u32) -> Result<SpecId, SubmitError> { unimplemented!() }
    pub fn drain(&mut self, now: Time, m: &MemberRef, deadline_micros: Option<u64>) -> Option<MemberState> { unimplemented!() }
    pub fn undrain(&mut self, now: Time, m: &MemberRef) -> Option<MemberState> { unimplemented!() }
    pub fn lost(&mut self, now: Time, m: &MemberRef, cause: DeathCause) -> bool { unimplemented!() }
    pub fn schedule(&mut self, now: Time) { unimplemented!() }
    pub fn fire_timers(&mut self, now: Time) { unimplemented!() }
    pub fn next_timer(&self) -> Option<Time> { unimplemented!() }
    pub fn assignment(&self, run: RunId) -> Option<AssignmentView<'_>> { unimplemented!() }
    pub fn definition(&self, spec: SpecId) -> Option<DefinitionView<'_>> { unimplemented!() }
    pub fn task_bytes(&self, task: TaskId) -> u64 { unimplemented!() }
    pub fn failure(&self, s: SessionId, local: u64, index: u32) -> Option<Failure> { unimplemented!() }
    pub fn demand(&self, now: Time, request: &DemandRequest) -> Demand { unimplemented!() }
    pub fn demand_version(&self) -> u64 { unimplemented!() }
    pub fn members(&self, now: Time) -> Vec<Member> { unimplemented!() }
    pub fn worker_name(&self, w: WorkerId) -> Option<&str> { unimplemented!() }
    pub fn worker_description(&self, w: WorkerId) -> Option<&WorkerDescription> { unimplemented!() }
    pub fn jobs(&self) -> Vec<JobSummary> { unimplemented!() }
    pub fn progress(&self, s: SessionId, number: u32) -> Option<JobProgress> { unimplemented!() }
    pub fn counters(&self) -> &Counters { &self.counters }
    pub fn explain(&self, key_or_id: &str) -> Option<Explanation> { unimplemented!() }
    pub fn tasks_page(&self, filter: TaskFilter, after: Option<TaskId>, limit: usize) -> Vec<TaskSummary> { unimplemented!() }
    pub fn check_invariants(&self) { unimplemented!() }
    pub(super) fn input(&self, task: TaskId, edge: &Edge) -> InputView<'_> { unimplemented!() }
    pub(super) fn member_input(&self, task: TaskId, output: u32) -> MemberInput<'_> { unimplemented!() }
}
