//! Carries out a group's plan: starts, drains, calls back and ends worker processes.

use std::{ffi::OsString, sync::Arc, time::Duration};

use dasklet_api::LocalWorker;
use dasklet_core::{
    DeathCause,
    demand::{DrainRequest, LostRequest, Member, MemberRef, MembersAnswer},
};
use dasklet_elastic::{GroupPlan, plan::RemovalCause};
use tokio::sync::mpsc;

use super::{
    group::{Group, LocalMember},
    home::Home,
    process::{Ended, Launch, Process, Role},
};
use crate::{
    events::{Event, Journal},
    http::Http,
};

/// All that is needed to act.
pub struct Hands {
    /// The cluster's name.
    pub cluster: String,
    /// Where workers connect to.
    pub scheduler_address: String,
    /// The scheduler's HTTP API.
    pub http: Http,
    /// Where what is done is recorded.
    pub journal: Journal,
    /// Folder of logs and scratch files.
    pub home: Arc<Home>,
    /// Where ends of children are told.
    pub ended: mpsc::UnboundedSender<Ended>,
}

impl Hands {
    /// Carries out a plan. The scheduler last told of the members as `seen`.
    pub fn apply(&self, group: &mut Group, plan: &GroupPlan, seen: &[Member], now: u64) {
        if plan.is_resize() && (plan.previous.is_some() || plan.desired > 0) {
            self.journal.record(Event::Decision {
                cluster: self.cluster.clone(),
                group: plan.group.clone(),
                from: plan.previous.unwrap_or(0),
                to: plan.desired,
                reason: plan.reason.clone(),
            });
        }
        for removal in &plan.remove {
            self.end(group, &removal.member, removal.cause, now);
        }
        self.call_back(group, &plan.undrain, now);
        self.drain(group, &plan.drain, plan.drain_deadline_seconds, now);
        self.drain_again(group, plan.drain_deadline_seconds, seen, now);
        for _ in 0..plan.create {
            self.create(group, now);
        }
    }

    /// Tells the scheduler why a worker is gone, so that it need not guess.
    pub fn tell_lost(&self, lost: LostRequest) {
        send_by_itself(self.http.clone(), "/api/v1/lost", lost);
    }

    fn create(&self, group: &mut Group, now: u64) {
        let slot = group.free_slot();
        let name = format!("{}-worker-{slot}", group.name());
        let launch = Launch {
            role: Role::Worker,
            name: name.clone(),
            args: self.worker_arguments(group.name(), &name, &group.settings),
            env: group.settings.env.clone(),
            log: self.home.log(&name),
        };
        let process = match Process::start(launch, self.ended.clone()) {
            Ok((process, mut lines)) => {
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                self.journal.record(Event::WorkerStarted {
                    cluster: self.cluster.clone(),
                    group: group.name().to_owned(),
                    worker: name.clone(),
                    pid: process.pid,
                });
                Some(process)
            }
            Err(error) => {
                self.journal.console().line(&format!("cannot start worker {name}: {error}"));
                None
            }
        };
        group.insert(slot, LocalMember::new(name, process, now));
    }

    fn worker_arguments(&self, group: &str, name: &str, settings: &LocalWorker) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |flag: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            args.push(flag.into());
            args.push(value.as_ref().into());
        };
        add("--scheduler", &self.scheduler_address);
        add("--name", &name);
        add("--group", &group);
        add("--data-host", &"127.0.0.1");
        add("--scratch", &self.home.scratch());
        add("--threads", &settings.threads.to_string());
        if let Some(bytes) = settings.memory_bytes {
            add("--memory-limit", &bytes.to_string());
        }
        for (name, thousandths) in settings.resources.iter() {
            add("--resources", &format!("{name}={thousandths}m"));
        }
        args
    }

    fn drain(&self, group: &mut Group, members: &[MemberRef], limit: Option<f64>, now: u64) {
        let name = group.name().to_owned();
        for (member, reference) in present(group, members) {
            if member.draining_since.is_none() {
                member.draining_since = Some(now);
                member.drain_asked = Some(now);
                self.journal.record(Event::WorkerDraining {
                    cluster: self.cluster.clone(),
                    group: name.clone(),
                    worker: member.name.clone(),
                });
                let request = DrainRequest { members: vec![reference], deadline_seconds: limit };
                send_by_itself(self.http.clone(), "/api/v1/drain", request);
            }
        }
    }

    /// Asks again for drains that the scheduler has forgotten, with what is left of their time.
    fn drain_again(&self, group: &mut Group, limit: Option<f64>, seen: &[Member], now: u64) {
        for member in group.members_mut().filter(|member| member.has_forgotten_drain(seen, now)) {
            member.drain_asked = Some(now);
            let gone = now.saturating_sub(member.draining_since.unwrap_or(now)) as f64 / 1e6;
            let request = DrainRequest {
                members: vec![member.reference()],
                deadline_seconds: limit.map(|limit| (limit - gone).max(0.0)),
            };
            send_by_itself(self.http.clone(), "/api/v1/drain", request);
        }
    }

    fn call_back(&self, group: &mut Group, members: &[MemberRef], now: u64) {
        let name = group.name().to_owned();
        for (member, reference) in present(group, members) {
            if member.told_to_end.is_some() {
                continue;
            }
            member.draining_since = None;
            member.kept_at = Some(now);
            self.journal.record(Event::WorkerKept {
                cluster: self.cluster.clone(),
                group: name.clone(),
                worker: member.name.clone(),
            });
            let request = DrainRequest { members: vec![reference], deadline_seconds: None };
            send_by_itself(self.http.clone(), "/api/v1/undrain", request);
        }
    }

    fn end(&self, group: &mut Group, reference: &MemberRef, cause: RemovalCause, now: u64) {
        let instance = reference.instance.clone().unwrap_or_default();
        let Some(member) = group.find(&reference.name, &instance) else { return };
        let Some(process) = &member.process else {
            group.remove(&reference.name, &instance);
            return;
        };
        if member.told_to_end.is_some() {
            return;
        }
        member.told_to_end = Some(now);
        match cause {
            RemovalCause::Drained | RemovalCause::DrainDeadline => {
                member.planned = Some(DeathCause::Drained);
                process.terminate();
            }
            RemovalCause::NeverServed => {
                member.planned = Some(DeathCause::Deleted);
                process.terminate();
            }
            RemovalCause::StartDeadline | RemovalCause::FailedStart | RemovalCause::Dead => {
                process.kill();
            }
        }
    }
}

/// Those of the named members that are there.
fn present<'a>(
    group: &'a mut Group,
    references: &'a [MemberRef],
) -> impl Iterator<Item = (&'a mut LocalMember, MemberRef)> {
    group.members_mut().filter_map(|member| {
        let reference = member.reference();
        references.contains(&reference).then_some((member, reference))
    })
}

/// Sends a request by itself, a few times if need be.
fn send_by_itself(
    http: Http,
    path: &'static str,
    body: impl serde::Serialize + Send + Sync + 'static,
) {
    tokio::spawn(async move {
        for pause_millis in [50, 250, 1000] {
            let answer = http.post::<_, MembersAnswer>(path, &body, Duration::from_secs(3)).await;
            match answer {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, path, "request to the scheduler failed"),
            }
            tokio::time::sleep(Duration::from_millis(pause_millis)).await;
        }
    });
}
