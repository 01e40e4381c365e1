//! How a group scales itself, as it is written.

use dasklet_elastic::policy as elastic;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a group scales itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::rules::autoscale()))]
pub struct AutoscaleSpec {
    /// Never fewer workers. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u32>,
    /// Never more workers.
    pub max_replicas: u32,
    /// Act, advise or pause. Default `Auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AutoscaleMode>,
    /// Work queued on the group should finish within this. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = crate::rules::positive_seconds()))]
    pub target_duration_seconds: Option<f64>,
    /// How fast the size may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<BehaviorSpec>,
    /// A worker not serving by then is failed supply. Default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub start_deadline_seconds: Option<u32>,
    /// Groups with a higher priority are filled first. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

impl AutoscaleSpec {
    /// With all defaults filled in.
    #[must_use]
    pub fn policy(&self) -> elastic::Autoscale {
        let default = elastic::Autoscale::default();
        elastic::Autoscale {
            min_replicas: self.min_replicas.unwrap_or(default.min_replicas),
            max_replicas: self.max_replicas,
            mode: self.mode.map_or(default.mode, AutoscaleMode::policy),
            target_duration_seconds: self
                .target_duration_seconds
                .unwrap_or(default.target_duration_seconds),
            behavior: self.behavior.as_ref().map(BehaviorSpec::policy).unwrap_or_default(),
            start_deadline_seconds: self
                .start_deadline_seconds
                .unwrap_or(default.start_deadline_seconds),
            priority: self.priority.unwrap_or(default.priority),
        }
    }
}

/// What becomes of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AutoscaleMode {
    /// It is carried out.
    Auto,
    /// It is reported; nothing changes.
    Advise,
    /// None is made.
    Paused,
}

impl AutoscaleMode {
    /// The same for the planner.
    #[must_use]
    pub const fn policy(self) -> elastic::Mode {
        match self {
            Self::Auto => elastic::Mode::Auto,
            Self::Advise => elastic::Mode::Advise,
            Self::Paused => elastic::Mode::Paused,
        }
    }
}

/// How fast the size may change, as in a `HorizontalPodAutoscaler` v2.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BehaviorSpec {
    /// Towards more workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRulesSpec>,
    /// Towards fewer workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRulesSpec>,
}

impl BehaviorSpec {
    /// With all defaults filled in.
    #[must_use]
    pub fn policy(&self) -> elastic::Behavior {
        let default = elastic::Behavior::default();
        let rules = |spec: &Option<ScalingRulesSpec>, default| match spec {
            Some(spec) => spec.policy(default),
            None => default,
        };
        elastic::Behavior {
            scale_up: rules(&self.scale_up, default.scale_up),
            scale_down: rules(&self.scale_down, default.scale_down),
        }
    }
}

/// The rules of one direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRulesSpec {
    /// The least change recommended within this time counts. Default 0 up, 30 down; at most 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3600))]
    pub stabilization_window_seconds: Option<u32>,
    /// Limits of the change in a period. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<ScalingPolicySpec>>,
    /// Which of the policies decides. Default `Max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicySpec>,
    /// Changes up to this share of the present size are not made. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub tolerance: Option<f64>,
}

impl ScalingRulesSpec {
    fn policy(&self, default: elastic::ScalingRules) -> elastic::ScalingRules {
        elastic::ScalingRules {
            stabilization_window_seconds: self
                .stabilization_window_seconds
                .unwrap_or(default.stabilization_window_seconds),
            policies: self.policies.as_ref().map_or(default.policies, |policies| {
                policies.iter().map(ScalingPolicySpec::policy).collect()
            }),
            select_policy: match self.select_policy {
                None => default.select_policy,
                Some(SelectPolicySpec::Max) => elastic::SelectPolicy::Max,
                Some(SelectPolicySpec::Min) => elastic::SelectPolicy::Min,
                Some(SelectPolicySpec::Disabled) => elastic::SelectPolicy::Disabled,
            },
            tolerance: self.tolerance.unwrap_or(default.tolerance),
        }
    }
}

/// One limit of the change in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicySpec {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub kind: ScalingPolicyType,
    /// Workers, or percent of the size at the period's start.
    #[schemars(range(min = 1))]
    pub value: u32,
    /// The period's length, at most 1800.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: u32,
}

impl ScalingPolicySpec {
    fn policy(&self) -> elastic::ScalingPolicy {
        elastic::ScalingPolicy {
            kind: match self.kind {
                ScalingPolicyType::Pods => elastic::PolicyKind::Pods,
                ScalingPolicyType::Percent => elastic::PolicyKind::Percent,
            },
            value: self.value,
            period_seconds: self.period_seconds,
        }
    }
}

/// What a policy's value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingPolicyType {
    /// Workers.
    Pods,
    /// Percent of the size at the period's start.
    Percent,
}

/// Which of several policies decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicySpec {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}
