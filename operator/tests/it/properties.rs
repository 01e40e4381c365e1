//! What holds for every plan, whatever is observed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dasklet_api::{
    AutoscaleSpec, DaskClusterSpec, DaskClusterStatus, DaskWorkerGroupSpec, DaskWorkerGroupStatus,
    LastDecision, WorkerSpec,
};
use dasklet_core::{
    Resources,
    demand::{ClassDemand, Demand, GroupLoad, Member, MemberState, Trial},
};
use dasklet_operator::{
    names,
    observe::{
        ClusterObject, Container, ContainerState, GroupObject, Key, Meta, Observed, Owner, Pod,
        PodPhase, Sight,
    },
    plan::{Action, DrainReason, Intent, Kind, Memory, Settings, plan},
    template::Place,
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000;
const NOW: u64 = 1_800_000_000 * SECOND;

#[derive(Debug, Clone)]
struct PodCase {
    slot: u32,
    age_seconds: u64,
    running: bool,
    dead: bool,
    deleting: bool,
    draining: bool,
    member: Option<MemberState>,
}

#[derive(Debug, Clone)]
struct Case {
    replicas: u32,
    scaled: Option<(u32, u32)>,
    last: Option<u32>,
    suspend: bool,
    silent: bool,
    needed: u32,
    useful: u32,
    pods: Vec<PodCase>,
}

fn pod_case() -> impl Strategy<Value = PodCase> {
    let member = prop_oneof![
        3 => Just(None),
        4 => Just(Some(MemberState::Serving)),
        1 => Just(Some(MemberState::Draining)),
        1 => Just(Some(MemberState::Drained)),
    ];
    (
        0u32..12,
        0u64..900,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        member,
    )
        .prop_map(|(slot, age_seconds, running, dead, deleting, draining, member)| PodCase {
            slot,
            age_seconds,
            running,
            dead,
            deleting,
            draining,
            member: member.filter(|_| running && !dead),
        })
}

fn case() -> impl Strategy<Value = Case> {
    (
        0u32..10,
        prop::option::of((0u32..4, 4u32..10)),
        prop::option::of(0u32..10),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        0u32..10,
        0u32..10,
        prop::collection::vec(pod_case(), 0..10),
    )
        .prop_map(|(replicas, scaled, last, suspend, silent, needed, useful, mut pods)| {
            pods.sort_by_key(|pod| pod.slot);
            pods.dedup_by_key(|pod| pod.slot);
            Case { replicas, scaled, last, suspend, silent, needed, useful, pods }
        })
}

fn uid(slot: u32) -> String {
    format!("00000000-0000-4000-8000-{slot:012}")
}

fn pod(case: &PodCase, group: &str) -> Pod {
    let labels = [
        (names::CLUSTER_NAME, "c"),
        (names::GROUP_NAME, group),
        (names::COMPONENT, names::component::WORKER),
    ];
    let mut meta = Meta {
        namespace: "n".to_owned(),
        name: names::worker(group, case.slot),
        uid: uid(case.slot),
        labels: labels.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        created_micros: NOW - case.age_seconds * SECOND,
        deleting: case.deleting,
        ..Meta::default()
    };
    if case.draining {
        let since = NOW - case.age_seconds.min(5) * SECOND;
        let intent =
            Intent { since, deadline: Some(since + 60 * SECOND), reason: DrainReason::ScaleDown };
        meta.annotations.insert(names::DRAIN.to_owned(), intent.text());
    }
    let state = if case.running { ContainerState::Running } else { ContainerState::default() };
    Pod {
        meta,
        node: "node".to_owned(),
        phase: match (case.dead, case.running) {
            (true, _) => PodPhase::Failed,
            (false, true) => PodPhase::Running,
            (false, false) => PodPhase::Pending,
        },
        ready_since_micros: case.running.then_some(NOW - case.age_seconds * SECOND),
        containers: vec![Container { state, ..Container::default() }],
        never_restarts: true,
        ..Pod::default()
    }
}

fn member(case: &PodCase, group: &str, state: MemberState) -> Member {
    Member {
        id: case.slot,
        name: names::worker(group, case.slot),
        instance: uid(case.slot),
        group: group.to_owned(),
        address: String::new(),
        resources: Resources::one_slot(),
        state,
        running: case.slot % 2,
        bytes_stored: u64::from(case.slot),
        bytes_sole: u64::from(case.slot % 3),
        bytes_spilled: 0,
        memory_used: 0,
        memory_limit: 0,
        cpu_seconds: 0.0,
        idle_seconds: 0.0,
        silent_seconds: 0.0,
    }
}

fn build(case: &Case) -> (Observed, Sight) {
    let group = "c-default";
    let worker = WorkerSpec {
        replicas: Some(case.replicas),
        autoscale: case.scaled.map(|(min, max)| AutoscaleSpec {
            min_replicas: Some(min),
            max_replicas: max,
            ..AutoscaleSpec::default()
        }),
        ..WorkerSpec::default()
    };
    let meta = |name: &str, owner: Option<&str>| Meta {
        namespace: "n".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        owners: owner
            .map(|owner| Owner {
                kind: "DaskCluster".to_owned(),
                name: owner.to_owned(),
                uid: format!("uid-of-{owner}"),
            })
            .into_iter()
            .collect(),
        ..Meta::default()
    };
    let spec = DaskClusterSpec {
        suspend: Some(case.suspend),
        worker: worker.clone(),
        ..DaskClusterSpec::default()
    };
    let mut observed = Observed::empty(Key::new("n", "c"));
    observed.cluster = Some(Arc::new(ClusterObject {
        meta: meta("c", None),
        spec: Ok(spec),
        problems: vec![],
        status: DaskClusterStatus::default(),
    }));
    let status = DaskWorkerGroupStatus {
        desired_replicas: case.last.unwrap_or(0),
        last_decision: case.last.map(|desired| LastDecision {
            time: String::new(),
            desired,
            reason: String::new(),
        }),
        ..DaskWorkerGroupStatus::default()
    };
    let object = GroupObject {
        meta: meta(group, Some("c")),
        spec: Ok(DaskWorkerGroupSpec { cluster: "c".to_owned(), worker }),
        problems: vec![],
        status,
    };
    observed.groups.insert(group.to_owned(), Arc::new(object));
    let mut members = Vec::new();
    for entry in &case.pods {
        let made = pod(entry, group);
        observed.pods.insert(made.meta.name.clone(), Arc::new(made));
        if let Some(state) = entry.member {
            members.push(member(entry, group, state));
        }
    }
    // A pod of another cluster's group that looks alike.
    let mut other = pod(&case_of_other(), "c-other");
    other.meta.labels.insert(names::GROUP_NAME.to_owned(), "c-other".to_owned());
    observed.pods.insert(other.meta.name.clone(), Arc::new(other));
    let count =
        u32::try_from(members.iter().filter(|member| member.state == MemberState::Serving).count())
            .unwrap();
    let demand = Demand {
        classes: vec![ClassDemand {
            resources: Resources::one_slot(),
            ready: u64::from(case.useful),
            running: u64::from(case.needed),
            waiting: 0,
            estimated_seconds: 1.0,
            blocked: None,
        }],
        trials: vec![Trial { group: group.to_owned(), useful: case.useful }],
        groups: vec![GroupLoad {
            group: group.to_owned(),
            members: count,
            needed: case.needed.min(count),
            draining: 0,
        }],
        ..Demand::default()
    };
    let sight = Sight {
        demand: (!case.silent).then(|| Arc::new(demand)),
        members: Arc::new(members),
        error: None,
        at_micros: NOW - SECOND / 10,
        revocable: true,
    };
    (observed, sight)
}

const fn case_of_other() -> PodCase {
    PodCase {
        slot: 1,
        age_seconds: 800,
        running: true,
        dead: false,
        deleting: false,
        draining: true,
        member: None,
    }
}

fn settings() -> Settings {
    Settings {
        place: Place { engine_image: "engine".to_owned(), pull_policy: String::new() },
        scheduler_url: "http://{ip}:{port}".to_owned(),
        status_pause_micros: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn plans_are_safe(case in case()) {
        let (observed, sight) = build(&case);
        let mut memory = Memory::default();
        // Workers that serve are known to, so that a start deadline does not concern them.
        let first = plan(&settings(), &observed, &sight, &mut memory, NOW);
        let mut created = BTreeSet::new();
        let mut deleted = BTreeMap::new();
        for write in &first.writes {
            match &write.action {
                Action::Create { kind: Kind::Pod, body } => {
                    let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                    prop_assert!(!observed.pods.contains_key(&name), "{name} is there already");
                    prop_assert!(created.insert(name), "twice");
                }
                Action::Delete { kind: Kind::Pod, name, uid, .. } => {
                    let pod = &observed.pods[name];
                    prop_assert_eq!(pod.meta.label(names::GROUP_NAME), Some("c-default"));
                    prop_assert_eq!(&pod.meta.uid, uid);
                    prop_assert!(deleted.insert(name.clone(), uid.clone()).is_none(), "twice");
                }
                Action::Patch { kind: Kind::Pod, name, patch, .. } => {
                    let pod = &observed.pods[name];
                    prop_assert_eq!(pod.meta.label(names::GROUP_NAME), Some("c-default"));
                    prop_assert_eq!(&patch["metadata"]["uid"], &pod.meta.uid);
                }
                _ => {}
            }
        }
        for entry in &case.pods {
            let name = names::worker("c-default", entry.slot);
            if deleted.contains_key(&name) && entry.member == Some(MemberState::Serving) {
                prop_assert!(false, "{name} serves and is deleted undrained");
            }
            if deleted.contains_key(&name) {
                prop_assert!(!entry.deleting, "{name} goes already");
            }
        }
        let supply = case
            .pods
            .iter()
            .filter(|pod| !pod.deleting && !pod.dead && !pod.draining)
            .filter(|pod| !deleted.contains_key(&names::worker("c-default", pod.slot)))
            .filter(|pod| !matches!(pod.member, Some(MemberState::Drained | MemberState::Draining)))
            .count();
        let most = case.scaled.map_or(case.replicas, |(_, max)| max) as usize;
        if !created.is_empty() {
            prop_assert!(supply + created.len() <= most, "{supply} + {} > {most}", created.len());
            prop_assert!(!case.suspend);
        }
    }
}
