//! What a user asks of a worker group, with all defaults filled in.

use dasklet_core::Resources;
use serde::{Deserialize, Serialize};

/// Seconds that queued work should take, where nothing else is said.
pub const DEFAULT_TARGET_DURATION_SECONDS: f64 = 5.0;
/// Seconds that a member has to begin serving, where nothing else is said.
pub const DEFAULT_START_DEADLINE_SECONDS: u32 = 300;
/// Seconds that a drain may take, where nothing else is said.
pub const DEFAULT_DRAIN_TIMEOUT_SECONDS: u32 = 60;
/// Seconds that a lower recommendation has to last before members are drained.
pub const DEFAULT_SCALE_DOWN_WINDOW_SECONDS: u32 = 30;

/// One worker group as its user wants it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupPolicy {
    /// The group's name.
    pub group: String,
    /// What one member offers, in thousandths.
    #[serde(default)]
    pub shape: Resources,
    /// The fixed size. Absent: 1. With `autoscale` in mode `Auto` only the initial size, and 1 or
    /// nothing means the minimum: Kubernetes fills in 1 where nothing was said.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// Absent: the size is fixed.
    #[serde(default)]
    pub autoscale: Option<Autoscale>,
    /// Drain and remove every member.
    #[serde(default)]
    pub suspended: bool,
    /// How members are drained.
    #[serde(default)]
    pub drain: DrainPolicy,
}

impl GroupPolicy {
    /// A group of a fixed size.
    #[must_use]
    pub fn fixed(group: &str, shape: Resources, replicas: u32) -> Self {
        Self { group: group.to_owned(), shape, replicas: Some(replicas), ..Self::default() }
    }

    /// A group that scales itself.
    #[must_use]
    pub fn scaled(group: &str, shape: Resources, autoscale: Autoscale) -> Self {
        Self { group: group.to_owned(), shape, autoscale: Some(autoscale), ..Self::default() }
    }

    /// The size before the first decision.
    #[must_use]
    pub fn initial_size(&self) -> u32 {
        match &self.autoscale {
            Some(autoscale) if autoscale.mode == Mode::Auto => {
                let said = self.replicas.filter(|replicas| *replicas != 1);
                said.map_or(autoscale.min_replicas, |replicas| autoscale.clamp(replicas))
            }
            _ => self.replicas.unwrap_or(1),
        }
    }

    /// Groups with a higher priority are filled first.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.autoscale.as_ref().map_or(0, |autoscale| autoscale.priority)
    }

    /// How long a member may take to serve.
    #[must_use]
    pub fn start_deadline_micros(&self) -> u64 {
        let seconds = self
            .autoscale
            .as_ref()
            .map_or(DEFAULT_START_DEADLINE_SECONDS, |autoscale| autoscale.start_deadline_seconds);
        u64::from(seconds) * 1_000_000
    }

    /// How many members more than `present` may ever be wanted: the `most` of a trial placement.
    #[must_use]
    pub fn most_further(&self, present: u32) -> u32 {
        self.autoscale
            .as_ref()
            .map_or(0, |autoscale| autoscale.max_replicas.saturating_sub(present))
    }
}

/// How a group scales itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Autoscale {
    /// Never fewer members.
    pub min_replicas: u32,
    /// Never more members.
    pub max_replicas: u32,
    /// Act, advise or pause.
    pub mode: Mode,
    /// Work queued on the group should finish within this.
    pub target_duration_seconds: f64,
    /// How fast the size may change.
    pub behavior: Behavior,
    /// A member not serving by then is failed supply.
    pub start_deadline_seconds: u32,
    /// Groups with a higher priority are filled first.
    pub priority: i32,
}

impl Default for Autoscale {
    fn default() -> Self {
        Self {
            min_replicas: 0,
            max_replicas: 0,
            mode: Mode::Auto,
            target_duration_seconds: DEFAULT_TARGET_DURATION_SECONDS,
            behavior: Behavior::default(),
            start_deadline_seconds: DEFAULT_START_DEADLINE_SECONDS,
            priority: 0,
        }
    }
}

impl Autoscale {
    /// Between these sizes, everything else as by default.
    #[must_use]
    pub fn between(min_replicas: u32, max_replicas: u32) -> Self {
        Self { min_replicas, max_replicas, ..Self::default() }
    }

    /// The nearest allowed size.
    #[must_use]
    pub fn clamp(&self, size: u32) -> u32 {
        size.min(self.max_replicas).max(self.min_replicas)
    }
}

/// What becomes of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It is carried out.
    #[default]
    Auto,
    /// It is reported; the size stays as the user set it.
    Advise,
    /// None is made; the size stays as it is.
    Paused,
}

/// How fast the size may change, as in a `HorizontalPodAutoscaler` v2.
///
/// The default differs from Kubernetes where its reasons do not hold here: demand is counted by
/// trial placement and not sampled from a lagging average, so growth is not limited, nothing is
/// tolerated, and the scale-down window is 30 s. [`Behavior::kubernetes`] has the defaults of
/// Kubernetes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behavior {
    /// Towards more members.
    pub scale_up: ScalingRules,
    /// Towards fewer members.
    pub scale_down: ScalingRules,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            scale_up: ScalingRules::default(),
            scale_down: ScalingRules {
                stabilization_window_seconds: DEFAULT_SCALE_DOWN_WINDOW_SECONDS,
                ..ScalingRules::default()
            },
        }
    }
}

impl Behavior {
    /// The defaults of Kubernetes: at most 4 members or a doubling in 15 s upwards, a window of
    /// 5 minutes downwards, and 10 % tolerated either way.
    #[must_use]
    pub fn kubernetes() -> Self {
        let percent = ScalingPolicy { kind: PolicyKind::Percent, value: 100, period_seconds: 15 };
        let pods = ScalingPolicy { kind: PolicyKind::Pods, value: 4, period_seconds: 15 };
        Self {
            scale_up: ScalingRules {
                policies: vec![pods, percent],
                tolerance: 0.1,
                ..ScalingRules::default()
            },
            scale_down: ScalingRules {
                stabilization_window_seconds: 300,
                policies: vec![percent],
                tolerance: 0.1,
                ..ScalingRules::default()
            },
        }
    }
}

/// The rules of one direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScalingRules {
    /// The least change recommended within this many seconds is the one that counts.
    pub stabilization_window_seconds: u32,
    /// Limits of the change in a period; none: no limit.
    pub policies: Vec<ScalingPolicy>,
    /// Which of the policies decides.
    pub select_policy: SelectPolicy,
    /// Changes up to this share of the present size are not made.
    pub tolerance: f64,
}

/// One limit of the change in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub kind: PolicyKind,
    /// Members, or percent of the size at the period's start.
    pub value: u32,
    /// The period's length.
    pub period_seconds: u32,
}

/// What a policy's value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyKind {
    /// Members.
    Pods,
    /// Percent of the size at the period's start.
    Percent,
}

/// Which of several policies decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    #[default]
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// How members are drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DrainPolicy {
    /// Running tasks have so long.
    pub timeout_seconds: u32,
    /// What happens after that.
    pub on_timeout: OnTimeout,
}

impl DrainPolicy {
    /// The deadline to give to the scheduler with a drain; absent: none.
    #[must_use]
    pub fn deadline_seconds(&self) -> Option<f64> {
        match self.on_timeout {
            OnTimeout::Force => Some(f64::from(self.timeout_seconds)),
            OnTimeout::Wait => None,
        }
    }
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self { timeout_seconds: DEFAULT_DRAIN_TIMEOUT_SECONDS, on_timeout: OnTimeout::Force }
    }
}

/// What happens when a drain takes too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnTimeout {
    /// Running tasks are stopped and run again elsewhere.
    #[default]
    Force,
    /// The drain goes on.
    Wait,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_scales_itself_begins_at_its_minimum_unless_more_is_said() {
        for (replicas, size) in [(None, 2), (Some(0), 2), (Some(1), 2), (Some(3), 3), (Some(9), 5)]
        {
            let autoscale = Some(Autoscale::between(2, 5));
            let policy = GroupPolicy { replicas, autoscale, ..GroupPolicy::default() };
            assert_eq!(policy.initial_size(), size, "{replicas:?}");
        }
        for (replicas, size) in [(None, 1), (Some(0), 0), (Some(7), 7)] {
            let policy = GroupPolicy { replicas, ..GroupPolicy::default() };
            assert_eq!(policy.initial_size(), size, "{replicas:?}");
        }
    }
}
