//! Joins the parts: watches, control loop, election, health.

use std::sync::Arc;

use kube::Client;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::{
    apply::{Executor, Gate, Transport},
    controller::Controller,
    leader::{Election, Leadership},
    options::Options,
    serve::{Health, Metrics, serve},
    shared::SharedWorld,
    teller::Teller,
    watch::{Watches, follow},
};

/// Why the operator ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The resource definitions are missing or of dask-kubernetes.
    #[error("{0}")]
    Definitions(String),
    /// The port is taken.
    #[error("cannot listen on {address}: {reason}. Choose another one with --listen")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        reason: String,
    },
    /// Another replica leads now.
    #[error("the lease is lost: another replica leads. This one starts again")]
    LeaseLost,
}

/// Runs until `stop` becomes true.
///
/// # Errors
/// It cannot begin, or must not go on.
pub async fn run(
    options: Options,
    client: Client,
    stop: watch::Receiver<bool>,
) -> Result<(), RunError> {
    check_definitions(&client).await?;
    let metrics = Arc::new(Metrics::new());
    let health = Arc::new(Health::new(Arc::clone(&metrics)));
    let listener = tokio::net::TcpListener::bind(options.listen).await.map_err(|error| {
        RunError::Listen { address: options.listen.to_string(), reason: error.to_string() }
    })?;
    let serving = tokio::spawn(serve(listener, Arc::clone(&health)));
    let outcome = work(options, client, stop, metrics, health).await;
    serving.abort();
    outcome
}

/// Takes part in the election and works while it leads. Watches run before, so that a new leader
/// knows what there is.
async fn work(
    options: Options,
    client: Client,
    mut stop: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> Result<(), RunError> {
    let identity = options.identity.clone().unwrap_or_else(host_name);
    let (leads, mut leadership) = watch::channel(Leadership::Waiting);
    let (release, released) = watch::channel(false);
    let election = if options.no_leader_election {
        leads.send_replace(Leadership::Leading);
        None
    } else {
        let election = Election {
            namespace: options.lease_namespace.clone(),
            name: options.lease_name.clone(),
            identity: identity.clone(),
        };
        Some(tokio::spawn(election.run(client.clone(), leads, released)))
    };
    let mut controller = assemble(&options, &client, identity, &metrics, &health);
    tokio::select! {
        _ = becomes(&mut stop, |stop| *stop) => {
            release.send_replace(true);
            if let Some(election) = election {
                let _ = election.await;
            }
            return Ok(());
        }
        _ = becomes(&mut leadership, |is| *is == Leadership::Leading) => {}
        () = controller.stand_by() => {}
    }
    metrics.leader.set(1);
    let (halt, halted) = watch::channel(false);
    let mut control = tokio::spawn(controller.run(halted));
    let lost = tokio::select! {
        _ = becomes(&mut stop, |stop| *stop) => false,
        lost = becomes(&mut leadership, |is| *is == Leadership::Lost), if election.is_some() => lost,
        _ = &mut control => false,
    };
    halt.send_replace(true);
    if lost {
        // Somebody else may write already: nothing is finished.
        control.abort();
        return Err(RunError::LeaseLost);
    }
    if !control.is_finished() {
        let _ = control.await;
    }
    release.send_replace(true);
    if let Some(election) = election {
        let _ = election.await;
    }
    metrics.leader.set(0);
    Ok(())
}

/// Waits until a value is so; false where nobody will change it any more.
async fn becomes<T>(receiver: &mut watch::Receiver<T>, is: impl FnMut(&T) -> bool) -> bool {
    receiver.wait_for(is).await.is_ok()
}

fn assemble(
    options: &Options,
    client: &Client,
    identity: String,
    metrics: &Arc<Metrics>,
    health: &Arc<Health>,
) -> Controller {
    let (heard_in, heard) = mpsc::unbounded_channel();
    let teller = Teller { world: SharedWorld::default(), heard: heard_in };
    let transport = Arc::new(Transport::new(client.clone(), Arc::clone(metrics), identity));
    let watches = Watches {
        client: client.clone(),
        transport: Arc::clone(&transport),
        teller: teller.clone(),
        metrics: Arc::clone(metrics),
    };
    let count = follow(&watches, &options.namespaces);
    health.watches_left(count);
    Controller {
        settings: options.settings(),
        executor: Executor {
            transport,
            teller,
            gate: Gate::new(options.max_writes, options.write_qps),
            metrics: Arc::clone(metrics),
        },
        heard,
        watches: count,
        token: options.token.clone(),
        health: Arc::clone(health),
        metrics: Arc::clone(metrics),
    }
}

/// The resource definitions must be ours: on those of dask-kubernetes statuses would vanish.
async fn check_definitions(client: &Client) -> Result<(), RunError> {
    const REMEDY: &str = "install or upgrade them with: kubectl apply --server-side \
                          --force-conflicts -f crds/";
    let request = http::Request::builder().uri("/apis/kubernetes.dask.org/v1").body(Vec::new());
    let Ok(request) = request else { return Ok(()) };
    let mut tries = 0;
    let found: Value = loop {
        let again = match request_clone(&request) {
            Some(request) => client.request(request).await,
            None => return Ok(()),
        };
        match again {
            Ok(found) => break found,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let words =
                    format!("the API server does not know kubernetes.dask.org/v1: {REMEDY}");
                return Err(RunError::Definitions(words));
            }
            Err(error) if tries >= 5 => {
                let words = format!(
                    "the API server does not answer: {error}. Check KUBECONFIG or the service account"
                );
                return Err(RunError::Definitions(words));
            }
            Err(_) => {
                tries += 1;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    };
    let names: Vec<&str> = found["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|resource| resource["name"].as_str())
        .collect();
    for needed in ["daskclusters/status", "daskworkergroups/status", "daskjobs/status"] {
        if !names.contains(&needed) {
            let words = format!(
                "the resource definitions on this API server are older than this operator \
                 ({needed} is missing): {REMEDY}"
            );
            return Err(RunError::Definitions(words));
        }
    }
    Ok(())
}

fn request_clone(request: &http::Request<Vec<u8>>) -> Option<http::Request<Vec<u8>>> {
    http::Request::builder().uri(request.uri().clone()).body(Vec::new()).ok()
}

fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
    read.map_or_else(|_| "dasklet-operator".to_owned(), |name| name.trim().to_owned())
}
