//! Numbers as the standard operations see them: whole while they can be.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// A whole or a floating point number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i64),
    Float(f64),
}

impl Number {
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Float(n) => n,
        }
    }

    /// Whole numbers stay whole, or say that they overflow; with a float it is a float.
    fn combine(
        self,
        other: Self,
        what: &str,
        whole: fn(i64, i64) -> Option<i64>,
        float: fn(f64, f64) -> f64,
    ) -> Result<Self, String> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => whole(a, b).map(Self::Whole).ok_or_else(|| {
                format!("{a} {what} {b} does not fit into 64 bits: use a float, such as {a}.0")
            }),
            _ => Ok(Self::Float(float(self.as_f64(), other.as_f64()))),
        }
    }

    pub fn plus(self, other: Self) -> Result<Self, String> {
        self.combine(other, "+", i64::checked_add, |a, b| a + b)
    }

    pub fn times(self, other: Self) -> Result<Self, String> {
        self.combine(other, "*", i64::checked_mul, |a, b| a * b)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Whole(n) => serializer.serialize_i64(*n),
            Self::Float(n) => serializer.serialize_f64(*n),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: Error>(self, n: i64) -> Result<Number, E> {
                Ok(Number::Whole(n))
            }

            fn visit_u64<E: Error>(self, n: u64) -> Result<Number, E> {
                i64::try_from(n).map(Number::Whole).or(Ok(Number::Float(n as f64)))
            }

            fn visit_f64<E: Error>(self, n: f64) -> Result<Number, E> {
                Ok(Number::Float(n))
            }
        }

        deserializer.deserialize_any(Read)
    }
}
