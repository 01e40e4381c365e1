//! The definitions: written down as the code has them, small, structural, explained.

mod support;

use std::{fs, path::PathBuf};

use dasklet_api::{crd_yaml, crds};
use serde_json::Value;

#[test]
fn the_files_are_what_the_code_says() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    for definition in crds() {
        let path = folder.join(format!("{}.yaml", definition.spec.names.plural));
        let there = fs::read_to_string(&path).unwrap_or_default();
        let wanted = crd_yaml(&definition).unwrap();
        assert!(there == wanted, "{} is not up to date: run cargo xtask crds", path.display());
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 4, "a stray file in {}", folder.display());
}

#[test]
fn the_reference_is_what_the_code_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/kubernetes-api.md");
    let text = fs::read_to_string(path).unwrap();
    assert!(
        text.ends_with(&dasklet_api::reference()),
        "docs/kubernetes-api.md is not up to date: run cargo xtask crds"
    );
}

#[test]
fn they_are_small() {
    for definition in crds() {
        let size = crd_yaml(&definition).unwrap().len();
        // A client-side apply keeps the whole in an annotation, and an object has 1.5 MB at most.
        assert!(size < 100_000, "{} has {size} bytes", definition.spec.names.kind);
    }
}

#[test]
fn kinds_have_the_names_and_subresources_of_dask_kubernetes_and_more() {
    for (definition, (plural, short, scale)) in crds().into_iter().zip([
        ("daskclusters", vec!["daskcluster", "dsk"], true),
        ("daskworkergroups", vec!["daskworkers"], true),
        ("daskautoscalers", vec![], false),
        ("daskjobs", vec!["djb"], false),
    ]) {
        assert_eq!(definition.metadata.name.unwrap(), format!("{plural}.kubernetes.dask.org"));
        let spec = definition.spec;
        assert_eq!((spec.names.plural.as_str(), spec.scope.as_str()), (plural, "Namespaced"));
        assert_eq!(spec.names.short_names.unwrap_or_default(), short);
        let [version] = spec.versions.as_slice() else { panic!("one version") };
        assert!(version.name == "v1" && version.served && version.storage);
        let subresources = version.subresources.clone().unwrap();
        assert!(subresources.status.is_some());
        let found = subresources.scale.map(|scale| {
            (scale.spec_replicas_path, scale.status_replicas_path, scale.label_selector_path)
        });
        let paths = (
            ".spec.worker.replicas".to_owned(),
            ".status.replicas".to_owned(),
            Some(".status.selector".to_owned()),
        );
        assert_eq!(found, scale.then_some(paths));
    }
}

#[test]
fn every_field_is_explained_and_structural() {
    for kind in ["DaskCluster", "DaskWorkerGroup", "DaskAutoscaler", "DaskJob"] {
        let schema = support::server::schema_of(kind);
        for part in ["spec", "status"] {
            walk(&schema["properties"][part], &format!("{kind}.{part}"), true);
        }
    }
}

/// Inside a pod spec the fields are Kubernetes' own.
fn walk(schema: &Value, path: &str, ours: bool) {
    for stray in ["nullable", "$ref", "oneOf", "not", "title", "definitions"] {
        assert!(schema.get(stray).is_none(), "{path} has {stray}");
    }
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let either = schema["x-kubernetes-int-or-string"] == true;
    assert!(schema["type"].is_string() || open || either, "{path} has no type: {schema}");
    assert!(either || schema.get("anyOf").is_none(), "{path} has anyOf");
    let described = schema["description"].as_str().unwrap_or_default();
    assert!(!ours || described.len() > 5, "{path} has no description");
    let format = schema["format"].as_str().unwrap_or("double");
    assert!(
        ["double", "int32", "int64", "date-time"].contains(&format),
        "{path} has the format {format}"
    );
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), ours && !open);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner) {
            walk(inner, &format!("{path}[]"), false);
        }
    }
}
