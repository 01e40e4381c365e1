//! What a group's members are doing, as far as its substrate and the scheduler tell.

use dasklet_core::demand::MemberRef;
use serde::{Deserialize, Serialize};

/// All members of one group that exist in any form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupObservation {
    /// In any order.
    pub members: Vec<GroupMember>,
}

/// One member. Times are in microseconds of the clock that the plan's `now` is read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupMember {
    /// Its name.
    pub name: String,
    /// Pod UID, or process id.
    pub instance: String,
    /// How it stands.
    pub phase: Phase,
    /// When it was created.
    pub created_micros: u64,
    /// Seconds since it had something to do; zero while it has, or where nobody knows.
    pub idle_seconds: f64,
    /// Bytes of outputs it holds.
    pub bytes_stored: u64,
    /// Bytes of wanted outputs that only it holds.
    pub bytes_sole: u64,
    /// Tasks handed to it.
    pub running: u32,
}

impl GroupMember {
    /// A member without load.
    #[must_use]
    pub fn new(name: &str, instance: &str, phase: Phase, created_micros: u64) -> Self {
        Self {
            name: name.to_owned(),
            instance: instance.to_owned(),
            phase,
            created_micros,
            idle_seconds: 0.0,
            bytes_stored: 0,
            bytes_sole: 0,
            running: 0,
        }
    }

    /// The member by what cannot be mistaken for a later one of the same name.
    #[must_use]
    pub fn reference(&self) -> MemberRef {
        MemberRef { name: self.name.clone(), instance: Some(self.instance.clone()) }
    }
}

/// How a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Phase {
    /// Asked for; has no process yet.
    Pending,
    /// Its process runs and is not connected to the scheduler yet.
    Starting,
    /// Takes tasks.
    Serving {
        /// Since when.
        since_micros: u64,
    },
    /// Finishes, gives back, moves its data away.
    Draining {
        /// Since when.
        since_micros: u64,
        /// Until when it should be drained; absent: no limit.
        deadline_micros: Option<u64>,
        /// False where it goes whatever we want: its process was told to end, its node leaves.
        revocable: bool,
    },
    /// Has nothing left that anybody wants.
    Drained,
    /// Its process ended, or cannot start.
    Failed {
        /// Whether it has ever served: one that has not is a failed start.
        served: bool,
    },
}
