//! Which members go first, and which come back first.

use std::cmp::Ordering;

use dasklet_core::demand::MemberRef;

use crate::{
    observation::{GroupMember, Phase},
    starts::Census,
};

/// Members to lose, the cheapest first: those that have never served (newest first), then idle
/// ones, then those with the fewest bytes to move.
#[derive(Debug, Default, PartialEq)]
pub struct Retirement {
    /// Have nothing to drain.
    pub remove: Vec<MemberRef>,
    /// Have to finish, give back and move first.
    pub drain: Vec<MemberRef>,
}

/// Chooses `excess` members to lose, at most `most_drained` of them serving ones.
#[must_use]
pub fn retire(census: &Census<'_>, excess: u32, most_drained: u32) -> Retirement {
    let excess = excess as usize;
    let mut starting = census.starting.clone();
    starting
        .sort_by(|a, b| b.created_micros.cmp(&a.created_micros).then_with(|| b.name.cmp(&a.name)));
    starting.truncate(excess);
    let drained = (excess - starting.len()).min(most_drained as usize);
    let mut serving = census.serving.clone();
    serving.sort_by(|a, b| cheaper(a, b));
    serving.truncate(drained);
    Retirement {
        remove: starting.iter().map(|member| member.reference()).collect(),
        drain: serving.iter().map(|member| member.reference()).collect(),
    }
}

fn cheaper(a: &GroupMember, b: &GroupMember) -> Ordering {
    (a.running > 0)
        .cmp(&(b.running > 0))
        .then_with(|| a.bytes_sole.cmp(&b.bytes_sole))
        .then_with(|| a.bytes_stored.cmp(&b.bytes_stored))
        .then_with(|| b.idle_seconds.total_cmp(&a.idle_seconds))
        .then_with(|| b.name.cmp(&a.name))
}

/// Chooses up to `count` draining members to call back: those that began to drain last, which
/// have the most left.
#[must_use]
pub fn call_back(census: &Census<'_>, count: u32) -> Vec<MemberRef> {
    let mut draining = census.revocable.clone();
    draining.sort_by(|a, b| {
        drain_start(b)
            .cmp(&drain_start(a))
            .then_with(|| b.bytes_stored.cmp(&a.bytes_stored))
            .then_with(|| a.name.cmp(&b.name))
    });
    draining.iter().take(count as usize).map(|member| member.reference()).collect()
}

fn drain_start(member: &GroupMember) -> u64 {
    match member.phase {
        Phase::Draining { since_micros, .. } => since_micros,
        _ => 0,
    }
}
