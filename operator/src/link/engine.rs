//! Our own scheduler, by its HTTP API.

use std::time::Duration;

use async_trait::async_trait;
use dasklet_core::{
    DeathCause,
    demand::{Demand, DemandRequest, DrainRequest, LostRequest, Member, MemberRef, MembersAnswer},
};

use super::{Http, LinkError, SchedulerApi};

/// A question that needs no waiting is answered within this, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Our own scheduler.
#[derive(Debug, Clone)]
pub struct Engine {
    http: Http,
}

impl Engine {
    /// The scheduler behind this address.
    #[must_use]
    pub const fn new(http: Http) -> Self {
        Self { http }
    }
}

#[async_trait]
impl SchedulerApi for Engine {
    async fn demand(&self, request: &DemandRequest) -> Result<Demand, LinkError> {
        let wait = Duration::from_millis(request.after.and(request.wait_millis).unwrap_or(0));
        self.http.post("/api/v1/demand", request, wait + PATIENCE).await
    }

    async fn members(&self) -> Result<Vec<Member>, LinkError> {
        self.http.get("/api/v1/members", PATIENCE).await
    }

    async fn drain(
        &self,
        members: &[MemberRef],
        deadline_seconds: Option<f64>,
    ) -> Result<(), LinkError> {
        let request = DrainRequest { members: members.to_vec(), deadline_seconds };
        self.http.post::<_, MembersAnswer>("/api/v1/drain", &request, PATIENCE).await.map(drop)
    }

    async fn undrain(&self, members: &[MemberRef]) -> Result<(), LinkError> {
        let request = DrainRequest { members: members.to_vec(), deadline_seconds: None };
        self.http.post::<_, MembersAnswer>("/api/v1/undrain", &request, PATIENCE).await.map(drop)
    }

    async fn lost(
        &self,
        member: &MemberRef,
        _ip: &str,
        cause: &DeathCause,
    ) -> Result<(), LinkError> {
        let request = LostRequest { member: member.clone(), cause: cause.clone() };
        self.http.post::<_, MembersAnswer>("/api/v1/lost", &request, PATIENCE).await.map(drop)
    }

    fn is_revocable(&self) -> bool {
        true
    }
}
