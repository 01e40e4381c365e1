//! Passes outputs and put values between clients that cannot reach the workers, and workers.
//! Chunk by chunk: nothing is kept here.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dasklet_core::WorkerId;
use dasklet_protocol::{
    MAX_MESSAGE_BYTES,
    v1::{self, worker_data_client::WorkerDataClient},
};
use foldhash::HashMap;
use futures::{StreamExt, stream};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::shell::Shell;

/// Most cached connections to workers.
const CHANNELS: usize = 256;

/// The way to the workers' data.
pub(super) struct Proxy {
    shell: Arc<Shell>,
    channels: Mutex<HashMap<String, Channel>>,
}

impl Proxy {
    pub fn new(shell: Arc<Shell>) -> Self {
        Self { shell, channels: Mutex::default() }
    }

    /// Outputs of one worker.
    pub async fn fetch(
        &self,
        mut request: v1::FetchRequest,
    ) -> Result<Streaming<v1::Chunk>, Status> {
        self.check_epoch(request.epoch)?;
        let mut worker = self.worker(request.holder)?;
        request.holder = 0;
        worker.fetch(request).await.map(tonic::Response::into_inner)
    }

    /// A put value for the worker that its first chunk names.
    pub async fn put(&self, mut chunks: Streaming<v1::PutChunk>) -> Result<v1::PutReply, Status> {
        let Some(first) = chunks.message().await? else {
            return Err(Status::invalid_argument("a put value needs at least one chunk"));
        };
        self.check_epoch(first.epoch)?;
        let mut worker = self.worker(first.worker)?;
        // A client that breaks off leaves the value shorter than its total, which the worker
        // refuses.
        let rest = chunks.take_while(|chunk| std::future::ready(chunk.is_ok()));
        let all = stream::iter([first]).chain(rest.filter_map(|c| std::future::ready(c.ok())));
        worker.put(all).await.map(tonic::Response::into_inner)
    }

    fn check_epoch(&self, epoch: u64) -> Result<(), Status> {
        let ours = self.shell.lock().state.epoch().0;
        if epoch == ours {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "epoch {epoch} is over, this scheduler is in epoch {ours}: connect again"
        )))
    }

    fn worker(&self, id: u32) -> Result<WorkerDataClient<Channel>, Status> {
        let address = {
            let core = self.shell.lock();
            let description = core.state.worker_description(WorkerId(id));
            description.map(|description| description.data_address.clone())
        };
        let Some(address) = address else {
            return Err(Status::not_found(format!(
                "worker {id} is gone: ask for its output again"
            )));
        };
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.len() >= CHANNELS && !channels.contains_key(&address) {
            channels.clear();
        }
        let channel = match channels.get(&address) {
            Some(channel) => channel.clone(),
            None => {
                let channel = connect(&address)?;
                channels.insert(address, channel.clone());
                channel
            }
        };
        Ok(WorkerDataClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES))
    }
}

fn connect(address: &str) -> Result<Channel, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| {
        Status::internal(format!("a worker's data address '{address}' is not host:port: {error}"))
    })?;
    Ok(endpoint
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(10))
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(32 << 20)
        .connect_lazy())
}
