//! Peers that are no Dask schedulers, or misbehave.

#![allow(clippy::unwrap_used)]

use std::{future::pending, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use dasklet_dask_comm::{
    CodecError, Connection, Limits, Map, Value,
    handshake::Handshake,
    message::{self, Payload, PayloadKind},
    rpc::{Address, Request, RpcClient, RpcError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

/// Serves one connection.
async fn peer<F: Future<Output = ()> + Send + 'static>(
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    });
    Address::new("127.0.0.1", port)
}

/// Sends these bytes at once, and goes on reading.
async fn sends(bytes: impl Into<Bytes>) -> Address {
    let bytes = bytes.into();
    peer(async move |mut stream: TcpStream| {
        stream.write_all(&bytes).await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await
}

async fn connect(address: &Address) -> Result<RpcClient, RpcError> {
    RpcClient::connect(address, Limits::CONTROL, PATIENCE).await
}

fn handshake() -> Bytes {
    message::encode(&Handshake::ours().to_value()).to_bytes()
}

fn announce(lengths: &[u64]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u64_le(8 + 8 * lengths.len() as u64 + lengths.iter().sum::<u64>());
    bytes.put_u64_le(lengths.len() as u64);
    lengths.iter().for_each(|length| bytes.put_u64_le(*length));
    bytes.freeze()
}

#[tokio::test]
async fn an_http_server_is_told_apart() {
    let address = sends("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
    let error = connect(&address).await.unwrap_err();
    assert!(matches!(error, RpcError::NotDask { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("HTTP/1.1 400 Bad") && text.contains(&address.to_string()), "{text}");
}

#[tokio::test]
async fn a_grpc_server_is_told_apart() {
    // An HTTP/2 SETTINGS frame.
    let settings = b"\x00\x00\x18\x04\x00\x00\x00\x00\x00\x00\x04\x00\x10\x00\x00\x00\x05\x00\x00";
    let address = sends(&settings[..]).await;
    let error = connect(&address).await.unwrap_err();
    assert!(matches!(error, RpcError::NotDask { .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_left() {
    let address = peer(async move |_stream: TcpStream| pending().await).await;
    let error = RpcClient::connect(&address, Limits::CONTROL, SHORT).await.unwrap_err();
    assert!(matches!(error, RpcError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn nobody_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
    drop(listener);
    let error = connect(&address).await.unwrap_err();
    assert!(matches!(error, RpcError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_unreachable() {
    for sent in [Bytes::new(), handshake().slice(..20)] {
        let address = peer(async move |mut stream: TcpStream| {
            stream.write_all(&sent).await.unwrap();
            // All that was sent is read first, so that the end is no reset.
            let mut start = [0; 16];
            stream.read_exact(&mut start).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await;
        let error = connect(&address).await.unwrap_err().to_string();
        assert!(error.contains("closed the connection"), "{error}");
    }
}

#[tokio::test]
async fn a_first_message_that_is_no_handshake_is_refused() {
    for first in [Value::Nil, Value::map([("python", Value::list([3_i64, 11, 0]))])] {
        let address = sends(message::encode(&first).to_bytes()).await;
        let error = connect(&address).await.unwrap_err().to_string();
        assert!(error.contains("the peer's handshake"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_peer_may_not_send_much() {
    let address = sends(announce(&[1 << 20])).await;
    let error = connect(&address).await.unwrap_err();
    let limit = Limits::HANDSHAKE.message_bytes;
    let expected = CodecError::TooLarge { what: "bytes", found: 1 << 20, limit };
    assert!(matches!(&error, RpcError::NotDask { reason, .. } if *reason == expected), "{error}");
}

#[tokio::test]
async fn an_answer_beyond_the_limits_is_refused() {
    let bytes = [handshake(), announce(&[100, 1 << 40])].concat();
    let mut client = connect(&sends(bytes).await).await.unwrap();
    let error = client.call(Request::new("identity"), PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("exceeds the limit"), "{error}");
    let error = client.call(Request::new("identity"), PATIENCE).await.unwrap_err();
    assert!(matches!(error, RpcError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn an_end_in_the_middle_of_an_answer_is_a_loss() {
    let address = peer(async move |stream: TcpStream| {
        let mut stream = stream;
        let answer = [handshake(), announce(&[1000]), Bytes::from_static(b"\x91")].concat();
        stream.write_all(&answer).await.unwrap();
        let mut request = vec![0; 20];
        stream.read_exact(&mut request).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let mut client = connect(&address).await.unwrap();
    let error = client.call(Request::new("identity"), PATIENCE).await.unwrap_err();
    assert!(matches!(error, RpcError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("in the middle of a message"), "{error}");
}

#[tokio::test]
async fn a_call_that_was_given_up_does_not_answer_the_next_one() {
    let address = peer(async move |stream: TcpStream| {
        let mut connection = Connection::open(stream, Limits::CONTROL).await.unwrap();
        while let Ok(Some(request)) = connection.receive().await {
            let op = request.as_map("").unwrap().get("op").unwrap().clone();
            if op != Value::from("slow") {
                connection.send(&op).await.unwrap();
            }
        }
    })
    .await;
    let mut client = connect(&address).await.unwrap();
    assert_eq!(client.call(Request::new("quick"), PATIENCE).await.unwrap(), "quick".into());
    let error = client.call(Request::new("slow"), SHORT).await.unwrap_err();
    assert!(matches!(&error, RpcError::Timeout { op, .. } if op == "slow"), "{error}");
    let error = client.call(Request::new("quick"), PATIENCE).await.unwrap_err();
    assert!(matches!(error, RpcError::Broken { .. }), "{error}");
}

#[tokio::test]
async fn a_call_whose_future_was_dropped_breaks_the_connection() {
    let address = sends(handshake()).await;
    let mut client = connect(&address).await.unwrap();
    let call = client.call(Request::new("slow"), PATIENCE);
    assert!(tokio::time::timeout(SHORT, call).await.is_err());
    assert!(client.is_broken());
}

#[tokio::test]
async fn both_sides_use_the_same_connection() {
    let (left, right) = tokio::io::duplex(1000);
    let server = tokio::spawn(async move {
        let mut server = Connection::open(right, Limits::CONTROL).await.unwrap();
        assert_eq!(*server.peer(), Handshake::ours());
        while let Some(message) = server.receive().await.unwrap() {
            server.send(&message).await.unwrap();
        }
    });
    let mut client = Connection::open(left, Limits::CONTROL).await.unwrap();
    let frames = vec![Bytes::new(), vec![1; 100].into(), vec![2; 1 << 20].into()];
    let payload = Payload::new(PayloadKind::Serialized, Map::new(), frames);
    for message in [
        Value::Nil,
        Value::map([("data", payload.clone().into())]),
        Value::list([payload.clone(), Payload::of_pickle(Bytes::from_static(b"N.")), payload]),
    ] {
        client.send(&message).await.unwrap();
        assert_eq!(client.receive().await.unwrap(), Some(message));
    }
    client.shutdown().await.unwrap();
    server.await.unwrap();
}
