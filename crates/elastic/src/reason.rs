//! Decisions in words.

use std::fmt;

use crate::{behavior::Limit, demand::GroupDemand};

/// Why a group has the size it has.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The group is suspended.
    Suspended,
    /// The user's fixed size.
    Fixed,
    /// The first decision of a group that scales itself.
    Initial,
    /// Autoscaling is paused.
    Paused,
    /// The scheduler does not tell its demand.
    NoMetrics,
    /// The demand, and what kept the decision away from it.
    Demand {
        /// What was asked for.
        demand: GroupDemand,
        /// As a size.
        wanted: u32,
        /// Whether one is kept only to hold wanted outputs.
        holder: bool,
        /// What kept the decision away from it.
        limit: Option<Limit>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended => f.write_str("the group is suspended"),
            Self::Fixed => f.write_str("fixed size (spec.replicas)"),
            Self::Initial => f.write_str("initial size"),
            Self::Paused => f.write_str("autoscaling is paused"),
            Self::NoMetrics => f.write_str("the scheduler's demand is unknown: holding the size"),
            Self::Demand { demand, wanted, holder, limit } => {
                write_demand(f, demand, *wanted, *holder)?;
                match limit {
                    Some(limit) => write!(f, "; {limit}"),
                    None => Ok(()),
                }
            }
        }
    }
}

fn write_demand(
    f: &mut fmt::Formatter<'_>,
    demand: &GroupDemand,
    wanted: u32,
    holder: bool,
) -> fmt::Result {
    if holder {
        return f.write_str("no work, but wanted outputs need a holder: 1 member");
    }
    let members = if wanted == 1 { "member" } else { "members" };
    if demand.ready + demand.running == 0 {
        return match wanted {
            0 => f.write_str("no work and no wanted outputs"),
            _ => write!(f, "no work, wanted outputs need {wanted} {members}"),
        };
    }
    write!(
        f,
        "{} ready and {} running tasks, {:.1} s of work, need {wanted} {members}",
        demand.ready, demand.running, demand.estimated_seconds
    )
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tolerance => "the difference is within behavior.tolerance",
            Self::UpWindow => "waiting for behavior.scaleUp.stabilizationWindowSeconds",
            Self::DownWindow => "waiting for behavior.scaleDown.stabilizationWindowSeconds",
            Self::UpRate => "limited by behavior.scaleUp.policies",
            Self::DownRate => "limited by behavior.scaleDown.policies",
            Self::UpDisabled => "behavior.scaleUp is disabled",
            Self::DownDisabled => "behavior.scaleDown is disabled",
            Self::Maximum => "limited by maxReplicas",
            Self::Minimum => "limited by minReplicas",
        })
    }
}
