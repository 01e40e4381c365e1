//! One connection's way out: messages are built when the stream has room for them.

use std::{
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::{Stream, task::AtomicWaker};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::shell::{Core, Shell};

/// Where a connection stands. Shared by its reader, its outlet and the tables of peers.
#[derive(Debug, Default)]
pub(super) struct Link {
    waker: AtomicWaker,
    phase: Mutex<Phase>,
    /// Told when messages were written: a reader that waits for room may go on.
    pub room: Notify,
    /// Cancelled once the connection is over, from either side.
    pub closed: CancellationToken,
}

#[derive(Debug, Default, Clone)]
enum Phase {
    /// No hello yet.
    #[default]
    Greeting,
    /// Serves this worker or session.
    Open(u32),
    /// To be told why, and closed.
    Rejected(String),
    /// Over.
    Ended,
}

impl Link {
    /// From now on this link serves the worker or session of this id.
    pub fn open(&self, id: u32) {
        self.enter(Phase::Open(id));
    }

    /// Tells the peer why it is not served, and ends.
    pub fn reject(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::info!(reason, "a connection is refused");
        self.enter(Phase::Rejected(reason));
        self.closed.cancel();
    }

    /// Ends.
    pub fn end(&self) {
        self.enter(Phase::Ended);
        self.closed.cancel();
    }

    /// There is something to write.
    pub fn wake(&self) {
        self.waker.wake();
    }

    fn enter(&self, phase: Phase) {
        let mut now = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        // A reason that is still to be told stays, and an end is an end.
        if matches!(*now, Phase::Greeting | Phase::Open(_)) {
            *now = phase;
        }
        drop(now);
        self.waker.wake();
    }
}

/// What a kind of peer is told.
pub(super) trait Speech {
    /// A message to the peer.
    type Message;
    /// The next message for the peer of this id, if there is something to say.
    fn next(shell: &Shell, core: &mut Core, id: u32) -> Option<Self::Message>;
    /// A message that gives the reason of a refusal.
    fn rejected(reason: String) -> Self::Message;
}

/// The stream of messages to one peer. It asks for the next message only when the connection
/// has room, so a peer that does not read costs what its outbox holds and holds up nobody.
pub(super) struct Outlet<S> {
    shell: Arc<Shell>,
    link: Arc<Link>,
    speech: PhantomData<fn() -> S>,
}

impl<S: Speech> Outlet<S> {
    pub fn new(shell: Arc<Shell>, link: Arc<Link>) -> Self {
        Self { shell, link, speech: PhantomData }
    }
}

impl<S: Speech> Stream for Outlet<S> {
    type Item = Result<S::Message, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.link.waker.register(context.waker());
        let mut phase = self.link.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let id = match &mut *phase {
            Phase::Greeting => return Poll::Pending,
            Phase::Ended => return Poll::Ready(None),
            Phase::Rejected(reason) => {
                let message = S::rejected(std::mem::take(reason));
                *phase = Phase::Ended;
                return Poll::Ready(Some(Ok(message)));
            }
            Phase::Open(id) => *id,
        };
        drop(phase);
        match S::next(&self.shell, &mut self.shell.lock(), id) {
            Some(message) => {
                self.link.room.notify_one();
                Poll::Ready(Some(Ok(message)))
            }
            None => Poll::Pending,
        }
    }
}

impl<S> Drop for Outlet<S> {
    /// The peer is gone, or its stream was reset: the reader has to know.
    fn drop(&mut self) {
        self.link.closed.cancel();
    }
}
