//! Labels and annotations: what an object inherits and what it is given.

use std::collections::BTreeMap;

use dasklet_api::PartMetadata;
use serde_json::{Value, json};

use crate::{names, observe::Meta};

/// The object that owns what is made, and whose labels and annotations it inherits.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Its metadata.
    pub meta: &'a Meta,
}

impl Parent<'_> {
    /// The owner reference to it.
    #[must_use]
    pub fn reference(&self) -> Value {
        json!({
            "apiVersion": format!("{}/{}", dasklet_api::GROUP, dasklet_api::VERSION),
            "kind": self.kind,
            "name": self.meta.name,
            "uid": self.meta.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }
}

/// Metadata of something made for `parent`: the parent's labels and annotations, over them those
/// of the part of the spec, over them `base`. Bookkeeping annotations are not inherited.
#[must_use]
pub fn propagated(
    parent: &Parent<'_>,
    part: Option<&PartMetadata>,
    name: &str,
    base: &[(&str, &str)],
) -> Value {
    let mut labels = parent.meta.labels.clone();
    let mut annotations: BTreeMap<String, String> = parent
        .meta
        .annotations
        .iter()
        .filter(|(name, _)| is_inherited(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(part) = part {
        labels.extend(part.labels.clone().unwrap_or_default());
        annotations.extend(part.annotations.clone().unwrap_or_default());
    }
    // A job's label says which pod is its runner, and nothing else inherits it.
    labels.remove(names::JOB_NAME);
    labels.extend(base.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    labels.insert(names::MANAGED_BY.to_owned(), names::DASKLET.to_owned());
    let mut metadata = json!({
        "name": name,
        "namespace": parent.meta.namespace,
        "labels": labels,
        "ownerReferences": [parent.reference()],
    });
    if !annotations.is_empty() {
        metadata["annotations"] = json!(annotations);
    }
    metadata
}

fn is_inherited(annotation: &str) -> bool {
    // `dask.org/` are our own notes about the parent.
    !["kopf.zalando.org", "kubectl.kubernetes.io", "dask.org/"]
        .iter()
        .any(|prefix| annotation.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_wins_and_bookkeeping_stays() {
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let meta = Meta {
            namespace: "n".to_owned(),
            labels: pairs(&[("team", "a"), ("tier", "x"), ("dask.org/component", "?")]),
            annotations: pairs(&[
                ("kopf.zalando.org/last-handled-configuration", "{}"),
                ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
                ("dask.org/wake", "1"),
                ("note", "b"),
            ]),
            ..Meta::default()
        };
        let part = PartMetadata { labels: Some(pairs(&[("tier", "y")])), annotations: None };
        let parent = Parent { kind: "DaskCluster", meta: &meta };
        let made = propagated(&parent, Some(&part), "m", &[("dask.org/component", "worker")]);
        assert_eq!(
            made["labels"],
            json!({"app.kubernetes.io/managed-by": "dasklet", "dask.org/component": "worker",
                   "team": "a", "tier": "y"})
        );
        assert_eq!(made["annotations"], json!({"note": "b"}));
    }
}
