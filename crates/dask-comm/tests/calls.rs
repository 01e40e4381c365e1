//! Calls to a real scheduler that fail, hang or die; and payloads that pass through us.

#![allow(clippy::unwrap_used)]

mod dask;

use std::time::Duration;

use dask::Cluster;
use dasklet_dask_comm::{
    Limits, Map, Value,
    rpc::{Request, RetireRequest, RpcClient, RpcError},
    stock::StockError,
};

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

async fn connect(cluster: &Cluster) -> RpcClient {
    RpcClient::connect(&cluster.address, Limits::CONTROL, PATIENCE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_goes_away_is_an_error_and_its_successor_is_found() {
    let mut cluster = Cluster::start(0).await;
    let stock = cluster.stock();
    let first = stock.observe(None).await.unwrap().scheduler;
    let mut client = connect(&cluster).await;

    cluster.scheduler.signal("-STOP");
    let error = client.identity(SHORT).await.unwrap_err();
    assert!(matches!(&error, RpcError::Timeout { op, .. } if op == "identity"), "{error}");
    cluster.scheduler.signal("-CONT");

    let mut client = connect(&cluster).await;
    client.identity(PATIENCE).await.unwrap();
    cluster.scheduler.signal("-STOP");
    let waiting = tokio::spawn(async move { client.identity(PATIENCE).await });
    cluster.kill_scheduler();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(&error, RpcError::Lost { op, .. } if op == "identity"), "{error}");

    let error = stock.observe(None).await.unwrap_err();
    assert!(matches!(error, StockError::Neither { .. }), "{error}");
    assert!(error.to_string().contains(&cluster.address.to_string()), "{error}");
    assert!(stock.speaks().await.is_err());

    cluster.restart_scheduler().await;
    assert_ne!(stock.observe(None).await.unwrap().scheduler, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_tells_the_exception_and_the_next_one_works() {
    let cluster = Cluster::start(1).await;
    let mut client = connect(&cluster).await;
    let wrong = Request::new("adaptive_target").with("no_such_argument", 1_i64);
    let error = client.call(wrong, PATIENCE).await.unwrap_err();
    let failure = error.failure().unwrap();
    assert!(failure.exception.starts_with("TypeError"), "{failure:?}");
    assert!(failure.traceback.contains("core.py"), "{failure:?}");

    let unknown = client.call(Request::new("no_such_call"), PATIENCE).await.unwrap();
    assert_eq!(unknown, Value::Nil);
    let nobody = ["tcp://127.0.0.1:1".to_owned()];
    assert_eq!(client.processing(&nobody, PATIENCE).await.unwrap(), None);
    let nobody = RetireRequest { workers: nobody.to_vec(), remove: true };
    assert_eq!(client.retire_workers(&nobody, PATIENCE).await.unwrap(), []);
    assert_eq!(client.identity(PATIENCE).await.unwrap().n_workers, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_pass_unopened() {
    let mut cluster = Cluster::start(1).await;
    let mut python = cluster.client();
    let id = python.run(
        "f = client.submit(bytes, 3_000_000, key='big')\n\
         g = client.submit(dict, a=[1, 2.5], key=('small', 0))\n\
         wait([f, g], timeout=30)\nresult = client.id",
    );
    let mut client = connect(&cluster).await;
    let small = Value::list([Value::from("small"), Value::Int(0)]);
    let keys = Value::List(vec!["big".into(), small.clone()]);
    let gather = Request::new("gather").with("keys", keys);
    let reply = client.call(gather, PATIENCE).await.unwrap().into_map("").unwrap();
    assert_eq!(reply.get("status"), Some(&"OK".into()));
    let gathered = reply.required("data").unwrap().as_map("data").unwrap();
    let of = |key: &Value| match gathered.iter().find(|(it, _)| it == key) {
        Some((_, Value::Payload(payload))) => (**payload).clone(),
        other => panic!("{other:?}"),
    };
    let (big, little) = (of(&"big".into()), of(&small));
    assert!(big.nbytes() > 3_000_000 && little.nbytes() < 1000);

    python.run(
        "from distributed import Future\n\
         copies = [Future(key, client=client) for key in ('big copy', 'small copy')]",
    );
    let data = Map::new().with("big copy", big).with("small copy", little);
    let scatter = Request::new("scatter")
        .with("data", data)
        .with("workers", Value::Nil)
        .with("client", id.as_str().unwrap())
        .with("broadcast", false)
        .with("timeout", 10_i64);
    client.call(scatter, PATIENCE).await.unwrap();
    let same = python.run(
        "wait(copies, timeout=30)\n\
         result = client.gather(copies) == [bytes(3_000_000), {'a': [1, 2.5]}]",
    );
    assert_eq!(same, true);
}
