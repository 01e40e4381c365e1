//! One connection over which calls are made, one at a time.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::timeout};

use super::{Address, Request, RpcError};
use crate::{
    connection::{Connection, ConnectionError},
    failure::Failure,
    handshake::Handshake,
    limits::Limits,
    value::Value,
};

/// After so long without a sign of life the other machine counts as gone. Only its kernel needs
/// to answer, so a scheduler that is busy is not mistaken for one that is lost.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection to a scheduler.
#[derive(Debug)]
pub struct RpcClient {
    address: String,
    connection: Connection<TcpStream>,
    /// A call was begun and its answer not taken: the next answer would be taken for another
    /// call's.
    broken: bool,
}

impl RpcClient {
    /// Connects and exchanges handshakes within `patience`.
    ///
    /// # Errors
    /// Nobody answers there, or no Dask scheduler.
    pub async fn connect(
        address: &Address,
        limits: Limits,
        patience: Duration,
    ) -> Result<Self, RpcError> {
        let shown = address.to_string();
        let opened = async {
            let stream = TcpStream::connect(address.socket()).await?;
            configure(&stream)?;
            Connection::open(stream, limits).await
        };
        match timeout(patience, opened).await {
            Ok(Ok(connection)) => Ok(Self { address: shown, connection, broken: false }),
            Ok(Err(error)) => Err(RpcError::of_connect(error, shown)),
            Err(_) => {
                let op = "connect".to_owned();
                Err(RpcError::Timeout { address: shown, op, after: patience })
            }
        }
    }

    /// Calls, and waits for the answer for `patience`.
    ///
    /// After an error other than [`RpcError::Failed`], and after a call whose future was dropped,
    /// every further call is [`RpcError::Broken`].
    ///
    /// # Errors
    /// There was no answer, or it is an exception.
    pub async fn call(&mut self, request: Request, patience: Duration) -> Result<Value, RpcError> {
        let address = || self.address.clone();
        if self.broken {
            return Err(RpcError::Broken { address: address() });
        }
        self.broken = true;
        let op = request.op().to_owned();
        let answer = timeout(patience, exchange(&mut self.connection, request)).await;
        let reply = match answer {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(RpcError::of_call(error, address(), op)),
            Err(_) => return Err(RpcError::Timeout { address: address(), op, after: patience }),
        };
        self.broken = false;
        match Failure::of_reply(&reply) {
            Some(failure) => Err(RpcError::Failed { address: address(), op, failure }),
            None => Ok(reply),
        }
    }

    /// Whether further calls make sense.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// The scheduler's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the scheduler told about itself.
    #[must_use]
    pub const fn peer(&self) -> &Handshake {
        self.connection.peer()
    }
}

async fn exchange(
    connection: &mut Connection<TcpStream>,
    request: Request,
) -> Result<Value, ConnectionError> {
    connection.send(&request.into_value()).await?;
    connection.receive().await?.ok_or(ConnectionError::Closed("instead of answering"))
}

fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let probes =
        TcpKeepalive::new().with_time(SILENCE / 3).with_interval(SILENCE / 15).with_retries(10);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(SILENCE))
}
