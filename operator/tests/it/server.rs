//! The API server of a test: one in memory, or a real one that is followed.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

use kube::{Client, client::ClientBuilder};
use serde_json::Value;
use tokio::sync::watch;
use tower::Layer;

use crate::{
    memory,
    real::RealServer,
    store::Store,
    weather::{Faults, Weather},
};

/// The server. Its [`Store`] is what it has, or, of a real one, what was last heard of it.
#[derive(Clone)]
pub struct Server {
    store: Arc<Mutex<Store>>,
    pub(crate) version: watch::Sender<u64>,
    pub(crate) writes: Arc<AtomicUsize>,
    real: Option<Arc<RealServer>>,
}

impl Server {
    /// One in memory.
    pub fn new() -> Self {
        Self::with_real(None)
    }

    /// A real one, in a namespace of its own.
    pub fn real(real: RealServer) -> Self {
        Self::with_real(Some(Arc::new(real)))
    }

    fn with_real(real: Option<Arc<RealServer>>) -> Self {
        let clock = || dasklet_operator::plan::rfc3339(dasklet_operator::now_micros());
        Self {
            store: Arc::new(Mutex::new(Store::new(clock))),
            version: watch::channel(0).0,
            writes: Arc::default(),
            real,
        }
    }

    /// Whether it is a real one, which has controllers and nodes of its own.
    pub fn is_real(&self) -> bool {
        self.real.is_some()
    }

    /// Ends what a real one needs; nothing can be written any more.
    pub fn close(&self) {
        if let Some(real) = &self.real {
            real.close();
        }
    }

    pub fn namespace(&self) -> &str {
        self.real.as_ref().map_or("n", |real| real.namespace())
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// Looks at or changes the objects; watches hear of it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        let (result, version) = {
            let mut store = self.store();
            (act(&mut store), store.version())
        };
        self.version.send_replace(version);
        result
    }

    /// Writes that clients have made.
    pub fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    pub fn create(&self, plural: &str, object: Value) {
        match &self.real {
            Some(real) => real.create(plural, object),
            None => drop(self.with(|store| store.create(plural, "n", object, false)).unwrap()),
        }
    }

    pub fn patch(&self, plural: &str, name: &str, patch: &Value) {
        match &self.real {
            Some(real) => real.patch(plural, name, patch),
            None => drop(self.with(|store| store.merge(plural, "n", name, patch, false)).unwrap()),
        }
    }

    /// A client whose traffic suffers; and whether its process is to die now.
    pub fn client(&self, faults: Faults) -> (Client, watch::Receiver<bool>) {
        let (weather, kill) = Weather::new(self.clone(), faults);
        let client = match &self.real {
            Some(real) => {
                ClientBuilder::try_from(real.config()).unwrap().with_layer(&weather).build()
            }
            None => Client::new(weather.layer(memory::service(self.clone())), "default"),
        };
        (client, kill)
    }
}
