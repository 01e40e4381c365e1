//! The outgoing half of a connection: hands the session's messages to gRPC as it asks for them,
//! so that everything that has gathered meanwhile travels together.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::Stream;

use super::{Shared, outbox::Next};

/// The messages of one connection: first the hello, then, once it is welcome, the outbox.
pub(crate) struct Sending {
    shared: Arc<Shared>,
    connection: u64,
    hello: Option<Bytes>,
}

impl Sending {
    pub(crate) fn new(shared: Arc<Shared>, connection: u64, hello: Bytes) -> Self {
        Self { shared, connection, hello: Some(hello) }
    }
}

impl Stream for Sending {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        if let Some(hello) = this.hello.take() {
            return Poll::Ready(Some(hello));
        }
        let mut session = this.shared.session();
        if session.connection != this.connection || session.end.is_some() {
            return Poll::Ready(None);
        }
        if !session.welcomed {
            session.outbox.set_sender(context.waker());
            return Poll::Pending;
        }
        match session.outbox.next(context.waker()) {
            Next::Message(message) => Poll::Ready(Some(message)),
            Next::Wait => Poll::Pending,
            Next::End => Poll::Ready(None),
        }
    }
}
