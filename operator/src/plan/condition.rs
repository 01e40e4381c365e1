//! Conditions: kept, changed and told.

use dasklet_api::{
    Condition,
    conditions::{COMPLETE, FAILED, RUNNING, SUSPENDED, reason},
};

use super::{clock::rfc3339, event::EventNote, write::Kind};

/// The conditions of one object while its status is made.
#[derive(Debug)]
pub struct Conditions<'a> {
    old: &'a [Condition],
    generation: i64,
    now_micros: u64,
    new: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Starts from those that the object has.
    pub const fn new(old: &'a [Condition], generation: i64, now_micros: u64) -> Self {
        Self { old, generation, now_micros, new: Vec::new() }
    }

    /// Says one. What is said first of a type stays.
    pub fn set(&mut self, kind: &str, status: bool, reason: &str, message: impl Into<String>) {
        let word = if status { "True" } else { "False" };
        self.push(kind, word, reason, message.into());
    }

    /// Says that it is not known.
    pub fn unknown(&mut self, kind: &str, reason: &str, message: impl Into<String>) {
        self.push(kind, "Unknown", reason, message.into());
    }

    /// What has been said of a type.
    pub fn get(&self, kind: &str) -> Option<&Condition> {
        self.new.iter().find(|condition| condition.kind == kind)
    }

    fn push(&mut self, kind: &str, status: &str, reason: &str, message: String) {
        if self.get(kind).is_some() {
            return;
        }
        let before = self.old.iter().find(|old| old.kind == kind && old.status == status);
        let since = before.and_then(|old| old.last_transition_time.clone());
        self.new.push(Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            observed_generation: Some(self.generation),
            last_transition_time: Some(since.unwrap_or_else(|| rfc3339(self.now_micros))),
            reason: reason.to_owned(),
            message,
        });
    }

    /// The conditions, and an event for each that somebody should hear of: something is wrong,
    /// or not wrong any more, or has come to its end; of `silent` ones only the end. The events
    /// belong to the write of the status, so that a change is told once.
    pub fn tell(
        self,
        about: (Kind, &str, &str),
        silent: &[&str],
    ) -> (Vec<Condition>, Vec<EventNote>) {
        let mut notes = Vec::new();
        for condition in &self.new {
            let before = self.old.iter().find(|old| old.kind == condition.kind);
            let same = before.is_some_and(|old| {
                old.status == condition.status && old.reason == condition.reason
            });
            let healed = before.is_some_and(is_wrong);
            let bad = is_wrong(condition);
            let end = ENDS.contains(&condition.kind.as_str()) && condition.status == "True";
            let silent = silent.contains(&condition.kind.as_str()) && !end;
            if same || !(bad || healed || end) || silent {
                continue;
            }
            let warning = bad || end && condition.kind == FAILED;
            let once = format!(
                "{} {} {}",
                condition.kind,
                condition.last_transition_time.as_deref().unwrap_or_default(),
                self.now_micros / 1_000_000
            );
            let reason =
                if condition.reason.is_empty() { &condition.kind } else { &condition.reason };
            let note = EventNote::new(about, warning, reason, &condition.message, &once);
            // Two conditions may say the same.
            let told =
                |told: &EventNote| (&told.reason, &told.message) == (&note.reason, &note.message);
            if !notes.iter().any(told) {
                notes.push(note);
            }
        }
        (self.new, notes)
    }
}

/// Conditions that are told when they become true.
const ENDS: [&str; 4] = [SUSPENDED, RUNNING, COMPLETE, FAILED];
/// Reasons for which a condition is false without anything being wrong.
const EXPECTED: [&str; 11] = [
    reason::STARTING,
    reason::ENOUGH,
    reason::SUSPENDED,
    reason::HIBERNATING,
    reason::WAITING_FOR_CLUSTER,
    reason::SUCCEEDED,
    "Awake",
    "NotFailed",
    "Active",
    "Paused",
    // Why it is not known, the cluster's condition about its scheduler says.
    "DemandUnknown",
];

fn is_wrong(condition: &Condition) -> bool {
    condition.status == "False" && !EXPECTED.contains(&condition.reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, status: bool, word: &str) -> Vec<(bool, String)> {
        let mut conditions = Conditions::new(&[], 1, 1_000_000);
        conditions.set(kind, status, word, "words");
        let (_, notes) = conditions.tell((Kind::Job, "j", "u"), &[COMPLETE]);
        notes.into_iter().map(|note| (note.warning, note.reason)).collect()
    }

    #[test]
    fn what_is_normal_warns_nobody() {
        for (kind, status, word) in [
            ("WorkersReady", false, reason::STARTING),
            ("SchedulerReady", false, reason::SUSPENDED),
            ("Active", false, "Paused"),
            ("Active", false, "DemandUnknown"),
            (COMPLETE, false, reason::RUNNING),
            ("Ready", true, reason::SERVING),
        ] {
            let told = told(kind, status, word);
            assert!(told.is_empty(), "{kind} {word}: {told:?}");
        }
        assert_eq!(told(COMPLETE, true, reason::SUCCEEDED), [(false, "Succeeded".to_owned())]);
        assert_eq!(told(RUNNING, true, reason::RUNNING), [(false, "Running".to_owned())]);
    }

    #[test]
    fn what_is_wrong_warns_once() {
        let mut conditions = Conditions::new(&[], 1, 1_000_000);
        conditions.set(RUNNING, false, reason::BACKOFF_LIMIT_EXCEEDED, "exit code 2");
        conditions.set(FAILED, true, reason::BACKOFF_LIMIT_EXCEEDED, "exit code 2");
        let (conditions, notes) = conditions.tell((Kind::Job, "j", "u"), &[]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].warning);
        let again = Conditions {
            old: &conditions,
            generation: 1,
            now_micros: 9_000_000,
            new: conditions.clone(),
        };
        assert!(again.tell((Kind::Job, "j", "u"), &[]).1.is_empty());
    }
}
