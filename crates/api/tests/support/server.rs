//! The verdict of an API server that has our definitions, without one.

use std::{collections::HashMap, sync::OnceLock};

use dasklet_api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_cel::{ErrorKind, ValidationError};
use serde_json::{Value, json};

use super::structural::{misfits, prepare};

/// What an API server would say to a document; empty: it accepts it.
pub fn verdict(text: &str) -> Vec<String> {
    let mut object: Value = serde_yaml::from_str(text).unwrap();
    let kind = object["kind"].as_str().unwrap().to_owned();
    let schema = schema_of(&kind);
    prepare(&mut object, &schema);
    let found = misfits(&object, &schema);
    if !found.is_empty() {
        return found;
    }
    if let Some(prefix) = object["metadata"]["generateName"].as_str() {
        object["metadata"]["name"] = json!(format!("{prefix}abcde"));
    }
    evaluate(&schema, &object, None)
}

/// What the API server would say to a change.
pub fn verdict_of_change(old: &Value, new: &Value) -> Vec<String> {
    let schema = schema_of(new["kind"].as_str().unwrap());
    evaluate(&schema, new, Some(old))
}

fn evaluate(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
    let Err(errors) = kube_cel::Validator::new().validate(schema, object, old) else {
        return Vec::new();
    };
    let broken = |error: &ValidationError| {
        // A rule that cannot be evaluated proves nothing.
        assert_eq!(error.kind, ErrorKind::ValidationFailure, "{}: {error}", error.rule);
        format!("{}: {}", error.field_path, error.message)
    };
    errors.iter().map(broken).collect()
}

/// The schema of a kind, as the evaluator of rules here wants it.
pub fn schema_of(kind: &str) -> Value {
    static SCHEMAS: OnceLock<HashMap<String, Value>> = OnceLock::new();
    let schemas = SCHEMAS.get_or_init(|| {
        crds()
            .into_iter()
            .map(|definition| (definition.spec.names.kind.clone(), schema_in(definition)))
            .collect()
    });
    schemas[kind].clone()
}

fn schema_in(definition: CustomResourceDefinition) -> Value {
    let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema;
    let mut schema = serde_json::to_value(schema).unwrap();
    let text = json!({"type": "string"});
    for (name, schema_of_field) in
        [("apiVersion", text.clone()), ("kind", text), ("metadata", metadata_schema())]
    {
        schema["properties"][name] = schema_of_field;
    }
    // An API server gives an optional value here, this evaluator a null.
    for rule in schema["x-kubernetes-validations"].as_array_mut().into_iter().flatten() {
        let text = rule["rule"].as_str().unwrap().replace("oldSelf.hasValue()", "oldSelf != null");
        rule["rule"] = json!(text);
    }
    schema
}

/// The fields of metadata that the corpus uses.
fn metadata_schema() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    // The API server's own rule for all objects: a DNS subdomain.
    let name = json!({
        "type": "string",
        "maxLength": 253,
        "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    });
    json!({"type": "object", "properties": {
        "name": name, "generateName": text, "namespace": text,
        "labels": texts, "annotations": texts, "creationTimestamp": text,
    }})
}
