//! Keeps one scheduler's latest answers, and carries out what is ordered.

use std::{sync::Arc, time::Duration};

use dasklet_core::demand::{Demand, DemandRequest, Member};
use rand::Rng;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};
use tracing::Instrument;

use super::{Detected, LinkError, SchedulerApi};
use crate::{
    observe::{Key, Sight},
    plan::{Link, Order},
    serve::Metrics,
};

/// First wait after a question that was not answered.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait after a question that was not answered.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A scheduler that does not answer is unknown after so many questions, not after one.
const FORGIVEN: u32 = 2;

/// A scheduler has said something.
#[derive(Debug)]
pub struct Told {
    /// Its cluster.
    pub key: Key,
    /// What it said.
    pub sight: Sight,
}

/// A cluster's poller; dropping it ends it.
#[derive(Debug)]
pub struct Poller {
    questions: watch::Sender<Link>,
    orders: mpsc::UnboundedSender<Order>,
    tasks: [JoinHandle<()>; 2],
}

impl Poller {
    /// Starts to ask.
    #[must_use]
    pub fn start(
        key: Key,
        link: Link,
        token: Option<String>,
        told: mpsc::UnboundedSender<Told>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let api: Arc<dyn SchedulerApi> = Arc::new(Detected::new(&link, token));
        let (questions, asked) = watch::channel(link);
        let (orders, ordered) = mpsc::unbounded_channel();
        let nudge = Arc::new(Notify::new());
        let span = tracing::info_span!("poll", cluster = %key);
        let asking = Asking {
            key,
            api: Arc::clone(&api),
            asked,
            told,
            nudge: Arc::clone(&nudge),
            metrics: Arc::clone(&metrics),
        };
        let obeying = carry_out(api, ordered, nudge, metrics);
        let tasks = [
            tokio::spawn(asking.run().instrument(span.clone())),
            tokio::spawn(obeying.instrument(span)),
        ];
        Self { questions, orders, tasks }
    }

    /// Changes the question; false where the scheduler is elsewhere now.
    #[must_use]
    pub fn ask(&self, link: &Link) -> bool {
        let moved = self.questions.borrow().url != link.url;
        if moved {
            return false;
        }
        self.questions.send_if_modified(|present| {
            let differs = present != link;
            if differs {
                present.clone_from(link);
            }
            differs
        });
        true
    }

    /// Orders something.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Asking {
    key: Key,
    api: Arc<dyn SchedulerApi>,
    asked: watch::Receiver<Link>,
    told: mpsc::UnboundedSender<Told>,
    nudge: Arc<Notify>,
    metrics: Arc<Metrics>,
}

impl Asking {
    async fn run(mut self) {
        let mut version = None;
        let mut failures = 0u32;
        let mut members = Arc::default();
        loop {
            let link = self.asked.borrow_and_update().clone();
            let request = DemandRequest {
                after: version,
                wait_millis: Some(link.wait_micros / 1000),
                ..link.request.clone()
            };
            let outcome = tokio::select! {
                outcome = ask(&*self.api, &request) => outcome,
                // Another question, or something was ordered: its effect is looked for at once.
                () = self.nudge.notified() => { version = None; continue }
                changed = self.asked.changed() => match changed {
                    Ok(()) => { version = None; continue }
                    Err(_) => return,
                },
            };
            let at_micros = crate::now_micros();
            let mut pause = Duration::from_micros(link.pause_micros);
            let sight = match outcome {
                Ok((demand, now)) => {
                    failures = 0;
                    version = Some(demand.version);
                    members = Arc::new(now);
                    Sight {
                        demand: Some(Arc::new(demand)),
                        members: Arc::clone(&members),
                        error: None,
                        at_micros,
                        revocable: self.api.is_revocable(),
                    }
                }
                Err(error) => {
                    self.metrics.poll_errors.inc();
                    failures += 1;
                    version = None;
                    pause = (FIRST_PAUSE * 2u32.pow(failures.min(6))).min(LONGEST_PAUSE);
                    pause = pause.mul_f64(rand::rng().random_range(0.5..1.0));
                    if failures < FORGIVEN {
                        self.rest(pause, true).await;
                        continue;
                    }
                    Sight {
                        demand: None,
                        members: Arc::clone(&members),
                        error: Some(error.to_string()),
                        at_micros,
                        revocable: self.api.is_revocable(),
                    }
                }
            };
            let failed = sight.demand.is_none();
            if self.told.send(Told { key: self.key.clone(), sight }).is_err() {
                return;
            }
            if self.rest(pause, failed).await {
                version = None;
            }
        }
    }

    /// Waits before the next question; whether that is to be answered at once.
    async fn rest(&mut self, pause: Duration, failed: bool) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = self.nudge.notified() => true,
            // Its pod may just have become ready.
            _ = self.asked.changed(), if failed => true,
        }
    }
}

async fn ask(
    api: &dyn SchedulerApi,
    request: &DemandRequest,
) -> Result<(Demand, Vec<Member>), LinkError> {
    let demand = api.demand(request).await?;
    let members = api.members().await?;
    Ok((demand, members))
}

async fn carry_out(
    api: Arc<dyn SchedulerApi>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    nudge: Arc<Notify>,
    metrics: Arc<Metrics>,
) {
    while let Some(order) = orders.recv().await {
        // Each by itself: a slow answer about one delays no other.
        let (api, nudge, metrics) = (Arc::clone(&api), Arc::clone(&nudge), Arc::clone(&metrics));
        let work = async move {
            for pause_millis in [50, 250, 1000] {
                match obey(&*api, &order).await {
                    Ok(()) => {
                        if let Order::Lost { at_micros, .. } = &order {
                            let micros = crate::now_micros().saturating_sub(*at_micros);
                            metrics.death_seconds.observe(micros as f64 / 1e6);
                        }
                        nudge.notify_one();
                        return;
                    }
                    Err(error) => tracing::debug!(?order, %error, "an order was not taken"),
                }
                tokio::time::sleep(Duration::from_millis(pause_millis)).await;
            }
        };
        tokio::spawn(work.in_current_span());
    }
}

async fn obey(api: &dyn SchedulerApi, order: &Order) -> Result<(), LinkError> {
    match order {
        Order::Drain { members, deadline_seconds } => api.drain(members, *deadline_seconds).await,
        Order::Undrain { members } => api.undrain(members).await,
        Order::Lost { member, ip, cause, .. } => api.lost(member, ip, cause).await,
    }
}
