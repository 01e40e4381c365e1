//! Connects, reads the scheduler's news, and connects again when the connection breaks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dasklet_protocol::{MAX_MESSAGE_BYTES, PROTOCOL_VERSION, v1};
use prost::Message;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

use super::{Shared, sending::Sending};
use crate::{codec::SessionCodec, error::ClientError};

const SESSION: PathAndQuery = PathAndQuery::from_static("/dasklet.v1.Scheduler/ClientSession");
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Who connects, and how patiently.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// A random name that outlives the connection.
    pub(crate) session: String,
    /// For people.
    pub(crate) name: String,
    /// Longest time for one attempt to connect.
    pub(crate) connect_timeout: Duration,
    /// Longest time without a connection before the session is given up.
    pub(crate) grace: Duration,
}

/// A way to a gRPC server, tuned for few large streams.
pub(crate) fn endpoint(uri: String, connect_timeout: Duration) -> Result<Endpoint, ClientError> {
    let endpoint = Endpoint::from_shared(uri.clone())
        .map_err(|error| ClientError::BadAddress { address: uri, reason: error.to_string() })?;
    Ok(endpoint
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(20)))
}

/// The innermost reason, which is the one that helps.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A connection that the scheduler has welcomed.
pub(crate) struct Connected {
    events: Streaming<v1::ClientEvent>,
    pub(crate) channel: Channel,
}

/// Connects, says hello, and takes the welcome into the session.
pub(crate) async fn connect(
    shared: &Arc<Shared>,
    identity: &Identity,
) -> Result<Connected, ClientError> {
    let address = shared.address.to_string();
    let unreachable =
        |reason: String| ClientError::Unreachable { address: address.clone(), reason };
    let channel = endpoint(shared.address.uri(), identity.connect_timeout)?
        .connect()
        .await
        .map_err(|error| unreachable(root_cause(&error)))?;
    let sending = Sending::new(Arc::clone(shared), begin(shared), hello(shared, identity));
    let handshake = async {
        let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        grpc.ready().await.map_err(|error| unreachable(root_cause(&error)))?;
        let mut events = grpc
            .streaming(Request::new(sending), SESSION, SessionCodec)
            .await
            .map_err(|status| unreachable(status_reason(&status)))?
            .into_inner();
        let first = events.message().await.map_err(|status| unreachable(status_reason(&status)))?;
        let first = first.ok_or_else(|| unreachable("it closed the connection".to_owned()))?;
        welcome(shared, first)?;
        Ok(events)
    };
    // A process that is not a scheduler may take the connection and never answer.
    let events = tokio::time::timeout(identity.connect_timeout, handshake)
        .await
        .map_err(|_| unreachable("it takes connections but does not answer".to_owned()))??;
    Ok(Connected { events, channel })
}

/// Makes older connections outdated, and returns the number of the new one.
fn begin(shared: &Shared) -> u64 {
    shared.change(|session| {
        session.connection += 1;
        session.welcomed = false;
        session.connection
    })
}

fn hello(shared: &Shared, identity: &Identity) -> Bytes {
    let session = shared.session();
    let pending = if session.epoch == 0 { Vec::new() } else { session.table.pending_ranges() };
    let hello = v1::ClientHello {
        protocol_version: PROTOCOL_VERSION,
        session: identity.session.clone(),
        name: identity.name.clone(),
        epoch: session.epoch,
        pending,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    v1::ClientMessage { hello: Some(hello), ..v1::ClientMessage::default() }.encode_to_vec().into()
}

fn welcome(shared: &Arc<Shared>, mut first: v1::ClientEvent) -> Result<(), ClientError> {
    let address = shared.address.to_string();
    if let Some(rejected) = first.rejected.take() {
        return Err(ClientError::Rejected { address, reason: rejected.reason });
    }
    let Some(welcome) = first.welcome.take() else {
        let reason = "it does not speak dasklet's protocol".to_owned();
        return Err(ClientError::Unreachable { address, reason });
    };
    let mut wake = shared.change(|session| {
        let is_new = session.epoch == 0;
        if !is_new && (!welcome.resumed || welcome.epoch != session.epoch) {
            return Err(ClientError::SessionLost { address });
        }
        session.epoch = welcome.epoch;
        session.welcomed = true;
        if is_new {
            return Ok(Vec::new());
        }
        let woken = session.outbox.resume(welcome.last_sequence);
        // Where they may be written was perhaps told to the connection that broke.
        let puts: Vec<u64> = session.puts.keys().copied().collect();
        puts.into_iter().for_each(|local| session.ask_for_target(local));
        Ok(woken)
    })?;
    shared.receive(first, &mut wake);
    Ok(())
}

fn status_reason(status: &Status) -> String {
    match status.message() {
        "" => root_cause(status),
        message => message.to_owned(),
    }
}

/// Keeps the session connected until it ends.
pub(crate) async fn run(shared: Arc<Shared>, identity: Identity, mut connected: Connected) {
    loop {
        let reason = match read(&shared, &mut connected.events).await {
            Break::End(end) => return shared.end(end),
            Break::Broken(reason) => reason,
        };
        tracing::debug!(address = %shared.address, reason, "the connection broke");
        match reconnect(&shared, &identity).await {
            Ok(new) => connected = new,
            Err(end) => return shared.end(end),
        }
        shared.holders.set_scheduler(connected.channel.clone());
    }
}

/// Why reading stopped.
enum Break {
    /// The session is over.
    End(ClientError),
    /// The connection broke.
    Broken(String),
}

async fn read(shared: &Shared, events: &mut Streaming<v1::ClientEvent>) -> Break {
    let mut wake = Vec::new();
    loop {
        match events.message().await {
            Ok(Some(v1::ClientEvent { rejected: Some(rejected), .. })) => {
                let address = shared.address.to_string();
                return Break::End(ClientError::Rejected { address, reason: rejected.reason });
            }
            Ok(Some(event)) => shared.receive(event, &mut wake),
            _ if shared.session().outbox.is_ended() => return Break::End(ClientError::Closed),
            Ok(None) => return Break::Broken("the scheduler closed it".to_owned()),
            Err(status) => return Break::Broken(status_reason(&status)),
        }
    }
}

async fn reconnect(shared: &Arc<Shared>, identity: &Identity) -> Result<Connected, ClientError> {
    let since = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let reason = match connect(shared, identity).await {
            Ok(connected) => return Ok(connected),
            Err(ClientError::Unreachable { reason, .. }) => reason,
            Err(end) => return Err(end),
        };
        if shared.session().outbox.is_ended() {
            return Err(ClientError::Closed);
        }
        if since.elapsed() + pause > identity.grace {
            let seconds = identity.grace.as_secs();
            let address = shared.address.to_string();
            return Err(ClientError::ConnectionLost { address, seconds, reason });
        }
        tokio::time::sleep(pause).await;
        pause = jittered(pause * 2).min(LONGEST_PAUSE);
    }
}

/// Between three and five quarters, so that many clients do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    pause * (192 + u32::from(random) / 2) / 256
}
