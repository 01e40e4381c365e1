//! The reference of the resources for people, written from their definitions.

use std::fmt::Write;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::crd::crds;

/// Parts that are explained elsewhere.
const SAME_AS: [(&str, &str); 4] = [
    ("DaskCluster spec.workerGroups[]", "The fields of `spec.worker`."),
    ("DaskWorkerGroup spec.worker", "The fields of `spec.worker` of a DaskCluster."),
    ("DaskAutoscaler spec.behavior", "As `spec.worker.autoscale.behavior` of a DaskCluster."),
    ("DaskJob spec.cluster.spec", "The spec of a DaskCluster."),
];

/// All kinds with all fields, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for definition in crds() {
        kind(&definition, &mut text);
    }
    text
}

fn kind(definition: &CustomResourceDefinition, text: &mut String) {
    let names = &definition.spec.names;
    let version = &definition.spec.versions[0];
    let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let Some(schema) = schema else { return };
    let short: Vec<String> =
        names.short_names.iter().flatten().map(|name| format!("`{name}`")).collect();
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a text does not fail.
        text.write_fmt(words).unwrap_or_default();
        text.push('\n');
    };
    line(format_args!("## {}\n", names.kind));
    line(format_args!("{}\n", schema.description.as_deref().unwrap_or_default()));
    let also = if short.is_empty() { String::new() } else { format!(", or {}", short.join(", ")) };
    line(format_args!("`kubectl get {}`{also}\n", names.plural));
    let columns: Vec<String> = version
        .additional_printer_columns
        .iter()
        .flatten()
        .map(|column| match column.priority {
            Some(_) => format!("({})", column.name),
            None => column.name.clone(),
        })
        .collect();
    line(format_args!("Columns, those of `-o wide` in brackets: {}.\n", columns.join(", ")));
    line(format_args!("| field | type | meaning |\n|---|---|---|"));
    let mut walk = Walk { kind: &names.kind, rows: Vec::new(), rules: Vec::new() };
    walk.rules_of(schema);
    for part in ["spec", "status"] {
        if let Some(schema) = schema.properties.as_ref().and_then(|fields| fields.get(part)) {
            walk.fields(schema, part);
        }
    }
    for row in &walk.rows {
        line(format_args!("{row}"));
    }
    if !walk.rules.is_empty() {
        line(format_args!("\nWhat the API server says when fields contradict each other:\n"));
        for rule in &walk.rules {
            line(format_args!("- {rule}"));
        }
    }
    line(format_args!(""));
}

struct Walk<'a> {
    kind: &'a str,
    rows: Vec<String>,
    rules: Vec<String>,
}

impl Walk<'_> {
    fn same_as(&self, path: &str) -> Option<&'static str> {
        let full = format!("{} {path}", self.kind);
        let same = SAME_AS.iter().find(|(at, _)| full == *at);
        same.map(|(_, told)| *told)
    }

    fn rules_of(&mut self, schema: &JSONSchemaProps) {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            let message = rule.message.clone().unwrap_or_default();
            if !self.rules.contains(&message) {
                self.rules.push(message);
            }
        }
    }

    fn fields(&mut self, schema: &JSONSchemaProps, path: &str) {
        self.rules_of(schema);
        let required = schema.required.as_deref().unwrap_or_default();
        for (name, field) in schema.properties.iter().flatten() {
            let path = format!("{path}.{name}");
            let mut told = described(field);
            if required.contains(name) {
                told.insert_str(0, "Required. ");
            }
            if let Some(same) = self.same_as(&path) {
                told = format!("{told} {same}").trim().to_owned();
                self.rows.push(format!("| `{path}` | {} | {told} |", type_of(field)));
                continue;
            }
            self.rows.push(format!("| `{path}` | {} | {told} |", type_of(field)));
            self.rules_of(field);
            self.inner(field, &path);
        }
    }

    fn inner(&mut self, field: &JSONSchemaProps, path: &str) {
        // What stands in a pod spec is explained by Kubernetes.
        if field.x_kubernetes_preserve_unknown_fields == Some(true) || path.ends_with(".conditions")
        {
            return;
        }
        self.fields(field, path);
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = &field.items {
            let path = format!("{path}[]");
            match self.same_as(&path) {
                Some(same) => {
                    let name = item.properties.as_ref().and_then(|fields| fields.get("name"));
                    let told = name.map(described).unwrap_or_default();
                    self.rows.push(format!("| `{path}.name` | text | Required. {told} |"));
                    self.rows.push(format!("| `{path}.*` | | {same} |"));
                    self.rules_of(item);
                }
                None => self.fields(item, &path),
            }
        }
        if let Some(JSONSchemaPropsOrBool::Schema(value)) = &field.additional_properties {
            self.fields(value, &format!("{path}.<name>"));
        }
    }
}

fn described(field: &JSONSchemaProps) -> String {
    let mut told = field.description.as_deref().unwrap_or_default().replace(['\n', '\r'], " ");
    let words: Vec<String> = field
        .enum_
        .iter()
        .flatten()
        .filter_map(|word| word.0.as_str().map(|word| format!("`{word}`")))
        .collect();
    if !words.is_empty() {
        told.push_str(&format!(" One of {}.", words.join(", ")));
    }
    told.replace('|', "\\|").trim().to_owned()
}

fn type_of(field: &JSONSchemaProps) -> &'static str {
    if field.x_kubernetes_int_or_string == Some(true) {
        return "number or text";
    }
    match field.type_.as_deref() {
        Some("integer") => "whole number",
        Some("number") => "number",
        Some("string") => "text",
        Some("boolean") => "true or false",
        Some("array") => "list",
        Some("object") if field.additional_properties.is_some() => "map",
        Some("object") => "object",
        _ => "anything",
    }
}
