//! When the state machine runs: after events, when its timers are due, and once a second for
//! what falls silent.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::shell::Shell;
use crate::state::Time;

/// Runs until the scheduler stops. Batches of several connections share one tick.
pub(super) async fn run_ticks(shell: Arc<Shell>) {
    let sleep = sleep_until(Instant::now());
    tokio::pin!(sleep);
    let mut due: Option<Time> = None;
    loop {
        tokio::select! {
            () = shell.tick.notified() => {
                // What other connections have received already goes into the same tick.
                tokio::task::yield_now().await;
            }
            () = &mut sleep, if due.is_some() => {}
            () = shell.stop.cancelled() => return,
        }
        let next = shell.run_tick();
        if next != due {
            due = next;
            if let Some(time) = next {
                let wait = Duration::from_micros(time.micros_since(shell.now()));
                sleep.as_mut().reset(Instant::now() + wait);
            }
        } else if sleep.is_elapsed() {
            // The timer's clock is coarser than ours and may wake a moment early.
            sleep.as_mut().reset(Instant::now() + Duration::from_millis(1));
        }
    }
}

/// Removes workers that are silent and sessions whose grace is over. Runs until the scheduler
/// stops.
pub(super) async fn watch_silence(shell: Arc<Shell>) {
    let mut every = interval(
        Duration::from_secs(1).min(shell.options.ttl() / 4).max(Duration::from_millis(10)),
    );
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = shell.stop.cancelled() => return,
        }
        let now = shell.now();
        let mut core = shell.lock();
        let removed = super::worker_table::remove_silent(&mut core, now, shell.options.ttl())
            | super::session_table::remove_expired(&mut core, now, shell.options.grace());
        if removed {
            shell.changed(&mut core, now);
        }
    }
}
