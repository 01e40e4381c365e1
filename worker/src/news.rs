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
    /// Messages about all else that are large enough.
    sealed: VecDeque<v1::WorkerMessage>,
    rest: v1::WorkerMessage,
    /// About how large it is, apart from lists of ids.
    rest_bytes: usize,
    /// There is something in it.
    has_rest: bool,
    count: usize,
    oldest: Option<Instant>,
}

impl News {
    pub fn is_empty(&self) -> bool {
        !self.has_rest && self.finished.is_empty() && self.full.is_empty() && self.sealed.is_empty()
    }

    /// Ended runs that wait, and since when.
    pub fn waiting(&self) -> (usize, Option<Instant>) {
        (self.count, self.oldest)
    }

    /// The rest of the message, to add to.
    pub fn rest(&mut self) -> &mut v1::WorkerMessage {
        let rest = &self.rest;
        let copies = rest.copies.as_ref().map_or(0, |copies| copies.task.len());
        let ids = [&rest.started, &rest.returned, &rest.dropped, &rest.cached];
        if ids.iter().map(|ids| ids.len()).sum::<usize>() + copies >= MOST_RUNS {
            self.seal();
        }
        self.has_rest = true;
        &mut self.rest
    }

    /// Ends the message without finished runs: the next one begins.
    fn seal(&mut self) {
        self.sealed.push_back(std::mem::take(&mut self.rest));
        self.rest_bytes = 0;
        self.has_rest = false;
    }

    /// So much was added to the rest.
    fn grown(&mut self, bytes: usize) {
        self.rest_bytes += bytes;
        if self.rest_bytes >= TARGET_MESSAGE_BYTES {
            self.seal();
        }
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
            Ending::Many(nbytes) => {
                let bytes = 32 + 6 * nbytes.len();
                self.rest().finished_outputs.push(v1::FinishedOutputs {
                    run: ended.run,
                    nbytes,
                    micros: ended.micros,
                });
                self.grown(bytes);
            }
            Ending::Failed(failed) => {
                let failed = run_failed(ended.run, ended.micros, *failed);
                let bytes = 48 + failed.message.len() + 16 * failed.lost_inputs.len();
                self.rest().failed.push(failed);
                self.grown(bytes);
            }
        }
    }

    /// The next message; its `finished` runs are listed nowhere else.
    pub fn take(&mut self) -> v1::WorkerMessage {
        let mut message = self.sealed.pop_front().unwrap_or_else(|| {
            self.has_rest = false;
            self.rest_bytes = 0;
            std::mem::take(&mut self.rest)
        });
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

/// Tells that the outputs of a task are here now.
pub(crate) fn report_copy(message: &mut v1::WorkerMessage, task: TaskId, nbytes: u64) {
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

#[cfg(test)]
mod tests {
    use dasklet_protocol::MAX_MESSAGE_BYTES;
    use prost::Message;

    use super::*;

    #[test]
    fn however_much_there_is_to_tell_no_message_is_too_large() {
        let mut news = News::default();
        let now = Instant::now();
        for run in 0..5000 {
            let ending = match run % 3 {
                0 => TaskError::fatal("x".repeat(9000)).into(),
                1 => Ending::Many(vec![u64::MAX; 2000]),
                _ => Ending::One { nbytes: 1000, value: Some(Bytes::from(vec![7; 1000])) },
            };
            news.ended(Ended { run, micros: 1, ending }, 1024, now);
            news.rest().returned.extend((0..100).map(|n| u64::MAX - n));
        }
        let (mut messages, mut ended, mut returned) = (0, 0, 0);
        while !news.is_empty() {
            let message = news.take();
            assert!(message.encoded_len() < MAX_MESSAGE_BYTES / 2, "{}", message.encoded_len());
            ended += message.finished.as_ref().map_or(0, |finished| finished.run.len());
            ended += message.failed.len() + message.finished_outputs.len();
            returned += message.returned.len();
            messages += 1;
        }
        assert_eq!((ended, returned), (5000, 500_000));
        assert!((10..200).contains(&messages), "{messages}");
    }
}
