//! Which connections are to be woken, and how soon.

use crate::state::Time;

/// What is not urgent goes along with what is, or after so long.
const SOON_MICROS: u64 = 1_000;

/// How soon a peer is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// With the next urgent thing, or a moment later: nobody waits for it.
    Soon,
    /// With this tick.
    Now,
}

/// Peers that were told something since they were woken last. Each peer keeps its own
/// [`Urgency`], so that one stands in each list about once.
#[derive(Debug)]
pub(super) struct Wakes<Id> {
    now: Vec<Id>,
    soon: Vec<Id>,
    soon_due: Option<Time>,
}

impl<Id> Default for Wakes<Id> {
    fn default() -> Self {
        Self { now: Vec::new(), soon: Vec::new(), soon_due: None }
    }
}

impl<Id: Copy> Wakes<Id> {
    /// Lists the peer `id`, whose own urgency is `peer`.
    pub fn touch(&mut self, now: Time, id: Id, peer: &mut Option<Urgency>, urgency: Urgency) {
        if *peer >= Some(urgency) {
            return;
        }
        *peer = Some(urgency);
        match urgency {
            Urgency::Now => self.now.push(id),
            Urgency::Soon => {
                self.soon.push(id);
                self.soon_due.get_or_insert(Time(now.0 + SOON_MICROS));
            }
        }
    }

    /// Calls `wake` for those whose turn has come. Some may have gone, or been woken already.
    pub fn take(&mut self, now: Time, mut wake: impl FnMut(Id)) {
        self.now.drain(..).for_each(&mut wake);
        if self.soon_due.is_some_and(|due| due <= now) {
            self.soon_due = None;
            self.soon.drain(..).for_each(wake);
        }
    }

    /// When to look again, if no tick comes before.
    pub const fn due(&self) -> Option<Time> {
        self.soon_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(wakes: &mut Wakes<u32>, now: u64) -> Vec<u32> {
        let mut taken = Vec::new();
        wakes.take(Time(now), |id| taken.push(id));
        taken
    }

    #[test]
    fn what_is_urgent_goes_at_once_and_the_rest_a_moment_later() {
        let mut wakes = Wakes::default();
        let (mut one, mut two) = (None, None);
        wakes.touch(Time(10), 1, &mut one, Urgency::Now);
        wakes.touch(Time(10), 2, &mut two, Urgency::Soon);
        wakes.touch(Time(900), 2, &mut two, Urgency::Soon);
        assert_eq!(taken(&mut wakes, 10), [1]);
        assert_eq!(wakes.due(), Some(Time(10 + SOON_MICROS)));
        assert_eq!(taken(&mut wakes, 9 + SOON_MICROS), [0; 0]);
        assert_eq!(taken(&mut wakes, 10 + SOON_MICROS), [2]);
        assert_eq!(wakes.due(), None);
    }

    #[test]
    fn urgent_news_takes_the_rest_along() {
        let mut wakes = Wakes::default();
        let mut peer = None;
        wakes.touch(Time(0), 1, &mut peer, Urgency::Soon);
        wakes.touch(Time(5), 1, &mut peer, Urgency::Now);
        wakes.touch(Time(5), 1, &mut peer, Urgency::Soon);
        assert_eq!(taken(&mut wakes, 5), [1]);
        assert_eq!(peer, Some(Urgency::Now), "the caller forgets it when it wakes the peer");
    }
}
