//! Exceptions of a peer's handlers, as replies.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::value::{Map, Value};

const STATUS: &str = "uncaught-error";

/// An exception that a handler raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its `repr()`: `ValueError('no')`.
    pub exception: String,
    /// The traceback, readable; may be empty.
    pub traceback: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.exception)
    }
}

impl Failure {
    /// The failure that `reply` tells of, if it does.
    #[must_use]
    pub fn of_reply(reply: &Value) -> Option<Self> {
        let Value::Map(map) = reply else { return None };
        if !matches!(map.get("status"), Some(Value::Str(status)) if status == STATUS) {
            return None;
        }
        let text = |name| match map.get(name) {
            Some(Value::Str(text)) => text.clone(),
            _ => String::new(),
        };
        let exception = match text("exception_text") {
            text if text.is_empty() => "an exception without a text".to_owned(),
            text => text,
        };
        Some(Self { exception, traceback: text("traceback_text") })
    }
}

/// Python exceptions that a server raises in its clients without a Python of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// `ValueError`
    Value,
    /// `RuntimeError`
    Runtime,
    /// `TimeoutError`
    Timeout,
}

impl Exception {
    const fn name(self) -> &'static str {
        match self {
            Self::Value => "ValueError",
            Self::Runtime => "RuntimeError",
            Self::Timeout => "TimeoutError",
        }
    }

    /// The exception as a pickle.
    #[must_use]
    pub fn pickle(self, message: &str) -> Bytes {
        let mut pickle = BytesMut::new();
        pickle.put_slice(format!("cbuiltins\n{}\n(X", self.name()).as_bytes());
        // No message comes near 4 GiB; were one to, what is cut off is only text.
        pickle.put_u32_le(u32::try_from(message.len()).unwrap_or(u32::MAX));
        pickle.put_slice(message.as_bytes());
        pickle.put_slice(b"tR.");
        pickle.freeze()
    }

    /// The reply that raises it in a client's call.
    #[must_use]
    pub fn reply(self, message: &str) -> Value {
        let map = Map::new()
            .with("status", STATUS)
            .with("exception", self.pickle(message))
            .with("traceback", Value::Nil)
            .with("exception_text", format!("{}({message:?})", self.name()))
            .with("traceback_text", "");
        Value::Map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_failure_is_read_as_one() {
        let reply = Exception::Value.reply("no such thing");
        let failure = Failure::of_reply(&reply).unwrap();
        assert_eq!(failure.to_string(), "ValueError(\"no such thing\")");
    }

    #[test]
    fn an_ordinary_reply_is_no_failure() {
        for reply in [Value::Nil, Value::map([]), Value::map([("status", "OK".into())])] {
            assert_eq!(Failure::of_reply(&reply), None);
        }
    }
}
