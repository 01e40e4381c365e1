//! What becomes of a submission or a put value: accepted, or refused with a reason.

use std::sync::Arc;

use dasklet_core::SessionId;
use dasklet_protocol::v1;

use super::{shell::Core, submission};
use crate::state::{SubmitError, Time};

/// Takes a submission.
pub(super) fn submit(
    core: &mut Core,
    now: Time,
    session: SessionId,
    submit: v1::Submit,
) -> Result<(), String> {
    let v1::Submit { job, first, options, tasks } = submit;
    let arrays: Vec<bool> = tasks.iter().map(|task| task.array > 0).collect();
    let accepted = submission::read(options, tasks)
        .and_then(|(options, tasks)| core.state.submit(now, session, job, first, options, tasks));
    settle(core, session, first, arrays, accepted.map(|specs| specs.iter().map(|s| s.0).collect()))
}

/// Takes the announcement of a put value.
pub(super) fn put(
    core: &mut Core,
    now: Time,
    session: SessionId,
    put: &v1::PutRequest,
) -> Result<(), String> {
    let accepted = submission::key(&put.key).and_then(|key| {
        core.state.put(now, session, put.local, key, put.nbytes, put.copies.max(1))
    });
    settle(core, session, put.local, vec![false], accepted.map(|spec| vec![spec.0]))
}

/// Accepted, or refused: then the numbers are used up and their tasks have failed with the
/// reason. Numbers that do not follow the last ones cannot be settled and end the connection.
fn settle(
    core: &mut Core,
    session: SessionId,
    first: u64,
    arrays: Vec<bool>,
    accepted: Result<Vec<u32>, SubmitError>,
) -> Result<(), String> {
    let Some(peer) = core.sessions.get_mut(session) else { return Ok(()) };
    let error = match accepted {
        Ok(specs) => {
            peer.outbox.accept(first, specs);
            return Ok(());
        }
        Err(error @ SubmitError::OutOfOrder { .. }) => return Err(error.to_string()),
        Err(error) => error,
    };
    let reason: Arc<str> = error.to_string().into();
    if !core.state.skip_locals(session, first, arrays.len() as u64) {
        return Err(reason.to_string());
    }
    for (local, array) in (first..).zip(&arrays) {
        peer.outbox.refuse(local, *array, reason.clone());
    }
    peer.refused
        .note(first, arrays, &reason)
        .map_err(|limit| format!("{limit}; the last was refused because {reason}"))
}
