//! How much a peer may ask for. Each limit has a clear error.

use crate::state::SubmitError;

/// Longest name of a worker, group, job, session or resource, in bytes.
pub(super) const NAME_BYTES: usize = 253;
/// Longest key, in bytes.
pub(super) const KEY_BYTES: usize = 16 << 10;
/// Longest description of what a task runs, in bytes: it travels in one message, beside the list
/// of what the task reads.
pub(super) const BODY_BYTES: usize = 3 << 20;
/// Most named resources of a worker or a task.
pub(super) const RESOURCES: usize = 64;
/// Most names of workers and groups a task may be restricted to.
pub(super) const RESTRICTIONS: usize = 1024;
/// Most outputs of a task.
pub(super) const OUTPUTS: u32 = 1 << 16;
/// Most jobs that a session reports progress of.
pub(super) const JOBS: usize = 10_000;
/// Most refused submissions a session may have.
pub(super) const REFUSED: usize = 1000;
/// Most reasons that are kept for refused submissions that follow each other.
pub(super) const REASONS: usize = 100;
/// Most events that wait for a client that reads slowly; further ends are kept as ranges.
pub(super) const EVENTS: usize = 1 << 16;
/// Most such ranges; more of them are made fewer that name more.
pub(super) const BACKLOG: usize = 1 << 14;
/// Most bytes of values that wait for a client that reads slowly.
pub(super) const EVENT_BYTES: usize = 8 << 20;
/// Largest body of an HTTP request, in bytes.
pub(super) const HTTP_BODY: usize = 1 << 20;
/// Most entries of one answer of the HTTP interface.
pub(super) const HTTP_PAGE: usize = 1000;

/// Refuses what is longer than a limit.
pub(super) fn check(what: &str, got: usize, most: usize) -> Result<(), SubmitError> {
    if got <= most {
        return Ok(());
    }
    Err(SubmitError::Limit(format!(
        "{what}: {got} is more than the limit of {most}; make it smaller"
    )))
}
