//! What the scheduler is still to be told, in the columns in which it travels.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use dasklet_core::{ErrorClass, TaskError, TaskId};
use dasklet_protocol::{TARGET_MESSAGE_BYTES, v1};

/// Runs in one column; more begin the next message.
const MOST_RUNS: usize = 50_000;
/// Longest message of an error.
const LONGEST_SENTENCE: usize = 8 << 10;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub run: u64,
    pub micros: u32,
    pub ending: Ending,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Ending {
    One { nbytes: u64, value: Option<Bytes> },
    Many(Vec<u64>),
    Failed(Box<Failed>),
}

/// An output that could not be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    pub task: u64,
    /// Who was tried.
    pub holder: u32,
    /// It answered that it has not got it.
    pub missing: bool,
}

/// Why it failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub error: TaskError,
    pub lost: Vec<Lost>,
    pub exit_code: i32,
    pub signal: u32,
}

impl From<TaskError> for Ending {
    fn from(error: TaskError) -> Self {
        Self::Failed(Box::new(Failed { error, lost: Vec::new(), exit_code: 0, signal: 0 }))
    }
}

pub(crate) fn wire_class(class: ErrorClass) -> v1::ErrorClass {
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

pub(crate) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

pub(crate) fn cancelled(run: u64) -> Ended {
    let error = TaskError::new(ErrorClass::Cancelled, "cancelled");
    Ended { run, micros: 0, ending: error.into() }
}

pub(crate) fn timed_out(timeout: Duration) -> TaskError {
    TaskError::new(
        ErrorClass::TimedOut,
        format!(
            "ran longer than its timeout of {timeout:?}: raise the timeout, or give it less to do"
        ),
    )
}

/// Runs that ended well, as columns that grow.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    columns: v1::Finished,
    inline: BytesMut,
}

impl Columns {
    pub fn push(&mut self, run: u64, nbytes: u64, micros: u32, value: Option<&[u8]>) {
        self.columns.run.push(run);
        self.columns.nbytes.push(nbytes);
        self.columns.micros.push(micros);
        self.columns.inline_length.push(value.map_or(0, |value| value.len() as u32 + 1));
        if let Some(value) = value {
            self.inline.extend_from_slice(value);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.columns.run.is_empty()
    }

    fn is_full(&self) -> bool {
        self.columns.run.len() >= MOST_RUNS || self.inline.len() >= TARGET_MESSAGE_BYTES
    }

    pub fn into_message(self) -> v1::Finished {
        v1::Finished { inline_bytes: self.inline.freeze(), ..self.columns }
    }
}

/// All news that is not written yet.
#[derive(Debug, Default)]
pub(crate) struct News {
    full: VecDeque<Columns>,
    finished: Columns,
    rest: v1::WorkerMessage,
    /// Something besides finished runs.
    has_rest: bool,
    count: usize,
    oldest: Option<Instant>,
}

impl News {
    pub fn is_empty(&self) -> bool {
        !self.has_rest && self.finished.is_empty() && self.full.is_empty()
    }

    /// Ended runs that wait, and since when.
    pub fn waiting(&self) -> (usize, Option<Instant>) {
        (self.count, self.oldest)
    }

    /// The rest of the message, to add to.
    pub fn rest(&mut self) -> &mut v1::WorkerMessage {
        self.has_rest = true;
        &mut self.rest
    }

    pub fn ended(&mut self, ended: Ended, inline_limit: u32, now: Instant) {
        self.count += 1;
        self.oldest.get_or_insert(now);
        match ended.ending {
            Ending::One { nbytes, value } => {
                let value = value.filter(|value| value.len() <= inline_limit as usize);
                self.finished.push(ended.run, nbytes, ended.micros, value.as_deref());
                if self.finished.is_full() {
                    self.full.push_back(std::mem::take(&mut self.finished));
                }
            }
            Ending::Many(nbytes) => self.rest().finished_outputs.push(v1::FinishedOutputs {
                run: ended.run,
                nbytes,
                micros: ended.micros,
            }),
            Ending::Failed(failed) => {
                let failed = run_failed(ended.run, ended.micros, *failed);
                self.rest().failed.push(failed);
            }
        }
    }

    /// The next message; its `finished` runs are listed nowhere else.
    pub fn take(&mut self) -> v1::WorkerMessage {
        let mut message = std::mem::take(&mut self.rest);
        self.has_rest = false;
        let finished = match self.full.pop_front() {
            Some(full) => full,
            None => {
                self.count = 0;
                self.oldest = None;
                std::mem::take(&mut self.finished)
            }
        };
        if !finished.is_empty() {
            message.finished = Some(finished.into_message());
        }
        message
    }
}

/// Tells that the outputs of a task are here now, whatever was to be told of them before.
pub(crate) fn report_copy(message: &mut v1::WorkerMessage, task: TaskId, nbytes: u64) {
    message.dropped.retain(|dropped| *dropped != task.to_bits());
    let copies = message.copies.get_or_insert_default();
    copies.task.push(task.to_bits());
    copies.nbytes.push(nbytes);
}

fn run_failed(run: u64, micros: u32, failed: Failed) -> v1::RunFailed {
    let mut message = failed.error.message;
    if message.len() > LONGEST_SENTENCE {
        message.truncate(message.floor_char_boundary(LONGEST_SENTENCE));
        message.push('…');
    }
    let lost = failed.lost;
    v1::RunFailed {
        run,
        class: wire_class(failed.error.class).into(),
        message,
        lost_inputs: lost.iter().map(|lost| lost.task).collect(),
        lost_holders: lost.iter().map(|lost| lost.holder).collect(),
        lost_missing: lost.iter().map(|lost| lost.missing).collect(),
        exit_code: failed.exit_code,
        signal: failed.signal,
        micros,
    }
}
