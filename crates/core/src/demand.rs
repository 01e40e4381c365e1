//! The words in which a scheduler says how much work it has: the bodies of
//! `POST /api/v1/demand`, `/api/v1/drain`, `/api/v1/undrain`, `/api/v1/lost` and
//! `GET /api/v1/members`. Shared by the scheduler, the operator and `dasklet run`.

use serde::{Deserialize, Serialize};

use crate::{death::DeathCause, resources::Resources};

/// Asks for the demand, and how much of it members of these shapes would take.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DemandRequest {
    /// The shapes, one for each worker group.
    #[serde(default)]
    pub shapes: Vec<Shape>,
    /// Answer once the demand is newer than this version (long poll); absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Longest wait of a long poll; the present demand is the answer then. Default 30,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_millis: Option<u64>,
    /// Work queued should be done within so many seconds: sizes the trial placement. Default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_duration_seconds: Option<f64>,
}

/// What one more member of a worker group would offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shape {
    /// The group's name.
    pub group: String,
    /// What one member offers, in thousandths.
    pub resources: Resources,
    /// How many more members to try to place, at most.
    pub most: u32,
}

/// All that the autoscaler needs to know of a scheduler.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Grows with each change of what follows.
    pub version: u64,
    /// The scheduler's life that this is from.
    pub epoch: u64,
    /// Tasks by what they ask for.
    pub classes: Vec<ClassDemand>,
    /// Outputs that a client or an unfinished task still wants, in bytes.
    pub bytes_wanted: u64,
    /// Outputs stored on the workers, in bytes, in memory or spilled.
    pub bytes_stored: u64,
    /// Resident memory of all workers, and their limits, in bytes.
    pub memory_used: u64,
    /// The limits of all workers together, in bytes.
    pub memory_limit: u64,
    /// For each shape asked about.
    pub trials: Vec<Trial>,
    /// For each group with members: what the group has and needs now.
    pub groups: Vec<GroupLoad>,
    /// Seconds without any work and without wanted outputs; absent while there are some.
    pub idle_seconds: Option<f64>,
    /// Connected clients.
    pub clients: u32,
}

/// Tasks that ask for the same resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassDemand {
    /// What each asks for.
    pub resources: Resources,
    /// Could start now, if a worker had room.
    pub ready: u64,
    /// Handed to workers, started or not.
    pub running: u64,
    /// Wait for other tasks.
    pub waiting: u64,
    /// Seconds of work in the ready and running ones, as far as known from past runs.
    pub estimated_seconds: f64,
    /// Why ready tasks cannot be placed on any present worker, if that is so.
    pub blocked: Option<String>,
}

/// The answer about one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The group's name.
    pub group: String,
    /// How many of `most` further members would get work, so that what is queued is done within
    /// the target duration.
    pub useful: u32,
}

/// One group's members taken together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupLoad {
    /// The group's name.
    pub group: String,
    /// Members connected, draining ones apart.
    pub members: u32,
    /// How many of these the present work needs (ready, running and wanted outputs), at most
    /// `members`. The others may go.
    pub needed: u32,
    /// Members being drained.
    pub draining: u32,
}

/// One worker, as the scheduler sees it (`GET /api/v1/members`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its id within this epoch.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Pod UID, or process id.
    pub instance: String,
    /// Its group; empty if none.
    pub group: String,
    /// Where its outputs are read, `host:port`.
    pub address: String,
    /// What it offers, in thousandths.
    pub resources: Resources,
    /// How it stands.
    pub state: MemberState,
    /// Tasks handed to it, started or not.
    pub running: u32,
    /// Bytes of outputs it holds.
    pub bytes_stored: u64,
    /// Bytes of outputs that only it holds and that somebody wants.
    pub bytes_sole: u64,
    /// Bytes it has spilled to disk.
    pub bytes_spilled: u64,
    /// Its resident memory with that of its children.
    pub memory_used: u64,
    /// Its memory limit.
    pub memory_limit: u64,
    /// Its processor time so far.
    pub cpu_seconds: f64,
    /// Seconds since it had something to do; zero while it has.
    pub idle_seconds: f64,
    /// Seconds since it was last heard.
    pub silent_seconds: f64,
}

/// How a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MemberState {
    /// Takes tasks.
    Serving,
    /// Starts nothing until its memory is below the limit again.
    Paused,
    /// Finishes, gives back, moves its data away.
    Draining,
    /// Has nothing left that anybody wants: may be stopped.
    Drained,
}

/// A member by what cannot be mistaken for a later one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberRef {
    /// Its name.
    pub name: String,
    /// Pod UID, or process id; absent: whichever has the name now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Body of `POST /api/v1/drain` and `/api/v1/undrain`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainRequest {
    /// Whom.
    pub members: Vec<MemberRef>,
    /// After so many seconds running tasks are stopped and the member counts as drained, unless
    /// it still holds the only copy of wanted data; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<f64>,
}

/// Answer to a drain, an undrain or a death notice: how each named member stands now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MembersAnswer {
    /// In the order of the request.
    pub members: Vec<MemberStanding>,
}

/// How a named member stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStanding {
    /// Its name.
    pub name: String,
    /// Absent: no such member is connected.
    pub state: Option<MemberState>,
}

/// Body of `POST /api/v1/lost`: someone outside knows that a member died.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LostRequest {
    /// Who.
    pub member: MemberRef,
    /// Why.
    pub cause: DeathCause,
}
