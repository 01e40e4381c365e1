//! That a worker is to be drained, as it is written on its pod before anybody acts on it.

use serde::{Deserialize, Serialize};

use crate::{names, observe::Meta};

/// A drain that was decided. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// When it was decided.
    pub since: u64,
    /// Until when it should be done; absent: it may take as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Why.
    pub reason: DrainReason,
}

/// Why a worker is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DrainReason {
    /// The group gets smaller.
    ScaleDown,
    /// The group is suspended or goes.
    Suspend,
    /// A worker of the group's present template takes its place.
    Template,
}

impl Intent {
    /// The intent on an object; one that cannot be read counts as just decided.
    #[must_use]
    pub fn of(meta: &Meta, now_micros: u64) -> Option<Self> {
        let text = meta.annotation(names::DRAIN)?;
        let unreadable = Self { since: now_micros, deadline: None, reason: DrainReason::ScaleDown };
        Some(serde_json::from_str(text).unwrap_or(unreadable))
    }

    /// Whether a renewed demand may call the worker back.
    #[must_use]
    pub const fn is_revocable(&self) -> bool {
        !matches!(self.reason, DrainReason::Template)
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// When the drain of this object was last called back.
#[must_use]
pub fn kept_at(meta: &Meta) -> Option<u64> {
    meta.annotation(names::KEPT)?.parse().ok()
}
