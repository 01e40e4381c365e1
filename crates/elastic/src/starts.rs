//! Supply by state, and what failed starts teach.

use crate::{
    history::GroupHistory,
    observation::{GroupMember, GroupObservation, Phase},
    policy::GroupPolicy,
};

/// Wait after the first round of failed starts; doubled with each further one.
const FIRST_BACKOFF_MICROS: u64 = 1_000_000;
/// Longest wait between rounds of failed starts.
const LONGEST_BACKOFF_MICROS: u64 = 300_000_000;

/// A group's members by what they count as.
#[derive(Debug, Default)]
pub struct Census<'a> {
    /// Supply that does not serve yet, within its start deadline.
    pub starting: Vec<&'a GroupMember>,
    /// Supply that serves.
    pub serving: Vec<&'a GroupMember>,
    /// Neither supply nor excess, and may be called back.
    pub revocable: Vec<&'a GroupMember>,
    /// Neither supply nor excess, and will go.
    pub leaving: Vec<&'a GroupMember>,
    /// Nothing that anybody wants is left on them.
    pub drained: Vec<&'a GroupMember>,
    /// Not serving by their start deadline.
    pub late: Vec<&'a GroupMember>,
    /// Ended without ever having served.
    pub stillborn: Vec<&'a GroupMember>,
    /// Served, and ended.
    pub lost: Vec<&'a GroupMember>,
}

impl<'a> Census<'a> {
    /// Counts the members.
    #[must_use]
    pub fn of(observed: &'a GroupObservation, policy: &GroupPolicy, now_micros: u64) -> Self {
        let deadline = policy.start_deadline_micros();
        let mut census = Self::default();
        for member in &observed.members {
            let list = match member.phase {
                Phase::Pending | Phase::Starting => {
                    if member.created_micros.saturating_add(deadline) > now_micros {
                        &mut census.starting
                    } else {
                        &mut census.late
                    }
                }
                Phase::Serving { .. } => &mut census.serving,
                Phase::Draining { revocable: true, .. } => &mut census.revocable,
                Phase::Draining { revocable: false, .. } => &mut census.leaving,
                Phase::Drained => &mut census.drained,
                Phase::Failed { served: false } => &mut census.stillborn,
                Phase::Failed { served: true } => &mut census.lost,
            };
            list.push(member);
        }
        census
    }

    /// Members that serve, or will soon.
    #[must_use]
    pub fn supply(&self) -> u32 {
        size(self.starting.len() + self.serving.len())
    }
}

/// What has happened since the last observation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Members that served and are newly found dead.
    pub lost: u32,
    /// Members that are newly found to have failed to start.
    pub failed_starts: u32,
}

/// Counts each failure once, and sets the time before which nothing is created.
pub fn note_failures(census: &Census<'_>, history: &mut GroupHistory, now_micros: u64) -> News {
    let mut news = News::default();
    if served_since(census, history.failed_at_micros) {
        history.failed_rounds = 0;
        history.backoff_until_micros = 0;
    }
    let known = std::mem::take(&mut history.counted);
    let mut new_round = false;
    for (member, started) in census
        .late
        .iter()
        .chain(&census.stillborn)
        .map(|member| (member, false))
        .chain(census.lost.iter().map(|member| (member, true)))
    {
        let reference = member.reference();
        if !known.contains(&reference) {
            if started {
                news.lost += 1;
            } else {
                news.failed_starts += 1;
                // Members of one batch fail one after the other: that is one round.
                new_round |=
                    history.failed_rounds == 0 || member.created_micros >= history.failed_at_micros;
            }
        }
        history.counted.push(reference);
    }
    if new_round {
        let doublings = history.failed_rounds.min(16);
        let wait = (FIRST_BACKOFF_MICROS << doublings).min(LONGEST_BACKOFF_MICROS);
        history.failed_rounds = history.failed_rounds.saturating_add(1);
        history.failed_at_micros = now_micros;
        history.backoff_until_micros = now_micros.saturating_add(wait);
    }
    news
}

fn served_since(census: &Census<'_>, micros: u64) -> bool {
    census.serving.iter().any(
        |member| matches!(member.phase, Phase::Serving { since_micros } if since_micros > micros),
    )
}

pub(crate) fn size(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
