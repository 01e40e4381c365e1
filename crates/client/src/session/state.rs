//! The state of a session under its lock, and how news changes it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use dasklet_protocol::v1;
use foldhash::fast::RandomState;
use tokio::sync::{Notify, mpsc, watch};

use super::{outbox::Outbox, table::Table};
use crate::{
    address::Address,
    error::{ClientError, Failure},
    fetch::Holders,
    progress::Progress,
};

/// What is known and what is to be sent.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) table: Table,
    pub(crate) outbox: Outbox,
    /// Of the scheduler this session is with; 0 before it is known.
    pub(crate) epoch: u64,
    /// Why the session has ended, once it has.
    pub(crate) end: Option<ClientError>,
    /// Put values that are not stored yet, to be told where they may be written.
    pub(crate) puts: HashMap<u64, mpsc::UnboundedSender<v1::PutTarget>, RandomState>,
    pub(crate) jobs: HashMap<u32, watch::Sender<Progress>, RandomState>,
    /// Grows with each connection; an older connection's sender finds that it is outdated.
    pub(crate) connection: u64,
    /// The scheduler has said welcome on this connection, so messages may flow.
    pub(crate) welcomed: bool,
}

impl Session {
    fn apply(&mut self, event: v1::ClientEvent, wake: &mut Vec<Waker>) {
        wake.extend(self.outbox.acknowledged(event.acknowledged));
        for accepted in &event.accepted {
            self.table.accepted(accepted.first, &accepted.specs);
        }
        for done in &event.done {
            self.apply_done(done, wake);
        }
        for failure in event.failures {
            let member = (failure.local, failure.index);
            self.table.failed(member, Arc::new(Failure::from(failure)), wake);
        }
        for progress in event.progress {
            if let Some(job) = self.jobs.get(&progress.job) {
                job.send_replace(progress.into());
            }
        }
        for target in event.put_targets {
            if let Some(waiting) = self.puts.get(&target.local) {
                // Nobody waits any more if the put was given up.
                waiting.send(target).ok();
            }
        }
    }

    /// Asks where a put value may be written, or whether it is stored.
    pub(crate) fn ask_for_target(&mut self, local: u64) {
        let failed_holder = u32::MAX;
        let asked = v1::LocalMember { local, failed_holder, ..v1::LocalMember::default() };
        self.outbox.other(|rest| rest.refetch.push(asked));
    }

    fn apply_done(&mut self, done: &v1::Done, wake: &mut Vec<Waker>) {
        let mut position = 0;
        for (row, local) in done.local.iter().enumerate() {
            let index = done.index.get(row).copied().unwrap_or(0);
            let holder = done.holder.get(row).copied().unwrap_or(0);
            let length = done.inline_length.get(row).copied().unwrap_or(0) as usize;
            let value = length.checked_sub(1).and_then(|length| {
                let value = done.inline_bytes.get(position..position + length);
                position += length;
                value
            });
            self.table.done((*local, index), holder, value, wake);
        }
    }
}

/// A session, shared by its handles and its connection.
pub(crate) struct Shared {
    pub(crate) address: Address,
    pub(crate) holders: Holders,
    session: Mutex<Session>,
    ended: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(address: Address, holders: Holders) -> Self {
        Self { address, holders, session: Mutex::default(), ended: Notify::new() }
    }

    /// The state. Never kept across an await.
    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        // A panic elsewhere leaves the table as it was before or after a store.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and tells the connection that there may be something to send.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Session) -> R) -> R {
        let (result, sender) = {
            let mut session = self.session();
            let result = change(&mut session);
            (result, session.outbox.take_sender())
        };
        if let Some(sender) = sender {
            sender.wake();
        }
        result
    }

    /// Applies a message of the scheduler.
    pub(crate) fn receive(&self, mut event: v1::ClientEvent, wake: &mut Vec<Waker>) {
        // Addresses first: whoever learns where an output is may read it at once.
        self.holders.learn(std::mem::take(&mut event.peers));
        let sender = {
            let mut session = self.session();
            session.apply(event, wake);
            session.outbox.take_sender()
        };
        wake.extend(sender);
        wake.drain(..).for_each(Waker::wake);
    }

    /// Ends the session: everything that waits fails with `reason`.
    pub(crate) fn end(&self, reason: ClientError) {
        let mut wake = Vec::new();
        {
            let mut session = self.session();
            session.end.get_or_insert(reason);
            session.table.take_waiters(&mut wake);
            wake.extend(session.outbox.abandon());
            session.puts.clear();
            session.jobs.clear();
        }
        wake.into_iter().for_each(Waker::wake);
        self.ended.notify_waiters();
    }

    /// Waits for the end of the session.
    pub(crate) async fn ended(&self) {
        let notified = self.ended.notified();
        let mut notified = std::pin::pin!(notified);
        // Registered before looking, so that an end in between is not missed.
        notified.as_mut().enable();
        if self.session().end.is_none() {
            notified.await;
        }
    }
}
