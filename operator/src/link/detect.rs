//! Finds out what a scheduler is, and stays with that.

use std::sync::OnceLock;

use async_trait::async_trait;
use dasklet_core::{
    DeathCause,
    demand::{Demand, DemandRequest, Member, MemberRef},
};
use dasklet_dask_comm::stock::Endpoints;

use super::{Engine, Http, LinkError, SchedulerApi, Stock};
use crate::plan::Link;

/// A scheduler of either engine: our own HTTP API is preferred, then Dask's.
#[derive(Debug)]
pub struct Detected {
    engine: Engine,
    stock: Stock,
    is_stock: OnceLock<bool>,
}

impl Detected {
    /// The scheduler behind a link; asked nothing yet.
    #[must_use]
    pub fn new(link: &Link, token: Option<String>) -> Self {
        let endpoints = Endpoints { rpc: link.tcp.parse().ok(), http: link.url.parse().ok() };
        Self {
            engine: Engine::new(Http::new(&link.url, token)),
            stock: Stock::new(endpoints, link.url.clone()),
            is_stock: OnceLock::new(),
        }
    }

    fn api(&self) -> &dyn SchedulerApi {
        if self.is_stock.get() == Some(&true) { &self.stock } else { &self.engine }
    }
}

#[async_trait]
impl SchedulerApi for Detected {
    async fn demand(&self, request: &DemandRequest) -> Result<Demand, LinkError> {
        if self.is_stock.get().is_some() {
            return self.api().demand(request).await;
        }
        match self.engine.demand(request).await {
            Ok(demand) => {
                let _ = self.is_stock.set(false);
                Ok(demand)
            }
            Err(error) => {
                if !self.stock.answers().await {
                    return Err(error);
                }
                let _ = self.is_stock.set(true);
                self.stock.demand(request).await
            }
        }
    }

    async fn members(&self) -> Result<Vec<Member>, LinkError> {
        self.api().members().await
    }

    async fn drain(
        &self,
        members: &[MemberRef],
        deadline_seconds: Option<f64>,
    ) -> Result<(), LinkError> {
        self.api().drain(members, deadline_seconds).await
    }

    async fn undrain(&self, members: &[MemberRef]) -> Result<(), LinkError> {
        self.api().undrain(members).await
    }

    async fn lost(
        &self,
        member: &MemberRef,
        ip: &str,
        cause: &DeathCause,
    ) -> Result<(), LinkError> {
        self.api().lost(member, ip, cause).await
    }

    fn is_revocable(&self) -> bool {
        self.api().is_revocable()
    }
}
