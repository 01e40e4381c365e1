//! One port for every protocol: the first bytes of a connection tell which it is.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How every HTTP/2 connection begins.
const HTTP2: &[u8; 4] = b"PRI ";
/// How long a new connection may say nothing.
const SILENCE: Duration = Duration::from_secs(10);
/// Connections that have said nothing yet.
const UNKNOWN: usize = 1024;

/// Accepts until `stop`, and hands on what speaks gRPC.
pub(super) async fn run(
    listener: TcpListener,
    grpc: mpsc::Sender<std::io::Result<TcpStream>>,
    stop: CancellationToken,
) {
    let unknown = Arc::new(Semaphore::new(UNKNOWN));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: connections that end make room.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = unknown.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections say nothing: this one is closed");
            continue;
        };
        let grpc = grpc.clone();
        tokio::spawn(async move {
            if let Some(stream) = recognise(stream, peer).await {
                drop(permit);
                // Nobody receives any more once the server stops.
                let _ = grpc.send(Ok(stream)).await;
            }
        });
    }
}

/// The connection, if it speaks HTTP/2.
async fn recognise(stream: TcpStream, peer: SocketAddr) -> Option<TcpStream> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot send small packets at once");
    }
    match timeout(SILENCE, speaks_http2(&stream)).await {
        Ok(Ok(true)) => Some(stream),
        Ok(Ok(false)) => {
            tracing::warn!(%peer, "closed: this port speaks gRPC, and the peer something else");
            None
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "closed before it said anything");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "closed: it said nothing");
            None
        }
    }
}

async fn speaks_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; HTTP2.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 || first[..count] != HTTP2[..count] {
            return Ok(false);
        }
        if count == HTTP2.len() {
            return Ok(true);
        }
        // A part of the preface: the rest is on its way, and peek would return at once.
        sleep(Duration::from_millis(1)).await;
    }
}
