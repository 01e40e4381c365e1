//! Kubernetes Events: one for each change.

use super::write::Kind;

/// An event to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventNote {
    /// Name of the event: the same change has the same name, so that telling it again is refused.
    pub name: String,
    /// Kind of the object it is about.
    pub kind: Kind,
    /// Name of that object.
    pub object: String,
    /// Identity of that object.
    pub uid: String,
    /// Whether somebody should look.
    pub warning: bool,
    /// One word.
    pub reason: String,
    /// In words.
    pub message: String,
    /// What was done.
    pub action: &'static str,
}

impl EventNote {
    /// An event about an object; `once` tells this change from others of the same object.
    #[must_use]
    pub fn new(
        (kind, object, uid): (Kind, &str, &str),
        warning: bool,
        reason: &str,
        message: &str,
        once: &str,
    ) -> Self {
        let mut note = Self::single((kind, object, uid), warning, reason, message, once);
        let mark = crate::template::fingerprint(&serde_json::json!([uid, reason, once]));
        note.name = format!("{object}.{mark}");
        note
    }

    /// An event of which there is one for `once`, whatever its reason is.
    #[must_use]
    pub fn single(
        (kind, object, uid): (Kind, &str, &str),
        warning: bool,
        reason: &str,
        message: &str,
        once: &str,
    ) -> Self {
        let mark = crate::template::fingerprint(&serde_json::json!([uid, once]));
        Self {
            name: format!("{object}.{mark}"),
            kind,
            object: object.to_owned(),
            uid: uid.to_owned(),
            warning,
            reason: reason.to_owned(),
            // The API server takes no longer ones.
            message: message.chars().take(1000).collect(),
            action: "Reconcile",
        }
    }
}
