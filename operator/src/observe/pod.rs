//! A pod as far as decisions read it.

use super::Meta;

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its metadata.
    pub meta: Meta,
    /// Where it runs; empty while it waits for a place.
    pub node: String,
    /// Its address; empty while it has none.
    pub ip: String,
    /// `status.phase`.
    pub phase: PodPhase,
    /// `status.reason`, such as `Evicted`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// Since when its condition `Ready` is true.
    pub ready_since_micros: Option<u64>,
    /// Why no node takes it.
    pub unschedulable: Option<String>,
    /// Why somebody outside ends it: the reason of its condition `DisruptionTarget`.
    pub disruption: Option<String>,
    /// Its containers, those of the spec first, then the init containers.
    pub containers: Vec<Container>,
    /// Whether a container that ends stays ended.
    pub never_restarts: bool,
    /// Port of the container port named `http-dashboard`, or 8787.
    pub http_port: u16,
}

/// `status.phase` of a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all containers have been started.
    #[default]
    Pending,
    /// At least one container runs, starts or restarts.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
}

/// One container's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: ContainerState,
    /// How its last process before this one ended.
    pub last: Option<ContainerState>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it is an init container.
    pub init: bool,
    /// How long its process ran, in microseconds, if it has ended and the kubelet says so.
    pub ran_micros: Option<u64>,
    /// When its process ended, in microseconds since 1970, if the kubelet says so.
    pub ended_micros: Option<u64>,
}

/// How a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Not running yet, or again.
    Waiting {
        /// Such as `ImagePullBackOff`.
        reason: String,
        /// In words.
        message: String,
    },
    /// Running.
    Running,
    /// Ended.
    Terminated {
        /// Such as `OOMKilled`.
        reason: String,
        /// Its exit code; above 128: killed by the signal of that number less 128.
        code: i32,
        /// In words.
        message: String,
    },
}

impl Default for ContainerState {
    fn default() -> Self {
        Self::Waiting { reason: String::new(), message: String::new() }
    }
}

impl Pod {
    /// True once all its containers have ended.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// True where its process has ended and nothing will start it again.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.is_finished()
            || self.never_restarts
                && self
                    .containers
                    .iter()
                    .filter(|container| !container.init)
                    .any(|container| matches!(container.state, ContainerState::Terminated { .. }))
    }

    /// When the last of its processes ended, in microseconds since 1970, if the kubelet says so.
    #[must_use]
    pub fn ended_micros(&self) -> Option<u64> {
        let own = self.containers.iter().filter(|container| !container.init);
        own.filter_map(|container| container.ended_micros).max()
    }

    /// How long the longest of its processes that have ended ran, if the kubelet says so.
    #[must_use]
    pub fn ran_micros(&self) -> Option<u64> {
        let own = self.containers.iter().filter(|container| !container.init);
        own.filter_map(|container| container.ran_micros).max()
    }

    /// True where all its containers run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == PodPhase::Running
            && self
                .containers
                .iter()
                .filter(|container| !container.init)
                .all(|container| container.state == ContainerState::Running)
    }

    /// True where its condition `Ready` is.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.ready_since_micros.is_some()
    }
}
