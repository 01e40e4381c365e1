//! The definitions of the four kinds, as they are put into `crds/` and into a cluster.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube_core::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::{
    autoscaler::DaskAutoscaler,
    checked::{LONGEST_CLUSTER_NAME, LONGEST_LABEL},
    cluster::DaskCluster,
    group::DaskWorkerGroup,
    job::DaskJob,
    rules,
};

/// The definitions of the four kinds. Use these, not the `crd()` of the single types: that one
/// has no rules about names, no defaults, and formats that the API server does not know.
#[must_use]
pub fn crds() -> [CustomResourceDefinition; 4] {
    let mut cluster_rules = rules::name(LONGEST_CLUSTER_NAME, false);
    cluster_rules.push(rules::group_names());
    let mut job_rules = rules::name(LONGEST_CLUSTER_NAME, false);
    job_rules.push(rules::job_group_names());
    let size = json!({"replicas": {"default": 1}});
    [
        finished(
            DaskCluster::crd(),
            cluster_rules,
            &json!({"idleTimeout": {"default": 0}, "worker": {"default": {}, "properties": size}}),
        ),
        finished(
            DaskWorkerGroup::crd(),
            rules::name(LONGEST_LABEL, true),
            &json!({"worker": {"properties": size}}),
        ),
        finished(DaskAutoscaler::crd(), Vec::new(), &json!({})),
        finished(DaskJob::crd(), job_rules, &json!({})),
    ]
}

/// The same as text.
///
/// # Errors
/// None for these definitions; what the YAML writer would say.
pub fn crd_yaml(definition: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    let text = serde_yaml::to_string(definition)?;
    Ok(format!("# Generated from crates/api by `cargo xtask crds`: change it there.\n{text}"))
}

fn finished(
    mut definition: CustomResourceDefinition,
    rules: Vec<Value>,
    defaults: &Value,
) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let Some(validation) = &mut version.schema else { continue };
        let schema = validation.open_api_v3_schema.take();
        let mut schema = serde_json::to_value(schema).unwrap_or_default();
        tidy(&mut schema);
        if !rules.is_empty() {
            schema["x-kubernetes-validations"] = Value::Array(rules.clone());
        }
        merge(&mut schema["properties"]["spec"]["properties"], defaults);
        validation.open_api_v3_schema =
            serde_json::from_value::<Option<JSONSchemaProps>>(schema).unwrap_or_default();
    }
    definition
}

/// Takes away what the API server does not know or does not need: null is never stored, unsigned
/// numbers have no format of their own, and a default is an answer to a question that somebody
/// asked.
fn tidy(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for stray in ["nullable", "default", "title"] {
        fields.remove(stray);
    }
    if let Some(words) = fields.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    match fields.get("format").and_then(Value::as_str) {
        Some("uint32") => {
            fields.insert("format".to_owned(), json!("int32"));
            fields.entry("maximum").or_insert_with(|| json!(i32::MAX));
        }
        Some("uint64") => {
            fields.insert("format".to_owned(), json!("int64"));
        }
        _ => {}
    }
    if fields.get("x-kubernetes-int-or-string").is_some() {
        fields.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(inner) {
            tidy(inner);
        }
    }
    for (_, property) in
        fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
    {
        tidy(property);
    }
}

/// Adds fields deeply.
fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => merge_fields(to, from),
        (to, from) => *to = from.clone(),
    }
}

fn merge_fields(to: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        match to.get_mut(name) {
            Some(there) => merge(there, value),
            None => {
                to.insert(name.clone(), value.clone());
            }
        }
    }
}
