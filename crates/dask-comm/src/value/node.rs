//! One value.

use bytes::Bytes;

use super::Map;
use crate::message::Payload;

/// A value in a message. Python's tuples and lists are one thing on the wire, and so are they
/// here.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// None.
    Nil,
    /// True or False.
    Bool(bool),
    /// An int that fits.
    Int(i64),
    /// An int above `i64::MAX`; smaller ones are always [`Value::Int`].
    UInt(u64),
    /// A float. Never equal to an int, though Python says so.
    Float(f64),
    /// A str.
    Str(String),
    /// A bytes object: pickles, mostly.
    Bin(Bytes),
    /// A list or tuple.
    List(Vec<Value>),
    /// A dict.
    Map(Map),
    /// A set, in any order.
    Set(Vec<Value>),
    /// An object that travels in frames of its own and is never opened here.
    Payload(Box<Payload>),
}

impl Value {
    /// A dict with names as keys.
    #[must_use]
    pub fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// A list.
    #[must_use]
    pub fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// What Python would call it, for messages to people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::UInt(_) => "an int",
            Self::Float(_) => "a float",
            Self::Str(_) => "a str",
            Self::Bin(_) => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a dict",
            Self::Set(_) => "a set",
            Self::Payload(_) => "a serialized object",
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::UInt(value), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Bin(value)
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Self::Map(value)
    }
}

impl From<Payload> for Value {
    fn from(value: Payload) -> Self {
        Self::Payload(Box::new(value))
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

/// What Dask tells over HTTP, in the terms of its own protocol.
impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::UInt))
                .unwrap_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN))),
            Json::String(text) => Self::Str(text),
            Json::Array(items) => Self::list(items),
            Json::Object(entries) => Self::Map(
                entries.into_iter().map(|(key, value)| (Self::Str(key), value.into())).collect(),
            ),
        }
    }
}
