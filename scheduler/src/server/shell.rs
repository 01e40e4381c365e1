//! The state machine with all that the shells know of its peers, behind one lock.

use std::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use dasklet_core::demand::{Demand, DemandRequest};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    metrics::Metrics, options::Options, session_table::SessionTable, worker_table::WorkerTable,
};
use crate::state::{Action, Config, State, Time};

/// What every connection and request shares.
pub(super) struct Shell {
    core: Mutex<Core>,
    start: Instant,
    /// When the scheduler started, in seconds since 1970.
    pub started_unix: f64,
    /// Events were applied: place tasks and tell the peers.
    pub tick: Notify,
    /// Everything is to end.
    pub stop: CancellationToken,
    /// The version of the demand, for long polls.
    pub demand: watch::Sender<u64>,
    /// What the scheduler was started with.
    pub options: Options,
}

/// The state machine and its peers.
pub(super) struct Core {
    /// Decides.
    pub state: State,
    /// The workers' connections.
    pub workers: WorkerTable,
    /// The clients' sessions.
    pub sessions: SessionTable,
    /// What only the shells can measure.
    pub metrics: Metrics,
    /// Where clients connect (`tcp://host:port`), and the port of HTTP.
    pub addresses: (String, u16),
    /// Outputs up to this many bytes travel inside messages.
    pub inline_limit: u32,
    actions: Vec<Action>,
    /// When the oldest event came that no tick has seen yet.
    dirty_since: Option<Time>,
}

impl Shell {
    pub fn new(options: Options, config: Config, addresses: (String, u16)) -> Self {
        let core = Core {
            addresses,
            inline_limit: config.inline_limit,
            state: State::new(config),
            workers: WorkerTable::default(),
            sessions: SessionTable::default(),
            metrics: Metrics::default(),
            actions: Vec::new(),
            dirty_since: None,
        };
        Self {
            core: Mutex::new(core),
            start: Instant::now(),
            started_unix: unix_seconds(),
            tick: Notify::new(),
            stop: CancellationToken::new(),
            demand: watch::Sender::new(0),
            options,
        }
    }

    /// Microseconds since the scheduler started.
    pub fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Never held across an await. A panic inside the state leaves it in doubt, so that nothing
    /// more is decided with it: the scheduler stops and the error says so.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| {
            self.stop.cancel();
            poisoned.into_inner()
        })
    }

    /// True once a panic has left the state in doubt.
    pub fn broken(&self) -> bool {
        self.core.is_poisoned()
    }

    /// Asks for a tick after events were applied.
    pub fn changed(&self, core: &mut Core, now: Time) {
        core.dirty_since.get_or_insert(now);
        self.tick.notify_one();
    }

    /// Places tasks, hands out what was decided, and returns when the next tick is due at the
    /// latest.
    pub fn run_tick(&self) -> Option<Time> {
        let now = self.now();
        let mut core = self.lock();
        let core = &mut *core;
        if core.state.next_timer().is_some_and(|due| due <= now) {
            core.state.fire_timers(now);
        }
        core.state.schedule(now);
        core.state.take_actions(&mut core.actions);
        let since = core.dirty_since.take().unwrap_or(now);
        for action in core.actions.drain(..) {
            match action {
                Action::Worker(worker, decision) => core.workers.push(now, worker, decision, since),
                Action::Session(session, news) => core.sessions.push(now, session, news),
                Action::DemandChanged => {
                    self.demand.send_replace(core.state.demand_version());
                }
            }
        }
        let workers_due = core.workers.wake(now);
        let sessions_due = core.sessions.wake(now);
        if core.state.counters().nothing_pending() {
            core.metrics.nothing_to_run();
        }
        core.metrics.ticks += 1;
        core.metrics.longest_tick_micros =
            core.metrics.longest_tick_micros.max(self.now().micros_since(now));
        [core.state.next_timer(), workers_due, sessions_due].into_iter().flatten().min()
    }
}

impl Core {
    /// The demand. The state knows since when it has been idle once something has happened;
    /// before that, the scheduler has been idle since its start.
    pub fn demand(&self, now: Time, request: &DemandRequest) -> Demand {
        let mut demand = self.state.demand(now, request);
        if demand.version == 0 {
            demand.idle_seconds = demand.idle_seconds.or(Some(now.0 as f64 / 1e6));
        }
        demand
    }
}

/// Seconds since 1970.
pub(super) fn unix_seconds() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
