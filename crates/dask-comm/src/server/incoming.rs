//! What arrives on a connection that is no stream yet.

use crate::value::{Map, ShapeError, Value};

/// A message outside of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Wants an answer, as a rule.
    Call(Call),
    /// Turns the connection into the client's stream.
    Register(Registration),
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Its name. To an unknown one a stock scheduler answers `None`, which clients take for an
    /// answer; [`Exception::reply`](crate::failure::Exception::reply) tells them.
    pub op: String,
    /// Its arguments, those that it should not have included.
    pub arguments: Map,
    /// An answer is expected.
    pub reply: bool,
    /// The connection is to be closed after it.
    pub close: bool,
}

/// A client introduces itself. It may have the id of an earlier stream, which then is over,
/// though its end may not have been seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The client's id.
    pub client: String,
    /// `{"host": .., "packages": {name: version}}`.
    pub versions: Map,
}

impl Registration {
    /// The version of a package on the client's side; also of `python`.
    #[must_use]
    pub fn version(&self, package: &str) -> Option<&str> {
        match self.versions.get("packages") {
            Some(Value::Map(packages)) => packages.get(package)?.as_str("").ok(),
            _ => None,
        }
    }
}

impl Incoming {
    /// Reads a message.
    ///
    /// # Errors
    /// It is neither.
    pub fn from_value(message: Value) -> Result<Self, ShapeError> {
        let mut arguments = message.into_map("the message")?;
        let op = arguments.required("op")?.as_str("'op'")?.to_owned();
        if op == "register-client" {
            let client = arguments.required("client")?.as_str("'client'")?.to_owned();
            let versions = match arguments.remove("versions") {
                Some(versions) => versions.into_map("'versions'")?,
                None => Map::new(),
            };
            return Ok(Self::Register(Registration { client, versions }));
        }
        let mut flag = |name: &str, default| match arguments.remove(name) {
            Some(value) => value.as_bool(name),
            None => Ok(default),
        };
        let (reply, close) = (flag("reply", true)?, flag("close", false)?);
        arguments.remove("op");
        arguments.remove("serializers");
        Ok(Self::Call(Call { op, arguments, reply, close }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_from_a_registration() {
        let call = Value::map([
            ("op", "gather".into()),
            ("keys", Value::list(["x"])),
            ("reply", true.into()),
            ("serializers", Value::list(["pickle"])),
        ]);
        let expected = Call {
            op: "gather".to_owned(),
            arguments: Map::new().with("keys", Value::list(["x"])),
            reply: true,
            close: false,
        };
        assert_eq!(Incoming::from_value(call), Ok(Incoming::Call(expected)));

        let packages = Map::new().with("dask", "2026.8.0").with("numpy", Value::Nil);
        let register = Value::map([
            ("op", "register-client".into()),
            ("client", "Client-1".into()),
            ("reply", false.into()),
            ("versions", Map::new().with("packages", packages).into()),
        ]);
        let Ok(Incoming::Register(registration)) = Incoming::from_value(register) else { panic!() };
        assert_eq!(registration.client, "Client-1");
        assert_eq!(registration.version("dask"), Some("2026.8.0"));
        assert_eq!((registration.version("numpy"), registration.version("x")), (None, None));
    }

    #[test]
    fn what_is_no_call_is_told_why() {
        for (message, reason) in [
            (Value::Nil, "the message should be a dict"),
            (Value::map([("keys", Value::Nil)]), "'op' should be present"),
            (Value::map([("op", 1_i64.into())]), "'op' should be a str"),
            (Value::map([("op", "register-client".into())]), "'client' should be present"),
            (Value::map([("op", "x".into()), ("close", 1_i64.into())]), "close should be a bool"),
        ] {
            let error = Incoming::from_value(message).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
