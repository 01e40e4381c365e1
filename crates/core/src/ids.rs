//! Dense ids, valid within one scheduler epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One life of a scheduler: ids and locations from another epoch mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub struct $name(pub u32);

        impl $name {
            /// The id as an index into a dense table.
            #[must_use]
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

dense_id!(
    /// An accepted description: of one task, or of a whole task array.
    SpecId
);
dense_id!(
    /// A worker's connection: a worker that reconnects gets a new id.
    WorkerId
);
dense_id!(
    /// A client's session.
    SessionId
);
dense_id!(
    /// A job: what its tasks are queued, weighed and reported under.
    JobId
);

/// One task: member `index` of the description `spec` (a described task is member 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId {
    /// The description.
    pub spec: SpecId,
    /// The member's index.
    pub index: u32,
}

impl TaskId {
    /// Member `index` of `spec`.
    #[must_use]
    #[inline]
    pub const fn new(spec: SpecId, index: u32) -> Self {
        Self { spec, index }
    }

    /// As it travels: the spec in the upper, the index in the lower 32 bits.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u64 {
        (self.spec.0 as u64) << 32 | self.index as u64
    }

    /// The inverse of [`TaskId::to_bits`].
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self { spec: SpecId((bits >> 32) as u32), index: bits as u32 }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.spec, self.index)
    }
}

/// One dispatch of a task to a worker. The generation tells a late message about an earlier
/// user of the same slot from a message about this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId {
    /// Place in the scheduler's table of runs.
    pub slot: u32,
    /// How often the place was used before.
    pub generation: u32,
}

impl RunId {
    /// As it travels: the generation in the upper, the slot in the lower 32 bits.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The inverse of [`RunId::to_bits`].
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_wire() {
        for (a, b) in [(0, 0), (1, u32::MAX), (u32::MAX, 7)] {
            let task = TaskId::new(SpecId(a), b);
            assert_eq!(TaskId::from_bits(task.to_bits()), task);
            let run = RunId { slot: a, generation: b };
            assert_eq!(RunId::from_bits(run.to_bits()), run);
        }
    }
}
