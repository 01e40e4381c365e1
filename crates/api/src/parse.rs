//! From the text of a file to manifests, with errors that say where.

use std::sync::Arc;

use dasklet_elastic::GroupPolicy;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use crate::{
    GROUP, VERSION,
    autoscale::AutoscaleSpec,
    diagnostic::{Diagnostic, Severity},
    layout::{group_policies, layout},
    manifest::{Manifest, Object, OtherObject, Place},
    strict::{object_schema, schema_of, violations},
    suggest::nearest,
    validate::{Problem, check_autoscale, check_object},
};

const KINDS: [&str; 4] = ["DaskCluster", "DaskWorkerGroup", "DaskAutoscaler", "DaskJob"];

impl Manifest {
    /// The same as [`parse_documents`].
    ///
    /// # Errors
    /// As there.
    pub fn parse_documents(text: &str, file: &str) -> Result<Vec<Self>, Vec<Diagnostic>> {
        parse_documents(text, file)
    }
}

/// Reads a file of one or more documents, and checks each of them for itself; [`crate::lint`]
/// checks what they say about each other.
///
/// # Errors
/// Everything that is wrong, with file, line, path, problem and remedy.
pub fn parse_documents(text: &str, file: &str) -> Result<Vec<Manifest>, Vec<Diagnostic>> {
    let (file, shared): (Arc<str>, Arc<str>) = (file.into(), text.into());
    let mut manifests = Vec::new();
    let mut diagnostics = Vec::new();
    let mut empty = true;
    for document in 0.. {
        let place = Place { file: Arc::clone(&file), text: Arc::clone(&shared), document };
        match read_document::<Value>(&place) {
            None => break,
            Some(Err(diagnostic)) => {
                diagnostics.push(diagnostic);
                // Nothing can be read behind broken syntax.
                return Err(diagnostics);
            }
            Some(Ok(Value::Null)) => {}
            Some(Ok(value)) => {
                empty = false;
                match read_object(&value, &place) {
                    Ok(object) => manifests.push(Manifest { object, place }),
                    Err(found) => diagnostics.extend(found),
                }
            }
        }
    }
    if empty {
        diagnostics.push(Diagnostic {
            severity: Severity::Error,
            file: file.to_string(),
            line: None,
            path: String::new(),
            message: format!("the file has no document: describe one of {}", KINDS.join(", ")),
        });
    }
    if diagnostics.is_empty() { Ok(manifests) } else { Err(diagnostics) }
}

/// Reads the policies of worker groups: from manifests, or from a bare `autoscale` block.
///
/// # Errors
/// As [`parse_documents`].
pub fn parse_policy(text: &str, file: &str) -> Result<Vec<GroupPolicy>, Vec<Diagnostic>> {
    let place = Place { file: file.into(), text: text.into(), document: 0 };
    let bare = match read_document::<Value>(&place) {
        Some(Ok(value)) => value.get("kind").is_none() && value.get("maxReplicas").is_some(),
        _ => false,
    };
    if !bare {
        let manifests = parse_documents(text, file)?;
        return Ok(group_policies(&layout(&manifests)));
    }
    let spec = match read_document::<AutoscaleSpec>(&place) {
        Some(Ok(spec)) => spec,
        Some(Err(diagnostic)) => return Err(vec![diagnostic]),
        None => return Err(Vec::new()),
    };
    let mut problems = match read_document::<Value>(&place) {
        Some(Ok(value)) => violations(&value, &schema_of::<AutoscaleSpec>(), ""),
        _ => Vec::new(),
    };
    check_autoscale(&spec, "", &mut problems);
    if problems.is_empty() {
        let shape = dasklet_core::Resources::one_slot();
        Ok(vec![GroupPolicy::scaled("workers", shape, spec.policy())])
    } else {
        Err(place.errors(problems))
    }
}

/// Reads the document at this place; none: the file has ended before it.
fn read_document<T: DeserializeOwned>(place: &Place) -> Option<Result<T, Diagnostic>> {
    let document = serde_yaml::Deserializer::from_str(&place.text).nth(place.document)?;
    Some(T::deserialize(document).map_err(|error| explain(&error, place)))
}

fn read_object(value: &Value, place: &Place) -> Result<Object, Vec<Diagnostic>> {
    let fail = |problem: Problem| vec![place.diagnose(Severity::Error, problem)];
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() {
        return Err(fail(Problem::new(
            "",
            format!("'kind' is missing: give one of {}", KINDS.join(", ")),
        )));
    }
    if api_version.is_empty() {
        return Err(fail(Problem::new(
            "",
            format!("'apiVersion' is missing: write 'apiVersion: {GROUP}/{VERSION}'"),
        )));
    }
    if !api_version.starts_with("kubernetes.dask.org/") {
        if KINDS.contains(&kind) {
            let message = format!("'{api_version}' has no kind {kind}: write '{GROUP}/{VERSION}'");
            return Err(fail(Problem::new("apiVersion", message)));
        }
        let name = value.get("metadata").and_then(|metadata| metadata.get("name"));
        let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
        return Ok(Object::Other(OtherObject { kind: kind.to_owned(), name }));
    }
    if api_version != format!("{GROUP}/{VERSION}") {
        let message = format!("version '{api_version}' is not known: write '{GROUP}/{VERSION}'");
        return Err(fail(Problem::new("apiVersion", message)));
    }
    let object = match kind {
        "DaskCluster" => typed(value, place).map(Object::Cluster)?,
        "DaskWorkerGroup" => typed(value, place).map(Object::WorkerGroup)?,
        "DaskAutoscaler" => typed(value, place).map(Object::Autoscaler)?,
        "DaskJob" => typed(value, place).map(Object::Job)?,
        _ => {
            let hint = match nearest(kind, KINDS) {
                Some(known) => format!("did you mean '{known}'?"),
                None => format!("known kinds: {}", KINDS.join(", ")),
            };
            return Err(fail(Problem::new("kind", format!("unknown kind '{kind}'; {hint}"))));
        }
    };
    let problems = check_object(&object);
    if problems.is_empty() { Ok(object) } else { Err(place.errors(problems)) }
}

fn typed<T: DeserializeOwned + JsonSchema>(
    value: &Value,
    place: &Place,
) -> Result<Box<T>, Vec<Diagnostic>> {
    let found = violations(value, &object_schema::<T>(), "");
    if !found.is_empty() {
        return Err(place.errors(found));
    }
    match read_document::<T>(place) {
        Some(Ok(object)) => Ok(Box::new(object)),
        Some(Err(diagnostic)) => Err(vec![diagnostic]),
        None => Err(Vec::new()),
    }
}

/// Says what the YAML reader says, in a person's words.
fn explain(error: &serde_yaml::Error, place: &Place) -> Diagnostic {
    let line = error.location().map(|location| location.line());
    let whole = error.to_string();
    let told = match whole.rfind(" at line ") {
        Some(end) => &whole[..end],
        None => &whole,
    };
    let (path, told) = match told.split_once(": ") {
        Some((path, rest)) if is_path(path) => (path, rest),
        _ => ("", told),
    };
    Diagnostic {
        severity: Severity::Error,
        file: place.file.to_string(),
        line,
        path: path.to_owned(),
        message: reword(told),
    }
}

/// The YAML reader puts the field's path before some messages.
fn is_path(text: &str) -> bool {
    !text.contains(' ') && !matches!(text, "") && text != "invalid"
}

fn reword(told: &str) -> String {
    let quoted: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
    let hint = |written: &str, known: &[&str]| match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean '{name}'?"),
        None => format!("known here: {}", known.join(", ")),
    };
    match quoted.split_first() {
        Some((word, known)) if told.starts_with("unknown variant ") => {
            format!("unknown value '{word}'; {}", hint(word, known))
        }
        Some((field, _)) if told.starts_with("missing field ") => {
            format!("the field '{field}' is missing: add it")
        }
        Some((field, _)) if told.starts_with("duplicate field ") => {
            format!("the field '{field}' stands twice: remove one")
        }
        _ => reword_value(told),
    }
}

fn reword_value(told: &str) -> String {
    let whole_number = "a whole number, 0 or more";
    let expected = |text: &str| match text {
        "u32" | "u64" => whole_number.to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a string" => "a text (put numbers and true or false in quotes)".to_owned(),
        "a map" | "a sequence" => text.replace("sequence", "list"),
        text if text.starts_with("struct ") => "fields (key: value)".to_owned(),
        text => text.to_owned(),
    };
    for start in ["invalid value: ", "invalid type: "] {
        if let Some((found, wanted)) =
            told.strip_prefix(start).and_then(|rest| rest.split_once(", expected "))
        {
            return format!("expected {}, not {}", expected(wanted), found.replace('`', "'"));
        }
    }
    told.replace('`', "'")
}
