//! What a group's past decisions leave behind for the next one.

use dasklet_core::demand::MemberRef;
use serde::{Deserialize, Serialize};

/// Most samples of each kind that are kept, whatever the windows are.
const MOST_SAMPLES: usize = 1024;

/// One group's memory. Plain data, so that it can be stored and read back; an empty one is right
/// for a new group, and safe for an old one whose memory is lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupHistory {
    /// The last decision; absent before the first.
    pub desired: Option<u32>,
    /// Past recommendations, oldest first; only those that can still decide a window.
    pub recommendations: Vec<Sample>,
    /// Past growth, oldest first.
    pub ups: Vec<Sample>,
    /// Past shrinking, oldest first.
    pub downs: Vec<Sample>,
    /// Rounds of failed starts since a member last began to serve.
    pub failed_rounds: u32,
    /// When the last such round was noticed.
    pub failed_at_micros: u64,
    /// Nothing is created before this time.
    pub backoff_until_micros: u64,
    /// Failed starts that are counted and not removed yet.
    pub counted: Vec<MemberRef>,
}

/// A size, or a change of it, at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When.
    pub at_micros: u64,
    /// How many.
    pub count: u32,
}

impl GroupHistory {
    /// Remembers a recommendation, and forgets those older than `oldest_micros` and those that no
    /// window can choose any more: for any window, a later sample that is no lower hides an
    /// earlier one from its maximum, and a later one that is no higher from its minimum. So what
    /// is kept is bounded by the number of different sizes, however often decisions are made.
    pub fn recommend(&mut self, count: u32, now_micros: u64, oldest_micros: u64) {
        self.recommendations.push(Sample { at_micros: now_micros, count });
        let mut bounds: Option<(u32, u32)> = None;
        let mut kept: Vec<Sample> = Vec::with_capacity(self.recommendations.len());
        for sample in self.recommendations.iter().rev() {
            let decides =
                bounds.is_none_or(|(low, high)| sample.count < low || sample.count > high);
            if decides && sample.at_micros >= oldest_micros && kept.len() < MOST_SAMPLES {
                kept.push(*sample);
            }
            let (low, high) = bounds.unwrap_or((sample.count, sample.count));
            bounds = Some((low.min(sample.count), high.max(sample.count)));
        }
        kept.reverse();
        self.recommendations = kept;
    }

    /// Remembers a change of size, and forgets those older than `oldest_micros`.
    pub fn changed(&mut self, from: u32, to: u32, now_micros: u64, oldest_micros: u64) {
        for events in [&mut self.ups, &mut self.downs] {
            events.retain(|event| event.at_micros >= oldest_micros);
        }
        if from == to {
            return;
        }
        let events = if to > from { &mut self.ups } else { &mut self.downs };
        if events.len() >= MOST_SAMPLES {
            // Two oldest ones become one at the later time: limits err towards caution.
            let oldest = events.remove(0);
            if let Some(next) = events.first_mut() {
                next.count = next.count.saturating_add(oldest.count);
            }
        }
        events.push(Sample { at_micros: now_micros, count: from.abs_diff(to) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_sees_the_same_extremes_as_with_every_sample() {
        let mut history = GroupHistory::default();
        let mut all: Vec<Sample> = Vec::new();
        let mut value = 7u32;
        for step in 0..2_000u64 {
            value = (value * 73 + 11) % 23;
            history.recommend(value, step, 0);
            all.push(Sample { at_micros: step, count: value });
            assert!(history.recommendations.len() <= 46);
            for window in [0, 1, 5, 50, 500] {
                let newer = |samples: &[Sample]| -> (Option<u32>, Option<u32>) {
                    let within = || {
                        samples
                            .iter()
                            .filter(|sample| sample.at_micros + window >= step)
                            .map(|sample| sample.count)
                    };
                    (within().min(), within().max())
                };
                assert_eq!(newer(&history.recommendations), newer(&all));
            }
        }
    }

    #[test]
    fn events_are_bounded_and_lose_no_change() {
        let mut history = GroupHistory::default();
        for step in 0..5_000 {
            history.changed(0, 1, step, 0);
        }
        assert_eq!(history.ups.len(), MOST_SAMPLES);
        assert_eq!(history.ups.iter().map(|event| event.count).sum::<u32>(), 5_000);
    }
}
