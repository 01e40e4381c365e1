//! Starting and stopping the scheduler.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::ListenerExt;
use dasklet_core::Epoch;
use dasklet_protocol::{MAX_MESSAGE_BYTES, v1::scheduler_server::SchedulerServer};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use super::{
    accept,
    grpc::Service,
    http,
    options::{Options, Output},
    shell::Shell,
    tick,
};
use crate::state::Config;

/// How long connections may take to end once the scheduler stops.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why the scheduler did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else listens there.
    #[error("port {port} is in use: stop what listens there, or choose another port with {flag}")]
    PortInUse {
        /// The port.
        port: u16,
        /// The flag that changes it.
        flag: &'static str,
    },
    /// Another reason not to listen.
    #[error("cannot listen on {address}: {error}; choose another address with --host")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        error: io::Error,
    },
    /// The file for the addresses cannot be written.
    #[error(
        "cannot write the addresses into {path}: {error}; choose another file with --port-file"
    )]
    PortFile {
        /// The file.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// The process cannot be set up.
    #[error("cannot start the scheduler: {0}")]
    Setup(io::Error),
    /// The gRPC server ended.
    #[error("the scheduler's gRPC server ended: {0}; start it again")]
    Grpc(tonic::transport::Error),
    /// The HTTP server ended.
    #[error("the scheduler's HTTP server ended: {0}; start it again")]
    Http(io::Error),
    /// A panic has left the state in doubt.
    #[error(
        "the scheduler met a bug of its own and stopped (see its log): start it again, and report the bug"
    )]
    Broken,
}

/// A scheduler that listens. Dropping it stops it at once.
pub struct Running {
    shell: Arc<Shell>,
    tasks: JoinSet<Result<(), ServeError>>,
    address: SocketAddr,
    http_address: SocketAddr,
}

impl Running {
    /// Where clients and workers connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where HTTP is served.
    #[must_use]
    pub const fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Ends all connections and waits, not for long, until they have ended.
    ///
    /// # Errors
    /// What ended the scheduler before.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.shell.stop.cancel();
        self.wait().await
    }

    /// Waits until the scheduler ends.
    ///
    /// # Errors
    /// What ended it.
    pub async fn wait(mut self) -> Result<(), ServeError> {
        let stop = self.shell.stop.clone();
        let outcome = tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => flatten(ended),
        };
        stop.cancel();
        end_connections(&self.shell);
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GOODBYE, all_ended).await.is_err() {
            tracing::debug!("some connections did not end in time and are cut");
        }
        if self.shell.broken() { Err(ServeError::Broken) } else { outcome }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shell.stop.cancel();
    }
}

fn flatten(
    ended: Result<Result<(), ServeError>, tokio::task::JoinError>,
) -> Result<(), ServeError> {
    ended.unwrap_or(Err(ServeError::Broken))
}

fn end_connections(shell: &Shell) {
    let core = shell.lock();
    for (_, peer) in core.workers.iter() {
        peer.link.end();
    }
    for link in core.sessions.links() {
        link.end();
    }
}

/// Starts a scheduler on the present runtime. All its work is done on one thread's worth of
/// time; a runtime of one thread is enough and best.
///
/// # Errors
/// Where it cannot listen, and why.
pub async fn start(options: Options) -> Result<Running, ServeError> {
    let listener = listen(&options.host, options.port, "--port").await?;
    let http_listener = listen(&options.host, options.http_port, "--http-port").await?;
    let address = listener.local_addr().map_err(ServeError::Setup)?;
    let http_address = http_listener.local_addr().map_err(ServeError::Setup)?;
    announce(&options, address, http_address)?;

    let shell = Arc::new(Shell::new(
        options.clone(),
        config(&options),
        (format!("tcp://{}:{}", shown_host(address), address.port()), http_address.port()),
    ));
    let mut tasks = JoinSet::new();
    let (connections, incoming) = mpsc::channel(64);
    let stop = shell.stop.clone();
    tasks.spawn({
        let stop = stop.clone();
        async move {
            accept::run(listener, connections, stop).await;
            Ok(())
        }
    });
    tasks.spawn({
        let shell = shell.clone();
        async move {
            tick::run_ticks(shell).await;
            Ok(())
        }
    });
    tasks.spawn({
        let shell = shell.clone();
        async move {
            tick::watch_silence(shell).await;
            Ok(())
        }
    });
    let service = SchedulerServer::new(Service::new(shell.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(async move {
        grpc_server()
            .add_service(service)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped)
            .await
            .map_err(ServeError::Grpc)
    });
    let router = http::router(shell.clone());
    let http_listener = http_listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send small packets at once");
        }
    });
    tasks.spawn(async move {
        axum::serve(http_listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
            .map_err(ServeError::Http)
    });
    tracing::info!(%address, %http_address, "scheduler listens");
    Ok(Running { shell, tasks, address, http_address })
}

fn grpc_server() -> Server {
    Server::builder()
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(32 << 20)
        .http2_adaptive_window(Some(false))
        .max_frame_size(1 << 20)
        // A peer whose machine vanished is noticed without waiting for its heartbeats.
        .http2_keepalive_interval(Some(Duration::from_secs(5)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .max_concurrent_streams(1024)
}

/// Runs a scheduler until `shutdown`.
///
/// # Errors
/// Where it cannot listen, or what ended it.
pub async fn run(
    options: Options,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let running = start(options).await?;
    let stop = running.shell.stop.clone();
    let ended = running.wait();
    tokio::pin!(ended);
    tokio::select! {
        outcome = &mut ended => return outcome,
        () = shutdown => stop.cancel(),
    }
    ended.await
}

fn config(options: &Options) -> Config {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    Config {
        epoch: new_epoch(),
        session_grace_micros: micros(options.grace()),
        max_tasks: options.max_tasks,
        max_sessions: u64::from(options.max_sessions),
        ..Config::default()
    }
}

/// Random, not zero, and small enough for numbers in JSON.
fn new_epoch() -> Epoch {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    Epoch(((high ^ low) & ((1 << 52) - 1)).max(1))
}

async fn listen(host: &str, port: u16, flag: &'static str) -> Result<TcpListener, ServeError> {
    TcpListener::bind((host, port)).await.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            ServeError::PortInUse { port, flag }
        } else {
            ServeError::Listen { address: format!("{host}:{port}"), error }
        }
    })
}

/// A host that this machine can connect to.
fn shown_host(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() }
}

/// Tells where the scheduler listens, on the terminal and in the port file.
fn announce(
    options: &Options,
    address: SocketAddr,
    http_address: SocketAddr,
) -> Result<(), ServeError> {
    let host = shown_host(address);
    let (port, http_port) = (address.port(), http_address.port());
    let line = serde_json::json!({
        "scheduler": format!("tcp://{host}:{port}"),
        "dashboard": format!("http://{host}:{http_port}"),
        "port": port,
        "httpPort": http_port,
        "pid": std::process::id(),
    });
    match options.output {
        Output::Text => {
            println!(
                "scheduler at tcp://{host}:{port}, dashboard at http://{host}:{http_port}/status"
            );
        }
        Output::Json => println!("{line}"),
        Output::None => {}
    }
    let Some(path) = &options.port_file else { return Ok(()) };
    let fail = |error| ServeError::PortFile { path: path.display().to_string(), error };
    // Whoever waits for the file must never read half of it.
    let partial = path.with_extension("partial");
    std::fs::write(&partial, format!("{line}\n")).map_err(fail)?;
    std::fs::rename(&partial, path).map_err(fail)
}
