//! A stock Dask scheduler, asked in the words of our own.

use async_trait::async_trait;
use dasklet_core::{
    DeathCause,
    demand::{Demand, DemandRequest, Member, MemberRef},
};
use dasklet_dask_comm::stock::{Endpoints, Patience, StockApi, StockScheduler};

use super::{LinkError, SchedulerApi};

/// A stock Dask scheduler.
#[derive(Debug)]
pub struct Stock {
    api: StockApi,
    address: String,
}

impl Stock {
    /// The scheduler at these addresses.
    #[must_use]
    pub fn new(endpoints: Endpoints, address: String) -> Self {
        let scheduler = StockScheduler::new(endpoints, Patience::default());
        Self { api: StockApi::new(scheduler), address }
    }

    /// Whether a stock scheduler answers there.
    pub async fn answers(&self) -> bool {
        self.api
            .scheduler()
            .speaks()
            .await
            .is_ok_and(|speaks| !speaks.dasklet && (speaks.rpc || speaks.api || speaks.json))
    }

    fn refused(&self, question: &str, reason: impl ToString) -> LinkError {
        LinkError::Refused {
            address: self.address.clone(),
            question: question.to_owned(),
            reason: reason.to_string(),
        }
    }
}

#[async_trait]
impl SchedulerApi for Stock {
    async fn demand(&self, request: &DemandRequest) -> Result<Demand, LinkError> {
        self.api.demand(request).await.map_err(|error| self.refused("its demand", error))
    }

    async fn members(&self) -> Result<Vec<Member>, LinkError> {
        self.api.members().await.map_err(|error| self.refused("its workers", error))
    }

    async fn drain(
        &self,
        members: &[MemberRef],
        deadline_seconds: Option<f64>,
    ) -> Result<(), LinkError> {
        let drained = self.api.drain(members, deadline_seconds).await;
        drained.map_err(|error| self.refused("a drain", error))
    }

    async fn undrain(&self, _members: &[MemberRef]) -> Result<(), LinkError> {
        // A retirement of Dask cannot be called back; nothing asks for it, see `is_revocable`.
        Ok(())
    }

    async fn lost(
        &self,
        member: &MemberRef,
        ip: &str,
        cause: &DeathCause,
    ) -> Result<(), LinkError> {
        let told = self.api.lost(member, ip, cause).await;
        told.map_err(|error| self.refused("that a worker is dead", error))
    }

    fn is_revocable(&self) -> bool {
        false
    }
}
