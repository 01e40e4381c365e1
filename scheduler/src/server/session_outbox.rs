//! What a client is to be told, and how it is put into messages.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use dasklet_core::{ErrorClass, SessionId, SpecId};
use dasklet_protocol::{TARGET_MESSAGE_BYTES, v1};

use super::{
    backlog::Backlog,
    bits::Bits,
    inputs, limits,
    link::Speech,
    shell::{Core, Shell},
};
use crate::state::{AttemptEnd, Failure, LocalRange, State, ToSession};

/// Messages that are processed before an acknowledgement goes alone.
const ACKNOWLEDGE_AFTER: u64 = 16;
/// Members of ranges whose ends are read from the state at once.
const CATCH_UP: u32 = 1 << 14;
/// Accepted numbers in one run.
const RUN: usize = 1 << 16;
/// Accepted numbers that wait before the reader stops.
const ACCEPTED: usize = 1 << 18;

/// News that waits for room on a client's connection. Bounded: what a slow client has not read
/// is kept as ranges and read from the state later.
#[derive(Debug, Default)]
pub(super) struct SessionOutbox {
    /// Sent before anything else.
    pub welcome: Option<v1::ClientWelcome>,
    accepted: Vec<v1::Accepted>,
    accepted_numbers: usize,
    news: VecDeque<ToSession>,
    value_bytes: usize,
    /// Number, whether it is a task array, and why.
    refused: Vec<(u64, bool, Arc<str>)>,
    progress: BTreeMap<u32, v1::JobProgress>,
    /// What a client that came back has no end of: it is told what its numbers became, and what
    /// has ended.
    resumed: Backlog,
    /// Ends that did not fit.
    behind: Backlog,
    acknowledged: u64,
    known: Bits,
}

/// What goes to clients.
pub(super) struct ToClients;

impl Speech for ToClients {
    type Message = v1::ClientEvent;

    fn next(_: &Shell, core: &mut Core, id: u32) -> Option<Self::Message> {
        let session = SessionId(id);
        let peer = core.sessions.get_mut(session)?;
        let sequence = peer.sequence;
        peer.outbox.next(&core.state, session, sequence)
    }

    fn rejected(reason: String) -> Self::Message {
        v1::ClientEvent { rejected: Some(v1::Rejected { reason }), ..Default::default() }
    }
}

impl SessionOutbox {
    /// Keeps the specs that a submission's numbers have got.
    pub fn accept(&mut self, first: u64, specs: Vec<u32>) {
        self.accepted_numbers += specs.len();
        self.accepted.push(v1::Accepted { first, specs });
    }

    /// Keeps the failure of a task that was refused.
    pub fn refuse(&mut self, local: u64, array: bool, reason: Arc<str>) {
        self.refused.push((local, array, reason));
    }

    /// Keeps a job's progress in place of an older one.
    pub fn report(&mut self, progress: v1::JobProgress) {
        self.progress.insert(progress.job, progress);
    }

    /// True while so much is unread that the client's next message has to wait.
    pub fn is_full(&self) -> bool {
        self.accepted_numbers > ACCEPTED || self.refused.len() > limits::EVENTS
    }

    /// The client came back and knows no end of these.
    pub fn resume(&mut self, pending: &[LocalRange]) {
        // Taken out from the end.
        pending.iter().rev().for_each(|range| self.resumed.add_range(*range));
    }

    /// Keeps news.
    pub fn push(&mut self, news: ToSession) {
        let value = value_len(&news);
        let full = self.news.len() >= limits::EVENTS
            || self.value_bytes + value > limits::EVENT_BYTES
            || !self.behind.is_empty() && self.news.len() >= limits::EVENTS / 2;
        // An end must not come before the client knows what its number became.
        let waits = full || !self.resumed.is_empty();
        match news {
            ToSession::Done { local, index, .. } | ToSession::Failed { local, index } if waits => {
                self.behind.add(local, index, index + 1);
            }
            ToSession::Ended { local, start, end } => self.behind.add(local, start, end),
            ToSession::PutTarget { local, .. } if full => self.behind.add(local, 0, 1),
            news => self.keep(news),
        }
    }

    fn keep(&mut self, news: ToSession) {
        self.value_bytes += value_len(&news);
        self.news.push_back(news);
    }

    /// Reads some of what did not fit, once there is room again.
    fn catch_up(&mut self, state: &State, session: SessionId) {
        if !self.resumed.is_empty() {
            for piece in self.resumed.take(state, session, CATCH_UP) {
                self.accept_again(piece.local, piece.spec);
                let ends = state.ends(piece.spec, piece.start, piece.end);
                ends.for_each(|news| self.keep(news));
            }
        } else if !self.behind.is_empty() {
            for piece in self.behind.take(state, session, CATCH_UP) {
                let ends = state.ends(piece.spec, piece.start, piece.end);
                ends.chain(state.put_target(piece.spec)).for_each(|news| self.keep(news));
            }
        }
    }

    fn accept_again(&mut self, local: u64, spec: SpecId) {
        if let Some(last) = self.accepted.last_mut() {
            let end = last.first + last.specs.len() as u64;
            if end == local + 1 {
                return;
            }
            if end == local && last.specs.len() < RUN {
                last.specs.push(spec.0);
                self.accepted_numbers += 1;
                return;
            }
        }
        self.accept(local, vec![spec.0]);
    }

    /// The next message, of about [`TARGET_MESSAGE_BYTES`] at most.
    fn next(
        &mut self,
        state: &State,
        session: SessionId,
        sequence: u64,
    ) -> Option<v1::ClientEvent> {
        if self.welcome.is_none() && self.accepted.is_empty() && self.news.is_empty() {
            self.catch_up(state, session);
        }
        let something = self.welcome.is_some()
            || !self.resumed.is_empty()
            || !self.behind.is_empty()
            || !self.accepted.is_empty()
            || !self.news.is_empty()
            || !self.refused.is_empty()
            || !self.progress.is_empty();
        if !something && sequence - self.acknowledged < ACKNOWLEDGE_AFTER {
            return None;
        }
        self.acknowledged = sequence;
        let mut event = v1::ClientEvent {
            acknowledged: sequence,
            welcome: self.welcome.take(),
            progress: std::mem::take(&mut self.progress).into_values().collect(),
            ..Default::default()
        };
        let mut bytes = 64 * event.progress.len();
        self.add_accepted(&mut event, &mut bytes);
        self.add_news(&mut event, &mut bytes, state, session);
        while bytes < TARGET_MESSAGE_BYTES
            && let Some((local, array, reason)) = self.refused.pop()
        {
            bytes += 32 + reason.len();
            event.failures.push(v1::TaskFailure {
                local,
                index: if array { u32::MAX } else { 0 },
                class: v1::ErrorClass::Fatal.into(),
                message: reason.to_string(),
                ..Default::default()
            });
        }
        Some(event)
    }

    fn add_accepted(&mut self, event: &mut v1::ClientEvent, bytes: &mut usize) {
        let mut taken = 0;
        while *bytes < TARGET_MESSAGE_BYTES
            && let Some(next) = self.accepted.get_mut(taken)
        {
            *bytes += 16 + 5 * next.specs.len();
            self.accepted_numbers -= next.specs.len();
            event.accepted.push(std::mem::take(next));
            taken += 1;
        }
        self.accepted.drain(..taken);
    }

    fn add_news(
        &mut self,
        event: &mut v1::ClientEvent,
        bytes: &mut usize,
        state: &State,
        session: SessionId,
    ) {
        // Ends of tasks whose acceptance is not told yet wait for the next message.
        if !self.accepted.is_empty() {
            return;
        }
        let mut done = DoneColumns::default();
        while *bytes < TARGET_MESSAGE_BYTES
            && let Some(news) = self.news.pop_front()
        {
            match news {
                ToSession::Done { local, index, holder, nbytes, inline } => {
                    inputs::mention(state, &mut self.known, &mut event.peers, holder);
                    let value = inline.as_deref();
                    let length = value.map_or(0, <[u8]>::len);
                    self.value_bytes -= length;
                    *bytes += 16 + length;
                    done.push(local, index, holder.0, nbytes, value);
                }
                ToSession::Failed { local, index } => {
                    if let Some(failure) = state.failure(session, local, index) {
                        let failure = failure_message(local, index, failure);
                        *bytes += size(&failure);
                        event.failures.push(failure);
                    }
                }
                // Kept as ranges.
                ToSession::Ended { .. } => {}
                ToSession::PutTarget { local, task, workers } => {
                    for worker in &workers {
                        inputs::mention(state, &mut self.known, &mut event.peers, *worker);
                    }
                    *bytes += 24 + 4 * workers.len();
                    event.put_targets.push(v1::PutTarget {
                        local,
                        task: task.to_bits(),
                        workers: workers.iter().map(|worker| worker.0).collect(),
                    });
                }
            }
        }
        event.done.extend(done.finish());
    }
}

/// Bytes of a value that news bring along.
fn value_len(news: &ToSession) -> usize {
    match news {
        ToSession::Done { inline: Some(value), .. } => value.len(),
        _ => 0,
    }
}

/// Members whose outputs can be read, column by column.
#[derive(Default)]
struct DoneColumns {
    done: v1::Done,
    values: Vec<u8>,
}

impl DoneColumns {
    fn push(&mut self, local: u64, index: u32, holder: u32, nbytes: u64, value: Option<&[u8]>) {
        let before = self.done.local.len();
        self.done.local.push(local);
        if index != 0 || !self.done.index.is_empty() {
            self.done.index.resize(before, 0);
            self.done.index.push(index);
        }
        self.done.holder.push(holder);
        self.done.nbytes.push(nbytes);
        if value.is_some() || !self.done.inline_length.is_empty() {
            self.done.inline_length.resize(before, 0);
            let length = value.map_or(0, |value| u32::try_from(value.len() + 1).unwrap_or(0));
            self.done.inline_length.push(length);
            self.values.extend_from_slice(value.unwrap_or_default());
        }
    }

    fn finish(mut self) -> Option<v1::Done> {
        self.done.inline_bytes = Bytes::from(self.values);
        (!self.done.local.is_empty()).then_some(self.done)
    }
}

/// About how many bytes a failure takes in a message.
fn size(failure: &v1::TaskFailure) -> usize {
    let attempts = failure.attempts.iter().map(|a| 32 + a.worker.len() + a.cause.len());
    64 + failure.message.len() + failure.key.len() + attempts.sum::<usize>()
}

fn failure_message(local: u64, index: u32, failure: Failure) -> v1::TaskFailure {
    v1::TaskFailure {
        local,
        index,
        class: class(failure.class).into(),
        message: failure.message,
        attempts: failure
            .attempts
            .into_iter()
            .map(|attempt| v1::Attempt {
                number: attempt.number,
                worker: attempt.worker,
                started: attempt.started,
                cause: match attempt.end {
                    AttemptEnd::Died(cause) => cause.to_string(),
                    AttemptEnd::Error(_, message) => message,
                },
                micros: attempt.micros,
            })
            .collect(),
        key: failure.origin.unwrap_or_default(),
    }
}

const fn class(class: ErrorClass) -> v1::ErrorClass {
    match class {
        ErrorClass::Fatal => v1::ErrorClass::Fatal,
        ErrorClass::Retryable => v1::ErrorClass::Retryable,
        ErrorClass::WorkerFault => v1::ErrorClass::WorkerFault,
        ErrorClass::InputLost => v1::ErrorClass::InputLost,
        ErrorClass::Crashed => v1::ErrorClass::Crashed,
        ErrorClass::TimedOut => v1::ErrorClass::TimedOut,
        ErrorClass::Cancelled => v1::ErrorClass::Cancelled,
    }
}
