//! What a plan comes to.

use serde_json::Value;

use super::{
    event::EventNote,
    orders::{Link, Order},
};

/// All that should be done now for one cluster. Doing it twice does no harm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Writes to the API server.
    pub writes: Vec<Write>,
    /// Where its scheduler is, and what to ask it; `None`: there is nobody to ask.
    pub link: Option<Link>,
    /// Requests to its scheduler.
    pub orders: Vec<Order>,
    /// Plan again after this time at the latest, even if nothing happens.
    pub requeue_micros: Option<u64>,
}

impl Plan {
    /// Asks for another plan after so long, if not earlier.
    pub fn again_after(&mut self, micros: u64) {
        self.requeue_micros = Some(self.requeue_micros.map_or(micros, |now| now.min(micros)));
    }

    /// Adds a write.
    pub fn write(&mut self, stage: Stage, target: Target, action: Action) {
        self.writes.push(Write { stage, target, action });
    }

    /// Adds an event.
    pub fn event(&mut self, note: EventNote) {
        let target = Target::new(Kind::Event, &note.name);
        self.write(Stage::Tell, target, Action::Event(note));
    }

    /// Whether something of an earlier stage than the status is to be written.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.writes.iter().any(|write| write.stage < Stage::Status)
    }
}

/// One write to the API server.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// When: one stage is finished before the next begins.
    pub stage: Stage,
    /// What it is about: failures are counted, and writes delayed, by this.
    pub target: Target,
    /// What is to be done.
    pub action: Action,
}

/// In which order writes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Statuses that say what is about to be done.
    Intent,
    /// Schedulers, services and groups.
    Parts,
    /// Notes on pods.
    Notes,
    /// Pods.
    Pods,
    /// Statuses that say what is.
    Status,
    /// Events.
    Tell,
    /// Deletions of whole objects, after everything is said.
    Last,
}

/// What a write is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The kind.
    pub kind: Kind,
    /// The name; of workers: their group's.
    pub name: String,
}

impl Target {
    /// Both.
    #[must_use]
    pub fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

/// Kinds of objects that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A `DaskCluster`.
    Cluster,
    /// A `DaskWorkerGroup`.
    Group,
    /// A `DaskAutoscaler`.
    Autoscaler,
    /// A `DaskJob`.
    Job,
    /// A pod.
    Pod,
    /// A deployment.
    Deployment,
    /// A service.
    Service,
    /// An event.
    Event,
    /// A template that is only tried.
    Template,
}

impl Kind {
    /// For people and for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "DaskCluster",
            Self::Group => "DaskWorkerGroup",
            Self::Autoscaler => "DaskAutoscaler",
            Self::Job => "DaskJob",
            Self::Pod => "Pod",
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::Event => "Event",
            Self::Template => "Template",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Plain creation; that it exists already is fine.
    Create {
        /// The kind.
        kind: Kind,
        /// The object.
        body: Value,
    },
    /// Server-side apply.
    Apply {
        /// The kind.
        kind: Kind,
        /// The object's name.
        name: String,
        /// What we say of the object.
        body: Value,
    },
    /// A merge patch of one version of the object, or of any.
    Patch {
        /// The kind.
        kind: Kind,
        /// The object's name.
        name: String,
        /// The patch; `metadata.uid` and `metadata.resourceVersion` in it are preconditions.
        patch: Value,
        /// Who says it.
        manager: &'static str,
        /// Whether it is the status.
        status: bool,
    },
    /// Deletion of this very object.
    Delete {
        /// The kind.
        kind: Kind,
        /// The object's name.
        name: String,
        /// Its identity.
        uid: String,
        /// At once, without a grace period.
        at_once: bool,
        /// Only if this is still its version.
        version: Option<u64>,
    },
    /// Creation that is only tried.
    DryRun {
        /// The pod.
        body: Value,
        /// Its template's fingerprint.
        fingerprint: String,
    },
    /// An event.
    Event(EventNote),
}
