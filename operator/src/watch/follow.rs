//! One watch for each kind, in each namespace that is looked at.

use std::{collections::HashSet, sync::Arc};

use futures::StreamExt;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};

use super::wire::{
    Wire, WireAutoscaler, WireCluster, WireDeployment, WireGroup, WireJob, WirePod, WireService,
};
use crate::{
    apply::Transport, observe::Key, plan::Kind, serve::Metrics, teller::Teller, world::Object,
};

/// What all watches share.
#[derive(Clone)]
pub struct Watches {
    /// The API server.
    pub client: Client,
    /// For looking at single objects.
    pub transport: Arc<Transport>,
    /// Where objects are kept and changes told.
    pub teller: Teller,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Starts all watches; gives their number. They end when nobody hears them.
pub fn follow(watches: &Watches, namespaces: &[String]) -> usize {
    let scopes: Vec<Option<String>> = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().cloned().map(Some).collect()
    };
    let mut count = 0;
    for scope in scopes {
        macro_rules! start {
            ($($wire:ty),*) => {$(
                tokio::spawn(watch::<$wire>(watches.clone(), scope.clone()));
                count += 1;
            )*};
        }
        start!(
            WireCluster,
            WireGroup,
            WireAutoscaler,
            WireJob,
            WirePod,
            WireDeployment,
            WireService
        );
    }
    count
}

async fn watch<W: Wire>(watches: Watches, scope: Option<String>) {
    let api: Api<W> = match &scope {
        Some(namespace) => Api::namespaced(watches.client.clone(), namespace),
        None => Api::all(watches.client.clone()),
    };
    let mut config = watcher::Config::default();
    if !W::SELECTOR.is_empty() {
        config = config.labels(W::SELECTOR);
    }
    let stream = watcher(api, config).default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut listed: HashSet<Key> = HashSet::new();
    let mut first = true;
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(wire)) => {
                let object = wire.object();
                listed.insert(object.meta().key());
                watches.tell(object);
            }
            Ok(watcher::Event::InitDone) => {
                watches.settle(W::KIND, scope.as_deref(), &listed).await;
                if std::mem::take(&mut first) {
                    watches.teller.complete();
                }
            }
            Ok(watcher::Event::Apply(wire)) => watches.tell(wire.object()),
            Ok(watcher::Event::Delete(wire)) => {
                let object = wire.object();
                let meta = object.meta();
                watches.teller.forget(W::KIND, &meta.key(), Some(&meta.uid));
            }
            Err(error) => {
                watches.metrics.watch_errors.with_label_values(&[W::KIND.as_str()]).inc();
                tracing::warn!(kind = W::KIND.as_str(), %error, "a watch broke; it starts again");
            }
        }
        if watches.teller.is_alone() {
            return;
        }
    }
}

impl Watches {
    /// After a list: what is known and not listed may be gone, or the list may be old. The API
    /// server is asked about each before it is forgotten.
    async fn settle(&self, kind: Kind, scope: Option<&str>, listed: &HashSet<Key>) {
        for key in self.teller.world.names(kind, scope) {
            if listed.contains(&key) {
                continue;
            }
            match self.transport.get(kind, &key).await {
                Ok(Some(object)) => self.tell(object),
                Ok(None) => self.teller.forget(kind, &key, None),
                Err(error) => {
                    tracing::warn!(%key, kind = kind.as_str(), %error, "cannot look at an object");
                }
            }
        }
    }

    fn tell(&self, object: Object) {
        if !self.teller.tell(object) {
            self.metrics.stale_events.inc();
        }
    }
}
