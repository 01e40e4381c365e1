//! The gRPC service of the scheduler.

use std::sync::Arc;

use dasklet_protocol::v1::{self, scheduler_server::Scheduler};
use tonic::{Request, Response, Status, Streaming};

use super::{
    client_session,
    link::{Link, Outlet},
    proxy::Proxy,
    session_outbox::ToClients,
    shell::Shell,
    worker_outbox::ToWorkers,
    worker_session,
};

/// Serves workers and clients.
pub(super) struct Service {
    shell: Arc<Shell>,
    proxy: Proxy,
}

impl Service {
    pub fn new(shell: Arc<Shell>) -> Self {
        Self { proxy: Proxy::new(shell.clone()), shell }
    }
}

#[tonic::async_trait]
impl Scheduler for Service {
    type WorkerSessionStream = Outlet<ToWorkers>;
    type ClientSessionStream = Outlet<ToClients>;
    type FetchStream = Streaming<v1::Chunk>;

    async fn worker_session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::WorkerSessionStream>, Status> {
        let link = Arc::new(Link::default());
        tokio::spawn(worker_session::serve(self.shell.clone(), link.clone(), request.into_inner()));
        Ok(Response::new(Outlet::new(self.shell.clone(), link)))
    }

    async fn client_session(
        &self,
        request: Request<Streaming<v1::ClientMessage>>,
    ) -> Result<Response<Self::ClientSessionStream>, Status> {
        let link = Arc::new(Link::default());
        tokio::spawn(client_session::serve(self.shell.clone(), link.clone(), request.into_inner()));
        Ok(Response::new(Outlet::new(self.shell.clone(), link)))
    }

    async fn fetch(
        &self,
        request: Request<v1::FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        self.proxy.fetch(request.into_inner()).await.map(Response::new)
    }

    async fn put(
        &self,
        request: Request<Streaming<v1::PutChunk>>,
    ) -> Result<Response<v1::PutReply>, Status> {
        self.proxy.put(request.into_inner()).await.map(Response::new)
    }
}
