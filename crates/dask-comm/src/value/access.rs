//! Reading a value as what it should be.

use bytes::Bytes;

use super::{Map, Value};

/// A value that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} should be {expected} and is {found}")]
pub struct ShapeError {
    /// Which value.
    pub what: String,
    /// What it should be.
    pub expected: &'static str,
    /// What it is.
    pub found: &'static str,
}

impl Value {
    /// The str.
    ///
    /// # Errors
    /// It is none; `what` names it. So for all the following.
    pub fn as_str(&self, what: &str) -> Result<&str, ShapeError> {
        match self {
            Self::Str(text) => Ok(text),
            _ => Err(self.misshapen(what, "a str")),
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// It has none.
    pub fn as_bin(&self, what: &str) -> Result<&Bytes, ShapeError> {
        match self {
            Self::Bin(bytes) => Ok(bytes),
            _ => Err(self.misshapen(what, "bytes")),
        }
    }

    /// The bool.
    ///
    /// # Errors
    /// It is none.
    pub fn as_bool(&self, what: &str) -> Result<bool, ShapeError> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(self.misshapen(what, "a bool")),
        }
    }

    /// The int, if it is not negative. Python counts bytes in floats here and there: a whole float
    /// counts as an int.
    ///
    /// # Errors
    /// It is none.
    pub fn as_u64(&self, what: &str) -> Result<u64, ShapeError> {
        match self {
            Self::Int(value) => u64::try_from(*value).ok(),
            Self::UInt(value) => Some(*value),
            Self::Float(value) if (0.0..1.8e19).contains(value) && value.fract() == 0.0 => {
                Some(*value as u64)
            }
            _ => None,
        }
        .ok_or_else(|| self.misshapen(what, "an int that is not negative"))
    }

    /// The number.
    ///
    /// # Errors
    /// It is none.
    pub fn as_f64(&self, what: &str) -> Result<f64, ShapeError> {
        match self {
            Self::Int(value) => Ok(*value as f64),
            Self::UInt(value) => Ok(*value as f64),
            Self::Float(value) => Ok(*value),
            _ => Err(self.misshapen(what, "a number")),
        }
    }

    /// The items of a list, tuple or set.
    ///
    /// # Errors
    /// It is none.
    pub fn as_list(&self, what: &str) -> Result<&[Self], ShapeError> {
        match self {
            Self::List(items) | Self::Set(items) => Ok(items),
            _ => Err(self.misshapen(what, "a list")),
        }
    }

    /// The dict.
    ///
    /// # Errors
    /// It is none.
    pub fn as_map(&self, what: &str) -> Result<&Map, ShapeError> {
        match self {
            Self::Map(map) => Ok(map),
            _ => Err(self.misshapen(what, "a dict")),
        }
    }

    /// The dict.
    ///
    /// # Errors
    /// It is none.
    pub fn into_map(self, what: &str) -> Result<Map, ShapeError> {
        match self {
            Self::Map(map) => Ok(map),
            _ => Err(self.misshapen(what, "a dict")),
        }
    }

    /// What Python's `str()` makes of a name: workers' names are numbers at times.
    ///
    /// # Errors
    /// It is neither a str nor a number.
    pub fn to_name(&self, what: &str) -> Result<String, ShapeError> {
        match self {
            Self::Str(text) => Ok(text.clone()),
            Self::Int(value) => Ok(value.to_string()),
            Self::UInt(value) => Ok(value.to_string()),
            Self::Float(value) => Ok(format!("{value:?}")),
            _ => Err(self.misshapen(what, "a name")),
        }
    }

    fn misshapen(&self, what: &str, expected: &'static str) -> ShapeError {
        ShapeError { what: what.to_owned(), expected, found: self.kind() }
    }
}

impl Map {
    /// The value of a name that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn required(&self, name: &str) -> Result<&Value, ShapeError> {
        self.get(name).ok_or_else(|| ShapeError {
            what: format!("'{name}'"),
            expected: "present",
            found: "missing",
        })
    }
}
