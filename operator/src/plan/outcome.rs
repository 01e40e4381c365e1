//! What the result of a write means for the next one about the same thing.

use super::{
    memory::{Failure, Memory},
    write::{Action, Kind, Target, Write},
};

/// First wait after a failed write; doubled with each further one.
const FIRST_MICROS: u64 = 250_000;
/// Longest wait between failed writes.
const LONGEST_MICROS: u64 = 60_000_000;

/// Most events of a cluster that are kept for another try.
const MOST_UNTOLD: usize = 64;

/// Why a write failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The API server refuses the object itself (400, 422).
    Invalid(String),
    /// It is not allowed (403).
    Forbidden(String),
    /// A quota leaves no room for it (403).
    Quota(String),
    /// Somebody else changed it meanwhile (409).
    Conflict,
    /// It is gone (404).
    Gone(String),
    /// The API server is overloaded or cannot be reached.
    Unavailable(String),
}

impl Fault {
    /// One word, for conditions and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "Invalid",
            Self::Forbidden(_) => "Forbidden",
            Self::Quota(_) => "QuotaExceeded",
            Self::Conflict => "Conflict",
            Self::Gone(_) => "NotFound",
            Self::Unavailable(_) => "ApiServerUnavailable",
        }
    }

    fn message(&self, target: &Target) -> String {
        let Target { kind, name } = target;
        let kind = match kind {
            Kind::Template => "the pod template of group",
            // Pods are counted together under their group's name.
            Kind::Pod => "pods of group",
            kind => kind.as_str(),
        };
        match self {
            Self::Invalid(words) => {
                format!("the API server refuses {kind} {name}: {words}. Correct the spec")
            }
            Self::Forbidden(words) => format!(
                "not allowed for {kind} {name}: {words}. Check the policies of the namespace and the \
                 operator's role"
            ),
            Self::Quota(words) => {
                format!("no room for {kind} {name}: {words}. Raise the quota or lower the replicas")
            }
            Self::Conflict => format!("{kind} {name} is being changed by somebody else"),
            Self::Gone(words) => format!("something that {kind} {name} needs is gone: {words}"),
            Self::Unavailable(words) => {
                format!("the API server does not take {kind} {name}: {words}")
            }
        }
    }
}

/// Takes note of the result of a write; `jitter` is between 0 and 1. Gives the wait before the
/// next one about the same thing.
pub fn note(
    memory: &mut Memory,
    write: &Write,
    result: Result<(), Fault>,
    now_micros: u64,
    jitter: f64,
) -> Option<u64> {
    if let Action::DryRun { fingerprint, .. } = &write.action
        && result.is_ok()
    {
        memory.verified.insert(write.target.name.clone(), fingerprint.clone());
    }
    let fault = match result {
        Ok(()) => {
            forget(memory, write);
            return None;
        }
        Err(fault) => fault,
    };
    if let Action::Event(event) = &write.action {
        if !matches!(fault, Fault::Unavailable(_)) || memory.untold.len() >= MOST_UNTOLD {
            // Nobody may tell it, or nothing is left that it is about.
            forget(memory, write);
            return None;
        }
        if !memory.untold.contains(event) {
            memory.untold.push(event.clone());
        }
    }
    let rounds = memory.failures.get(&write.target).map_or(0, |failure| failure.rounds);
    let full = FIRST_MICROS.saturating_mul(1 << rounds.min(16)).min(LONGEST_MICROS);
    // Between half and all of it, so that objects that failed together do not come together.
    let wait = full / 2 + (full as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as u64;
    let failure = Failure {
        reason: fault.reason(),
        message: fault.message(&write.target),
        rounds: rounds.saturating_add(1),
        until: now_micros.saturating_add(wait),
        fingerprint: fingerprint_of(write),
    };
    memory.failures.insert(write.target.clone(), failure);
    Some(wait)
}

fn forget(memory: &mut Memory, write: &Write) {
    memory.failures.remove(&write.target);
    if let Action::Event(event) = &write.action {
        memory.untold.retain(|untold| untold.name != event.name);
    }
}

fn fingerprint_of(write: &Write) -> Option<String> {
    let body = match &write.action {
        Action::DryRun { fingerprint, .. } => return Some(fingerprint.clone()),
        Action::Create { body, .. } | Action::Apply { body, .. } => body,
        _ => return None,
    };
    let mark = body.get("metadata")?.get("annotations")?.get(crate::names::TEMPLATE)?;
    mark.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{event::EventNote, write::Stage};

    #[test]
    fn waits_grow_are_bounded_and_end_with_a_success() {
        let mut memory = Memory::default();
        let write = Write {
            stage: Stage::Pods,
            target: Target::new(Kind::Pod, "g"),
            action: Action::Create { kind: Kind::Pod, body: json!({}) },
        };
        let mut last = 0;
        for _ in 0..20 {
            let fault = Fault::Quota("exceeded quota: q".to_owned());
            let wait = note(&mut memory, &write, Err(fault), 0, 1.0).unwrap();
            assert!(wait >= last && wait <= LONGEST_MICROS);
            last = wait;
        }
        assert_eq!(last, LONGEST_MICROS);
        let failure = &memory.failures[&write.target];
        assert_eq!(failure.reason, "QuotaExceeded");
        assert!(failure.message.contains("Raise the quota"), "{}", failure.message);
        assert_eq!(note(&mut memory, &write, Ok(()), 0, 1.0), None);
        assert!(memory.failures.is_empty());
    }

    #[test]
    fn an_event_is_told_later_if_the_server_is_away_and_never_if_it_is_forbidden() {
        let mut memory = Memory::default();
        let event = EventNote::new((Kind::Group, "g", "u"), true, "R", "words", "1");
        let write = Write {
            stage: Stage::Tell,
            target: Target::new(Kind::Event, &event.name),
            action: Action::Event(event.clone()),
        };
        for _ in 0..2 {
            let fault = Fault::Unavailable("etcd is away".to_owned());
            assert!(note(&mut memory, &write, Err(fault), 0, 1.0).is_some());
            assert_eq!(memory.untold, std::slice::from_ref(&event));
        }
        let fault = Fault::Forbidden("no".to_owned());
        assert_eq!(note(&mut memory, &write, Err(fault), 0, 1.0), None);
        assert!(memory.untold.is_empty() && memory.failures.is_empty());
    }
}
