//! The calls that a stock scheduler answers and that we make.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Request, RpcClient, RpcError, SchedulerIdentity, WorkerIdentity, identity::workers_from_map,
};
use crate::value::{ShapeError, Value};

/// Since when a scheduler has had nothing to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum IdleSince {
    /// It has work, or had some since it was asked last.
    Busy,
    /// Seconds since 1970, by the scheduler's clock.
    Time(f64),
}

/// Whom to retire, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetireRequest {
    /// Addresses. Those that the scheduler does not know are left out silently.
    pub workers: Vec<String>,
    /// Forget the workers once their data is elsewhere; their unfinished tasks go to others
    /// without counting as failures. Otherwise they stay, and start nothing more.
    pub remove: bool,
}

impl RpcClient {
    /// The scheduler and all its workers.
    ///
    /// # Errors
    /// No answer, or not the expected one; so for all the following.
    pub async fn identity(&mut self, patience: Duration) -> Result<SchedulerIdentity, RpcError> {
        let request = Request::new("identity");
        self.ask(request, patience, SchedulerIdentity::from_value).await
    }

    /// How many workers the present work needs, in the scheduler's opinion, if it is to be done
    /// within `target` (absent: the scheduler's own setting).
    ///
    /// # Errors
    /// As above.
    pub async fn adaptive_target(
        &mut self,
        target: Option<Duration>,
        patience: Duration,
    ) -> Result<u64, RpcError> {
        let request = Request::new("adaptive_target");
        let request = match target {
            // Words with a unit: a bare number is taken for one only by newer versions.
            Some(target) => request.with("target_duration", format!("{} ms", target.as_millis())),
            None => request,
        };
        self.ask(request, patience, |reply| reply.as_u64("the target")).await
    }

    /// Since when there is nothing to do. The scheduler starts its clock when it is first asked
    /// after some work, so ask regularly.
    ///
    /// # Errors
    /// As above.
    pub async fn check_idle(&mut self, patience: Duration) -> Result<IdleSince, RpcError> {
        self.ask(Request::new("check_idle"), patience, |reply| match reply {
            Value::Nil => Ok(IdleSince::Busy),
            time => time.as_f64("the time").map(IdleSince::Time),
        })
        .await
    }

    /// Up to `count` workers that the scheduler would rather lose than others, by address, the
    /// cheapest first. Busy ones may be among them, and workers of any group; fewer than `count`
    /// if others run tasks that must not be moved.
    ///
    /// # Errors
    /// As above.
    pub async fn workers_to_close(
        &mut self,
        count: u32,
        patience: Duration,
    ) -> Result<Vec<String>, RpcError> {
        let request = Request::new("workers_to_close").with("n", count);
        self.ask(request, patience, |reply| strings(reply, "the workers to close")).await
    }

    /// Moves away what only these workers hold, and returns once that is done, however long it
    /// takes: those retired. Whoever is missing in the answer was unknown, or holds data that
    /// nobody else could take, or actors: it must live on.
    ///
    /// # Errors
    /// As above.
    pub async fn retire_workers(
        &mut self,
        retire: &RetireRequest,
        patience: Duration,
    ) -> Result<Vec<WorkerIdentity>, RpcError> {
        let request = Request::new("retire_workers")
            .with("workers", Value::list(retire.workers.iter().map(String::as_str)))
            .with("close_workers", false)
            .with("remove", retire.remove);
        self.ask(request, patience, |reply| workers_from_map(reply.as_map("the retired workers")?))
            .await
    }

    /// How many unfinished tasks each of these workers has been given; `None` if the scheduler
    /// knows one of them no more.
    ///
    /// # Errors
    /// As above.
    pub async fn processing(
        &mut self,
        workers: &[String],
        patience: Duration,
    ) -> Result<Option<BTreeMap<String, u64>>, RpcError> {
        let addresses = Value::list(workers.iter().map(String::as_str));
        let request = Request::new("processing").with("workers", addresses);
        let answer = self.ask(request, patience, |reply| {
            let entries = reply.as_map("the tasks by worker")?.iter();
            entries
                .map(|(address, keys)| {
                    let count = keys.as_list("a worker's tasks")?.len() as u64;
                    Ok((address.as_str("a worker's address")?.to_owned(), count))
                })
                .collect()
        });
        match answer.await {
            Ok(counts) => Ok(Some(counts)),
            Err(error) if raised(&error, "KeyError") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the scheduler forget a worker at once, as it does when a connection breaks: what
    /// only it held is computed again, its tasks run elsewhere. With `planned`, the death is not
    /// held against the tasks that it was running.
    ///
    /// # Errors
    /// As above.
    pub async fn unregister(
        &mut self,
        address: &str,
        planned: bool,
        patience: Duration,
    ) -> Result<(), RpcError> {
        let request = |flag: &str| {
            Request::new("unregister")
                .with("address", address)
                .with("stimulus_id", format!("dasklet-unregister-{address}"))
                .with("close", false)
                .with(flag, planned)
        };
        let answer = match self.call(request("expected"), patience).await {
            // So older releases call it.
            Err(error) if raised(&error, "TypeError") => self.call(request("safe"), patience).await,
            answer => answer,
        };
        answer.map(|_| ())
    }

    async fn ask<T>(
        &mut self,
        request: Request,
        patience: Duration,
        read: impl FnOnce(&Value) -> Result<T, ShapeError>,
    ) -> Result<T, RpcError> {
        let op = request.op().to_owned();
        let reply = self.call(request, patience).await?;
        read(&reply).map_err(|reason| {
            let address = self.address().to_owned();
            RpcError::Misunderstood { address, op, reason }
        })
    }
}

fn raised(error: &RpcError, class: &str) -> bool {
    error.failure().is_some_and(|failure| failure.exception.starts_with(class))
}

fn strings(reply: &Value, what: &str) -> Result<Vec<String>, ShapeError> {
    reply.as_list(what)?.iter().map(|item| item.as_str(what).map(str::to_owned)).collect()
}
