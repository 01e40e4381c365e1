//! Keeps the scheduler's latest answers, so that the control loop never waits for a scheduler.

use std::{sync::Arc, time::Duration};

use dasklet_core::demand::{Demand, DemandRequest, Member};
use tokio::sync::watch;

use crate::http::Http;

/// Least time between two questions.
const PAUSE: Duration = Duration::from_millis(20);
/// Wait after a question that was not answered.
const AFTER_ERROR: Duration = Duration::from_millis(250);
/// Added to a long poll's own wait before it counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the scheduler last said.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// Its demand; `None` while it does not answer.
    pub demand: Option<Arc<Demand>>,
    /// Its workers, as last known.
    pub members: Arc<Vec<Member>>,
    /// Why there is no demand.
    pub error: Option<String>,
}

/// What to ask.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// The shapes to try.
    pub request: DemandRequest,
    /// How long the demand may stay unchanged before the workers are looked at again.
    pub wait: Duration,
}

/// Asks for ever; ends when nobody reads the answers.
pub async fn poll(
    http: Http,
    mut questions: watch::Receiver<Question>,
    sights: watch::Sender<Sight>,
) {
    let mut version = None;
    loop {
        let question = questions.borrow_and_update().clone();
        let outcome = tokio::select! {
            outcome = ask(&http, &question, version) => outcome,
            changed = questions.changed() => match changed {
                // Asked at once, without waiting for a change of the demand.
                Ok(()) => { version = None; continue }
                Err(_) => return,
            },
        };
        let pause = match outcome {
            Ok((demand, members)) => {
                version = Some(demand.version);
                let (demand, members) = (Some(Arc::new(demand)), Arc::new(members));
                sights.send_replace(Sight { demand, members, error: None });
                PAUSE
            }
            Err(reason) => {
                sights.send_modify(|sight| {
                    sight.demand = None;
                    sight.error = Some(reason);
                });
                AFTER_ERROR
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = sights.closed() => return,
        }
    }
}

async fn ask(
    http: &Http,
    question: &Question,
    after: Option<u64>,
) -> Result<(Demand, Vec<Member>), String> {
    let request = DemandRequest {
        after,
        wait_millis: Some(u64::try_from(question.wait.as_millis()).unwrap_or(u64::MAX)),
        ..question.request.clone()
    };
    let demand = http
        .post("/api/v1/demand", &request, question.wait + PATIENCE)
        .await
        .map_err(|error| error.to_string())?;
    let members = http.get("/api/v1/members", PATIENCE).await.map_err(|error| error.to_string())?;
    Ok((demand, members))
}
