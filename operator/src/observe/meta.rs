//! What every object has around its spec.

use std::collections::BTreeMap;

use super::Key;

/// An object's metadata. Times are microseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The API server's identity for it.
    pub uid: String,
    /// Its version, if the API server counts it.
    pub resource_version: u64,
    /// The spec's generation.
    pub generation: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it was created.
    pub created_micros: u64,
    /// Whether its deletion was asked for.
    pub deleting: bool,
    /// Whose end is its end.
    pub owners: Vec<Owner>,
    /// Who has to agree to its deletion.
    pub finalizers: Vec<String>,
}

/// An owner of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: String,
}

impl Meta {
    /// The namespaced name.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::new(&self.namespace, &self.name)
    }

    /// A label's value.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// An annotation's value.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// Whether this is one of its owners.
    #[must_use]
    pub fn is_owned_by(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| owner.uid == uid)
    }

    /// Whether this operator made it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.label(crate::names::MANAGED_BY) == Some(crate::names::DASKLET)
    }
}
