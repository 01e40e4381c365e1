//! The line of a field in a YAML file.
//!
//! The YAML reader tells where an error arose. So the field is found by reading the document once
//! more with a visitor that follows the path and fails on purpose when it is there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The line (from 1) of the field at `path` in the document of this number (from 0), or of the
/// nearest enclosing one that is there.
pub(crate) fn line_of(text: &str, document: usize, path: &str) -> Option<usize> {
    let steps = steps(path);
    (0..=steps.len()).rev().find_map(|length| {
        let document = serde_yaml::Deserializer::from_str(text).nth(document)?;
        let error = Seek { steps: &steps[..length] }.deserialize(document).err()?;
        (error.to_string().contains(FOUND)).then(|| error.location().map(|at| at.line()))?
    })
}

/// Marks the error that says: here.
const FOUND: &str = "\u{1}found";

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

/// `a.b[2].c` as steps.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, indexes) = match part.split_once('[') {
            Some((key, indexes)) => (key, indexes),
            None => (part, ""),
        };
        if !key.is_empty() {
            steps.push(Step::Key(key.to_owned()));
        }
        let indexes =
            indexes.split('[').filter_map(|index| index.trim_end_matches(']').parse().ok());
        steps.extend(indexes.map(Step::Index));
    }
    steps
}

/// Follows steps, and fails at their end.
#[derive(Clone, Copy)]
struct Seek<'a> {
    steps: &'a [Step],
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seek<'_> {
    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.steps.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let wanted = match self.steps.first() {
            None => return Err(A::Error::custom(FOUND)),
            Some(Step::Index(wanted)) => Some(*wanted),
            Some(Step::Key(_)) => None,
        };
        for index in 0.. {
            let more = if wanted == Some(index) {
                items.next_element_seed(Seek { steps: &self.steps[1..] })?.is_some()
            } else {
                items.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let (key, rest) = match self.steps.split_first() {
            None => return Err(A::Error::custom(FOUND)),
            Some((Step::Key(key), rest)) => (key.as_str(), rest),
            Some((Step::Index(_), _)) => ("", self.steps),
        };
        // A field's line is that of its key, so the search ends in the key if it is the last.
        while let Some(matches) = entries.next_key_seed(Key { key, last: rest.is_empty() })? {
            if matches {
                entries.next_value_seed(Seek { steps: rest })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Compares a key, and fails where it is the one sought.
struct Key<'a> {
    key: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match (key == self.key, self.last) {
            (true, true) => Err(E::custom(FOUND)),
            (matches, _) => Ok(matches),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_line() {
        let text = "# comment\na:\n  b:\n    - x: 1\n    - x: 2\n      y: {z: 3,\n        w: 4}\n---\na: 5\n";
        for (document, path, line) in [
            (0, "a", 2),
            (0, "a.b", 3),
            (0, "a.b[0].x", 4),
            (0, "a.b[1].x", 5),
            (0, "a.b[1]", 5),
            (0, "a.b[1].y.w", 7),
            (0, "a.b[1].missing", 5),
            (0, "", 2),
            (1, "a", 9),
        ] {
            assert_eq!(line_of(text, document, path), Some(line), "{document} {path}");
        }
        assert_eq!(line_of(text, 2, "a"), None);
    }
}
