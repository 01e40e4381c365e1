//! The control loop: hears what changes, plans, has the writes carried out.
//!
//! Plans are made one after the other, because they cost microseconds; the writes of different
//! clusters go on side by side, those of one cluster never overlap.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use rand::Rng;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::Instrument;

use crate::{
    apply::Executor,
    familiar,
    link::{Poller, Told},
    now_micros,
    observe::{Key, Sight},
    plan::{Fault, Link, Memory, Order, Settings, Write, note, plan},
    serve::{Health, Metrics},
    teller::Heard,
};

/// News about one cluster are gathered for so long before it is planned.
const GATHER_MICROS: u64 = 5_000;
/// A cluster that was written this often in a row without coming to rest is slowed down.
const RESTLESS: u32 = 100;

/// What the loop needs.
pub struct Controller {
    /// The operator's options.
    pub settings: Settings,
    /// Who writes.
    pub executor: Executor,
    /// News of objects.
    pub heard: mpsc::UnboundedReceiver<Heard>,
    /// How many watches deliver.
    pub watches: usize,
    /// For schedulers that ask for it.
    pub token: Option<String>,
    /// How the operator is.
    pub health: Arc<Health>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Cluster {
    memory: Memory,
    sight: Sight,
    poller: Option<Poller>,
    /// When it is to be planned.
    due: Option<u64>,
    /// News came while its writes were carried out.
    again: bool,
    streak: u32,
    planned_at: u64,
}

type Done = (Key, Vec<(Write, Result<(), Fault>)>, u64);

struct Loop {
    controller: Controller,
    clusters: HashMap<Key, Cluster>,
    queue: BTreeSet<(u64, Key)>,
    busy: HashSet<Key>,
    tasks: JoinSet<Done>,
    told: mpsc::UnboundedSender<Told>,
}

impl Controller {
    /// Hears what changes and does nothing about it, for as long as another replica leads.
    pub async fn stand_by(&mut self) {
        loop {
            self.health.turn();
            self.health.watches_left(self.watches);
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(Heard::Complete) => self.watches = self.watches.saturating_sub(1),
                    Some(_) => {}
                    None => return,
                },
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
        }
    }

    /// Runs until `stop` becomes true; then finishes the writes that are under way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (told_in, mut told) = mpsc::unbounded_channel();
        let mut state = Loop {
            controller: self,
            clusters: HashMap::new(),
            queue: BTreeSet::new(),
            busy: HashSet::new(),
            tasks: JoinSet::new(),
            told: told_in,
        };
        let mut left = state.controller.watches;
        // Planning before everything is known would see things missing that are there.
        while left > 0 {
            state.controller.health.watches_left(left);
            state.controller.health.turn();
            tokio::select! {
                Some(heard) = state.controller.heard.recv() => {
                    if matches!(heard, Heard::Complete) { left -= 1 }
                }
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(Duration::from_secs(5)) => {
                    tracing::info!(left, "waiting for watches to deliver what there is");
                }
            }
        }
        state.controller.health.watches_left(0);
        for key in state.controller.executor.teller.world.keys() {
            state.wake(&key, 0);
        }
        loop {
            state.controller.health.turn();
            state.plan_due();
            let pause = state.pause();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(done) = state.tasks.join_next() => state.finish(done),
                Some(heard) = state.controller.heard.recv() => state.hear(heard),
                Some(told) = told.recv() => state.listen(told),
                () = tokio::time::sleep(pause) => {}
            }
        }
        let rest = async { while state.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(5), rest).await.is_err() {
            tracing::warn!("writes were under way for too long and are left");
        }
    }
}

impl Loop {
    fn wake(&mut self, key: &Key, after_micros: u64) {
        let cluster = self.clusters.entry(key.clone()).or_default();
        let due = now_micros() + after_micros;
        match cluster.due {
            Some(earlier) if earlier <= due => {}
            present => {
                if let Some(later) = present {
                    self.queue.remove(&(later, key.clone()));
                }
                cluster.due = Some(due);
                self.queue.insert((due, key.clone()));
            }
        }
    }

    fn pause(&self) -> Duration {
        let now = now_micros();
        let next = self.queue.iter().find(|(_, key)| !self.busy.contains(key));
        let micros = next.map_or(10_000_000, |(due, _)| due.saturating_sub(now));
        Duration::from_micros(micros.min(10_000_000))
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Dirty(keys) => {
                for key in keys {
                    self.touch(&key);
                }
            }
            Heard::Death { key, name, uid, ip, cause } => {
                tracing::info!(%key, worker = name, %cause, "a worker has ended");
                if let Some(poller) = self.clusters.get(&key).and_then(|c| c.poller.as_ref()) {
                    let member = dasklet_core::demand::MemberRef { name, instance: Some(uid) };
                    let at_micros = now_micros();
                    poller.order(Order::Lost { member, ip, cause, at_micros });
                }
                self.touch(&key);
            }
            Heard::Complete => {}
        }
    }

    fn touch(&mut self, key: &Key) {
        if self.busy.contains(key) {
            self.clusters.entry(key.clone()).or_default().again = true;
        } else {
            self.wake(key, GATHER_MICROS);
        }
    }

    fn listen(&mut self, told: Told) {
        let Some(cluster) = self.clusters.get_mut(&told.key) else { return };
        cluster.sight = told.sight;
        self.touch(&told.key);
    }

    fn plan_due(&mut self) {
        let now = now_micros();
        let mut due: Vec<(u64, Key)> = Vec::new();
        for (at, key) in &self.queue {
            if *at > now {
                break;
            }
            if !self.busy.contains(key) {
                due.push((*at, key.clone()));
            }
        }
        for (at, key) in due {
            self.queue.remove(&(at, key.clone()));
            self.controller.metrics.queue_seconds.observe((now - at) as f64 / 1e6);
            self.plan_one(key);
        }
        let known = i64::try_from(self.clusters.len()).unwrap_or(i64::MAX);
        self.controller.metrics.clusters.set(known);
    }

    fn plan_one(&mut self, key: Key) {
        let Some(observed) = self.controller.executor.teller.world.observed(&key) else {
            self.clusters.remove(&key);
            return;
        };
        let now = now_micros();
        let cluster = self.clusters.entry(key.clone()).or_default();
        cluster.due = None;
        cluster.again = false;
        let (said_at, planned_at) = (cluster.sight.at_micros, cluster.planned_at);
        cluster.planned_at = now;
        // Where many writes wait, statuses wait longer.
        let waiting = self.controller.executor.gate.waiting() as u64;
        let mut settings = self.controller.settings.clone();
        settings.status_pause_micros *= 1 + (waiting / 16).min(9);
        let made = plan(&settings, &observed, &cluster.sight, &mut cluster.memory, now);
        self.controller.metrics.reconciles.inc();
        self.connect(&key, made.link, made.orders);
        if let Some(micros) = made.requeue_micros {
            self.wake(&key, micros.max(1000));
        }
        if made.writes.is_empty() {
            self.clusters.entry(key).or_default().streak = 0;
            return;
        }
        self.busy.insert(key.clone());
        let executor = self.controller.executor.clone();
        let metrics = Arc::clone(&self.controller.metrics);
        // Only the first plan after an answer is an answer to it.
        let since = if said_at > planned_at { said_at } else { 0 };
        let span = tracing::info_span!("reconcile", cluster = %key, writes = made.writes.len());
        let work = async move {
            let outcomes = executor.carry_out(&key, made.writes).await;
            metrics.reconcile_seconds.observe((now_micros() - now) as f64 / 1e6);
            let created = outcomes.iter().any(|(write, result)| {
                result.is_ok() && matches!(write.action, crate::plan::Action::Create { .. })
            });
            if created && since > 0 {
                let micros = now_micros().saturating_sub(since);
                metrics.growth_seconds.observe(micros as f64 / 1e6);
            }
            (key, outcomes, now)
        };
        self.tasks.spawn(work.instrument(span));
    }

    fn connect(&mut self, key: &Key, link: Option<Link>, orders: Vec<Order>) {
        let Some(cluster) = self.clusters.get_mut(key) else { return };
        let Some(link) = link else {
            if cluster.poller.take().is_some() {
                cluster.sight.demand = None;
                cluster.sight.error = Some("its pod does not run".to_owned());
            }
            return;
        };
        let asked = cluster.poller.as_ref().is_some_and(|poller| poller.ask(&link));
        if !asked {
            cluster.sight = Sight::default();
            cluster.poller = Some(Poller::start(
                key.clone(),
                link,
                self.controller.token.clone(),
                self.told.clone(),
                Arc::clone(&self.controller.metrics),
            ));
        }
        if let Some(poller) = &cluster.poller {
            for order in orders {
                poller.order(order);
            }
        }
    }

    fn finish(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let (key, outcomes) = match done {
            Ok((key, outcomes, _)) => (key, outcomes),
            Err(error) => {
                // A write that panicked: which cluster it was is not known, so all are free again
                // and planned anew.
                tracing::error!(%error, "writing a plan failed");
                let keys: Vec<Key> = self.busy.drain().collect();
                for key in keys {
                    self.wake(&key, 1_000_000);
                }
                return;
            }
        };
        self.busy.remove(&key);
        let now = now_micros();
        let cluster = self.clusters.entry(key.clone()).or_default();
        let mut wait: Option<u64> = None;
        for (write, result) in outcomes {
            if let (Some(line), Ok(())) = (familiar::line(&key, &write), &result) {
                tracing::info!(%key, "{line}");
            }
            let jitter = rand::rng().random_range(0.0..1.0);
            if let Some(micros) = note(&mut cluster.memory, &write, result, now, jitter) {
                wait = Some(wait.map_or(micros, |wait| wait.min(micros)));
            }
        }
        cluster.streak += 1;
        let again = std::mem::take(&mut cluster.again);
        if cluster.streak > RESTLESS {
            tracing::warn!(%key, "this cluster does not come to rest: slowing down");
            self.wake(&key, 2_000_000);
            return;
        }
        match (again, wait) {
            (true, _) => self.wake(&key, GATHER_MICROS),
            (false, Some(micros)) => self.wake(&key, micros),
            // What was written is looked at once more, whether or not a watch tells of it.
            (false, None) => self.wake(&key, 1_000_000),
        }
    }
}
