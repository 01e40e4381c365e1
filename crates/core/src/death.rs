//! Why a worker, or the process that ran a task, ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a worker died. What is known first may be [`DeathCause::ConnectionLost`]; whoever learns
/// the true cause later amends it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "camelCase")]
pub enum DeathCause {
    /// The process ended with this code.
    ExitCode {
        /// As the parent saw it.
        code: i32,
    },
    /// A signal ended the process.
    Signal {
        /// Its number.
        signal: i32,
    },
    /// The kernel ended it for using more memory than its limit.
    #[serde(rename = "OOMKilled")]
    OomKilled,
    /// The kubelet evicted the pod.
    Evicted,
    /// A pod of higher priority took its place.
    Preempted,
    /// It was drained and told to go.
    Drained,
    /// Somebody deleted it, or its replica was scaled away, without a drain.
    Deleted,
    /// No heartbeat came for too long.
    HeartbeatLost,
    /// Its connection broke; nothing else is known.
    ConnectionLost,
    /// The node it ran on is gone.
    NodeLost,
    /// A newer process took its name.
    Replaced,
}

impl DeathCause {
    /// True where the task that ran may itself have been the reason, so that the death counts
    /// against the task's limit. Planned removals, preemption and lost nodes never count.
    #[must_use]
    pub const fn may_be_the_tasks_doing(&self) -> bool {
        matches!(
            self,
            Self::ExitCode { .. }
                | Self::Signal { .. }
                | Self::OomKilled
                | Self::HeartbeatLost
                | Self::ConnectionLost
        )
    }

    /// True while the real cause may still become known.
    #[must_use]
    pub const fn is_provisional(&self) -> bool {
        matches!(self, Self::ConnectionLost | Self::HeartbeatLost)
    }
}

impl fmt::Display for DeathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExitCode { code } => write!(f, "exit code {code}"),
            Self::Signal { signal } => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            Self::OomKilled => f.write_str("OOMKilled (over its memory limit)"),
            Self::Evicted => f.write_str("evicted"),
            Self::Preempted => f.write_str("preempted"),
            Self::Drained => f.write_str("drained"),
            Self::Deleted => f.write_str("deleted"),
            Self::HeartbeatLost => f.write_str("heartbeat lost"),
            Self::ConnectionLost => f.write_str("connection lost"),
            Self::NodeLost => f.write_str("node lost"),
            Self::Replaced => f.write_str("replaced by a newer process of the same name"),
        }
    }
}

/// The usual name of a signal number (Linux).
#[must_use]
pub const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}
