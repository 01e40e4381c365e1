//! How far a worker is on its way out.

use crate::rpc::WorkerIdentity;

/// A worker by what cannot be mistaken for a later one of the same name, nor for another one at
/// the same address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerRef {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
}

impl WorkerRef {
    /// Whether `worker` is the one.
    #[must_use]
    pub fn is(&self, worker: &WorkerIdentity) -> bool {
        self.name == worker.name && self.address == worker.address
    }
}

impl From<&WorkerIdentity> for WorkerRef {
    fn from(worker: &WorkerIdentity) -> Self {
        Self { name: worker.name.clone(), address: worker.address.clone() }
    }
}

/// How far a worker is on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Starts nothing more, finishes, gives its data away. Cannot be called back.
    Draining {
        /// What is in the way, if something is: the scheduler does not answer, or nobody can take
        /// the data. It is tried again.
        trouble: Option<String>,
    },
    /// The scheduler has confirmed that nothing is left on it that anybody wants, and has
    /// forgotten it: end its process now.
    Drained,
    /// It holds data that no other worker can take now (there is none, or all are being retired
    /// or out of memory), or actors, which cannot be moved: it must live on. The next
    /// [`drain`](super::StockScheduler::drain) tries again.
    Refused,
    /// The scheduler knows no such worker: it has never come, or has died.
    Unknown,
}
