//! One group's plan: its size, and the steps from what is there to that size.

use std::fmt;

use dasklet_core::demand::MemberRef;
use serde::{Deserialize, Serialize};

use crate::{
    behavior::{Question, decide, earliest},
    demand::GroupDemand,
    history::GroupHistory,
    observation::{GroupMember, GroupObservation, Phase},
    policy::{Autoscale, GroupPolicy, Mode},
    reason::Reason,
    retire::{call_back, retire},
    starts::{Census, News, note_failures, size},
};

/// What should be done to a group now. Carrying it out twice does no harm: members are named with
/// their instance, and `create` counts from what was observed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPlan {
    /// The group's name.
    pub group: String,
    /// The size decided.
    pub desired: u32,
    /// The size decided before; absent for the first decision.
    pub previous: Option<u32>,
    /// In mode `Advise`: the size that mode `Auto` would decide.
    pub advised: Option<u32>,
    /// How many members to create.
    pub create: u32,
    /// Members to drain, with `drain_deadline_seconds`.
    pub drain: Vec<MemberRef>,
    /// The deadline of these drains; absent: none.
    pub drain_deadline_seconds: Option<f64>,
    /// Draining members to call back.
    pub undrain: Vec<MemberRef>,
    /// Members to end now.
    pub remove: Vec<Removal>,
    /// Members that are missing and not created yet, because starts have failed.
    pub withheld: u32,
    /// Why, in words.
    pub reason: String,
    /// Plan again after this time, even if nothing is heard.
    pub requeue_after_micros: Option<u64>,
}

impl GroupPlan {
    /// True where there is nothing to do.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.create == 0
            && self.drain.is_empty()
            && self.undrain.is_empty()
            && self.remove.is_empty()
    }

    /// True where the size decided is another than before.
    #[must_use]
    pub fn is_resize(&self) -> bool {
        self.previous != Some(self.desired)
    }
}

/// A member to end now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// Whom.
    pub member: MemberRef,
    /// Why.
    pub cause: RemovalCause,
}

/// Why a member ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemovalCause {
    /// It is drained.
    Drained,
    /// Its drain has passed the deadline, and nothing that only it holds is wanted.
    DrainDeadline,
    /// It is not needed any more and has not served yet.
    NeverServed,
    /// It did not serve by its start deadline.
    StartDeadline,
    /// Its process ended before it served.
    FailedStart,
    /// Its process ended.
    Dead,
}

impl fmt::Display for RemovalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drained => "drained",
            Self::DrainDeadline => "drain deadline passed",
            Self::NeverServed => "not needed any more, has not served",
            Self::StartDeadline => "not serving by its start deadline",
            Self::FailedStart => "ended before it served",
            Self::Dead => "its process ended",
        })
    }
}

/// Plans one group. `demand` is absent where the scheduler does not answer: then the size is held,
/// and never reduced. Groups of one cluster share their demand: see [`crate::plan_groups`].
#[must_use]
pub fn plan_group(
    policy: &GroupPolicy,
    observed: &GroupObservation,
    demand: Option<&GroupDemand>,
    history: &mut GroupHistory,
    now_micros: u64,
) -> GroupPlan {
    let census = Census::of(observed, policy, now_micros);
    let news = note_failures(&census, history, now_micros);
    let previous = history.desired;
    let sizing = decide_size(policy, demand, &census, &news, history, now_micros);
    history.desired = Some(sizing.desired);
    let mut plan = GroupPlan {
        group: policy.group.clone(),
        desired: sizing.desired,
        previous,
        advised: sizing.advised,
        drain_deadline_seconds: policy.drain.deadline_seconds(),
        remove: finished(&census, demand.is_some(), now_micros),
        reason: sizing.reason.to_string(),
        ..GroupPlan::default()
    };
    let mut recheck = sizing.recheck_micros;
    let supply = census.supply();
    if supply < sizing.desired {
        plan.undrain = call_back(&census, sizing.desired - supply);
        let missing = sizing.desired - supply - size(plan.undrain.len());
        if now_micros < history.backoff_until_micros {
            plan.withheld = missing;
            recheck = earliest(recheck, Some(history.backoff_until_micros));
        } else {
            plan.create = missing;
        }
        if plan.withheld > 0 {
            plan.reason.push_str(&format!(
                "; {} of them wait because starts failed (round {})",
                plan.withheld, history.failed_rounds
            ));
        }
    } else {
        // Without the scheduler's word a serving member's worth is unknown, and nobody could
        // drain it: only a suspended group goes on.
        let blind = demand.is_none() && !policy.suspended;
        let most_drained = if blind { 0 } else { u32::MAX };
        let retirement = retire(&census, supply - sizing.desired, most_drained);
        plan.drain = retirement.drain;
        plan.remove.extend(
            retirement
                .remove
                .into_iter()
                .map(|member| Removal { member, cause: RemovalCause::NeverServed }),
        );
    }
    plan.requeue_after_micros = earliest(recheck, next_deadline(&census, policy))
        .map(|at| at.saturating_sub(now_micros).max(1));
    plan
}

struct Sizing {
    desired: u32,
    advised: Option<u32>,
    reason: Reason,
    recheck_micros: Option<u64>,
}

impl Sizing {
    const fn plain(desired: u32, reason: Reason) -> Self {
        Self { desired, advised: None, reason, recheck_micros: None }
    }
}

fn decide_size(
    policy: &GroupPolicy,
    demand: Option<&GroupDemand>,
    census: &Census<'_>,
    news: &News,
    history: &mut GroupHistory,
    now_micros: u64,
) -> Sizing {
    if policy.suspended {
        return Sizing::plain(0, Reason::Suspended);
    }
    let Some(autoscale) = &policy.autoscale else {
        return Sizing::plain(policy.initial_size(), Reason::Fixed);
    };
    match autoscale.mode {
        Mode::Auto => scale(policy, autoscale, demand, census, news, history, now_micros),
        Mode::Paused => {
            let desired = history.desired.unwrap_or_else(|| match census.supply() {
                0 => policy.initial_size(),
                supply => supply,
            });
            Sizing::plain(desired, Reason::Paused)
        }
        Mode::Advise => {
            let actual = policy.initial_size();
            let mut imagined = GroupHistory { desired: Some(actual), ..history.clone() };
            let sizing = scale(policy, autoscale, demand, census, news, &mut imagined, now_micros);
            history.recommendations = imagined.recommendations;
            Sizing { desired: actual, advised: Some(sizing.desired), ..sizing }
        }
    }
}

/// The size that a group which scales itself should have.
fn scale(
    policy: &GroupPolicy,
    autoscale: &Autoscale,
    demand: Option<&GroupDemand>,
    census: &Census<'_>,
    news: &News,
    history: &mut GroupHistory,
    now_micros: u64,
) -> Sizing {
    let supply = census.supply();
    let Autoscale { min_replicas: min, max_replicas: max, .. } = *autoscale;
    let Some(current) = history.desired.or((supply > 0).then_some(supply)) else {
        let initial = policy.initial_size();
        // The window then holds the user's first size as it would a recommendation.
        history.recommend(initial, now_micros, 0);
        // The demand was not looked at yet, and nothing else may ask for another plan.
        let recheck_micros = Some(now_micros);
        return Sizing { recheck_micros, ..Sizing::plain(initial, Reason::Initial) };
    };
    let Some(demand) = demand else {
        return Sizing::plain(autoscale.clamp(current).max(supply), Reason::NoMetrics);
    };
    let sole = census.serving.iter().any(|member| member.bytes_sole > 0);
    let asked = demand.needed.saturating_add(demand.useful);
    let holder = asked == 0 && sole && !demand.holder_elsewhere;
    let wanted = if holder { 1 } else { asked };
    let outcome =
        decide(&autoscale.behavior, Question { current, wanted, min, max, now_micros }, history);
    let mut desired = outcome.desired;
    // A death is not a decision: what nobody wants is not created again only to be drained.
    let unwanted = desired.saturating_sub(autoscale.clamp(wanted));
    desired -= unwanted.min(news.lost);
    if desired < supply {
        // Members that the scheduler has not counted yet may be needed as well.
        let unseen = size(census.serving.len()).saturating_sub(demand.members);
        let floor = demand.needed.saturating_add(unseen).min(supply).min(max);
        if desired < floor {
            // What is kept counts as growth, so that the period does not get it twice.
            history.changed(desired, floor, now_micros, 0);
            desired = floor;
        }
    }
    Sizing {
        desired,
        advised: None,
        reason: Reason::Demand { demand: demand.clone(), wanted, holder, limit: outcome.limit },
        recheck_micros: outcome.recheck_micros,
    }
}

/// Members that have ended, or have nothing left to do.
fn finished(census: &Census<'_>, metrics: bool, now_micros: u64) -> Vec<Removal> {
    let removals = |members: &[&GroupMember], cause: RemovalCause| -> Vec<Removal> {
        members.iter().map(|member| Removal { member: member.reference(), cause }).collect()
    };
    let overdue: Vec<&GroupMember> = census
        .revocable
        .iter()
        .filter(|member| metrics && member.bytes_sole == 0 && overdue(member, now_micros))
        .copied()
        .collect();
    let mut finished = removals(&census.drained, RemovalCause::Drained);
    finished.extend(removals(&overdue, RemovalCause::DrainDeadline));
    finished.extend(removals(&census.late, RemovalCause::StartDeadline));
    finished.extend(removals(&census.stillborn, RemovalCause::FailedStart));
    finished.extend(removals(&census.lost, RemovalCause::Dead));
    finished
}

/// The scheduler reports a drain at its deadline; a member that is silent for as long again as
/// the drain was given has missed it.
fn overdue(member: &GroupMember, now_micros: u64) -> bool {
    match member.phase {
        Phase::Draining { since_micros, deadline_micros: Some(deadline), .. } => {
            now_micros > deadline.saturating_add(deadline.saturating_sub(since_micros))
        }
        _ => false,
    }
}

/// When the first start deadline is.
fn next_deadline(census: &Census<'_>, policy: &GroupPolicy) -> Option<u64> {
    census
        .starting
        .iter()
        .map(|member| member.created_micros.saturating_add(policy.start_deadline_micros()))
        .min()
}
