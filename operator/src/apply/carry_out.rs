//! Writes of one plan, one stage after the other.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use serde_json::Value;
use tracing::Instrument;

use super::{Gate, Transport, TransportError};
use crate::{
    observe::Key,
    plan::{Action, Fault, Kind, Stage, Target, Write},
    serve::Metrics,
    teller::Teller,
    world::Object,
};

/// Carries out writes.
#[derive(Clone)]
pub struct Executor {
    /// The API server.
    pub transport: Arc<Transport>,
    /// Where answers are kept and changes told.
    pub teller: Teller,
    /// Whose turn it is.
    pub gate: Gate,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

type Outcome = (Write, Result<(), Fault>);

impl Executor {
    /// Carries out the writes of one cluster, and says how each went. Writes that were not tried,
    /// because others of their kind failed, are not among them.
    pub async fn carry_out(&self, key: &Key, writes: Vec<Write>) -> Vec<Outcome> {
        let mut stages: BTreeMap<Stage, Vec<Write>> = BTreeMap::new();
        for write in writes {
            stages.entry(write.stage).or_default().push(write);
        }
        let mut outcomes = Vec::new();
        for (_, writes) in stages {
            let mut crowds: BTreeMap<Target, Vec<Write>> = BTreeMap::new();
            let mut single = Vec::new();
            for write in writes {
                match &write.action {
                    Action::Create { kind: Kind::Pod, .. } => {
                        crowds.entry(write.target.clone()).or_default().push(write);
                    }
                    _ => single.push(write),
                }
            }
            let singles = join_all(single.into_iter().map(|write| self.one(key, write)));
            let crowds = join_all(crowds.into_values().map(|crowd| self.slowly(key, crowd)));
            let (singles, crowds) = futures::join!(singles, crowds);
            outcomes.extend(singles);
            outcomes.extend(crowds.into_iter().flatten());
        }
        outcomes
    }

    /// 1, 2, 4, ... at once, and no further after a failure: what fails for one pod of a group
    /// mostly fails for all.
    async fn slowly(&self, key: &Key, writes: Vec<Write>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut writes = writes.into_iter();
        let mut width = 1;
        loop {
            let batch: Vec<Write> = writes.by_ref().take(width).collect();
            if batch.is_empty() {
                return outcomes;
            }
            let results = join_all(batch.into_iter().map(|write| self.one(key, write))).await;
            let failed = results.iter().any(|(_, result)| result.is_err());
            outcomes.extend(results);
            if failed {
                return outcomes;
            }
            width *= 2;
        }
    }

    async fn one(&self, key: &Key, write: Write) -> Outcome {
        let _permit = self.gate.enter(key).await;
        let Target { kind, name } = &write.target;
        let span = tracing::debug_span!("write", kind = kind.as_str(), name);
        let result = self.act(key, &write).instrument(span).await;
        if let Err(fault) = &result {
            let labels = [write.target.kind.as_str(), fault.reason()];
            self.metrics.write_errors.with_label_values(&labels).inc();
            tracing::debug!(%key, target = ?write.target, ?fault, "a write failed");
        }
        (write, result)
    }

    async fn act(&self, key: &Key, write: &Write) -> Result<(), Fault> {
        let transport = &self.transport;
        let namespace = key.namespace.as_str();
        let named = |name: &str| Key::new(namespace, name);
        match &write.action {
            Action::Create { kind, body } => {
                match transport.create(*kind, namespace, body, false).await {
                    Ok(object) => {
                        self.keep(object);
                        Ok(())
                    }
                    Err(error) if is_there(&error) => self.find(*kind, namespace, body).await,
                    Err(error) => Err(error.fault()),
                }
            }
            Action::Apply { kind, name, body } => {
                let answer = transport.apply(*kind, &named(name), body).await;
                self.answer(*kind, &named(name), answer).await
            }
            Action::Patch { kind, name, patch, manager, status } => {
                let answer = transport.patch(*kind, &named(name), patch, manager, *status).await;
                self.answer(*kind, &named(name), answer).await
            }
            Action::Delete { kind, name, uid, at_once, version } => {
                match transport.delete(*kind, &named(name), uid, *at_once, *version).await {
                    Ok(Some(object)) => {
                        self.teller.tell(object);
                        Ok(())
                    }
                    Ok(None) => {
                        self.teller.forget(*kind, &named(name), Some(uid));
                        Ok(())
                    }
                    Err(error) if error.is(404) => {
                        self.teller.forget(*kind, &named(name), Some(uid));
                        Ok(())
                    }
                    // Another object has the name now, or this one has changed.
                    Err(error) if error.is(409) => {
                        self.look(*kind, &named(name)).await;
                        Ok(())
                    }
                    Err(error) => Err(error.fault()),
                }
            }
            Action::DryRun { body, .. } => {
                match transport.create(Kind::Pod, namespace, body, true).await {
                    Ok(_) => Ok(()),
                    Err(error) => match error.fault() {
                        // There is no room, but the template is good.
                        Fault::Quota(_) | Fault::Conflict => Ok(()),
                        fault => Err(fault),
                    },
                }
            }
            Action::Event(note) => {
                transport.event(namespace, note, crate::now_micros()).await.map_err(|e| e.fault())
            }
        }
    }

    async fn answer(
        &self,
        kind: Kind,
        key: &Key,
        answer: Result<Option<Object>, TransportError>,
    ) -> Result<(), Fault> {
        match answer {
            Ok(object) => {
                self.keep(object);
                Ok(())
            }
            Err(error) => {
                if error.is(404) || error.is(409) {
                    // What we know of it is old.
                    self.look(kind, key).await;
                }
                Err(error.fault())
            }
        }
    }

    /// An object of this name is there already: ours, which a watch has not told of yet, or not.
    async fn find(&self, kind: Kind, namespace: &str, body: &Value) -> Result<(), Fault> {
        let metadata = &body["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let owner = metadata["ownerReferences"][0]["uid"].as_str().unwrap_or_default();
        let key = Key::new(namespace, name);
        let found = self.transport.get(kind, &key).await.map_err(TransportError::fault)?;
        let Some(found) = found else { return Ok(()) };
        let ours = found.meta().is_owned_by(owner);
        let leaving = found.meta().deleting;
        self.keep(Some(found));
        if ours && !leaving {
            self.metrics.stale_creates.inc();
            return Ok(());
        }
        if leaving {
            return Err(Fault::Conflict);
        }
        Err(Fault::Forbidden(format!(
            "{} {name} exists and belongs to somebody else: delete it or choose another name",
            kind.as_str()
        )))
    }

    async fn look(&self, kind: Kind, key: &Key) {
        match self.transport.get(kind, key).await {
            Ok(Some(object)) => self.keep(Some(object)),
            Ok(None) => self.teller.forget(kind, key, None),
            // The watch will tell.
            Err(_) => {}
        }
    }

    fn keep(&self, object: Option<Object>) {
        if let Some(object) = object {
            self.teller.tell(object);
        }
    }
}

fn is_there(error: &TransportError) -> bool {
    matches!(error, TransportError::Refused { code: 409, reason, .. } if reason == "AlreadyExists")
}
