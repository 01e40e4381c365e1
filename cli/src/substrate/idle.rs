//! What happens to a cluster that has nothing to do: pure.

use std::time::Duration;

use dasklet_api::IdleAction;
use dasklet_elastic::GroupPolicy;

/// How a cluster stands towards its idle timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It works, or may at any moment.
    Awake,
    /// Its groups are at their minimum until there is work.
    AtMinimum,
    /// It has no workers until there is work.
    Hibernating,
    /// It is to go.
    Over,
}

/// Watches for how long a cluster has been idle.
#[derive(Debug)]
pub struct Idleness {
    timeout: Option<Duration>,
    action: IdleAction,
    rest: Rest,
}

impl Idleness {
    /// `action` is taken after `timeout` without work; `None`: never.
    pub const fn new(timeout: Option<Duration>, action: IdleAction) -> Self {
        Self { timeout, action, rest: Rest::Awake }
    }

    /// Takes for how long the cluster has been idle; `None`: it works.
    pub fn note(&mut self, idle_seconds: Option<f64>) {
        let Some(limit) = self.timeout else { return };
        match idle_seconds {
            None => self.rest = Rest::Awake,
            Some(seconds) if seconds >= limit.as_secs_f64() => {
                self.rest = match self.action {
                    IdleAction::Delete => Rest::Over,
                    IdleAction::ScaleToMinimum => Rest::AtMinimum,
                    IdleAction::Hibernate => Rest::Hibernating,
                };
            }
            // Not for long enough; or its scheduler is new, and no work has woken it.
            Some(_) => {}
        }
    }

    /// How the cluster stands.
    pub const fn rest(&self) -> Rest {
        self.rest
    }

    /// What is wanted of a group now.
    pub fn policy(&self, policy: &GroupPolicy) -> GroupPolicy {
        let mut policy = policy.clone();
        match (self.rest, &mut policy.autoscale) {
            (Rest::AtMinimum, Some(autoscale)) => autoscale.max_replicas = autoscale.min_replicas,
            (Rest::Hibernating, _) => policy.suspended = true,
            _ => {}
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use dasklet_core::Resources;
    use dasklet_elastic::Autoscale;

    use super::*;

    fn policy() -> GroupPolicy {
        let autoscale = Autoscale { min_replicas: 1, max_replicas: 5, ..Autoscale::default() };
        let fixed = GroupPolicy::fixed("g", Resources::one_slot(), 3);
        GroupPolicy { autoscale: Some(autoscale), ..fixed }
    }

    #[test]
    fn an_idle_cluster_rests_as_its_manifest_says() {
        for (action, rest, most, suspended) in [
            (IdleAction::Delete, Rest::Over, 5, false),
            (IdleAction::ScaleToMinimum, Rest::AtMinimum, 1, false),
            (IdleAction::Hibernate, Rest::Hibernating, 5, true),
        ] {
            let mut idleness = Idleness::new(Some(Duration::from_secs(10)), action);
            for (idle, expected) in [
                (None, Rest::Awake),
                (Some(3.0), Rest::Awake),
                (Some(10.0), rest),
                (Some(0.1), rest),
                (None, Rest::Awake),
                (Some(9.9), Rest::Awake),
            ] {
                idleness.note(idle);
                assert_eq!(idleness.rest(), expected, "{action:?} after {idle:?}");
            }
            idleness.note(Some(10.0));
            let now = idleness.policy(&policy());
            let limits = now.autoscale.as_ref().map(|autoscale| autoscale.max_replicas);
            assert_eq!((limits, now.suspended), (Some(most), suspended), "{action:?}");
        }
    }

    #[test]
    fn what_its_user_suspended_stays_so_and_without_a_timeout_nothing_rests() {
        let mut idleness = Idleness::new(None, IdleAction::Hibernate);
        idleness.note(Some(1e9));
        assert_eq!(idleness.rest(), Rest::Awake);
        let suspended = GroupPolicy { suspended: true, ..policy() };
        assert!(idleness.policy(&suspended).suspended);
    }
}
