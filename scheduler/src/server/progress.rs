//! How far a session's jobs are, as its client is told.

use dasklet_core::SessionId;
use dasklet_protocol::v1;

use super::shell::Shell;
use crate::state::JobProgress;

/// Nothing of it is still to run.
pub(super) fn is_over(progress: Option<JobProgress>) -> bool {
    progress.is_none_or(|now| now.done + now.failed + now.cancelled >= now.total)
}

/// Keeps what has changed in the progress of the session's jobs.
pub(super) fn report(shell: &Shell, session: Option<SessionId>) {
    let Some(session) = session else { return };
    let mut core = shell.lock();
    let core = &mut *core;
    let workers = core.workers.len();
    let Some(peer) = core.sessions.get_mut(session) else { return };
    let outbox = &mut peer.outbox;
    let mut changed = false;
    peer.jobs.retain_mut(|job| {
        let Some(now) = core.state.progress(session, job.number) else { return false };
        if job.told != Some((now, workers)) {
            job.told = Some((now, workers));
            changed = true;
            outbox.report(v1::JobProgress {
                job: job.number,
                total: now.total,
                waiting: now.waiting,
                ready: now.ready,
                running: now.running,
                done: now.done,
                failed: now.failed,
                cancelled: now.cancelled,
                recomputed: now.recomputed,
                workers: u32::try_from(workers).unwrap_or(u32::MAX),
            });
        }
        !(job.closed && is_over(Some(now)))
    });
    if changed && let Some(link) = &peer.link {
        link.wake();
    }
}
