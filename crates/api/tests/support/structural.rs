//! What an API server does with the structural part of a schema: nulls are taken away, defaults
//! filled in, types and limits checked, unknown fields refused (strict field validation).

use regex::Regex;
use serde_json::{Map, Value};

/// Takes away nulls that may not be stored, and fills in defaults.
pub fn prepare(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema["properties"].as_object();
            fields.retain(|name, value| !value.is_null() || inner(schema, name).is_none());
            for (name, property) in properties.into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    fields.entry(name.clone()).or_insert_with(|| default.clone());
                }
            }
            for (name, value) in fields {
                if let Some(schema) = inner(schema, name) {
                    prepare(value, schema);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prepare(item, &schema["items"])),
        _ => {}
    }
}

fn inner<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema["properties"]
        .get(name)
        .or_else(|| schema.get("additionalProperties").filter(|others| others.is_object()))
}

/// Everything in which the value does not fit.
pub fn misfits(value: &Value, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(value, schema, "", &mut found);
    found
}

fn check(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    let mut refuse = |what: String| found.push(format!("{path}: {what}"));
    if !has_type(value, schema) {
        refuse(format!("{value} is not of the type {}", schema["type"]));
        return;
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        refuse(format!("{value} is none of {words:?}"));
    }
    if let Some(number) = value.as_f64() {
        if schema["minimum"].as_f64().is_some_and(|least| number < least) {
            refuse(format!("{number} is too small"));
        }
        if schema["maximum"].as_f64().is_some_and(|most| number > most) {
            refuse(format!("{number} is too large"));
        }
    }
    if let Some(text) = value.as_str() {
        check_size(text.chars().count(), "Length", schema, &mut refuse);
        if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).unwrap().is_match(text)
        {
            refuse(format!("'{text}' does not match {pattern}"));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        // The one form that the definitions use.
        let together = part["not"]["required"].as_array().unwrap();
        if together.iter().all(|name| value.get(name.as_str().unwrap()).is_some()) {
            refuse(format!("{together:?} do not go together"));
        }
    }
    if let Some(fields) = value.as_object() {
        check_size(fields.len(), "Properties", schema, &mut refuse);
        check_fields(fields, schema, path, found);
    } else if let Some(items) = value.as_array() {
        check_size(items.len(), "Items", schema, &mut refuse);
        if schema["x-kubernetes-list-type"] == "map" {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
            let of = |item: &Value| -> Vec<Value> {
                keys.iter().map(|key| item[key.as_str().unwrap()].clone()).collect()
            };
            for (at, item) in items.iter().enumerate() {
                if items[..at].iter().any(|other| of(other) == of(item)) {
                    refuse(format!("duplicate value {:?}", of(item)));
                }
            }
        }
        for (at, item) in items.iter().enumerate() {
            check(item, &schema["items"], &format!("{path}[{at}]"), found);
        }
    }
}

fn check_size(size: usize, what: &str, schema: &Value, refuse: &mut impl FnMut(String)) {
    let limit = |kind: &str| schema[format!("{kind}{what}")].as_u64();
    if limit("min").is_some_and(|least| (size as u64) < least) {
        refuse(format!("{size} {what} are too few"));
    }
    if limit("max").is_some_and(|most| size as u64 > most) {
        refuse(format!("{size} {what} are too many"));
    }
}

fn check_fields(fields: &Map<String, Value>, schema: &Value, path: &str, found: &mut Vec<String>) {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            found.push(format!("{path}.{name}: required value"));
        }
    }
    for (name, value) in fields {
        match inner(schema, name) {
            Some(schema) => check(value, schema, &format!("{path}.{name}"), found),
            None if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
            None => found.push(format!("{path}.{name}: unknown field")),
        }
    }
}

fn has_type(value: &Value, schema: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == true {
        return value.is_i64() || value.is_u64() || value.is_string();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some(other) => panic!("the schema has the type {other}"),
        None => true,
    }
}
