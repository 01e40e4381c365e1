//! What the operator asks of any scheduler.

use async_trait::async_trait;
use dasklet_core::{
    DeathCause,
    demand::{Demand, DemandRequest, Member, MemberRef},
};

/// A scheduler, of whatever engine.
#[async_trait]
pub trait SchedulerApi: Send + Sync {
    /// The demand; waits as long as the request says for one that is newer than `after`.
    async fn demand(&self, request: &DemandRequest) -> Result<Demand, LinkError>;

    /// The connected workers.
    async fn members(&self) -> Result<Vec<Member>, LinkError>;

    /// Begins to drain workers; what becomes of them is seen in [`Self::members`].
    async fn drain(
        &self,
        members: &[MemberRef],
        deadline_seconds: Option<f64>,
    ) -> Result<(), LinkError>;

    /// Keeps workers after all.
    async fn undrain(&self, members: &[MemberRef]) -> Result<(), LinkError>;

    /// A worker is dead.
    async fn lost(&self, member: &MemberRef, ip: &str, cause: &DeathCause)
    -> Result<(), LinkError>;

    /// Whether a drain can be called back.
    fn is_revocable(&self) -> bool;
}

/// Why a scheduler did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// Nothing answers there.
    #[error("nothing answers at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// It answers, but not in time.
    #[error("no answer from {address} within {seconds} s")]
    Slow {
        /// Where.
        address: String,
        /// The limit.
        seconds: f64,
    },
    /// It does not know the question: another engine.
    #[error("{address} does not know {question}")]
    Unknown {
        /// Where.
        address: String,
        /// What was asked.
        question: String,
    },
    /// It said no.
    #[error("{address} refused {question}: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// What was asked.
        question: String,
        /// Its words.
        reason: String,
    },
}
