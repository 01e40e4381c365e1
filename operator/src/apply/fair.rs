//! Who may write next: the cluster that has written least lately.
//!
//! Least attained service, with a memory that fades: many clusters that grow at once take turns,
//! and one that comes later with a few pods waits for none of them.

use std::collections::{BTreeMap, HashMap};

use crate::observe::Key;

/// What a cluster has been given counts less with time, by a factor of e in this many micros.
const FADES_MICROS: f64 = 10_000_000.0;

/// The queue of those who want to write. `T` is what lets one of them go on.
#[derive(Debug)]
pub struct Fairness<T> {
    given: HashMap<Key, (f64, u64)>,
    waiting: BTreeMap<(u64, u64), T>,
    next: u64,
}

impl<T> Default for Fairness<T> {
    fn default() -> Self {
        Self { given: HashMap::new(), waiting: BTreeMap::new(), next: 0 }
    }
}

impl<T> Fairness<T> {
    /// Adds one who waits.
    pub fn push(&mut self, key: &Key, ticket: T, now_micros: u64) {
        let (given, since) = self.given.get(key).copied().unwrap_or((0.0, now_micros));
        let faded = given * (-(now_micros.saturating_sub(since) as f64) / FADES_MICROS).exp();
        self.given.insert(key.clone(), (faded + 1.0, now_micros));
        // Thousandths: ties go by arrival.
        self.waiting.insert(((faded * 1000.0) as u64, self.next), ticket);
        self.next += 1;
        if self.given.len() > 4096 {
            self.given.retain(|_, (_, since)| {
                (now_micros.saturating_sub(*since) as f64) < 5.0 * FADES_MICROS
            });
        }
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<T> {
        self.waiting.pop_first().map(|(_, ticket)| ticket)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_next_however_many_wait() {
        let mut queue = Fairness::default();
        for round in 0..20 {
            for cluster in 0..100 {
                let key = Key::new("n", &format!("c{cluster}"));
                queue.push(&key, format!("{cluster}.{round}"), 0);
            }
        }
        // Everybody's first write comes before anybody's second.
        for _ in 0..100 {
            assert!(queue.pop().unwrap().ends_with(".0"));
        }
        for write in 0..2 {
            queue.push(&Key::new("n", "small"), format!("small.{write}"), 1000);
        }
        assert_eq!(queue.pop().unwrap(), "small.0");
        let left: Vec<String> = (0..101).filter_map(|_| queue.pop()).collect();
        assert!(left.contains(&"small.1".to_owned()));
    }

    #[test]
    fn what_was_given_is_forgotten() {
        let mut queue = Fairness::default();
        let (busy, quiet) = (Key::new("n", "busy"), Key::new("n", "quiet"));
        for _ in 0..50 {
            queue.push(&busy, "busy", 0);
        }
        while queue.pop().is_some() {}
        queue.push(&quiet, "old quiet", 0);
        assert_eq!(queue.pop(), Some("old quiet"));
        let later = 200_000_000;
        queue.push(&busy, "busy", later);
        queue.push(&quiet, "quiet", later);
        assert_eq!(queue.pop(), Some("busy"));
    }
}
