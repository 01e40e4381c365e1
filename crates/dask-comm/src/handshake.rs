//! The first message each way on every connection.

use crate::{
    error::CodecError,
    value::{Map, Value},
};

/// What one side tells about itself. Both sides send theirs at once, without waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Version of Python; nobody checks it.
    pub python: (u64, u64, u64),
    /// Highest pickle protocol it reads.
    pub pickle_protocol: u64,
    /// Compression of payloads that it offers. A peer compresses only if both sides name the
    /// same, so with ours absent it never does.
    pub compression: Option<String>,
}

impl Handshake {
    /// Ours: no compression, the pickle protocol of all supported Pythons.
    #[must_use]
    pub const fn ours() -> Self {
        Self { python: (3, 11, 0), pickle_protocol: 5, compression: None }
    }

    /// As a message.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let (major, minor, patch) = self.python;
        let map = Map::new()
            .with("compression", self.compression.as_deref())
            .with("python", Value::list([major, minor, patch]))
            .with("pickle-protocol", self.pickle_protocol);
        Value::Map(map)
    }

    /// From a peer's first message.
    ///
    /// # Errors
    /// It is no handshake.
    pub fn from_value(message: &Value) -> Result<Self, CodecError> {
        let Value::Map(map) = message else {
            return Err(CodecError::BadHandshake("is no dict"));
        };
        let pickle_protocol = map
            .get("pickle-protocol")
            .and_then(|value| value.as_u64("").ok())
            .ok_or(CodecError::BadHandshake("has no pickle protocol"))?;
        let compression = match map.get("compression") {
            Some(Value::Nil) => None,
            Some(Value::Str(name)) => Some(name.clone()),
            _ => return Err(CodecError::BadHandshake("does not tell its compression")),
        };
        let python = match map.get("python").map(|value| value.as_list("")) {
            Some(Ok([major, minor, patch, ..])) => {
                let number = |value: &Value| value.as_u64("").unwrap_or_default();
                (number(major), number(minor), number(patch))
            }
            _ => (0, 0, 0),
        };
        Ok(Self { python, pickle_protocol, compression })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_is_read_as_it_was_written() {
        let named = Handshake { compression: Some("lz4".to_owned()), ..Handshake::ours() };
        for handshake in [Handshake::ours(), named] {
            assert_eq!(Handshake::from_value(&handshake.to_value()), Ok(handshake));
        }
    }

    #[test]
    fn what_lacks_the_pickle_protocol_is_no_handshake() {
        for message in [Value::Nil, Value::map([]), Value::map([("compression", Value::Nil)])] {
            let error = Handshake::from_value(&message).unwrap_err();
            assert!(matches!(error, CodecError::BadHandshake(_)), "{error}");
        }
    }
}
