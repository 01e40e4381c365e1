//! Tells the controller what has become known of an object, whoever heard of it first: a watch or
//! the answer to a write.

use dasklet_core::DeathCause;
use tokio::sync::mpsc;

use crate::{
    observe::Key,
    plan::{Kind, death},
    shared::SharedWorld,
    world::{Change, Object},
};

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    /// These clusters are to be planned.
    Dirty(Vec<Key>),
    /// A worker of this cluster has died.
    Death {
        /// The cluster.
        key: Key,
        /// Name of the pod.
        name: String,
        /// Its identity.
        uid: String,
        /// Its address.
        ip: String,
        /// Why.
        cause: DeathCause,
    },
    /// One watch has delivered everything that there was.
    Complete,
}

/// The world and the controller's ear.
#[derive(Debug, Clone)]
pub struct Teller {
    /// Where objects are kept.
    pub world: SharedWorld,
    /// Where changes are told.
    pub heard: mpsc::UnboundedSender<Heard>,
}

impl Teller {
    /// An object is as told; false where something newer was known.
    pub fn tell(&self, object: Object) -> bool {
        let change = self.world.upsert(object.clone());
        let news = change.news;
        self.changed(change, Some(&object));
        news
    }

    /// An object is gone; with `uid` only if it is that very one.
    pub fn forget(&self, kind: Kind, key: &Key, uid: Option<&str>) {
        self.changed(self.world.remove(kind, key, uid), None);
    }

    /// One watch has delivered everything that there was.
    pub fn complete(&self) {
        let _ = self.heard.send(Heard::Complete);
    }

    /// Whether nobody listens any more.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.heard.is_closed()
    }

    fn changed(&self, change: Change, new: Option<&Object>) {
        if !change.news {
            return;
        }
        if let Some(heard) = death_of(&change, new) {
            let _ = self.heard.send(heard);
        }
        if !change.dirty.is_empty() {
            let _ = self.heard.send(Heard::Dirty(change.dirty));
        }
    }
}

/// The death of a worker that a change tells of.
fn death_of(change: &Change, new: Option<&Object>) -> Option<Heard> {
    let old = change.old.as_ref().filter(|old| old.is_worker_pod())?;
    let Object::Pod(before) = old else { return None };
    let after = match new {
        Some(Object::Pod(pod)) => Some(&**pod),
        _ => None,
    };
    if before.node.is_empty() || before.ip.is_empty() {
        // It never had a process.
        return None;
    }
    let cause = death(before, after)?;
    Some(Heard::Death {
        key: old.home()?,
        name: before.meta.name.clone(),
        uid: before.meta.uid.clone(),
        ip: before.ip.clone(),
        cause,
    })
}
