//! What every handle of a session shares, and what a handle holds on to.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use crate::session::Shared;

/// The session as its users see it: when the last handle and client are gone, it ends.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    next_job: AtomicU32,
    submitting: Mutex<()>,
}

impl Core {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, next_job: AtomicU32::new(0), submitting: Mutex::new(()) }
    }

    /// Held by whoever gives out local numbers, which must reach the outbox in order. Taken
    /// before the session's own lock.
    pub(crate) fn submitting(&self) -> MutexGuard<'_, ()> {
        self.submitting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn next_job(&self) -> u32 {
        self.next_job.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.shared.change(|session| session.outbox.goodbye());
    }
}

/// Which tasks a [`Hold`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// So many described tasks or put values, from its local number.
    Described(u64),
    /// A task array with so many members.
    Array(u32),
}

/// Interest in the outputs of some tasks: dropping it releases them.
#[derive(Debug)]
pub(crate) struct Hold {
    core: Arc<Core>,
    local: u64,
    extent: Extent,
}

impl Hold {
    pub(crate) fn new(core: &Arc<Core>, local: u64, extent: Extent) -> Arc<Self> {
        Arc::new(Self { core: Arc::clone(core), local, extent })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.core.shared
    }

    pub(crate) fn local(&self) -> u64 {
        self.local
    }

    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    pub(crate) fn is_array(&self) -> bool {
        matches!(self.extent, Extent::Array(_))
    }

    pub(crate) fn is_of(&self, core: &Arc<Core>) -> bool {
        Arc::ptr_eq(&self.core, core)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.core.shared.change(|session| match self.extent {
            Extent::Described(count) => {
                session.table.release(self.local, count);
                session.outbox.release(self.local, count);
            }
            Extent::Array(_) => {
                session.table.release(self.local, 1);
                session.outbox.release_array(self.local);
            }
        });
    }
}
