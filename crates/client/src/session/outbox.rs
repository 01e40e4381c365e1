//! What is to be sent: gathered into messages of about a megabyte, each encoded once and kept
//! until the scheduler has acknowledged it, so that it can be sent again after a reconnect.

use std::{collections::VecDeque, task::Waker};

use bytes::{BufMut, Bytes};
use dasklet_protocol::{TARGET_MESSAGE_BYTES, v1};
use prost::Message;

use crate::{
    options::TaskOptions,
    wire::{delimited_length, put_length},
};

/// Unacknowledged bytes above which nothing more is handed to the connection.
const MAX_UNACKNOWLEDGED_BYTES: usize = 32 << 20;
/// Bytes above which [`Outbox::is_crowded`] asks whoever submits to wait.
const CROWDED_BYTES: usize = 16 << 20;
/// Options that a message lists before the next message is begun.
const MAX_OPTIONS: usize = 1024;
/// Ranges and requests that a message lists before the next message is begun.
const MAX_LISTED: usize = 64 << 10;

const SUBMIT_FIELD: u32 = 4;
const TASKS_FIELD: u32 = 4;

struct Building {
    /// Everything but the submission.
    rest: v1::ClientMessage,
    submit: Option<Submission>,
    begun: bool,
}

struct Submission {
    job: u32,
    first: u64,
    count: u32,
    options: Vec<TaskOptions>,
    /// Encoded `tasks` fields.
    tasks: Vec<u8>,
}

/// The messages of a session, in order.
pub(crate) struct Outbox {
    sequence: u64,
    building: Building,
    unsent: VecDeque<(u64, Bytes)>,
    unacknowledged: VecDeque<(u64, Bytes)>,
    unsent_bytes: usize,
    unacknowledged_bytes: usize,
    sender: Option<Waker>,
    submitters: Vec<Waker>,
    /// Where a task is written before its length is known.
    scratch: Vec<u8>,
    /// The buffer of the last submission, for the next: fresh memory costs more than it seems.
    spare: Vec<u8>,
    ended: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            sequence: 0,
            building: Building { rest: v1::ClientMessage::default(), submit: None, begun: false },
            unsent: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            unsent_bytes: 0,
            unacknowledged_bytes: 0,
            sender: None,
            submitters: Vec::new(),
            scratch: Vec::new(),
            spare: Vec::new(),
            ended: false,
        }
    }
}

/// What the connection is to do next.
pub(crate) enum Next {
    /// Send this.
    Message(Bytes),
    /// Wait: nothing to send, or too much is unacknowledged.
    Wait,
    /// The last message has been taken.
    End,
}

impl Outbox {
    /// Adds a task with the local number `local`: `encode` writes the content of its message,
    /// given the number of its options and its position in the submission.
    pub(crate) fn submit(
        &mut self,
        job: u32,
        local: u64,
        options: &TaskOptions,
        encode: impl FnOnce(u32, u32, &mut Vec<u8>),
    ) {
        if self.building.submit.as_ref().is_some_and(|s| s.is_full_for(job, options))
            || !self.building.rest.puts.is_empty()
        {
            self.seal();
        }
        let submission = self.building.submit.get_or_insert_with(|| Submission {
            job,
            first: local,
            count: 0,
            options: Vec::new(),
            tasks: std::mem::take(&mut self.spare),
        });
        let option = submission.option(options);
        self.scratch.clear();
        encode(option, submission.count, &mut self.scratch);
        put_length(&mut submission.tasks, TASKS_FIELD, self.scratch.len());
        submission.tasks.put_slice(&self.scratch);
        submission.count += 1;
        self.building.begun = true;
    }

    /// Begins a new message if a submission of this many bytes would not fit into this one.
    pub(crate) fn begin(&mut self, bytes: usize) {
        let fits = |s: &Submission| {
            s.tasks.len() + bytes <= TARGET_MESSAGE_BYTES && s.options.len() <= MAX_OPTIONS / 4
        };
        if !self.building.submit.as_ref().is_none_or(fits) {
            self.seal();
        }
    }

    /// Adds something else; `add` must add one item at most.
    pub(crate) fn other(&mut self, add: impl FnOnce(&mut v1::ClientMessage)) {
        let rest = &self.building.rest;
        if rest.release.len().max(rest.refetch.len()).max(rest.cancel.len()) >= MAX_LISTED {
            self.seal();
        }
        add(&mut self.building.rest);
        self.building.begun = true;
    }

    /// Adds a put value, which takes its place among the submissions.
    pub(crate) fn put(&mut self, request: v1::PutRequest) {
        if self.building.submit.is_some() {
            self.seal();
        }
        self.building.rest.puts.push(request);
        self.building.begun = true;
    }

    /// Adds the release of a whole task array.
    pub(crate) fn release_array(&mut self, local: u64) {
        self.other(|rest| rest.release.push(v1::LocalRange { local, ..Default::default() }));
    }

    /// Adds the release of `count` described tasks or puts.
    pub(crate) fn release(&mut self, local: u64, count: u64) {
        self.other(|rest| match rest.release.last_mut() {
            Some(last) if last.count > 0 && last.local + last.count == local => {
                last.count += count;
            }
            // Handles are often dropped from the last to the first.
            Some(last) if last.count > 0 && local + count == last.local => {
                last.local = local;
                last.count += count;
            }
            _ => rest.release.push(v1::LocalRange { local, start: 0, end: 0, count }),
        });
    }

    /// Adds the end of the session; nothing follows it.
    pub(crate) fn goodbye(&mut self) {
        self.other(|rest| rest.goodbye = true);
        self.ended = true;
    }

    fn seal(&mut self) {
        if !std::mem::take(&mut self.building.begun) {
            return;
        }
        self.sequence += 1;
        let mut rest = std::mem::take(&mut self.building.rest);
        rest.sequence = self.sequence;
        let mut submit = self.building.submit.take();
        let message = encode(&rest, submit.as_ref());
        if let Some(submission) = &mut submit {
            self.spare = std::mem::take(&mut submission.tasks);
            self.spare.clear();
        }
        self.unsent_bytes += message.len();
        self.unsent.push_back((self.sequence, message));
    }

    /// The next message for the connection.
    pub(crate) fn next(&mut self, waker: &Waker) -> Next {
        if self.unacknowledged_bytes < MAX_UNACKNOWLEDGED_BYTES {
            if self.unsent.is_empty() {
                self.seal();
            }
            if let Some((sequence, message)) = self.unsent.pop_front() {
                self.unsent_bytes -= message.len();
                self.unacknowledged_bytes += message.len();
                self.unacknowledged.push_back((sequence, message.clone()));
                return Next::Message(message);
            }
            if self.ended {
                return Next::End;
            }
        }
        self.sender = Some(waker.clone());
        Next::Wait
    }

    /// Wakes when there is something to send.
    pub(crate) fn set_sender(&mut self, waker: &Waker) {
        self.sender = Some(waker.clone());
    }

    /// True once the goodbye was said.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Who is to be woken because there is something to send.
    pub(crate) fn take_sender(&mut self) -> Option<Waker> {
        self.sender.take()
    }

    /// Forgets messages up to this number, and returns who waits for room.
    pub(crate) fn acknowledged(&mut self, sequence: u64) -> Vec<Waker> {
        while self.unacknowledged.front().is_some_and(|(number, _)| *number <= sequence) {
            if let Some((_, message)) = self.unacknowledged.pop_front() {
                self.unacknowledged_bytes -= message.len();
            }
        }
        if self.is_crowded() { Vec::new() } else { std::mem::take(&mut self.submitters) }
    }

    /// After a reconnect: what the scheduler has not processed is sent again, first of all.
    pub(crate) fn resume(&mut self, last_processed: u64) -> Vec<Waker> {
        let woken = self.acknowledged(last_processed);
        while let Some((sequence, message)) = self.unacknowledged.pop_back() {
            self.unacknowledged_bytes -= message.len();
            self.unsent_bytes += message.len();
            self.unsent.push_front((sequence, message));
        }
        woken
    }

    /// So much is waiting that whoever submits should wait.
    pub(crate) fn is_crowded(&self) -> bool {
        self.unsent_bytes + self.unacknowledged_bytes > CROWDED_BYTES
    }

    /// Wakes when there is room again.
    pub(crate) fn wait_for_room(&mut self, waker: Waker) {
        self.submitters.push(waker);
    }

    /// Drops everything, because the session has ended; returns who waits.
    pub(crate) fn abandon(&mut self) -> Vec<Waker> {
        let mut woken = std::mem::take(&mut self.submitters);
        woken.extend(self.sender.take());
        *self = Self { ended: true, ..Self::default() };
        woken
    }
}

impl Submission {
    fn is_full_for(&self, job: u32, options: &TaskOptions) -> bool {
        self.job != job
            || self.tasks.len() >= TARGET_MESSAGE_BYTES
            || (self.options.len() >= MAX_OPTIONS && !self.options.contains(options))
    }

    fn option(&mut self, options: &TaskOptions) -> u32 {
        // The last one is the likely one.
        if let Some(position) = self.options.iter().rposition(|known| known == options) {
            return position as u32;
        }
        self.options.push(options.clone());
        self.options.len() as u32 - 1
    }
}

fn encode(rest: &v1::ClientMessage, submit: Option<&Submission>) -> Bytes {
    let Some(submission) = submit else { return rest.encode_to_vec().into() };
    let head = v1::Submit {
        job: submission.job,
        first: submission.first,
        options: submission.options.iter().map(TaskOptions::to_wire).collect(),
        tasks: Vec::new(),
    };
    let length = head.encoded_len() + submission.tasks.len();
    let total = rest.encoded_len() + delimited_length(SUBMIT_FIELD, length);
    let mut message = Vec::with_capacity(total);
    rest.encode_raw(&mut message);
    put_length(&mut message, SUBMIT_FIELD, length);
    head.encode_raw(&mut message);
    message.put_slice(&submission.tasks);
    message.into()
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
