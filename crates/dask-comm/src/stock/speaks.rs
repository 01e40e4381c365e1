//! What answers at a scheduler's addresses.

use super::{Endpoints, HttpError, Patience, StockError, http::HttpApi};
use crate::{
    Limits,
    rpc::{RpcClient, RpcError},
};

/// What a scheduler answers to. Everything false: somebody is there who is no Dask scheduler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Speaks {
    /// dasklet's own HTTP interface: it is our scheduler, and the rest is of no interest.
    pub dasklet: bool,
    /// Dask's protocol over TCP.
    pub rpc: bool,
    /// `/api/v1/*` of Dask.
    pub api: bool,
    /// `/json/*` of Dask.
    pub json: bool,
}

impl Speaks {
    /// Asks both addresses. An error only if none of them answers anything.
    pub(super) async fn ask(endpoints: &Endpoints, patience: Patience) -> Result<Self, StockError> {
        let (http, rpc) =
            tokio::join!(over_http(endpoints, patience), over_rpc(endpoints, patience));
        match (http, rpc) {
            (Err(http), Err(rpc)) => Err(StockError::on_ways(rpc, http)),
            (http, rpc) => {
                let rpc = rpc.unwrap_or_default();
                Ok(Self { rpc, ..http.unwrap_or_default() })
            }
        }
    }
}

async fn over_rpc(endpoints: &Endpoints, patience: Patience) -> Result<bool, Option<RpcError>> {
    let address = endpoints.rpc.as_ref().ok_or(None)?;
    match RpcClient::connect(address, Limits::CONTROL, patience.connect).await {
        Ok(_) => Ok(true),
        Err(RpcError::NotDask { .. }) => Ok(false),
        Err(error) => Err(Some(error)),
    }
}

async fn over_http(endpoints: &Endpoints, patience: Patience) -> Result<Speaks, Option<HttpError>> {
    let http = HttpApi::new(endpoints, patience).ok_or(None)?;
    let ask = async |path| http.has(path).await.map_err(Some);
    Ok(Speaks {
        dasklet: ask("/api/v1/members").await?,
        api: ask("/api/v1/get_workers").await?,
        json: ask("/json/counts.json").await?,
        rpc: false,
    })
}
