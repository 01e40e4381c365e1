//! What to do about memory: pure.

use crate::options::Fractions;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Resident memory of the worker and its children.
    pub resident: u64,
    /// Outputs in memory.
    pub managed: u64,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Spill until only so many bytes of outputs are in memory.
    pub spill_to: Option<u64>,
    /// Start nothing.
    pub pause: bool,
    /// Kill the largest child.
    pub kill: bool,
}

/// The ladder: spill, pause, kill. Spilling goes on until resident memory would be back at the
/// target, so that it does not begin again at once.
pub(crate) fn climb(limit: u64, fractions: &Fractions, measured: Measured) -> Steps {
    let share = |fraction: f64| (limit as f64 * fraction) as u64;
    let excess = measured.resident.saturating_sub(share(fractions.target));
    let spill_to = if measured.managed > share(fractions.target) {
        Some(share(fractions.target))
    } else if measured.resident > share(fractions.spill) && measured.managed > 0 {
        Some(measured.managed.saturating_sub(excess))
    } else {
        None
    };
    Steps {
        spill_to,
        pause: measured.resident > share(fractions.pause),
        kill: measured.resident > share(fractions.kill),
    }
}

/// Measurements without any change after which a pause ends.
const PATIENCE: u32 = 5;

/// Whether to pause, in view of what a pause can achieve. Memory that stays although nothing runs
/// and nothing is left to spill (the program itself, what the allocator keeps) would otherwise
/// pause a worker for ever; tasks that start reuse it.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    in_vain: u32,
}

impl Pause {
    /// Takes what the ladder says, and whether memory may still go down by waiting.
    pub fn decide(&mut self, pause: bool, may_go_down: bool) -> bool {
        self.in_vain = if pause && !may_go_down { self.in_vain + 1 } else { 0 };
        pause && self.in_vain < PATIENCE
    }
}

/// Whether the disk takes what is spilled. Told when that changes, not at every try.
#[derive(Debug)]
pub(crate) struct Disk {
    takes_more: bool,
}

impl Default for Disk {
    fn default() -> Self {
        Self { takes_more: true }
    }
}

/// What is to be told of the disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DiskNews {
    /// It takes no more, and why.
    Full(String),
    /// It takes outputs again.
    Free,
}

impl Disk {
    /// False since it last refused something.
    pub const fn takes_more(&self) -> bool {
        self.takes_more
    }

    /// Takes how a try to spill went; gives what is to be told.
    pub fn tried(&mut self, outcome: Result<(), String>) -> Option<DiskNews> {
        let took_more = std::mem::replace(&mut self.takes_more, outcome.is_ok());
        match outcome {
            Err(sentence) if took_more => Some(DiskNews::Full(sentence)),
            Ok(()) if !took_more => Some(DiskNews::Free),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_of_the_ladder() {
        let fractions = Fractions { target: 0.6, spill: 0.7, pause: 0.8, kill: 0.95 };
        for (resident, managed, spill_to, pause, kill) in [
            (500, 500, None, false, false),
            (650, 610, Some(600), false, false),
            (710, 300, Some(190), false, false),
            (710, 50, Some(0), false, false),
            (750, 0, None, false, false),
            (801, 0, None, true, false),
            (951, 0, None, true, true),
        ] {
            let measured = Measured { resident, managed };
            let steps = climb(1000, &fractions, measured);
            assert_eq!(steps, Steps { spill_to, pause, kill }, "{resident} {managed}");
        }
    }

    #[test]
    fn a_full_disk_is_told_once_for_each_change() {
        let mut disk = Disk::default();
        let full = || Err("the disk is full".to_owned());
        let news: Vec<bool> = [Ok(()), full(), full(), full(), Ok(()), Ok(()), full()]
            .into_iter()
            .map(|outcome| disk.tried(outcome).is_some())
            .collect();
        assert_eq!(news, [false, true, false, false, true, false, true]);
        assert!(!disk.takes_more());
        assert_eq!(disk.tried(Ok(())), Some(DiskNews::Free));
        assert!(disk.takes_more());
    }

    #[test]
    fn a_pause_that_frees_nothing_ends() {
        let mut pause = Pause::default();
        for _ in 0..20 {
            assert!(pause.decide(true, true), "something may still go down");
        }
        let paused: Vec<bool> = (0..7).map(|_| pause.decide(true, false)).collect();
        assert_eq!(paused, [true, true, true, true, false, false, false]);
        assert!(pause.decide(true, true), "tasks have started and memory is still short");
        assert!(!pause.decide(false, true));
    }
}
