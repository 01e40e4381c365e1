//! Schemas of the parts that have no type of ours.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// What [`dasklet_core::quantity`] reads.
const QUANTITY: &str =
    r"^[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// A quantity: `1`, `500m`, `2Gi`.
pub(crate) fn quantity() -> Value {
    json!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
        "minimum": 0,
        "pattern": QUANTITY,
    })
}

/// More than nothing.
const MEMORY: &str = r"^[+]?([0-9]*[1-9][0-9]*(\.[0-9]*)?|[0-9]*\.[0-9]*[1-9][0-9]*)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// An amount of memory.
pub(crate) fn memory(_: &mut SchemaGenerator) -> Schema {
    let mut schema = quantity();
    schema["minimum"] = json!(1);
    schema["pattern"] = json!(MEMORY);
    schema.try_into().unwrap_or_default()
}

/// A pod spec: only what is read by us is looked into, the API server looks into the rest when
/// the pod is made.
pub(crate) fn pod_spec(_: &mut SchemaGenerator) -> Schema {
    let amounts = json!({"type": "object", "additionalProperties": quantity()});
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "required": ["containers"],
        "properties": {
            "containers": {
                "description": "The containers. The first one is the worker, scheduler or job.",
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string"},
                        "resources": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": true,
                            "properties": {"limits": amounts, "requests": amounts},
                        },
                    },
                },
            },
        },
    })
}

/// A service spec: the API server looks into it when the service is made.
pub(crate) fn service_spec(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// The metadata of a job's cluster; clients write whole metadata here.
pub(crate) fn cluster_metadata(_: &mut SchemaGenerator) -> Schema {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"annotations": texts, "labels": texts},
    })
}

/// Anything.
pub(crate) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// A list of anything.
pub(crate) fn any_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}})
}

/// A map of anything.
pub(crate) fn any_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"x-kubernetes-preserve-unknown-fields": true},
    })
}

/// A map of results of tasks.
pub(crate) fn source_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["from"],
            "properties": {
                "from": {"type": "string"},
                "index": {"x-kubernetes-preserve-unknown-fields": true},
            },
        },
    })
}

/// An object of anything.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
