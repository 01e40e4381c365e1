//! Any sequence of events, likely or not, leaves the state whole, and a calm end ends every task.
//! A failing sequence is shrunk to the few events that matter; the simulator finds what needs
//! delays and a store to show.

use std::collections::HashSet;

use dasklet_core::{DeathCause, ErrorClass, demand::MemberRef};
use proptest::prelude::*;

use super::{
    Members, ToSession, WorkerMetrics,
    testing::{TaskBuilder, TestState, task},
};

/// One event. Numbers choose among what there is, modulo how many there are.
#[derive(Debug, Clone)]
enum Event {
    Submit { reads: Vec<(u8, bool)>, array: Option<u8>, wanted: bool, kind: u8 },
    Join(u8),
    Lose(u8),
    Start(u8),
    Finish(u8, u32),
    Fail(u8, u8),
    Return(u8),
    Drain(u8, bool),
    Undrain(u8),
    Pause(u8, bool),
    Release(u8),
    Cancel(u8),
    Refetch(u8, bool),
    Pass(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let reads = prop::collection::vec((any::<u8>(), any::<bool>()), 0..3);
    prop_oneof![
        4 => (reads, prop::option::of(1..6u8), any::<bool>(), 0..8u8)
            .prop_map(|(reads, array, wanted, kind)| Event::Submit { reads, array, wanted, kind }),
        2 => (1..4u8).prop_map(Event::Join),
        1 => any::<u8>().prop_map(Event::Lose),
        2 => any::<u8>().prop_map(Event::Start),
        8 => (any::<u8>(), 0..100_000u32).prop_map(|(run, nbytes)| Event::Finish(run, nbytes)),
        2 => (any::<u8>(), 0..6u8).prop_map(|(run, class)| Event::Fail(run, class)),
        1 => any::<u8>().prop_map(Event::Return),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(worker, late)| Event::Drain(worker, late)),
        1 => any::<u8>().prop_map(Event::Undrain),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(worker, paused)| Event::Pause(worker, paused)),
        2 => any::<u8>().prop_map(Event::Release),
        1 => any::<u8>().prop_map(Event::Cancel),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(local, missing)| Event::Refetch(local, missing)),
        1 => (0..20_000_000u32).prop_map(Event::Pass),
    ]
}

/// A state, and what is known of it from outside.
struct Play {
    s: TestState,
    joined: u32,
    runs: Vec<(dasklet_core::WorkerId, dasklet_core::RunId)>,
    submitted: Vec<Submitted>,
}

struct Submitted {
    members: u32,
    wanted: bool,
    released: bool,
}

impl Play {
    fn happen(&mut self, event: &Event) {
        let now = self.s.now;
        match event {
            Event::Submit { reads, array, wanted, kind } => {
                let task = self.task(reads, *array, *wanted, *kind);
                // Refused where it reads what is gone: nothing may change then.
                if self.s.try_submit(vec![task]).is_ok() {
                    let (members, wanted) = (u32::from(array.unwrap_or(1)), *wanted);
                    self.submitted.push(Submitted { members, wanted, released: false });
                }
            }
            Event::Join(slots) => {
                self.joined += 1;
                let name = format!("w{}", self.joined % 4);
                self.s.worker(&name, u64::from(*slots));
            }
            Event::Lose(number) => {
                if let Some(worker) = pick(self.s.state.workers.connected(), *number) {
                    self.s.lose(worker, DeathCause::ConnectionLost);
                }
            }
            Event::Start(number) => {
                if let Some((worker, run)) = pick(&self.runs, *number) {
                    self.s.start(worker, run);
                }
            }
            Event::Finish(number, nbytes) => {
                if let Some((worker, run)) = pick(&self.runs, *number) {
                    self.s.finish(worker, run, u64::from(*nbytes));
                }
            }
            Event::Fail(number, class) => {
                const CLASSES: [ErrorClass; 6] = [
                    ErrorClass::Fatal,
                    ErrorClass::Retryable,
                    ErrorClass::WorkerFault,
                    ErrorClass::InputLost,
                    ErrorClass::Crashed,
                    ErrorClass::TimedOut,
                ];
                if let Some((worker, run)) = pick(&self.runs, *number) {
                    self.s.error(worker, run, CLASSES[usize::from(*class)]);
                }
            }
            Event::Return(number) => {
                if let Some((worker, run)) = pick(&self.runs, *number) {
                    self.s.state.run_returned(now, worker, run);
                }
            }
            Event::Drain(number, late) => {
                if let Some(member) = self.member(*number) {
                    self.s.state.drain(now, &member, late.then_some(1000));
                }
            }
            Event::Undrain(number) => {
                if let Some(member) = self.member(*number) {
                    self.s.state.undrain(now, &member);
                }
            }
            Event::Pause(number, paused) => {
                if let Some(worker) = pick(self.s.state.workers.connected(), *number) {
                    let metrics = WorkerMetrics { paused: *paused, ..WorkerMetrics::default() };
                    self.s.state.heartbeat(now, worker, metrics);
                }
            }
            Event::Release(number) => {
                if let Some(local) = self.local(*number) {
                    self.submitted[local].released = true;
                    self.s.release(local as u64);
                }
            }
            Event::Cancel(number) => {
                if let Some(local) = self.local(*number) {
                    self.s.cancel(local as u64);
                }
            }
            Event::Refetch(number, missing) => {
                let worker = pick(self.s.state.workers.connected(), *number);
                if let (Some(local), Some(worker)) = (self.local(*number), worker) {
                    let session = self.s.session;
                    self.s.state.refetch(now, session, local as u64, 0, worker, *missing);
                }
            }
            Event::Pass(micros) => self.s.pass(u64::from(*micros)),
        }
        self.s.schedule();
        self.runs.extend(self.s.assigned().into_iter().map(|(worker, run, _)| (worker, run)));
    }

    fn task(&self, reads: &[(u8, bool)], array: Option<u8>, wanted: bool, kind: u8) -> TaskBuilder {
        let mut builder = task().options(|o| {
            o.idempotent = kind != 1;
            o.deterministic = kind != 2;
            o.retries = u32::from(kind == 3);
            o.retry_delay_micros = u64::from(kind == 3) * 1000;
            o.priority = i32::from(kind == 4);
        });
        if let Some(len) = array {
            builder = builder.array(u32::from(len));
        }
        for (number, same_index) in reads {
            let Some(local) = self.local(*number) else { continue };
            let fits = u32::from(array.unwrap_or(1)) <= self.submitted[local].members;
            let members = if *same_index && fits { Members::SameIndex } else { Members::All };
            builder = builder.reads_members(local as u64, members);
        }
        if wanted { builder } else { builder.unwanted() }
    }

    fn local(&self, number: u8) -> Option<usize> {
        (!self.submitted.is_empty()).then(|| usize::from(number) % self.submitted.len())
    }

    fn member(&self, number: u8) -> Option<MemberRef> {
        let worker = pick(self.s.state.workers.connected(), number)?;
        let name = self.s.state.worker_name(worker)?.to_owned();
        Some(MemberRef { name, instance: None })
    }

    /// Fresh workers, time enough, and every run ends well: every wanted task has its end.
    fn calm_down(mut self) {
        for name in ["w0", "w1", "w2", "w3", "calm"] {
            self.s.worker(name, 4);
        }
        for _ in 0..200 {
            self.s.run_all();
            self.s.pass(1_000_000);
        }
        let ended: HashSet<(u64, u32)> = self
            .s
            .news()
            .into_iter()
            .filter_map(|news| match news {
                ToSession::Done { local, index, .. } | ToSession::Failed { local, index } => {
                    Some((local, index))
                }
                ToSession::Ended { .. } | ToSession::PutTarget { .. } => None,
            })
            .collect();
        for (local, submitted) in self.submitted.iter().enumerate() {
            let waited_for = submitted.wanted && !submitted.released;
            for index in (0..submitted.members).filter(|_| waited_for) {
                assert!(ended.contains(&(local as u64, index)), "no end of {local}[{index}]");
            }
        }
        let pending: u64 = super::TaskState::ALL
            .into_iter()
            .filter(|state| state.is_pending())
            .map(|state| self.s.state.counters().in_state(state))
            .sum();
        assert_eq!(pending, 0, "tasks are left that never end");
        for local in 0..self.submitted.len() {
            self.s.release(local as u64);
        }
        let session = self.s.session;
        self.s.state.close_job(session, 0);
        self.s.schedule();
        assert_eq!(self.s.state.specs.live(), 0, "descriptions are left that nobody needs");
        assert_eq!(self.s.state.counters().bytes_stored, 0);
    }
}

fn pick<T: Copy>(from: &[T], number: u8) -> Option<T> {
    from.get(usize::from(number) % from.len().max(1)).copied()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_events_leave_the_state_whole(events in prop::collection::vec(event(), 0..60)) {
        let play = TestState::new();
        let mut play = Play { s: play, joined: 0, runs: Vec::new(), submitted: Vec::new() };
        for event in &events {
            play.happen(event);
        }
        play.calm_down();
    }
}
