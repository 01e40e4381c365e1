//! What the schema of an object refuses and the types do not.
//!
//! The types themselves read over unknown fields, so that an operator can go on reading objects
//! that a newer version wrote. A person's file is read strictly: a field that nobody knows is a
//! slip of the pen.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Schema, json};
use serde_yaml::Value;

use crate::{
    suggest::nearest,
    validate::{Problem, join},
};

/// The schema of one type, with nothing in it that refers elsewhere.
pub(crate) fn schema_of<T: JsonSchema>() -> Schema {
    let generator = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    generator.into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a whole object, with the fields that every object has.
pub(crate) fn object_schema<T: JsonSchema>() -> Schema {
    let mut schema = schema_of::<T>();
    if let Some(properties) = schema["properties"].as_object_mut() {
        let text = json!({"type": "string"});
        properties.insert("apiVersion".to_owned(), text.clone());
        properties.insert("kind".to_owned(), text);
        properties.insert("metadata".to_owned(), schema_of::<ObjectMeta>());
    }
    schema
}

/// Every field of the value that the schema does not know, and every value beyond its limits.
pub(crate) fn violations(value: &Value, schema: &Schema, path: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(value, schema, path, &mut problems);
    problems
}

fn walk(value: &Value, schema: &Schema, path: &str, problems: &mut Vec<Problem>) {
    if is_text(schema) && matches!(value, Value::Number(_) | Value::Bool(_)) {
        // The YAML reader would take it as a text, the API server does not.
        let message = "expected a text (put numbers and true or false in quotes)";
        problems.push(Problem::new(path, message));
        return;
    }
    match value {
        Value::Number(number) => {
            if let Some(message) = refused_number(number, schema) {
                problems.push(Problem::new(path, message));
            }
        }
        Value::String(text) => {
            check_size(text.chars().count(), "maxLength", schema, path, problems)
        }
        Value::Mapping(fields) => {
            check_size(fields.len(), "maxProperties", schema, path, problems);
            let known = schema["properties"].as_object();
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
            let others = &schema["additionalProperties"];
            for (name, value) in fields {
                let Some(name) = name.as_str() else { continue };
                let at = join(path, name);
                match known.and_then(|known| known.get(name)) {
                    Some(schema) => walk(value, schema, &at, problems),
                    None if others.is_object() => walk(value, others, &at, problems),
                    None if open || others == true => {}
                    // Where a map stands in place of a number, the type is what is wrong.
                    None => {
                        if let Some(known) = known {
                            problems.push(Problem::new(at, unknown(name, known)));
                        }
                    }
                }
            }
        }
        Value::Sequence(items) => {
            check_size(items.len(), "maxItems", schema, path, problems);
            for (at, item) in items.iter().enumerate() {
                walk(item, &schema["items"], &format!("{path}[{at}]"), problems);
            }
        }
        _ => {}
    }
}

fn is_text(schema: &Schema) -> bool {
    let kind = &schema["type"];
    kind == "string" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|it| it == "string"))
}

/// The API server keeps whole numbers of 32 bits with a sign, and quantities as whole numbers or
/// texts.
fn refused_number(number: &serde_yaml::Number, schema: &Schema) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true && number.is_f64() {
        return Some(format!("{number} is no whole number: write it in quotes, as \"{number}\""));
    }
    let most = i32::MAX;
    let too_large = number.as_u64().is_some_and(|number| number > most as u64);
    (schema["format"] == "uint32" && too_large).then(|| format!("must be at most {most}"))
}

fn check_size(size: usize, limit: &str, schema: &Schema, path: &str, problems: &mut Vec<Problem>) {
    if let Some(most) = schema[limit].as_u64()
        && size as u64 > most
    {
        let what = if limit == "maxLength" { "characters" } else { "entries" };
        problems.push(Problem::new(path, format!("has {size} {what}: use at most {most}")));
    }
}

fn unknown(name: &str, known: &Map<String, Schema>) -> String {
    let hint = match nearest(name, known.keys().map(String::as_str)) {
        Some(known) => format!("did you mean '{known}'?"),
        None => {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            format!("known here: {}", known.join(", "))
        }
    };
    format!("unknown field '{name}'; {hint}")
}
