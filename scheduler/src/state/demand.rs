//! How much work there is, for whoever decides over the number of workers.

use std::collections::BTreeMap;

use dasklet_core::{
    WorkerId,
    demand::{ClassDemand, Demand, DemandRequest, GroupLoad, Member, Shape, Trial},
};

use super::{Action, State, TaskState, Time, classes::Class, workers::Standing};

/// Default of `target_duration_seconds`.
const TARGET_SECONDS: f64 = 5.0;
/// Outputs are to fill so much of their holders' memory at most.
const MEMORY_SHARE: f64 = 0.6;

/// What was last said about the demand.
#[derive(Debug, Default)]
pub(super) struct Published {
    version: u64,
    moved: bool,
    /// Tasks by state at that time.
    tasks: [u64; TaskState::COUNT],
    /// Since when there is nothing to do and nothing wanted.
    idle_since: Option<Time>,
}

/// What one class still needs, in slots.
struct Need<'a> {
    class: &'a Class,
    slots: f64,
}

impl State {
    pub(super) fn demand_moved(&mut self) {
        self.published.moved = true;
    }

    /// Grows whenever [`State::demand`] would answer something materially different.
    #[must_use]
    pub const fn demand_version(&self) -> u64 {
        self.published.version
    }

    pub(super) fn publish_demand(&mut self) {
        let now = &self.counters.tasks;
        let then = &self.published.tasks;
        let differs = |state: TaskState| {
            let (now, then) = (now[state as usize], then[state as usize]);
            (now == 0) != (then == 0) || now.abs_diff(then) * 10 > then
        };
        let moved = self.published.moved
            || [TaskState::Waiting, TaskState::Ready, TaskState::Assigned, TaskState::Delayed]
                .into_iter()
                .any(differs)
            || (now[TaskState::Done as usize] == 0) != (then[TaskState::Done as usize] == 0);
        if !moved {
            return;
        }
        let idle = TaskState::ALL
            .into_iter()
            .filter(|state| state.is_pending() || *state == TaskState::Done)
            .all(|state| now[state as usize] == 0);
        self.published.idle_since =
            if idle { self.published.idle_since.or(Some(self.now)) } else { None };
        self.published.tasks = *now;
        self.published.moved = false;
        self.published.version += 1;
        self.actions.push(Action::DemandChanged);
    }

    /// The work there is, and how much of it more members of these shapes would take.
    #[must_use]
    pub fn demand(&self, now: Time, request: &DemandRequest) -> Demand {
        let target = request.target_duration_seconds.filter(|t| *t > 0.0).unwrap_or(TARGET_SECONDS);
        let classes = self.class_demands();
        let mut needs: Vec<Need<'_>> = classes
            .iter()
            .map(|(id, demand)| {
                let class = &self.interned.classes[*id];
                Need { class, slots: slots_needed(class, demand, target) }
            })
            .collect();
        let groups = self.group_loads(&mut needs);
        let trials = request.shapes.iter().map(|shape| trial(shape, &mut needs)).collect();
        let (mut memory_used, mut memory_limit) = (0, 0);
        for (_, worker) in self.workers.iter() {
            memory_used += worker.metrics.memory_resident;
            memory_limit += worker.metrics.memory_limit;
        }
        Demand {
            version: self.published.version,
            epoch: self.config.epoch.0,
            classes: classes.into_iter().map(|(_, demand)| demand).collect(),
            bytes_wanted: self.counters.bytes_wanted,
            bytes_stored: self.counters.bytes_stored,
            memory_used,
            memory_limit,
            trials,
            groups,
            idle_seconds: self
                .published
                .idle_since
                .map(|since| now.micros_since(since) as f64 / 1e6),
            clients: self.sessions.values().filter(|s| s.disconnected.is_none()).count() as u32,
        }
    }

    /// Classes with unfinished tasks.
    fn class_demands(&self) -> Vec<(usize, ClassDemand)> {
        let mut sums = vec![[0u64; TaskState::COUNT]; self.interned.classes.len()];
        for (_, queue) in self.queues.iter() {
            let sum = &mut sums[queue.class as usize];
            sum.iter_mut().zip(queue.tasks).for_each(|(sum, tasks)| *sum += tasks);
        }
        let mut demands = Vec::new();
        for (id, sum) in sums.into_iter().enumerate() {
            let class = &self.interned.classes[id];
            let ready = sum[TaskState::Ready as usize];
            let running = sum[TaskState::Assigned as usize];
            let waiting = sum[TaskState::Waiting as usize] + sum[TaskState::Delayed as usize];
            if ready + running + waiting == 0 {
                continue;
            }
            let estimated_seconds =
                (ready + running) as f64 * f64::from(class.mean.assumed()) / 1e6;
            let blocked = (ready > 0 && class.capable == 0).then(|| self.why_blocked(class));
            let resources = class.resources.clone();
            let demand =
                ClassDemand { resources, ready, running, waiting, estimated_seconds, blocked };
            demands.push((id, demand));
        }
        demands
    }

    pub(super) fn why_blocked(&self, class: &Class) -> String {
        if self.workers.connected().is_empty() {
            return "no worker is connected".to_owned();
        }
        let fitting =
            self.workers.iter().filter(|(_, worker)| class.fits(&worker.capacity)).count();
        if fitting == 0 {
            return format!("no worker offers {}", class.resources);
        }
        format!(
            "none of the workers it is restricted to ({}) offers {}",
            class.workers.join(", "),
            class.resources
        )
    }

    /// What each group has and needs. Takes what present members cover off the needs.
    fn group_loads(&self, needs: &mut [Need<'_>]) -> Vec<GroupLoad> {
        let mut groups: BTreeMap<&str, Vec<WorkerId>> = BTreeMap::new();
        for (id, worker) in self.workers.iter() {
            groups.entry(&worker.description.group).or_default().push(id);
        }
        groups.into_iter().map(|(name, ids)| self.group_load(name, &ids, needs)).collect()
    }

    fn group_load(&self, name: &str, ids: &[WorkerId], needs: &mut [Need<'_>]) -> GroupLoad {
        let mut load = GroupLoad { group: name.to_owned(), ..GroupLoad::default() };
        let (mut busy, mut by_work, mut held, mut bytes, mut memory) =
            (0u32, 0.0f64, 0u64, 0u64, 0u64);
        for id in ids {
            let Some(worker) = self.workers.get(*id) else { continue };
            held += u64::from(worker.held.live());
            bytes += worker.held_bytes;
            if worker.standing != Standing::Serving {
                load.draining += 1;
                continue;
            }
            load.members += 1;
            busy += u32::from(!worker.runs.is_empty());
            memory += worker.metrics.memory_limit;
            // One member's time, shared by the classes that need it.
            let mut share = 1.0f64;
            for need in needs.iter_mut().filter(|need| need.slots > 0.0) {
                let description = &worker.description;
                let slots = f64::from(need.class.times_in(&worker.capacity));
                if slots < 1.0 || !need.class.allows(&description.name, &description.group) {
                    continue;
                }
                let taken = (need.slots / slots).min(share);
                need.slots -= taken * slots;
                share -= taken;
                by_work += taken;
            }
        }
        let mut needed = ceil(by_work).max(busy);
        if held > 0 {
            let each = memory as f64 / f64::from(load.members.max(1)) * MEMORY_SHARE;
            let holders = if each > 0.0 { ceil(bytes as f64 / each) } else { 1 };
            needed = needed.max(holders.max(1));
        }
        load.needed = needed.min(load.members);
        load
    }

    /// All workers, as the scheduler sees them.
    #[must_use]
    pub fn members(&self, now: Time) -> Vec<Member> {
        let mut shared: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for (task, holders) in &self.copies {
            let nbytes = self.task_bytes(*task);
            for holder in holders {
                *shared.entry(*holder).or_default() += nbytes;
            }
        }
        let member = |(id, worker): (WorkerId, &super::workers::Worker)| {
            let shared = shared.get(&id).copied().unwrap_or(0);
            let idle = if worker.runs.is_empty() { now.micros_since(worker.idle_since) } else { 0 };
            Member {
                id: id.0,
                name: worker.description.name.clone(),
                instance: worker.description.instance.clone(),
                group: worker.description.group.clone(),
                address: worker.description.data_address.clone(),
                resources: worker.description.resources.clone(),
                state: worker.state(),
                running: worker.busy(),
                bytes_stored: worker.held_bytes,
                bytes_sole: worker.held_bytes.saturating_sub(shared),
                bytes_spilled: worker.metrics.bytes_spilled,
                memory_used: worker.metrics.memory_resident,
                memory_limit: worker.metrics.memory_limit,
                cpu_seconds: worker.metrics.cpu_seconds,
                idle_seconds: idle as f64 / 1e6,
                silent_seconds: now.micros_since(worker.heard) as f64 / 1e6,
            }
        };
        self.workers.iter().map(member).collect()
    }
}

/// Slots with which what is ready and running would be done within the target.
fn slots_needed(class: &Class, demand: &ClassDemand, target: f64) -> f64 {
    let tasks = (demand.ready + demand.running) as f64;
    let seconds = f64::from(class.mean.assumed()) / 1e6;
    if seconds >= target {
        return tasks;
    }
    // Tasks do not divide: less than one slot's worth is one slot.
    (demand.estimated_seconds / target).ceil().min(tasks)
}

/// How many more members of a shape would get work of what is left.
fn trial(shape: &Shape, needs: &mut [Need<'_>]) -> Trial {
    let mut left = f64::from(shape.most);
    let mut used = 0.0;
    for need in needs.iter_mut().filter(|need| need.slots > 1e-9) {
        let slots = need.class.resources.times_in(&shape.resources).min(1 << 22) as f64;
        if slots < 1.0 || !need.class.allows("", &shape.group) {
            continue;
        }
        let taken = (need.slots / slots).min(left);
        need.slots -= taken * slots;
        left -= taken;
        used += taken;
    }
    Trial { group: shape.group.clone(), useful: ceil(used).min(shape.most) }
}

/// The next whole number, but for what rounding left.
fn ceil(number: f64) -> u32 {
    (number - 1e-6).ceil().max(0.0) as u32
}
