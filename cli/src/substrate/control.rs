//! The control loop of one cluster: observe, plan, apply.
//!
//! It wakes when a child ends, when the scheduler has said something new, and when the plan
//! asked for another look. It never waits for the network: answers come from `poll`, requests
//! are sent by tasks of their own.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use dasklet_api::IdleAction;
use dasklet_core::{
    DeathCause,
    demand::{DemandRequest, LostRequest, Shape},
};
use dasklet_elastic::{GroupHistory, GroupInput, GroupObservation, GroupPolicy, plan_groups};
use tokio::sync::{mpsc, watch};

use super::{
    apply::Hands,
    cluster::ClusterEnd,
    group::Group,
    home::Home,
    idle::{Idleness, Rest},
    poll::{Question, Sight},
    process::{Ended, cause_of, log_tail},
    supervised::{SchedulerEnd, SupervisedScheduler},
};
use crate::{
    events::{Event, Journal, round_millis},
    exit::Failure,
    http::Http,
};

/// Longest wait of a long poll while there are workers to look at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same while some worker starts.
const LOOK_AT_STARTS_EVERY: Duration = Duration::from_millis(50);
/// The same while there is none.
const LOOK_AT_NOTHING_EVERY: Duration = Duration::from_secs(5);
/// A worker that was told to end and has not by then is killed.
const END_PATIENCE_MICROS: u64 = 15_000_000;
/// At the cluster's end, children have so long.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// The control loop's state.
pub struct Control {
    cluster: String,
    groups: Vec<Group>,
    histories: BTreeMap<String, GroupHistory>,
    hands: Hands,
    begun: Instant,
    idleness: Idleness,
    scheduler: Option<SupervisedScheduler>,
    endings: mpsc::UnboundedReceiver<Ended>,
    blocked: BTreeMap<String, String>,
    answered: bool,
}

impl Control {
    /// The loop for these groups.
    pub fn new(
        cluster: String,
        scheduler_address: String,
        groups: Vec<Group>,
        http: Http,
        journal: Journal,
        home: Arc<Home>,
        (ended, endings): (mpsc::UnboundedSender<Ended>, mpsc::UnboundedReceiver<Ended>),
    ) -> Self {
        Self {
            hands: Hands {
                cluster: cluster.clone(),
                scheduler_address,
                http,
                journal,
                home,
                ended,
            },
            cluster,
            groups,
            histories: BTreeMap::new(),
            begun: Instant::now(),
            idleness: Idleness::new(None, IdleAction::Delete),
            scheduler: None,
            endings,
            blocked: BTreeMap::new(),
            answered: true,
        }
    }

    /// What happens when there is nothing to do for so long.
    #[must_use]
    pub fn with_idle(mut self, timeout: Option<Duration>, action: IdleAction) -> Self {
        self.idleness = Idleness::new(timeout, action);
        self
    }

    /// The scheduler process that goes when the loop ends, and is started again if it dies before.
    #[must_use]
    pub fn with_scheduler(mut self, scheduler: SupervisedScheduler) -> Self {
        self.scheduler = Some(scheduler);
        self
    }

    /// Runs until told to stop, or until the cluster ends by itself.
    pub async fn run(
        mut self,
        questions: watch::Sender<Question>,
        mut sights: watch::Receiver<Sight>,
        mut stopped: watch::Receiver<bool>,
        end: watch::Sender<Option<ClusterEnd>>,
    ) {
        loop {
            let sight = sights.borrow_and_update().clone();
            if let Some(demand) = &sight.demand {
                self.idleness.note(demand.idle_seconds);
            }
            let again = self.step(&sight);
            self.ask_again(&questions);
            if self.idleness.rest() == Rest::Over {
                end.send_replace(Some(ClusterEnd::Idle));
                break;
            }
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => {
                    end.send_replace(Some(ClusterEnd::Stopped));
                    break;
                }
                Some(ended) = self.endings.recv() => {
                    if let Some(words) = self.note_end(&ended) {
                        end.send_replace(Some(ClusterEnd::SchedulerDied(words)));
                        break;
                    }
                }
                Err(failure) = restarts(&mut self.scheduler) => {
                    end.send_replace(Some(ClusterEnd::SchedulerDied(failure.message)));
                    break;
                }
                Ok(()) = sights.changed() => {}
                () = tokio::time::sleep(again) => {}
            }
        }
        self.stop_all().await;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Observes, plans, applies. Gives the time after which to do so again at the latest.
    fn step(&mut self, sight: &Sight) -> Duration {
        let now = self.now();
        self.note_serving(sight, now);
        self.note_answers(sight);
        self.note_blocked(sight);
        let observed: Vec<GroupObservation> =
            self.groups.iter().map(|group| group.observe(&sight.members, now)).collect();
        let policies: Vec<GroupPolicy> =
            self.groups.iter().map(|group| self.idleness.policy(&group.policy)).collect();
        let inputs: Vec<GroupInput<'_>> = policies
            .iter()
            .zip(&observed)
            .map(|(policy, observed)| GroupInput { policy, observed })
            .collect();
        let plans = plan_groups(&inputs, sight.demand.as_deref(), &mut self.histories, now);
        let mut again = Duration::from_secs(1);
        for plan in plans {
            if let Some(group) = self.groups.iter_mut().find(|group| group.name() == plan.group) {
                self.hands.apply(group, &plan, &sight.members, now);
            }
            if let Some(micros) = plan.requeue_after_micros {
                again = again.min(Duration::from_micros(micros));
            }
        }
        for member in self.groups.iter_mut().flat_map(Group::members_mut) {
            let overdue = member.told_to_end.is_some_and(|at| now > at + END_PATIENCE_MICROS);
            if let (true, Some(process)) = (overdue, &member.process) {
                process.kill();
            }
        }
        again.max(Duration::from_millis(1))
    }

    fn note_serving(&mut self, sight: &Sight, now: u64) {
        for group in &mut self.groups {
            let name = group.name().to_owned();
            for (worker, age) in group.note_serving(&sight.members, now) {
                self.hands.journal.record(Event::WorkerServing {
                    cluster: self.cluster.clone(),
                    group: name.clone(),
                    worker,
                    after_seconds: round_millis(age as f64 / 1e6),
                });
            }
        }
    }

    /// Tells once when the scheduler stops answering.
    fn note_answers(&mut self, sight: &Sight) {
        match &sight.error {
            Some(reason) if self.answered => {
                self.answered = false;
                self.hands.journal.record(Event::DemandMissing {
                    cluster: self.cluster.clone(),
                    reason: reason.clone(),
                });
            }
            None => self.answered = true,
            Some(_) => {}
        }
    }

    /// Tells once for each kind of task that no worker can take, while nothing is on its way
    /// that could.
    fn note_blocked(&mut self, sight: &Sight) {
        let Some(demand) = &sight.demand else { return };
        let coming = self.groups.iter().any(Group::is_starting)
            || demand.trials.iter().any(|trial| trial.useful > 0);
        let mut blocked = BTreeMap::new();
        for class in demand.classes.iter().filter(|class| class.ready > 0 && !coming) {
            let Some(reason) = &class.blocked else { continue };
            let resources = class.resources.to_string();
            if self.blocked.get(&resources) != Some(reason) {
                self.hands.journal.record(Event::Blocked {
                    cluster: self.cluster.clone(),
                    tasks: class.ready,
                    resources: resources.clone(),
                    reason: reason.clone(),
                });
            }
            blocked.insert(resources, reason.clone());
        }
        self.blocked = blocked;
    }

    /// Brings the poller's question up to date.
    fn ask_again(&self, questions: &watch::Sender<Question>) {
        let scaling = || self.groups.iter().filter_map(|group| group.policy.autoscale.as_ref());
        let shapes = self
            .groups
            .iter()
            .map(|group| Shape {
                group: group.name().to_owned(),
                resources: group.policy.shape.clone(),
                most: group.policy.most_further(group.serving()),
            })
            .collect();
        let target = scaling().map(|autoscale| autoscale.target_duration_seconds).reduce(f64::min);
        let wait = if self.groups.iter().any(Group::is_starting) {
            LOOK_AT_STARTS_EVERY
        } else if self.groups.iter().all(Group::is_empty) {
            LOOK_AT_NOTHING_EVERY
        } else {
            LOOK_EVERY
        };
        let request =
            DemandRequest { shapes, target_duration_seconds: target, ..DemandRequest::default() };
        let question = Question { request, wait };
        questions.send_if_modified(|present| {
            let differs = *present != question;
            if differs {
                *present = question;
            }
            differs
        });
    }

    /// Takes note of a child's end; gives the words of a scheduler that is not started again.
    fn note_end(&mut self, ended: &Ended) -> Option<String> {
        let end = self.scheduler.as_mut().map(|scheduler| scheduler.note_end(ended));
        match end.unwrap_or(SchedulerEnd::Another) {
            SchedulerEnd::Another => self.note_worker_end(ended),
            SchedulerEnd::Restarting(reason) => {
                let cluster = self.cluster.clone();
                self.hands.journal.record(Event::SchedulerDied { cluster, reason });
            }
            SchedulerEnd::GivenUp(reason) => return Some(reason),
            SchedulerEnd::NeverStarted => {}
        }
        None
    }

    fn note_worker_end(&mut self, ended: &Ended) {
        let now = self.now();
        let instance = ended.pid.to_string();
        for group in &mut self.groups {
            let group_name = group.name().to_owned();
            let Some(member) = group.find(&ended.name, &instance) else { continue };
            let log = member.process.take().map(|process| process.log);
            let planned = member.planned.clone();
            let cause = planned.clone().unwrap_or_else(|| cause_of(ended.status));
            let words = log.filter(|_| planned.is_none()).map(|log| log_tail(&log, 5));
            self.hands.journal.record(Event::WorkerEnded {
                cluster: self.cluster.clone(),
                group: group_name,
                worker: ended.name.clone(),
                pid: ended.pid,
                reason: reason_in_words(&cause),
                cause: cause.clone(),
                planned: planned.is_some(),
                after_seconds: round_millis(now.saturating_sub(member.created_micros) as f64 / 1e6),
                log: words.unwrap_or_default(),
            });
            self.hands.tell_lost(LostRequest { member: member.reference(), cause });
            if planned.is_some() {
                group.remove(&ended.name, &instance);
            }
            return;
        }
    }

    /// Ends all children: workers first, so that none of them sees a dying scheduler.
    async fn stop_all(mut self) {
        let mut left = 0usize;
        for member in self.groups.iter_mut().flat_map(Group::members_mut) {
            if member.process.is_some() {
                left += 1;
                if member.planned.is_none() {
                    member.planned = Some(DeathCause::Deleted);
                }
                if let Some(process) = &mut member.process {
                    process.let_go();
                }
            }
        }
        self.wait_for_ends(&mut left).await;
        if left > 0 {
            for member in self.groups.iter_mut().flat_map(Group::members_mut) {
                if let Some(process) = &member.process {
                    process.kill();
                }
            }
            self.wait_for_ends(&mut left).await;
        }
        let mut scheduler_left = 0;
        let mut process = self.scheduler.as_mut().and_then(SupervisedScheduler::take);
        if let Some(process) = &mut process {
            scheduler_left = 1;
            process.terminate();
            process.let_go();
        }
        self.wait_for_ends(&mut scheduler_left).await;
        if let (true, Some(process)) = (scheduler_left > 0, &process) {
            process.kill();
            self.wait_for_ends(&mut scheduler_left).await;
        }
    }

    async fn wait_for_ends(&mut self, left: &mut usize) {
        let deadline = tokio::time::Instant::now() + STOP_PATIENCE;
        while *left > 0 {
            match tokio::time::timeout_at(deadline, self.endings.recv()).await {
                Ok(Some(ended)) => {
                    *left -= 1;
                    if self.scheduler.as_ref().is_none_or(|known| !known.is_called(&ended.name)) {
                        self.note_worker_end(&ended);
                    }
                }
                Ok(None) | Err(_) => return,
            }
        }
    }
}

/// Waits until a scheduler that died cannot be started again.
async fn restarts(scheduler: &mut Option<SupervisedScheduler>) -> Result<Infallible, Failure> {
    match scheduler {
        Some(scheduler) => loop {
            scheduler.started().await?;
        },
        None => std::future::pending().await,
    }
}

/// What an account says of an end. At the end of a run nobody deletes anything in the eyes of
/// whoever reads it.
fn reason_in_words(cause: &DeathCause) -> String {
    match cause {
        DeathCause::Deleted => "stopped".to_owned(),
        cause => cause.to_string(),
    }
}
