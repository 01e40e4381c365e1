//! A client's connection: its messages become events.

use std::{sync::Arc, time::Duration};

use dasklet_core::{SessionId, WorkerId};
use dasklet_protocol::v1;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::{Code, Streaming};

use super::{
    limits,
    link::Link,
    session_outbox::SessionOutbox,
    session_table::{self, JobTrack, Refused, SessionPeer},
    shell::{Core, Shell},
    submission,
    wakes::Urgency,
    worker_session::check_version,
};
use crate::state::{JobProgress, LocalRange, SubmitError, Time};

/// Serves a client until its connection ends.
pub(super) async fn serve(
    shell: Arc<Shell>,
    link: Arc<Link>,
    mut messages: Streaming<v1::ClientMessage>,
) {
    let mut session = None;
    // Registered once, not for each message.
    let closed = link.closed.clone().cancelled_owned();
    tokio::pin!(closed);
    let mut progress: Option<Interval> = None;
    loop {
        let message = tokio::select! {
            message = messages.message() => message,
            () = report_due(&mut progress) => {
                report_progress(&shell, session);
                continue;
            }
            () = &mut closed => break,
        };
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                if status.code() == Code::OutOfRange {
                    // It would send the same again.
                    link.reject(format!(
                        "a message of this client is too large ({}): give large data as put values or files, not as arguments",
                        status.message()
                    ));
                }
                break;
            }
        };
        if message.progress_millis > 0 {
            progress = Some(every(message.progress_millis));
        }
        let goes_on = {
            let now = shell.now();
            let mut core = shell.lock();
            let outcome = match session {
                None => greet(&shell, &mut core, now, &link, message).map(|id| {
                    session = Some(id);
                    true
                }),
                Some(id) => receive(&mut core, now, id, message),
            };
            shell.changed(&mut core, now);
            outcome
        };
        match goes_on {
            Ok(true) => wait_for_room(&shell, &link, session).await,
            Ok(false) => break,
            Err(reason) => {
                link.reject(reason);
                break;
            }
        }
    }
    if let Some(session) = session {
        let now = shell.now();
        let mut core = shell.lock();
        session_table::connection_ended(&mut core, now, session, &link);
        shell.changed(&mut core, now);
    }
    link.end();
}

/// A client that does not read what it is told is not listened to either.
async fn wait_for_room(shell: &Shell, link: &Link, session: Option<SessionId>) {
    let Some(session) = session else { return };
    loop {
        let full = shell.lock().sessions.get_mut(session).is_some_and(|peer| peer.outbox.is_full());
        if !full {
            return;
        }
        tokio::select! {
            () = link.room.notified() => {}
            () = link.closed.cancelled() => return,
        }
    }
}

fn every(millis: u32) -> Interval {
    let mut every = interval(Duration::from_millis(millis.max(10).into()));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}

async fn report_due(progress: &mut Option<Interval>) {
    match progress {
        Some(every) => {
            every.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The first message: a new client, or one that comes back.
fn greet(
    shell: &Shell,
    core: &mut Core,
    now: Time,
    link: &Arc<Link>,
    message: v1::ClientMessage,
) -> Result<SessionId, String> {
    let Some(hello) = message.hello else {
        return Err("the first message of a client must be its hello".to_owned());
    };
    check_version("client", &hello.name, hello.protocol_version, &hello.version)?;
    limits::check("name of a session", hello.session.len(), limits::NAME_BYTES)
        .map_err(|error| error.to_string())?;
    if hello.session.is_empty() {
        return Err("a client's hello must name its session".to_owned());
    }
    let epoch = core.state.epoch().0;
    let known = core.sessions.find(&hello.session);
    let session = match known {
        Some(session) if hello.epoch == epoch && !expired(shell, core, now, session) => {
            resume(core, now, session, link, &hello.pending);
            session
        }
        _ => {
            if let Some(older) = known {
                core.sessions.remove(older);
                core.state.close_session(now, older);
            }
            open(core, now, link, hello.session)?
        }
    };
    core.sessions.connected_total += 1;
    core.sessions.touch(now, session, Urgency::Now);
    link.open(session.0);
    Ok(session)
}

fn expired(shell: &Shell, core: &mut Core, now: Time, session: SessionId) -> bool {
    core.sessions
        .get_mut(session)
        .is_none_or(|peer| session_table::is_expired(peer.away_since, now, shell.options.grace()))
}

fn open(core: &mut Core, now: Time, link: &Arc<Link>, name: String) -> Result<SessionId, String> {
    let session = core.state.open_session(now, &name).map_err(|error| error.to_string())?;
    let mut peer = SessionPeer::new(name);
    peer.link = Some(link.clone());
    peer.outbox.welcome =
        Some(v1::ClientWelcome { epoch: core.state.epoch().0, resumed: false, last_sequence: 0 });
    core.sessions.insert(session, peer);
    Ok(session)
}

/// The client says what it has no end of yet; what has ended of it is told again.
fn resume(
    core: &mut Core,
    now: Time,
    session: SessionId,
    link: &Arc<Link>,
    pending: &[v1::LocalRange],
) {
    let epoch = core.state.epoch().0;
    let pending: Vec<LocalRange> = pending.iter().map(local_range).collect();
    let Some(peer) = core.sessions.get_mut(session) else { return };
    let older = peer.link.replace(link.clone());
    peer.away_since = None;
    peer.outbox = SessionOutbox::default();
    peer.outbox.welcome =
        Some(v1::ClientWelcome { epoch, resumed: true, last_sequence: peer.sequence });
    for refused in &peer.refused {
        for local in refused.pending_in(&pending) {
            let array = refused.arrays[(local - refused.first) as usize];
            peer.outbox.refuse(local, array, &refused.reason);
        }
    }
    for job in &mut peer.jobs {
        job.told = None;
    }
    // Which descriptions its numbers became it may not have heard.
    for (first, specs) in core.state.specs_of(session, &pending) {
        peer.outbox.accept(first, specs);
    }
    if let Some(older) = older {
        core.sessions.disconnected_total += 1;
        older.end();
    }
    core.state.session_resumed(now, session, &pending);
}

/// A later message. False: the session is over.
fn receive(
    core: &mut Core,
    now: Time,
    session: SessionId,
    message: v1::ClientMessage,
) -> Result<bool, String> {
    let Some(peer) = core.sessions.get_mut(session) else { return Ok(false) };
    let sequence = message.sequence;
    if sequence <= peer.sequence {
        return Ok(true);
    }
    if sequence != peer.sequence + 1 {
        return Err(format!(
            "message {} of the session is missing, {sequence} came: correct the client",
            peer.sequence + 1
        ));
    }
    peer.sequence = sequence;
    // What was accepted and how far is told along with the first end most often.
    core.sessions.touch(now, session, Urgency::Soon);
    apply(core, now, session, message)
}

/// In the order that the protocol fixes.
fn apply(
    core: &mut Core,
    now: Time,
    session: SessionId,
    message: v1::ClientMessage,
) -> Result<bool, String> {
    for job in message.jobs {
        open_job(core, now, session, &job)?;
    }
    if let Some(submit) = message.submit {
        take_submission(core, now, session, submit)?;
    }
    for put in message.puts {
        take_put(core, now, session, &put)?;
    }
    for member in message.refetch {
        let holder = WorkerId(member.failed_holder);
        let v1::LocalMember { local, index, missing, .. } = member;
        core.state.refetch(now, session, local, index, holder, missing);
    }
    for range in &message.cancel {
        core.state.cancel(now, session, local_range(range));
    }
    for number in message.cancel_jobs {
        core.state.cancel_job(now, session, number);
    }
    for range in &message.release {
        core.state.release(now, session, local_range(range));
    }
    for job in message.close_jobs {
        core.state.close_job(session, job.job);
        if let Some(peer) = core.sessions.get_mut(session)
            && let Some(track) = peer.jobs.iter_mut().find(|track| track.number == job.job)
        {
            track.closed = true;
        }
    }
    if message.goodbye {
        core.sessions.remove(session);
        core.state.close_session(now, session);
        return Ok(false);
    }
    Ok(true)
}

const fn local_range(range: &v1::LocalRange) -> LocalRange {
    LocalRange { local: range.local, start: range.start, end: range.end, count: range.count }
}

fn open_job(
    core: &mut Core,
    now: Time,
    session: SessionId,
    job: &v1::OpenJob,
) -> Result<(), String> {
    let weight = if job.weight.is_finite() && job.weight > 0.0 { job.weight } else { 1.0 };
    limits::check("name of a job", job.name.len(), limits::NAME_BYTES)
        .and_then(|()| core.state.open_job(now, session, job.job, &job.name, weight))
        .map_err(|error| error.to_string())?;
    if let Some(peer) = core.sessions.get_mut(session) {
        if peer.jobs.len() >= limits::JOBS {
            let state = &core.state;
            peer.jobs.retain(|job| !job.closed || !is_over(state.progress(session, job.number)));
        }
        limits::check("number of open jobs", peer.jobs.len() + 1, limits::JOBS)
            .map_err(|error| error.to_string())?;
        peer.jobs.push(JobTrack { number: job.job, told: None, closed: false });
    }
    Ok(())
}

fn take_submission(
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

fn take_put(
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
    let next_to = |last: &Refused| last.first + last.arrays.len() as u64 == first;
    let follows = peer.refused.last().is_some_and(next_to);
    if !follows {
        limits::check(
            "number of refused submissions of a session",
            peer.refused.len() + 1,
            limits::REFUSED,
        )
        .map_err(|limit| format!("{limit}; the last was refused because {error}"))?;
    }
    if !core.state.skip_locals(session, first, arrays.len() as u64) {
        return Err(error.to_string());
    }
    let reason = error.to_string();
    for (local, array) in (first..).zip(&arrays) {
        peer.outbox.refuse(local, *array, &reason);
    }
    match peer.refused.last_mut() {
        // What follows is refused for the same sake most often, and told so itself above.
        Some(last) if follows => last.arrays.extend(arrays),
        _ => peer.refused.push(Refused { first, arrays, reason }),
    }
    Ok(())
}

/// Nothing of it is still to run.
fn is_over(progress: Option<JobProgress>) -> bool {
    progress.is_none_or(|now| now.is_over())
}

/// Keeps what has changed in the progress of the session's jobs.
fn report_progress(shell: &Shell, session: Option<SessionId>) {
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
