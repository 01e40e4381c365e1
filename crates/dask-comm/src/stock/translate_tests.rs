use dasklet_core::demand::Shape;

use super::*;
use crate::stock::{Source, observation::unmeasured};

const NOW: f64 = 2000.0;

fn worker(name: &str, executing: u64, ready: u64, bytes: u64) -> WorkerIdentity {
    let mut worker = unmeasured((name.to_owned(), format!("tcp://{name}:1")));
    worker.status = WorkerStatus::Running;
    worker.threads = 2;
    worker.memory_limit = 1 << 30;
    worker.bytes_managed = bytes;
    worker.last_seen = NOW - 1.0;
    worker.tasks = Some(
        [("executing", executing), ("ready", ready)].map(|(name, n)| (name.to_owned(), n)).into(),
    );
    worker
}

fn observation(workers: Vec<WorkerIdentity>, desired_workers: u64) -> Observation {
    Observation {
        scheduler: Some("s".to_owned()),
        workers,
        desired_workers,
        idle: Some(IdleSince::Busy),
        source: Source::Rpc,
    }
}

fn request(groups: &[&str]) -> DemandRequest {
    let shape = |group: &&str| Shape {
        group: (*group).to_owned(),
        resources: Resources::one_slot(),
        most: 10,
    };
    DemandRequest { shapes: groups.iter().map(shape).collect(), ..DemandRequest::default() }
}

struct Known {
    observation: Observation,
    standings: BTreeMap<WorkerRef, Standing>,
    idle_from: BTreeMap<WorkerRef, f64>,
}

impl Known {
    fn new(observation: Observation) -> Self {
        Self { observation, standings: BTreeMap::new(), idle_from: BTreeMap::new() }
    }

    fn view(&self) -> View<'_> {
        View {
            observation: &self.observation,
            standings: &self.standings,
            idle_from: &self.idle_from,
            now: NOW,
        }
    }

    fn demand(&self, groups: &[&str]) -> Demand {
        self.view().demand(&request(groups), 1)
    }

    fn stands(&mut self, number: usize, standing: Standing) {
        let worker = WorkerRef::from(&self.observation.workers[number]);
        self.standings.insert(worker, standing);
    }
}

fn load(group: &str, members: u32, needed: u32, draining: u32) -> GroupLoad {
    GroupLoad { group: group.to_owned(), members, needed, draining }
}

#[test]
fn what_is_desired_beyond_the_present_is_useful() {
    let busy = vec![worker("g-worker-0", 2, 5, 0), worker("g-worker-1", 2, 0, 0)];
    let demand = Known::new(observation(busy, 5)).demand(&["g"]);
    assert_eq!(demand.trials, [Trial { group: "g".to_owned(), useful: 3 }]);
    assert_eq!(demand.groups, [load("g", 2, 2, 0)]);
    let class = &demand.classes[0];
    assert_eq!((class.ready, class.running, class.estimated_seconds), (5, 4, 25.0));
    assert_eq!(demand.idle_seconds, None);
}

#[test]
fn a_scheduler_without_workers_can_ask_for_some() {
    let demand = Known::new(observation(vec![], 1)).demand(&["g"]);
    assert_eq!((demand.trials[0].useful, demand.groups[0].members), (1, 0));
    assert_eq!(demand.classes[0].ready, 1);
    let nothing = Known::new(observation(vec![], 0)).demand(&["g"]);
    assert_eq!((nothing.trials[0].useful, nothing.classes), (0, vec![]));
}

#[test]
fn busy_workers_and_holders_are_those_that_are_needed() {
    let workers = vec![
        worker("a-worker-0", 0, 0, 0),
        worker("b-worker-0", 0, 0, 900),
        worker("b-worker-1", 1, 0, 0),
        worker("a-worker-1", 0, 0, 10),
    ];
    let demand = Known::new(observation(workers, 2)).demand(&["a", "b"]);
    assert_eq!(demand.groups, [load("a", 2, 0, 0), load("b", 2, 2, 0)]);
    assert_eq!((demand.trials[0].useful, demand.bytes_wanted), (0, 910));
}

#[test]
fn draining_members_are_no_supply() {
    let workers = vec![worker("g-worker-0", 1, 0, 0), worker("g-worker-1", 1, 0, 0)];
    let mut known = Known::new(observation(workers, 2));
    known.stands(0, Standing::Draining { trouble: None });
    let demand = known.demand(&["g"]);
    assert_eq!(demand.groups, [load("g", 1, 1, 1)]);
    assert_eq!(demand.trials[0].useful, 1);
}

#[test]
fn members_tell_how_they_stand() {
    let mut workers: Vec<_> =
        (0..4).map(|number| worker(&format!("g-worker-{number}"), 0, 0, 5)).collect();
    workers[1].status = WorkerStatus::Paused;
    workers[2].status = WorkerStatus::Retiring;
    let mut known = Known::new(observation(workers, 0));
    known.stands(3, Standing::Refused);
    known.idle_from.insert(WorkerRef::from(&known.observation.workers[0]), NOW - 30.0);
    let gone =
        WorkerRef { name: "g-worker-9".to_owned(), address: "tcp://g-worker-9:1".to_owned() };
    known.standings.insert(gone.clone(), Standing::Drained);

    let members = known.view().members();
    let states: Vec<MemberState> = members.iter().map(|member| member.state).collect();
    use MemberState::{Drained, Draining, Paused, Serving};
    assert_eq!(states, [Serving, Paused, Draining, Serving, Drained]);
    assert_eq!((members[4].name.clone(), members[4].instance.clone()), (gone.name, gone.address));
    assert_eq!((members[0].idle_seconds, members[0].silent_seconds), (30.0, 1.0));
    assert_eq!((members[0].bytes_sole, members[0].resources.get(CPU)), (5, 2000));
    let ids: BTreeSet<u32> = members.iter().map(|member| member.id).collect();
    assert_eq!(ids.len(), members.len());
}

#[test]
fn a_drained_worker_that_was_still_seen_is_told_once() {
    let mut known = Known::new(observation(vec![worker("g-worker-0", 0, 0, 0)], 0));
    known.stands(0, Standing::Drained);
    let members = known.view().members();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].state, MemberState::Drained);
}

#[test]
fn idleness_is_told_in_seconds() {
    let mut known = Known::new(observation(vec![], 0));
    known.observation.idle = Some(IdleSince::Time(NOW - 12.0));
    assert_eq!(known.demand(&["g"]).idle_seconds, Some(12.0));
    known.observation.idle = None;
    assert_eq!(known.demand(&["g"]).idle_seconds, None);
}
