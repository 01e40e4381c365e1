//! Names that were checked, and the names of objects that follow from them. What is checked once
//! cannot overflow a label or a service name later.

use std::fmt;

use crate::names::DEFAULT_GROUP;

/// Longest value of a label, and longest name of a service.
pub const LONGEST_LABEL: usize = 63;
/// Longest name of a cluster or a job: `-scheduler` has to fit behind it.
pub const LONGEST_CLUSTER_NAME: usize = LONGEST_LABEL - "-scheduler".len();

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It has other characters, or starts or ends with one that cannot stand there.
    #[error(
        "'{0}' is no name: use lower-case letters, digits and '-', with a letter or digit first \
         and last"
    )]
    Form(String),
    /// It is too long.
    #[error("'{name}' has {} characters: use at most {limit}", name.len())]
    TooLong {
        /// The name.
        name: String,
        /// The most it may have.
        limit: usize,
    },
}

pub(crate) fn check(name: &str, dots: bool, limit: usize) -> Result<(), BadName> {
    let part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty()
            && part.chars().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let fine = if dots { name.split('.').all(part) } else { part(name) };
    if !fine {
        Err(BadName::Form(name.to_owned()))
    } else if name.len() > limit {
        Err(BadName::TooLong { name: name.to_owned(), limit })
    } else {
        Ok(())
    }
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $type_name:ident, dots: $dots:literal, limit: $limit:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type_name(String);

        impl $type_name {
            /// Checks a name.
            ///
            /// # Errors
            /// [`BadName`] says what is wrong with it.
            pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
                let name = name.into();
                check(&name, $dots, $limit).map(|()| Self(name))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type_name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name! {
    /// The name of a `DaskCluster`: at most [`LONGEST_CLUSTER_NAME`] characters, no dots.
    ClusterName, dots: false, limit: LONGEST_CLUSTER_NAME
}

checked_name! {
    /// The full name of a `DaskWorkerGroup`: at most [`LONGEST_LABEL`] characters, because its
    /// workers carry it as a label.
    GroupName, dots: true, limit: LONGEST_LABEL
}

checked_name! {
    /// The name of a `DaskJob`: at most [`LONGEST_CLUSTER_NAME`] characters, because its own
    /// cluster has the same name.
    JobName, dots: false, limit: LONGEST_CLUSTER_NAME
}

impl ClusterName {
    /// The scheduler's deployment and service.
    #[must_use]
    pub fn scheduler(&self) -> String {
        format!("{}-scheduler", self.0)
    }

    /// The default group.
    #[must_use]
    pub fn default_group(&self) -> GroupName {
        GroupName(format!("{}-{DEFAULT_GROUP}", self.0))
    }

    /// A group by its name within the cluster.
    ///
    /// # Errors
    /// [`BadName`] where both together are too long, or the group's name is none.
    pub fn group(&self, within: &str) -> Result<GroupName, BadName> {
        check(within, false, LONGEST_LABEL)?;
        GroupName::new(format!("{}-{within}", self.0))
    }
}

impl GroupName {
    /// The pod in a slot. Its name may be longer than a label: it is never one.
    #[must_use]
    pub fn worker(&self, slot: u32) -> String {
        format!("{}-worker-{slot}", self.0)
    }

    /// The slot of a pod that [`GroupName::worker`] named; none for any other pod.
    #[must_use]
    pub fn slot_of(&self, pod: &str) -> Option<u32> {
        let slot = pod.strip_prefix(&self.0)?.strip_prefix("-worker-")?;
        // "+1" and "007" would be numbers, too.
        let slot: u32 = slot.parse().ok()?;
        (self.worker(slot) == pod).then_some(slot)
    }
}

impl JobName {
    /// The runner pod of the job's first attempt.
    #[must_use]
    pub fn runner(&self) -> String {
        format!("{}-runner", self.0)
    }

    /// The job's own cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterName {
        ClusterName(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_for_what_is_made_from_them() {
        let long = "x".repeat(53);
        let cluster = ClusterName::new(&long).unwrap();
        assert_eq!(cluster.scheduler().len(), LONGEST_LABEL);
        assert!(cluster.default_group().as_str().len() <= LONGEST_LABEL);
        assert!(cluster.group("nine-char").is_ok());
        assert!(cluster.group("ten-chars1").is_err());
        for bad in ["", "A", "a_b", "-a", "a-", "a.b", &"x".repeat(54)] {
            assert!(ClusterName::new(bad).is_err(), "{bad}");
            assert!(JobName::new(bad).is_err(), "{bad}");
        }
        for (name, good) in [("a.b", true), ("a..b", false), (&"x".repeat(63), true)] {
            assert_eq!(GroupName::new(name).is_ok(), good, "{name}");
        }
        assert!(GroupName::new("x".repeat(64)).is_err());
    }

    #[test]
    fn a_slot_is_read_back_from_a_pods_name() {
        let group = GroupName::new("c-default").unwrap();
        assert_eq!(group.slot_of(&group.worker(12)), Some(12));
        for other in
            ["c-default-worker-", "c-default-worker-01", "c-default-worker-3f", "c-worker-1", "c"]
        {
            assert_eq!(group.slot_of(other), None, "{other}");
        }
    }
}
