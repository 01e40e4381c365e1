//! At most so many writes at once, and so many a second, handed out by [`Fairness`].

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::Fairness;
use crate::observe::Key;

/// The gate before the API server.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    begun: Instant,
    least_gap: Duration,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// The earliest time of the next write.
    next_at: Instant,
    waiting: Fairness<oneshot::Sender<(Permit, Duration)>>,
}

/// The right to one write; given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Option<Arc<Inner>>);

impl Gate {
    /// A gate for so many writes at once and so many a second.
    #[must_use]
    pub fn new(at_once: usize, per_second: u32) -> Self {
        let now = Instant::now();
        let state = State { free: at_once.max(1), next_at: now, waiting: Fairness::default() };
        let least_gap = Duration::from_secs(1) / per_second.max(1);
        Self(Arc::new(Inner { state: Mutex::new(state), begun: now, least_gap }))
    }

    /// Waits for the turn of a cluster; `None` where the gate is gone.
    pub async fn enter(&self, key: &Key) -> Option<Permit> {
        let (ticket, turn) = oneshot::channel();
        {
            let mut state = self.0.lock();
            let now = u64::try_from(self.0.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            state.waiting.push(key, ticket, now);
            Inner::hand_out(&self.0, &mut state);
        }
        let (permit, delay) = turn.await.ok()?;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Some(permit)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(this: &Arc<Self>, state: &mut State) {
        while state.free > 0 {
            let Some(ticket) = state.waiting.pop() else { return };
            let now = Instant::now();
            let at = state.next_at.max(now);
            match ticket.send((Permit(Some(Arc::clone(this))), at.duration_since(now))) {
                Ok(()) => {
                    state.free -= 1;
                    // A burst of a tenth of a second is allowed after a pause.
                    let earliest = now.checked_sub(Duration::from_millis(100)).unwrap_or(now);
                    state.next_at = state.next_at.max(earliest) + this.least_gap;
                }
                // Whoever asked has gone: nothing was taken, so nothing comes back.
                Err((mut permit, _)) => permit.0 = None,
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            let mut state = inner.lock();
            state.free += 1;
            Inner::hand_out(&inner, &mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn permits_come_back_in_every_way() {
        let gate = Gate::new(1, 1_000_000);
        let key = Key::new("n", "c");
        let first = gate.enter(&key).await;
        let mut second = Box::pin(gate.enter(&key));
        assert!(futures::poll!(&mut second).is_pending());
        // One who gives up waiting holds nothing.
        drop(second);
        drop(first);
        let third = tokio::time::timeout(Duration::from_secs(5), gate.enter(&key)).await.unwrap();
        let mut fourth = Box::pin(gate.enter(&key));
        assert!(futures::poll!(&mut fourth).is_pending());
        // Granted, and given up before it is looked at.
        drop(third);
        drop(fourth);
        assert!(futures::poll!(Box::pin(gate.enter(&key))).is_ready());
        assert_eq!(gate.waiting(), 0);
    }
}
