//! Resource classes: what a run takes, and where it may run.

use std::collections::VecDeque;

use dasklet_core::{Resources, WorkerId};
use smallvec::SmallVec;

use super::workers::Workers;

/// Weight of the newest run in a mean.
const NEWEST: f32 = 0.125;
/// Run time assumed where nothing is known, in microseconds.
pub(super) const UNKNOWN_MICROS: f32 = 500_000.0;

/// A list may have so many entries of workers that are gone beside those of twice the present ones.
const LISTED_SLACK: usize = 64;

/// A moving mean of run times; negative while unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean(f32);

impl Default for Mean {
    fn default() -> Self {
        Self(-1.0)
    }
}

impl Mean {
    pub fn add(&mut self, micros: u64) {
        let micros = micros as f32;
        self.0 = if self.0 < 0.0 { micros } else { self.0 + (micros - self.0) * NEWEST };
    }

    pub fn get(self) -> Option<f32> {
        (self.0 >= 0.0).then_some(self.0)
    }

    /// In microseconds, with an assumption where nothing is known.
    pub fn assumed(self) -> f32 {
        self.get().unwrap_or(UNKNOWN_MICROS)
    }
}

/// Tasks that may run at the same places and take the same there.
#[derive(Debug, Default)]
pub(super) struct Class {
    pub resources: Resources,
    /// Names of workers or groups; empty: any.
    pub workers: Vec<String>,
    /// Never handed out before there is a free slot: not idempotent tasks, of which an unstarted
    /// one cannot be told from a started one when its worker dies.
    pub exact: bool,
    /// Amounts by resource index.
    pub needs: SmallVec<[(u32, u64); 2]>,
    /// Workers with resources free for one more, some of them no longer.
    pub slots: VecDeque<WorkerId>,
    /// Workers that may get some more in advance, some of them no longer.
    pub prefill: VecDeque<WorkerId>,
    /// Workers that have some in advance, some of them no longer.
    pub surplus: VecDeque<WorkerId>,
    /// Runs asked back and not yet returned.
    pub returning: u32,
    /// How many more go to the first worker of `prefill` before the next one's turn.
    pub batch_left: u32,
    /// Workers that could run it if they had nothing else to do.
    pub capable: u32,
    /// Sets of options that are of this class.
    pub sets: u32,
    /// Runs of it on workers, abandoned ones included.
    pub runs: u32,
    pub ready: u64,
    /// Queues with ready tasks, some of them no longer.
    pub queues: Vec<u32>,
    pub mean: Mean,
}

impl Class {
    /// Something is of this class.
    pub const fn in_use(&self) -> bool {
        self.sets > 0 || self.runs > 0
    }

    /// Its number stands for nothing.
    pub fn is_vacant(&self) -> bool {
        self.needs.is_empty()
    }

    /// A worker that could run it is gone. The lists are cleaned when most of their workers are.
    pub fn lose_worker(&mut self, workers: &Workers) {
        self.capable -= 1;
        let most = 2 * workers.connected().len() + LISTED_SLACK;
        for list in [&mut self.slots, &mut self.prefill, &mut self.surplus] {
            if list.len() > most {
                list.retain(|id| workers.get(*id).is_some());
            }
        }
    }

    /// How many fit at once into these amounts, at most 4 million.
    pub fn times_in(&self, amounts: &[u64]) -> u32 {
        self.needs
            .iter()
            .map(|(resource, amount)| {
                let offered = amounts.get(*resource as usize).copied().unwrap_or(0);
                (offered / amount).min(1 << 22) as u32
            })
            .min()
            .unwrap_or(1 << 22)
    }

    pub fn fits(&self, free: &[u64]) -> bool {
        self.needs
            .iter()
            .all(|(resource, amount)| free.get(*resource as usize).is_some_and(|f| f >= amount))
    }

    /// A worker of this name and group is not excluded.
    pub fn allows(&self, name: &str, group: &str) -> bool {
        self.workers.is_empty()
            || self
                .workers
                .iter()
                .any(|allowed| allowed == name || !group.is_empty() && allowed == group)
    }
}
