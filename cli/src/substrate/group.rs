//! One worker group on this machine: its members, and what is observed of them.

use std::collections::BTreeMap;

use dasklet_api::LocalWorker;
use dasklet_core::{
    DeathCause,
    demand::{Member, MemberRef, MemberState},
};
use dasklet_elastic::{GroupMember, GroupObservation, GroupPolicy, Phase};

use super::process::Process;

/// For so long after an undrain an older answer of the scheduler may still say "draining".
const UNDRAIN_SETTLES_MICROS: u64 = 2_000_000;

/// For so long after it was asked to drain a member an older answer of the scheduler may still say
/// "serving".
const DRAIN_SETTLES_MICROS: u64 = 2_000_000;

/// A worker group.
pub struct Group {
    /// What is wanted of it.
    pub policy: GroupPolicy,
    /// How its workers are started.
    pub settings: LocalWorker,
    members: BTreeMap<u32, LocalMember>,
}

/// A member: a worker process of ours.
pub struct LocalMember {
    /// Its name.
    pub name: String,
    /// Its process id, as the scheduler knows it.
    pub instance: String,
    /// The process; `None` once it has ended or if it could not be started.
    pub process: Option<Process>,
    /// When it was started.
    pub created_micros: u64,
    /// Since when it serves.
    pub serving_since: Option<u64>,
    /// Since when it is to drain, as we asked.
    pub draining_since: Option<u64>,
    /// When the scheduler was last asked to drain it.
    pub drain_asked: Option<u64>,
    /// When it was last asked to stay after all.
    pub kept_at: Option<u64>,
    /// When it was told to end.
    pub told_to_end: Option<u64>,
    /// Why it was told to end.
    pub planned: Option<DeathCause>,
}

impl LocalMember {
    /// A member whose process has just been started, or could not be.
    pub fn new(name: String, process: Option<Process>, now_micros: u64) -> Self {
        Self {
            instance: match &process {
                Some(process) => process.pid.to_string(),
                None => format!("never-started-at-{now_micros}"),
            },
            name,
            process,
            created_micros: now_micros,
            serving_since: None,
            draining_since: None,
            drain_asked: None,
            kept_at: None,
            told_to_end: None,
            planned: None,
        }
    }

    /// The member by what cannot be mistaken for a later one of the same name.
    pub fn reference(&self) -> MemberRef {
        MemberRef { name: self.name.clone(), instance: Some(self.instance.clone()) }
    }

    fn is(&self, member: &Member) -> bool {
        self.name == member.name && self.instance == member.instance
    }

    /// It was asked to drain, but the scheduler takes it for one that serves: a connection that
    /// broke has made it forget.
    pub fn has_forgotten_drain(&self, seen: &[Member], now: u64) -> bool {
        self.told_to_end.is_none()
            && self.draining_since.is_some()
            && self.drain_asked.is_none_or(|at| now >= at + DRAIN_SETTLES_MICROS)
            && seen.iter().any(|other| self.is(other) && other.state == MemberState::Serving)
    }

    fn phase(&self, seen: Option<&Member>, deadline_micros: Option<u64>, now: u64) -> Phase {
        if self.process.is_none() {
            return Phase::Failed { served: self.serving_since.is_some() };
        }
        let draining = |since_micros: u64, revocable: bool| Phase::Draining {
            since_micros,
            deadline_micros: deadline_micros.map(|limit| since_micros.saturating_add(limit)),
            revocable,
        };
        if let Some(since) = self.told_to_end {
            return draining(since, false);
        }
        let settling = self.kept_at.is_some_and(|at| now < at + UNDRAIN_SETTLES_MICROS);
        match (seen.map(|member| member.state), self.draining_since, self.serving_since) {
            (Some(MemberState::Drained), Some(_), _) => Phase::Drained,
            (Some(MemberState::Drained), None, _) if !settling => Phase::Drained,
            (_, Some(since), _) => draining(since, true),
            // Somebody else asked it to go, or sent it a SIGTERM.
            (Some(MemberState::Draining), None, Some(since)) if !settling => draining(since, false),
            (_, None, Some(since_micros)) => Phase::Serving { since_micros },
            (_, None, None) => Phase::Starting,
        }
    }
}

impl Group {
    /// A group without members.
    pub fn new(policy: GroupPolicy, settings: LocalWorker) -> Self {
        Self { policy, settings, members: BTreeMap::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.policy.group
    }

    /// Members that take tasks, as the scheduler counts them.
    pub fn serving(&self) -> u32 {
        let serves = |member: &&LocalMember| {
            member.process.is_some()
                && member.serving_since.is_some()
                && member.draining_since.is_none()
                && member.told_to_end.is_none()
        };
        u32::try_from(self.members.values().filter(serves).count()).unwrap_or(u32::MAX)
    }

    /// True where there are no members in any state.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// True while some member has not begun to serve.
    pub fn is_starting(&self) -> bool {
        self.members.values().any(|m| m.process.is_some() && m.serving_since.is_none())
    }

    /// The lowest free slot: a slot is free only once its process is gone.
    pub fn free_slot(&self) -> u32 {
        (0..).find(|slot| !self.members.contains_key(slot)).unwrap_or(u32::MAX)
    }

    /// Takes a member into a slot.
    pub fn insert(&mut self, slot: u32, member: LocalMember) {
        self.members.insert(slot, member);
    }

    /// Its members.
    pub fn members_mut(&mut self) -> impl Iterator<Item = &mut LocalMember> {
        self.members.values_mut()
    }

    /// The member of this name and instance.
    pub fn find(&mut self, name: &str, instance: &str) -> Option<&mut LocalMember> {
        self.members.values_mut().find(|m| m.name == name && m.instance == instance)
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str, instance: &str) {
        self.members.retain(|_, m| m.name != name || m.instance != instance);
    }

    /// Notes which members serve now; gives those that have just begun, with their age.
    pub fn note_serving(&mut self, seen: &[Member], now: u64) -> Vec<(String, u64)> {
        let mut begun = Vec::new();
        for member in self.members.values_mut() {
            let connected = seen.iter().any(|other| member.is(other));
            if connected && member.process.is_some() && member.serving_since.is_none() {
                member.serving_since = Some(now);
                begun.push((member.name.clone(), now.saturating_sub(member.created_micros)));
            }
        }
        begun
    }

    /// What is observed of the members now.
    pub fn observe(&self, seen: &[Member], now: u64) -> GroupObservation {
        let deadline =
            self.policy.drain.deadline_seconds().map(|seconds| (seconds * 1e6).max(0.0) as u64);
        let members = self
            .members
            .values()
            .map(|member| {
                let seen = seen.iter().find(|other| member.is(other));
                GroupMember {
                    name: member.name.clone(),
                    instance: member.instance.clone(),
                    phase: member.phase(seen, deadline, now),
                    created_micros: member.created_micros,
                    idle_seconds: seen.map_or(0.0, |m| m.idle_seconds),
                    bytes_stored: seen.map_or(0, |m| m.bytes_stored),
                    bytes_sole: seen.map_or(0, |m| m.bytes_sole),
                    running: seen.map_or(0, |m| m.running),
                }
            })
            .collect();
        GroupObservation { members }
    }
}

#[cfg(test)]
mod tests {
    use dasklet_core::Resources;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn group() -> Group {
        let policy = GroupPolicy::fixed("g", Resources::one_slot(), 1);
        let mut group = Group::new(policy, LocalWorker::default());
        let process = Some(Process::imaginary(7));
        group.insert(0, LocalMember::new("g-worker-0".to_owned(), process, 0));
        group
    }

    fn seen(instance: &str, state: MemberState) -> Vec<Member> {
        let member = serde_json::json!({
            "id": 1, "name": "g-worker-0", "instance": instance, "group": "g",
            "address": "", "resources": {}, "state": state, "running": 2, "bytesStored": 3,
            "bytesSole": 4, "bytesSpilled": 0, "memoryUsed": 0, "memoryLimit": 0,
            "cpuSeconds": 0.0, "idleSeconds": 0.5, "silentSeconds": 0.0,
        });
        vec![serde_json::from_value(member).unwrap()]
    }

    fn phase(group: &Group, seen: &[Member], now: u64) -> Phase {
        group.observe(seen, now).members[0].phase
    }

    #[test]
    fn a_member_starts_serves_drains_and_is_drained() {
        let mut group = group();
        assert_eq!(phase(&group, &[], SECOND), Phase::Starting);
        // An older process of the same name is somebody else.
        assert!(group.note_serving(&seen("6", MemberState::Serving), SECOND).is_empty());

        let serving = seen("7", MemberState::Serving);
        assert_eq!(group.note_serving(&serving, SECOND), [("g-worker-0".to_owned(), SECOND)]);
        assert_eq!(phase(&group, &serving, 2 * SECOND), Phase::Serving { since_micros: SECOND });
        let member = &group.observe(&serving, 2 * SECOND).members[0];
        assert_eq!((member.running, member.bytes_stored, member.bytes_sole), (2, 3, 4));
        assert_eq!(group.serving(), 1);
        // A connection that breaks does not make it another member.
        assert_eq!(phase(&group, &[], 2 * SECOND), Phase::Serving { since_micros: SECOND });

        group.find("g-worker-0", "7").unwrap().draining_since = Some(3 * SECOND);
        let draining = Phase::Draining {
            since_micros: 3 * SECOND,
            deadline_micros: Some(63 * SECOND),
            revocable: true,
        };
        assert_eq!(phase(&group, &serving, 3 * SECOND), draining);
        assert_eq!(group.serving(), 0);
        assert_eq!(phase(&group, &seen("7", MemberState::Drained), 4 * SECOND), Phase::Drained);
    }

    #[test]
    fn a_member_that_was_called_back_serves_whatever_an_older_answer_says() {
        let mut group = group();
        group.note_serving(&seen("7", MemberState::Serving), SECOND);
        group.find("g-worker-0", "7").unwrap().kept_at = Some(5 * SECOND);
        let serving = Phase::Serving { since_micros: SECOND };
        for state in [MemberState::Draining, MemberState::Drained] {
            assert_eq!(phase(&group, &seen("7", state), 5 * SECOND), serving);
        }
        assert_eq!(phase(&group, &seen("7", MemberState::Drained), 9 * SECOND), Phase::Drained);
    }

    #[test]
    fn a_drain_that_the_scheduler_has_forgotten_is_asked_for_again() {
        let mut group = group();
        let serving = seen("7", MemberState::Serving);
        let member = group.find("g-worker-0", "7").unwrap();
        assert!(!member.has_forgotten_drain(&serving, 5 * SECOND));
        member.draining_since = Some(5 * SECOND);
        member.drain_asked = Some(5 * SECOND);
        assert!(!member.has_forgotten_drain(&serving, 6 * SECOND), "an answer of before");
        assert!(member.has_forgotten_drain(&serving, 7 * SECOND));
        assert!(!member.has_forgotten_drain(&seen("7", MemberState::Draining), 7 * SECOND));
        assert!(!member.has_forgotten_drain(&[], 7 * SECOND));
        member.told_to_end = Some(8 * SECOND);
        assert!(!member.has_forgotten_drain(&serving, 9 * SECOND));
    }

    #[test]
    fn a_slot_is_free_when_its_process_is_gone() {
        let mut group = group();
        assert_eq!(group.free_slot(), 1);
        group.find("g-worker-0", "7").unwrap().process = None;
        assert_eq!(phase(&group, &[], SECOND), Phase::Failed { served: false });
        assert_eq!(group.free_slot(), 1);
        group.remove("g-worker-0", "7");
        assert_eq!(group.free_slot(), 0);
        assert!(group.is_empty());
    }
}
