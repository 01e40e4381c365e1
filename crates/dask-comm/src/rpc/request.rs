//! One call.

use crate::value::{Map, Value};

/// The name of a call and its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Request(Map);

impl Request {
    /// A call without arguments.
    #[must_use]
    pub fn new(op: &str) -> Self {
        Self(Map::new().with("op", op).with("reply", true))
    }

    /// With one argument more.
    #[must_use]
    pub fn with(self, name: &str, value: impl Into<Value>) -> Self {
        Self(self.0.with(name, value))
    }

    /// The name of the call.
    #[must_use]
    pub fn op(&self) -> &str {
        self.0.get("op").and_then(|op| op.as_str("").ok()).unwrap_or_default()
    }

    /// As a message.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Map(self.0)
    }
}
