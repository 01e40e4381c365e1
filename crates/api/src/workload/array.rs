//! The indexes of a task array.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Indexes from `start` up to, but without, `end`. Written `0..1000`, or `1000` for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexRange {
    /// The first index.
    pub start: u32,
    /// One past the last index.
    pub end: u32,
}

impl IndexRange {
    /// Number of indexes.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.end - self.start
    }

    /// True where there are none; never of a range that was read.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A text that is no index range.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no index range: write START..END, such as 0..1000 for the indexes 0 to 999")]
pub struct BadRange(String);

impl FromStr for IndexRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let bad = || BadRange(text.to_owned());
        let (start, end) = text.split_once("..").unwrap_or(("0", text));
        let start = start.trim().parse().map_err(|_| bad())?;
        let end = end.trim().parse().map_err(|_| bad())?;
        if start < end { Ok(Self { start, end }) } else { Err(bad()) }
    }
}

impl fmt::Display for IndexRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl Serialize for IndexRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IndexRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RangeVisitor)
    }
}

struct RangeVisitor;

impl de::Visitor<'_> for RangeVisitor {
    type Value = IndexRange;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an index range such as 0..1000")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<IndexRange, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<IndexRange, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<IndexRange, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<IndexRange, E> {
        self.visit_str(&number.to_string())
    }
}

impl JsonSchema for IndexRange {
    fn schema_name() -> Cow<'static, str> {
        "IndexRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "x-kubernetes-int-or-string": true,
            "minimum": 1,
            "pattern": "^ *[0-9]{1,10} *(\\.\\. *[0-9]{1,10} *)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_they_are_written() {
        for (text, expected) in [
            ("0..1000", Some((0, 1000))),
            ("5..6", Some((5, 6))),
            ("12", Some((0, 12))),
            ("3..3", None),
            ("4..3", None),
            ("-1..3", None),
            ("a..b", None),
            ("", None),
            ("0...9", None),
        ] {
            let range = text.parse::<IndexRange>().ok().map(|range| (range.start, range.end));
            assert_eq!(range, expected, "{text}");
        }
    }
}
