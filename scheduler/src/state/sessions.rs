//! Clients' sessions.

use dasklet_core::{JobId, SessionId};

use super::{FastMap, State, SubmitError, Time, locals::Locals, timers::Timer};

/// Longest name of a session or a job, in bytes.
const MAX_NAME: usize = 1024;

/// One client.
#[derive(Debug)]
pub(super) struct Session {
    pub locals: Locals,
    pub jobs: FastMap<u32, JobId>,
    /// Since when its client is gone.
    pub disconnected: Option<Time>,
}

impl State {
    /// Opens a session for a new client.
    ///
    /// # Errors
    /// Too many sessions, or too long a name.
    pub fn open_session(&mut self, now: Time, name: &str) -> Result<SessionId, SubmitError> {
        self.now = now;
        check_name("session", name)?;
        if u64::from(self.counters.sessions) >= self.config.max_sessions {
            return Err(SubmitError::Limit(format!(
                "there are {} sessions, the most this scheduler takes: close some, or raise its limit of sessions",
                self.counters.sessions
            )));
        }
        let id = SessionId(self.next_session);
        self.next_session += 1;
        let session =
            Session { locals: Locals::default(), jobs: FastMap::default(), disconnected: None };
        self.sessions.insert(id, session);
        self.counters.sessions += 1;
        self.demand_moved();
        Ok(id)
    }

    /// The client is gone; the session waits for it for the grace period.
    pub fn session_disconnected(&mut self, now: Time, s: SessionId) {
        self.now = now;
        let grace = self.config.session_grace_micros;
        let Some(session) = self.sessions.get_mut(&s) else { return };
        if session.disconnected.is_none() {
            session.disconnected = Some(now);
            self.add_timer(now.after_micros(grace), Timer::SessionGrace(s));
        }
    }

    /// The client is back. What it is to be told of its tasks is read with [`State::described`]
    /// and [`State::ends`].
    pub fn session_resumed(&mut self, now: Time, s: SessionId) {
        self.now = now;
        if let Some(session) = self.sessions.get_mut(&s) {
            session.disconnected = None;
        }
    }

    /// The end of a session: all its interest is dropped.
    pub fn close_session(&mut self, now: Time, s: SessionId) {
        self.now = now;
        let Some(session) = self.sessions.get(&s) else { return };
        let jobs: Vec<JobId> = session.jobs.values().copied().collect();
        for job in &jobs {
            for spec in self.specs_of_job(*job) {
                self.unwant(spec, 0, u32::MAX);
            }
        }
        self.settle();
        self.sessions.remove(&s);
        self.counters.sessions -= 1;
        for job in jobs {
            if let Some(job) = self.jobs.get_mut(&job) {
                job.orphaned = true;
                job.closed = true;
            }
            self.drop_job_if_over(job);
        }
        self.demand_moved();
    }
}

pub(super) fn check_name(what: &str, name: &str) -> Result<(), SubmitError> {
    if name.len() > MAX_NAME {
        return Err(SubmitError::Limit(format!(
            "the name of a {what} has {} bytes: use at most {MAX_NAME}",
            name.len()
        )));
    }
    Ok(())
}
