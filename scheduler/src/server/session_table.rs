//! The clients' sessions.

use std::{sync::Arc, time::Duration};

use dasklet_core::SessionId;
use foldhash::HashMap;

use super::{
    link::Link,
    refusals::Refusals,
    session_outbox::SessionOutbox,
    shell::Core,
    wakes::{Urgency, Wakes},
};
use crate::state::{JobProgress, Time, ToSession};

/// Sessions by id, and by the name under which their client comes back.
#[derive(Debug, Default)]
pub(super) struct SessionTable {
    peers: Vec<Option<Box<SessionPeer>>>,
    by_name: HashMap<String, SessionId>,
    wakes: Wakes<SessionId>,
    /// Connections of clients, ever.
    pub connected_total: u64,
    /// Connections of clients that ended, ever.
    pub disconnected_total: u64,
}

/// A session.
#[derive(Debug)]
pub(super) struct SessionPeer {
    /// The random name its client chose.
    pub name: String,
    /// Its connection; absent while its client is away.
    pub link: Option<Arc<Link>>,
    /// When its client went away.
    pub away_since: Option<Time>,
    /// Highest message number that was processed.
    pub sequence: u64,
    /// What its client is to be told.
    pub outbox: SessionOutbox,
    /// Submissions that were refused.
    pub refused: Refusals,
    /// Jobs whose progress is of interest.
    pub jobs: Vec<JobTrack>,
    urgency: Option<Urgency>,
}

/// What was told last of a job's progress.
#[derive(Debug)]
pub(super) struct JobTrack {
    /// The session's number of the job.
    pub number: u32,
    /// Told last.
    pub told: Option<(JobProgress, usize)>,
    /// Nothing more is submitted to it.
    pub closed: bool,
}

impl SessionPeer {
    pub fn new(name: String) -> Self {
        Self {
            name,
            link: None,
            away_since: None,
            sequence: 0,
            outbox: SessionOutbox::default(),
            refused: Refusals::default(),
            jobs: Vec::new(),
            urgency: None,
        }
    }
}

impl SessionTable {
    /// Sessions whose client is connected.
    pub fn connected(&self) -> u64 {
        self.connected_total - self.disconnected_total
    }

    /// The session of this id.
    pub fn get_mut(&mut self, session: SessionId) -> Option<&mut SessionPeer> {
        self.peers.get_mut(session.index())?.as_deref_mut()
    }

    /// The connections of all sessions.
    pub fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.peers.iter().flatten().filter_map(|peer| peer.link.as_ref())
    }

    /// The session that goes by this name.
    pub fn find(&self, name: &str) -> Option<SessionId> {
        self.by_name.get(name).copied()
    }

    /// Adds a session.
    pub fn insert(&mut self, session: SessionId, peer: SessionPeer) {
        self.remove(session);
        if session.index() >= self.peers.len() {
            self.peers.resize_with(session.index() + 1, || None);
        }
        self.by_name.insert(peer.name.clone(), session);
        self.peers[session.index()] = Some(Box::new(peer));
    }

    /// Takes a session out and ends its connection.
    pub fn remove(&mut self, session: SessionId) {
        let Some(peer) = self.peers.get_mut(session.index()).and_then(Option::take) else { return };
        if self.by_name.get(&peer.name) == Some(&session) {
            self.by_name.remove(&peer.name);
        }
        if let Some(link) = peer.link {
            self.disconnected_total += 1;
            link.end();
        }
    }

    /// Keeps news for a session until its connection has room.
    pub fn push(&mut self, now: Time, session: SessionId, news: ToSession) {
        let Some(peer) = self.get_mut(session) else { return };
        // A client that comes back says what it has no end of yet.
        if peer.link.is_some() {
            peer.outbox.push(news);
            self.touch(now, session, Urgency::Now);
        }
    }

    /// The session's connection has something to be told.
    pub fn touch(&mut self, now: Time, session: SessionId, urgency: Urgency) {
        if let Some(peer) = self.peers.get_mut(session.index()).and_then(Option::as_deref_mut) {
            self.wakes.touch(now, session, &mut peer.urgency, urgency);
        }
    }

    /// Wakes the connections whose turn has come; gives when to come again.
    pub fn wake(&mut self, now: Time) -> Option<Time> {
        self.wakes.take(now, |session| {
            if let Some(peer) = self.peers.get_mut(session.index()).and_then(Option::as_deref_mut)
                && peer.urgency.take().is_some()
                && let Some(link) = &peer.link
            {
                link.wake();
            }
        });
        self.wakes.due()
    }
}

/// A connection ended: its session waits for its client, unless another connection serves it.
pub(super) fn connection_ended(core: &mut Core, now: Time, session: SessionId, link: &Arc<Link>) {
    let Some(peer) = core.sessions.get_mut(session) else { return };
    if peer.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
        peer.link = None;
        peer.away_since = Some(now);
        peer.outbox = SessionOutbox::default();
        core.sessions.disconnected_total += 1;
        core.state.session_disconnected(now, session);
    }
}

/// Ends the sessions whose grace is over; true if there were some.
pub(super) fn remove_expired(core: &mut Core, now: Time, grace: Duration) -> bool {
    let expired: Vec<SessionId> = core
        .sessions
        .by_name
        .values()
        .copied()
        .filter(|session| {
            let peer = core.sessions.peers.get(session.index()).and_then(Option::as_deref);
            peer.is_some_and(|peer| is_expired(peer.away_since, now, grace))
        })
        .collect();
    for session in &expired {
        core.sessions.remove(*session);
        core.state.close_session(now, *session);
    }
    !expired.is_empty()
}

/// True if a client that has been away since then comes too late.
pub(super) fn is_expired(away_since: Option<Time>, now: Time, grace: Duration) -> bool {
    let grace = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX);
    away_since.is_some_and(|since| now.micros_since(since) >= grace)
}
