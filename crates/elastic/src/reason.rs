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
    let members = counted(u64::from(wanted), "member");
    if demand.ready + demand.running == 0 {
        return match wanted {
            0 => f.write_str("no work and no wanted outputs"),
            _ => write!(f, "no work, wanted outputs need {members}"),
        };
    }
    match (demand.ready, demand.running) {
        (0, running) => write!(f, "{} running", counted(running, "task"))?,
        (ready, 0) => write!(f, "{} ready", counted(ready, "task"))?,
        (ready, running) => write!(f, "{} ready and {running} running", counted(ready, "task"))?,
    }
    write!(f, ", {:.1} s of work: {members} needed", demand.estimated_seconds)
}

/// `1 task`, `2 tasks`.
fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_reads_as_a_sentence() {
        let table = [
            ((1, 0, 1), "1 task ready, 0.3 s of work: 1 member needed"),
            ((0, 1, 1), "1 task running, 0.3 s of work: 1 member needed"),
            ((2, 1, 3), "2 tasks ready and 1 running, 0.3 s of work: 3 members needed"),
            ((0, 0, 1), "no work, wanted outputs need 1 member"),
            ((0, 0, 0), "no work and no wanted outputs"),
        ];
        for ((ready, running, wanted), expected) in table {
            let demand =
                GroupDemand { ready, running, estimated_seconds: 0.3, ..Default::default() };
            let reason = Reason::Demand { demand, wanted, holder: false, limit: None };
            assert_eq!(reason.to_string(), expected);
        }
    }
}
