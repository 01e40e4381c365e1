//! What goes wrong between kube's client and the API server: a layer below the client.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Body as HttpBody, Frame};
use kube::client::Body;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::{BoxError, Layer, Service};

use crate::{asked::Asked, server::Server};

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Seed of all choices.
    pub seed: u64,
    /// Share of writes that are refused, or answered after the connection broke.
    pub failing_writes: f64,
    /// Watch events: delayed, repeated, swapped with a neighbour, lost with a forced new list.
    pub odd_events: f64,
    /// Share of lists that are from the past.
    pub stale_lists: f64,
    /// The process dies after this write has been made, before it hears of it.
    pub kill_after: Option<usize>,
}

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

struct Shared {
    server: Server,
    faults: Faults,
    rng: Mutex<StdRng>,
    killed: watch::Sender<bool>,
    writes: AtomicUsize,
}

/// The weather of one process.
#[derive(Clone)]
pub struct Weather(Arc<Shared>);

impl Weather {
    /// The weather, and whether the process is to die now.
    pub fn new(server: Server, faults: Faults) -> (Self, watch::Receiver<bool>) {
        let (killed, kill) = watch::channel(false);
        let rng = Mutex::new(StdRng::seed_from_u64(faults.seed));
        let shared = Shared { server, faults, rng, killed, writes: AtomicUsize::new(0) };
        (Self(Arc::new(shared)), kill)
    }
}

impl<S> Layer<S> for Weather {
    type Service = Stormy<S>;

    fn layer(&self, inner: S) -> Stormy<S> {
        Stormy { inner, shared: Arc::clone(&self.0) }
    }
}

/// A service in bad weather.
pub struct Stormy<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B> Service<Request<Body>> for Stormy<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        if *shared.killed.borrow() {
            return Box::pin(pending());
        }
        let asked = Asked::of(&request).filter(|asked| asked.plural != "leases");
        let read = request.method() == Method::GET;
        let Some(asked) = asked else {
            let answer = self.inner.call(request);
            return Box::pin(async move {
                Ok(unchanged(answer.await.map_err(Into::<BoxError>::into)?))
            });
        };
        if read {
            if asked.is_list()
                && shared.chance(shared.faults.stale_lists)
                && let Some(list) = shared.past(&asked)
            {
                return Box::pin(async move { Ok(plain(200, &list)) });
            }
            let answer = self.inner.call(request);
            return Box::pin(async move {
                let answer = answer.await.map_err(Into::<BoxError>::into)?;
                if asked.is_watch() && shared.faults.odd_events > 0.0 {
                    Ok(odd(answer, shared))
                } else {
                    Ok(unchanged(answer))
                }
            });
        }
        let fate = shared.chance(shared.faults.failing_writes).then(|| shared.pick(5));
        if let Some(refused) = fate.and_then(refused) {
            return Box::pin(async move { refused });
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(Into::<BoxError>::into)?;
            if fate.is_some() {
                return Err("connection reset after the write".into());
            }
            if asked.query("dryRun").is_none() {
                let count = shared.writes.fetch_add(1, Ordering::SeqCst) + 1;
                if shared.faults.kill_after == Some(count) {
                    shared.killed.send_replace(true);
                    pending::<()>().await;
                }
            }
            Ok(unchanged(answer))
        })
    }
}

impl Shared {
    fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.rng.lock().unwrap().random_bool(share)
    }

    fn pick(&self, below: u64) -> u64 {
        self.rng.lock().unwrap().random_range(0..below)
    }

    /// A list as it was some changes ago.
    fn past(&self, asked: &Asked) -> Option<Value> {
        let back = self.pick(20) as usize + 1;
        self.server.store().list_before(asked, back)
    }
}

/// Refusals without the write; `None`: the write is made, and nobody hears of it.
fn refused(pick: u64) -> Option<Result<Answer, BoxError>> {
    let status = |code: u16, reason: &str, message: &str| {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": code, "reason": reason, "message": message,
        });
        Some(Ok(plain(code, &status)))
    };
    match pick {
        0 => status(429, "TooManyRequests", "slow down"),
        1 => status(500, "InternalError", "etcd is away"),
        2 => status(409, "Conflict", "somebody was faster"),
        3 => Some(Err("connection reset".into())),
        _ => None,
    }
}

fn plain(code: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}

fn unchanged<B>(answer: Response<B>) -> Answer
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    answer.map(|body| body.map_err(Into::<BoxError>::into).boxed_unsync())
}

/// A watch whose events are delayed, repeated, swapped and lost.
fn odd<B>(answer: Response<B>, shared: Arc<Shared>) -> Answer
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    let (lines, stream) = mpsc::unbounded_channel::<Bytes>();
    let (parts, body) = answer.into_parts();
    tokio::spawn(disturb(Box::pin(body), lines, shared));
    let frames = UnboundedReceiverStream::new(stream).map(|bytes| Ok(Frame::data(bytes)));
    Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}

async fn disturb<B>(mut body: Pin<Box<B>>, lines: mpsc::UnboundedSender<Bytes>, shared: Arc<Shared>)
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    let share = shared.faults.odd_events;
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = lines.closed() => return,
        };
        let Some(Ok(frame)) = frame else { return };
        buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| &bytes[..]));
        // What comes within a moment can be swapped.
        while let Ok(more) = tokio::time::timeout(Duration::from_millis(2), body.frame()).await {
            let Some(Ok(more)) = more else { break };
            buffer.extend_from_slice(more.data_ref().map_or(&[][..], |bytes| &bytes[..]));
        }
        let Some(end) = buffer.iter().rposition(|byte| *byte == b'\n') else { continue };
        let whole: Vec<u8> = buffer.drain(..=end).collect();
        let mut news: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        if shared.chance(share) {
            tokio::time::sleep(Duration::from_millis(1 + shared.pick(40))).await;
        }
        if news.len() > 1 && shared.chance(share) && name_of(news[0]) != name_of(news[1]) {
            // Neighbours that are about different objects.
            news.swap(0, 1);
        }
        if shared.chance(share / 4.0) {
            // Lost, and so long ago that the watch cannot go on.
            let gone = json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure",
                              "code": 410, "reason": "Expired", "message": "too old"}});
            let _ = lines.send(Bytes::from(format!("{gone}\n")));
            return;
        }
        for line in news {
            let times = 1 + u8::from(shared.chance(share));
            for _ in 0..times {
                if lines.send(Bytes::copy_from_slice(line)).is_err() {
                    return;
                }
            }
        }
    }
}

fn name_of(line: &[u8]) -> Value {
    let event: Value = serde_json::from_slice(line).unwrap_or_default();
    event["object"]["metadata"]["name"].clone()
}
