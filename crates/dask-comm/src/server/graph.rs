//! A graph that a client submits.

use crate::{
    message::Payload,
    value::{Map, ShapeError, Value},
};

/// `update-graph`: an expression and the keys that are wanted of it. The expression and what
/// belongs to it are pickled, and opened by Python only.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateGraph {
    /// The expression.
    pub expression: Payload,
    /// Keys of the wanted results: strs, tuples, numbers, bytes.
    pub keys: Vec<Value>,
    /// Order of the keys, lowest first; absent: to be found out.
    pub priorities: Option<Vec<(Value, i64)>>,
    /// The task that submits it, if one does.
    pub submitting_task: Option<Value>,
    /// Graphs submitted within this time after another are of one generation: a str with a unit,
    /// or seconds.
    pub fifo_timeout: Value,
    /// True, or a list of keys: those are actors.
    pub actors: Value,
    /// Annotations for all tasks: priority, retries, workers, resources and others.
    pub annotations: Option<Payload>,
    /// Source code, for people.
    pub code: Option<Payload>,
    /// Of the span that it belongs to.
    pub span_metadata: Option<Payload>,
}

impl UpdateGraph {
    pub(super) fn from_map(mut map: Map) -> Result<Self, ShapeError> {
        map.required("expr_ser")?;
        let expression = payload(map.remove("expr_ser"), "'expr_ser'")?;
        Ok(Self {
            expression: expression.ok_or_else(|| missing("'expr_ser'"))?,
            keys: map.required("keys")?.as_list("'keys'")?.to_vec(),
            priorities: match map.remove("internal_priority") {
                None | Some(Value::Nil) => None,
                Some(priorities) => {
                    let priorities = priorities.into_map("'internal_priority'")?;
                    Some(priorities.into_iter().map(priority).collect::<Result<_, _>>()?)
                }
            },
            submitting_task: map.remove("submitting_task").filter(|task| *task != Value::Nil),
            fifo_timeout: map.remove("fifo_timeout").unwrap_or(Value::Int(0)),
            actors: map.remove("actors").unwrap_or(Value::Nil),
            annotations: payload(map.remove("annotations"), "'annotations'")?,
            code: payload(map.remove("code"), "'code'")?,
            span_metadata: payload(map.remove("span_metadata"), "'span_metadata'")?,
        })
    }
}

fn priority((key, priority): (Value, Value)) -> Result<(Value, i64), ShapeError> {
    match priority {
        Value::Int(priority) => Ok((key, priority)),
        other => {
            let what = "a priority".to_owned();
            Err(ShapeError { what, expected: "an int", found: other.kind() })
        }
    }
}

fn payload(value: Option<Value>, what: &str) -> Result<Option<Payload>, ShapeError> {
    match value {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Payload(payload)) => Ok(Some(*payload)),
        Some(other) => Err(ShapeError {
            what: what.to_owned(),
            expected: "a serialized object",
            found: other.kind(),
        }),
    }
}

fn missing(what: &str) -> ShapeError {
    ShapeError { what: what.to_owned(), expected: "a serialized object", found: "None" }
}
