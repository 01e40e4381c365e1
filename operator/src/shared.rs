//! The world, shared by those who tell it and those who ask it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    observe::{Key, Observed},
    plan::Kind,
    world::{Change, Object, World},
};

/// A handle on the one world. Nobody holds it across an await.
#[derive(Debug, Clone, Default)]
pub struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`World::upsert`].
    pub fn upsert(&self, object: Object) -> Change {
        self.lock().upsert(object)
    }

    /// See [`World::remove`].
    pub fn remove(&self, kind: Kind, key: &Key, uid: Option<&str>) -> Change {
        self.lock().remove(kind, key, uid)
    }

    /// See [`World::observed`].
    #[must_use]
    pub fn observed(&self, key: &Key) -> Option<Observed> {
        self.lock().observed(key)
    }

    /// See [`World::names`].
    #[must_use]
    pub fn names(&self, kind: Kind, namespace: Option<&str>) -> Vec<Key> {
        self.lock().names(kind, namespace)
    }

    /// See [`World::keys`].
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.lock().keys().cloned().collect()
    }
}
