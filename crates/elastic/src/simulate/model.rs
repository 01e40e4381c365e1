//! A cluster in the small: one queue, members with slots, and the planner.

use std::collections::VecDeque;

use super::{
    timeline::{Row, Summary, Timeline},
    trace::{Trace, TraceEvent},
};
use crate::{
    demand::GroupDemand,
    history::GroupHistory,
    observation::{GroupMember, GroupObservation, Phase},
    plan::{GroupPlan, plan_group},
    policy::GroupPolicy,
};

/// Time between two plans.
const STEP_SECONDS: f64 = 0.25;
/// Longest replay after the last event, while there is something left to happen.
const LONGEST_TAIL_SECONDS: f64 = 3600.0;

/// Replays `trace` against `policy`: until the trace is over, all tasks have ended and the group
/// is at its rest, but at most an hour beyond the last event.
#[must_use]
pub fn simulate(trace: &Trace, policy: &GroupPolicy) -> Timeline {
    let mut model = Model::new(policy);
    let mut events = trace.events.iter().peekable();
    let mut step = 0u64;
    loop {
        let now = step as f64 * STEP_SECONDS;
        while let Some(event) = events.next_if(|event| event.time <= now) {
            model.apply(event, now);
        }
        model.advance(now);
        let quiet = model.plan(now);
        let over = events.peek().is_none() && quiet && model.at_rest();
        if over || now > trace.seconds() + LONGEST_TAIL_SECONDS {
            return model.finish(now);
        }
        step += 1;
    }
}

/// Tasks of one arrival that still wait.
struct Batch {
    arrived: f64,
    count: u64,
    seconds: f64,
}

/// A member with the tasks that its slots run.
struct SimMember {
    member: GroupMember,
    serves_at: f64,
    fails: bool,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    free_at: f64,
    /// The task that runs until then, if it is not over yet: its arrival and length.
    task: Option<(f64, f64)>,
}

struct Model<'a> {
    policy: &'a GroupPolicy,
    history: GroupHistory,
    settings: TraceEvent,
    queue: VecDeque<Batch>,
    members: Vec<SimMember>,
    next_slot: u64,
    total_wait: f64,
    timeline: Timeline,
    last_plan: Option<GroupPlan>,
    before: f64,
}

impl<'a> Model<'a> {
    fn new(policy: &'a GroupPolicy) -> Self {
        Self {
            policy,
            history: GroupHistory::default(),
            settings: TraceEvent {
                mean_seconds: Some(1.0),
                start_seconds: Some(2.0),
                slots: Some(1),
                ..TraceEvent::default()
            },
            queue: VecDeque::new(),
            members: Vec::new(),
            next_slot: 0,
            total_wait: 0.0,
            timeline: Timeline::default(),
            last_plan: None,
            before: 0.0,
        }
    }

    fn apply(&mut self, event: &TraceEvent, now: f64) {
        let settings = &mut self.settings;
        settings.mean_seconds = event.mean_seconds.or(settings.mean_seconds);
        settings.start_seconds = event.start_seconds.or(settings.start_seconds);
        settings.slots = event.slots.or(settings.slots);
        settings.starts_fail = event.starts_fail.or(settings.starts_fail);
        settings.metrics = event.metrics.or(settings.metrics);
        settings.bytes_wanted = event.bytes_wanted.or(settings.bytes_wanted);
        if let Some(count) = event.tasks.filter(|count| *count > 0) {
            let seconds = settings.mean_seconds.unwrap_or(1.0);
            self.queue.push_back(Batch { arrived: event.time, count, seconds });
        }
        for _ in 0..event.kill.unwrap_or(0) {
            self.kill_one(now);
        }
    }

    fn kill_one(&mut self, now: f64) {
        let serving =
            self.members.iter_mut().find(|m| matches!(m.member.phase, Phase::Serving { .. }));
        let Some(victim) = serving else { return };
        victim.member.phase = Phase::Failed { served: true };
        for slot in &mut victim.slots {
            // What had ended before stays ended, and is counted with the other ends.
            if slot.free_at > now
                && let Some((arrived, seconds)) = slot.task.take()
            {
                self.queue.push_front(Batch { arrived, count: 1, seconds });
                self.timeline.summary.rerun += 1;
            }
        }
    }

    /// Lets time pass up to `now`: members begin to serve, tasks start and end.
    fn advance(&mut self, now: f64) {
        let from = self.before;
        self.before = now;
        let alive = self.members.iter().filter(|m| !matches!(m.member.phase, Phase::Failed { .. }));
        self.timeline.summary.worker_seconds += alive.count() as f64 * (now - from);
        for member in &mut self.members {
            if member.member.phase == Phase::Starting && member.serves_at <= now {
                member.member.phase = if member.fails {
                    self.timeline.summary.failed_starts += 1;
                    Phase::Failed { served: false }
                } else {
                    Phase::Serving { since_micros: micros(now) }
                };
            }
        }
        self.end_tasks(now);
        self.start_tasks(from, now);
        self.note_load(now);
    }

    fn end_tasks(&mut self, now: f64) {
        for slot in self.members.iter_mut().flat_map(|member| &mut member.slots) {
            if slot.task.is_some() && slot.free_at <= now {
                self.timeline.summary.last_end = self.timeline.summary.last_end.max(slot.free_at);
                self.timeline.summary.tasks += 1;
                slot.task = None;
            }
        }
    }

    /// Fills free slots, the earliest free one first, with as many short tasks as fit into the
    /// step.
    fn start_tasks(&mut self, from: f64, now: f64) {
        let serving =
            self.members.iter_mut().filter(|m| matches!(m.member.phase, Phase::Serving { .. }));
        let mut free: Vec<&mut Slot> =
            serving.flat_map(|m| &mut m.slots).filter(|slot| slot.task.is_none()).collect();
        free.sort_by(|a, b| a.free_at.total_cmp(&b.free_at));
        for slot in free {
            while slot.task.is_none() {
                let Some(batch) = self.queue.front_mut() else { return };
                let start = slot.free_at.max(batch.arrived).max(from);
                let wait = start - batch.arrived;
                self.total_wait += wait;
                let summary = &mut self.timeline.summary;
                summary.max_queue_wait_seconds = summary.max_queue_wait_seconds.max(wait);
                summary.busy_slot_seconds += batch.seconds;
                slot.free_at = start + batch.seconds;
                if slot.free_at <= now {
                    summary.tasks += 1;
                    summary.last_end = summary.last_end.max(slot.free_at);
                } else {
                    slot.task = Some((batch.arrived, batch.seconds));
                }
                batch.count -= 1;
                if batch.count == 0 {
                    self.queue.pop_front();
                }
            }
        }
    }

    fn note_load(&mut self, now: f64) {
        let mut holder = self.settings.bytes_wanted.unwrap_or(0);
        for member in &mut self.members {
            let running = member.slots.iter().filter(|slot| slot.task.is_some()).count() as u32;
            let idle_from = member.slots.iter().map(|slot| slot.free_at).fold(0.0, f64::max);
            member.member.running = running;
            member.member.idle_seconds = if running > 0 { 0.0 } else { now - idle_from };
            member.member.bytes_sole = 0;
            if matches!(member.member.phase, Phase::Serving { .. }) {
                // The first one holds what is wanted.
                member.member.bytes_sole = std::mem::take(&mut holder);
            }
            if matches!(member.member.phase, Phase::Draining { .. }) && running == 0 {
                member.member.phase = Phase::Drained;
            }
        }
    }

    fn queued(&self) -> u64 {
        self.queue.iter().map(|batch| batch.count).sum()
    }

    fn count(&self, matches: impl Fn(Phase) -> bool) -> u32 {
        self.members.iter().filter(|member| matches(member.member.phase)).count() as u32
    }

    fn running(&self) -> u64 {
        self.members.iter().map(|member| u64::from(member.member.running)).sum()
    }

    /// What the scheduler would tell: how many members the work needs to be done in time.
    fn demand(&self, now: f64) -> GroupDemand {
        let slots = f64::from(self.settings.slots.unwrap_or(1));
        let target = self.policy.autoscale.as_ref().map_or(5.0, |a| a.target_duration_seconds);
        let waiting: f64 = self.queue.iter().map(|batch| batch.count as f64 * batch.seconds).sum();
        let serving: Vec<&SimMember> = self
            .members
            .iter()
            .filter(|m| matches!(m.member.phase, Phase::Serving { .. }))
            .collect();
        let busy = serving.iter().filter(|m| m.member.running > 0).count() as u32;
        let left: f64 = serving
            .iter()
            .flat_map(|m| &m.slots)
            .filter(|slot| slot.task.is_some())
            .map(|slot| slot.free_at - now)
            .sum();
        let by_work = ((waiting + left) / target / slots).ceil();
        let by_count = ((self.queued() as f64 + self.running() as f64) / slots).ceil();
        let wanted = (by_work.min(by_count) as u32).max(busy);
        let members = serving.len() as u32;
        let holder = u32::from(self.settings.bytes_wanted.unwrap_or(0) > 0);
        GroupDemand {
            useful: wanted.saturating_sub(members),
            needed: wanted.max(holder).min(members),
            members,
            ready: self.queued(),
            running: self.running(),
            estimated_seconds: waiting + left,
            holder_elsewhere: false,
        }
    }

    /// Plans and carries it out; true where nothing is left to do.
    fn plan(&mut self, now: f64) -> bool {
        let observed = GroupObservation {
            members: self.members.iter().map(|member| member.member.clone()).collect(),
        };
        let demand = self.settings.metrics.unwrap_or(true).then(|| self.demand(now));
        let now_micros = micros(now);
        let plan =
            plan_group(self.policy, &observed, demand.as_ref(), &mut self.history, now_micros);
        self.record(&plan, now);
        for removal in &plan.remove {
            self.members.retain(|m| m.member.name != removal.member.name);
        }
        for member in &mut self.members {
            let named = |list: &[dasklet_core::demand::MemberRef]| {
                list.iter().any(|reference| reference.name == member.member.name)
            };
            if named(&plan.undrain) {
                member.member.phase = Phase::Serving { since_micros: now_micros };
            } else if named(&plan.drain) {
                member.member.phase = Phase::Draining {
                    since_micros: now_micros,
                    deadline_micros: None,
                    revocable: true,
                };
            }
        }
        for _ in 0..plan.create {
            self.create(now);
        }
        let quiet = plan.is_quiet();
        self.last_plan = Some(plan);
        quiet
    }

    fn create(&mut self, now: f64) {
        let name = format!("{}-worker-{}", self.policy.group, self.next_slot);
        let instance = self.next_slot.to_string();
        self.next_slot += 1;
        self.timeline.summary.created += 1;
        let serves_at = now + self.settings.start_seconds.unwrap_or(2.0);
        let slot = Slot { free_at: serves_at, task: None };
        self.members.push(SimMember {
            member: GroupMember::new(&name, &instance, Phase::Starting, micros(now)),
            serves_at,
            fails: self.settings.starts_fail.unwrap_or(false),
            slots: vec![slot; self.settings.slots.unwrap_or(1) as usize],
        });
    }

    /// Writes a row where the decision or something done is new.
    fn record(&mut self, plan: &GroupPlan, now: f64) {
        let summary = &mut self.timeline.summary;
        if let Some(previous) = plan.previous {
            summary.scale_ups += u32::from(plan.desired > previous);
            summary.scale_downs += u32::from(plan.desired < previous);
        }
        let advice = self.last_plan.as_ref().map(|last| last.advised);
        let same = self.last_plan.as_ref().is_some_and(|last| last.desired == plan.desired)
            && advice == Some(plan.advised)
            && plan.is_quiet();
        let starting = self.count(|phase| phase == Phase::Starting);
        let serving = self.count(|phase| matches!(phase, Phase::Serving { .. }));
        let draining = self.count(|phase| matches!(phase, Phase::Draining { .. }));
        self.timeline.summary.peak = self.timeline.summary.peak.max(serving);
        if same {
            return;
        }
        let mut actions = Vec::new();
        for (sign, count) in [
            ("+", plan.create as usize),
            ("^", plan.undrain.len()),
            ("-", plan.drain.len()),
            ("x", plan.remove.len()),
        ] {
            if count > 0 {
                actions.push(format!("{sign}{count}"));
            }
        }
        self.timeline.rows.push(Row {
            time: now,
            queued: self.queued(),
            running: self.running(),
            desired: plan.desired,
            advised: plan.advised,
            starting,
            serving,
            draining,
            actions: actions.join(" "),
            reason: plan.reason.clone(),
        });
    }

    /// True where nothing will change any more without an event.
    fn at_rest(&self) -> bool {
        let waiting = self.last_plan.as_ref().is_some_and(|plan| {
            plan.withheld > 0 || plan.requeue_after_micros.is_some() || plan.create > 0
        });
        let changing = self.count(|phase| !matches!(phase, Phase::Serving { .. })) > 0;
        let stuck = self.queued() > 0 && self.members.is_empty() && !waiting;
        let busy = self.queued() + self.running() > 0;
        stuck || !(busy || changing || waiting)
    }

    fn finish(mut self, now: f64) -> Timeline {
        let unfinished = self.queued() + self.running();
        let summary: &mut Summary = &mut self.timeline.summary;
        summary.seconds = now;
        summary.unfinished = unfinished;
        let started = summary.tasks + summary.rerun;
        if started > 0 {
            summary.mean_queue_wait_seconds = self.total_wait / started as f64;
        }
        self.timeline
    }
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
